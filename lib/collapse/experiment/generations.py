"""Finished generations in the cache, each under the hash of everything that determined it.

A generation is a folder of one or two files, each written in one step. Both are zip archives, whose
checksums tell what was damaged.
"""

import json
import zipfile
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from collapse.experiment import assets, records

FACTS, WEIGHTS = "facts.npz", "weights.pt"


@dataclass(frozen=True)
class Generation:
    """What a generation leaves behind, but for its weights.

    arrays: a row each of those of a record that have one a generation; `text`, which it wrote, is
        int32, (training blocks, block_length).
    training: its entry in a record's `training`.
    seconds: that it took.
    place: device and commit that computed it, as `provenance.place` has them.
    """

    arrays: dict[str, np.ndarray]
    training: dict[str, Any]
    seconds: float
    place: dict[str, str | None]


def folder(key: str) -> Path:
    """Where a generation lies, or would lie."""
    return assets.cache_dir() / "generations" / key


def locked(key: str, number: int) -> AbstractContextManager[None]:
    """Keep a generation from other processes: whoever wants it waits until it is stored."""
    return assets.locked(
        folder(key), f"  generation {number} is being computed by another process; waiting for it"
    )


def write(path: Path, generation: Generation, state: dict[str, torch.Tensor] | None = None) -> None:
    """Store a generation, in place of one that is there. Within `locked`.

    Args:
        state: its weights, where a later generation needs them.

    Raises:
        AssetError: the disk is full or cannot be written.
    """
    if state is not None:
        with assets.atomic(path / WEIGHTS) as temporary:
            torch.save(state, temporary)
    others = {name: getattr(generation, name) for name in ("training", "seconds", "place")}
    with assets.atomic(path / FACTS) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, others=json.dumps(others), **generation.arrays)


def read(path: Path) -> Generation:
    """Read a generation, and verify that it is what was written; its weights may be missing.

    Raises:
        AssetError: it is missing or damaged.
    """
    try:
        _check(path / FACTS)
        with np.load(path / FACTS) as stored:
            arrays = dict(stored)
        return Generation(arrays, **json.loads(str(arrays.pop("others"))))
    except records.DAMAGE as error:
        raise assets.AssetError(
            f"the finished generation {path} cannot be read ({error})"
        ) from error


def find(path: Path) -> Generation | None:
    """The generation in a folder; None where there is none, or a damaged one, which is said."""
    if not (path / FACTS).exists():
        return None
    try:
        return read(path)
    except assets.AssetError as error:
        print(f"  {error}; it is computed again", flush=True)
        return None


def weights(path: Path, device: torch.device) -> dict[str, torch.Tensor] | None:
    """The weights of a generation; None where they were not kept or are damaged, which is said."""
    if not (path / WEIGHTS).exists():
        return None
    try:
        _check(path / WEIGHTS)
        return torch.load(path / WEIGHTS, map_location=device, weights_only=True)
    except records.DAMAGE as error:
        print(
            f"  the weights in {path} cannot be used ({error}); they are computed again", flush=True
        )
        return None


def _check(path: Path) -> None:
    """Refuse a zip archive that is not what was written."""
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise ValueError(f"{damaged} in it was changed")
