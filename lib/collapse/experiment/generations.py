"""Finished generations in the cache, each under the hash of everything that determined it.

A generation is a folder of one or two files, each written in one step. Both are zip archives, whose
checksums tell what was damaged.
"""

import functools
import json
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from collapse.experiment import assets, devices, records

FACTS, WEIGHTS = "facts.npz", "weights.pt"
T = TypeVar("T")


@dataclass(frozen=True)
class Generation:
    """What a generation leaves behind, but for its weights.

    arrays: a row each of those of a record that have one a generation; `text`, which it wrote, is
        int32, (training blocks, block_length).
    """

    arrays: dict[str, np.ndarray]
    training: dict[str, Any]  # its entry in a record's `training`
    seconds: float  # that it took
    place: dict[str, str | None]  # device and commit that computed it: `provenance.place`


def folder(key: str) -> Path:
    """Where a generation lies, or would lie."""
    return assets.cache_dir() / "generations" / key


def locked(key: str, number: int) -> AbstractContextManager[None]:
    """Keep a generation from other runs: whoever wants it waits until it is stored.

    Of the processes that share a run, the first one does it for all.
    """
    if devices.rank():
        return nullcontext()
    return assets.locked(
        folder(key), f"  generation {number} is being computed by another process; waiting for it"
    )


def write(path: Path, generation: Generation, state: dict[str, torch.Tensor] | None = None) -> None:
    """Store a generation, in place of one that is there. Within `locked`.

    Args:
        state: its weights, where a later generation needs them.
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
    return _whole(path / FACTS, _facts)


def find(path: Path) -> Generation | None:
    """The generation in a folder; None where there is none, or a damaged one, which is said."""
    return _usable(path / FACTS, _facts)


def weights(path: Path, device: torch.device) -> dict[str, torch.Tensor] | None:
    """The weights of a generation; None where they were not kept or are damaged, which is said."""
    loaded = functools.partial(torch.load, map_location=device, weights_only=True)
    return _usable(path / WEIGHTS, loaded)


def _facts(file: Path) -> Generation:
    with np.load(file) as stored:
        arrays = dict(stored)
    return Generation(arrays, **json.loads(str(arrays.pop("others"))))


def _usable(file: Path, load: Callable[[Path], T]) -> T | None:
    """What a file holds; None where it is not there, or damaged, which is said."""
    try:
        return _whole(file, load) if file.exists() else None
    except assets.AssetError as error:
        print(f"  {error}; it is computed again", flush=True)
        return None


def _whole(file: Path, load: Callable[[Path], T]) -> T:
    """What a zip archive holds, verified."""
    try:
        with zipfile.ZipFile(file) as archive:
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} in it was changed")
        return load(file)
    except records.DAMAGE as error:
        raise assets.AssetError(f"the finished {file} cannot be read ({error})") from error
