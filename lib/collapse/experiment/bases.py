"""The book's own small base models, as they lie in `records/bases/`, a folder each.

`pretraining` has made them. Their weights are stored in half precision and are read as float32,
which is exact.
"""

import json
from pathlib import Path
from typing import Any

from collapse.experiment import assets

NAMES = ("tiny", "mini")  # for the laptop scale, for tests
ABOUT = "base.json"  # in a base's folder: how it was made, and the SHA-256 of its other files


def folder(name: str) -> Path:
    """Where a base of the book lies."""
    return assets.ROOT / "records" / "bases" / name


def about(name: str) -> dict[str, Any]:
    """How a base was made: recipe, text, versions; and the SHA-256 of its files, all verified."""
    file = folder(name) / ABOUT
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        for inner, expected in found["files"].items():
            file = folder(name) / inner
            if assets.sha256_file(file) != expected:
                raise ValueError("its SHA-256 is another")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise assets.AssetError(
            f"{file.name} of the base {name} is not as it was published ({error}); restore it with "
            f"git checkout -- records/bases/{name}"
        ) from error
    return found


def verified(name: str) -> tuple[Path, dict[str, str]]:
    """The folder of a base, and what identifies it: what it has read, and its weights."""
    found, weights = about(name), "model.safetensors"
    identity = {"pretrained on": found["pretrained on"]}
    return folder(name), identity | {f"sha256:{weights}": found["files"][weights]}
