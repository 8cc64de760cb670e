"""The book's own small base models, as they lie in `records/bases/`, a folder each.

`pretraining` has made them. Their weights are stored in half precision and are read as float32,
which is exact.
"""

import json
from pathlib import Path
from typing import Any

from collapse.experiment import assets, checkpoint

NAMES = ("tiny", "mini")  # for the laptop scale, for tests
ABOUT = "base.json"  # in a base's folder: how it was made, and the SHA-256 of its other files


def folder(name: str) -> Path:
    """Where a base of the book lies."""
    return assets.ROOT / "records" / "bases" / name


def about(name: str) -> dict[str, Any]:
    """How a base was made: recipe, text, versions; and the SHA-256 of its files.

    Raises:
        AssetError: that file, or another that it names, is not there or not as it was published.
    """
    where = folder(name)
    file = where / ABOUT
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        for inner, expected in found["files"].items():
            file = where / inner
            if assets.sha256_file(file) != expected:
                raise ValueError("its SHA-256 is another")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = "it is not there" if isinstance(error, FileNotFoundError) else "it has changed"
        raise assets.AssetError(
            f"{file.name} of the base {name} is not as it was published ({reason}); restore it "
            f"with git checkout -- records/bases/{name}"
        ) from error
    return found


def read(name: str) -> tuple[Any, Any, dict[str, str]]:
    """Model in float32, tokeniser, and what identifies them.

    Raises:
        AssetError: as `about`.
    """
    found = about(name)
    model, tokenizer = checkpoint.read(folder(name), name)
    weights = "model.safetensors"
    identity = {
        "pretrained on": found["pretrained on"],
        f"sha256:{weights}": found["files"][weights],
    }
    return model, tokenizer, identity
