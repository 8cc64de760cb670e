"""Finished generations in the cache, each under the hash of everything that determined it."""

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from collapse.experiment import assets, records
from collapse.experiment.protocol import digest

WEIGHTS = "weights.pt"


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
    """Store a generation in one step, in place of one that is there. Within `locked`.

    Args:
        state: its weights, where a later generation needs them.

    Raises:
        AssetError: the disk is full or cannot be written.
    """
    with assets.atomic(path, replace=True) as temporary:
        temporary.mkdir()
        np.savez(temporary / "arrays.npz", allow_pickle=False, **generation.arrays)
        if state is not None:
            torch.save(state, temporary / WEIGHTS)
        facts = {name: getattr(generation, name) for name in ("training", "seconds", "place")}
        facts["sha256"] = {file.name: assets.sha256_file(file) for file in temporary.iterdir()}
        (temporary / "facts.json").write_text(json.dumps({**facts, "digest": digest(facts)}))


def read(path: Path) -> Generation:
    """Read a generation, and verify that it is what was written; its weights may be missing.

    Raises:
        AssetError: a file of it is missing or damaged.
    """
    try:
        facts = _facts(path, "arrays.npz")
        with np.load(path / "arrays.npz") as stored:
            arrays = dict(stored)
        return Generation(arrays, facts["training"], facts["seconds"], facts["place"])
    except records.DAMAGE as error:
        raise assets.AssetError(
            f"the finished generation {path} cannot be read ({error})"
        ) from error


def find(path: Path) -> Generation | None:
    """The generation in a folder; None where there is none, or a damaged one, which is said."""
    assets.restore(path)
    if not path.exists():
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
        _facts(path, WEIGHTS)
        return torch.load(path / WEIGHTS, map_location=device, weights_only=True)
    except records.DAMAGE as error:
        print(
            f"  the weights in {path} cannot be used ({error}); they are computed again", flush=True
        )
        return None


def _facts(path: Path, name: str) -> dict[str, Any]:
    """What `facts.json` says, which is checked, as is the file of a name."""
    facts = json.loads((path / "facts.json").read_text())
    if facts.pop("digest") != digest(facts):
        raise ValueError("facts.json was changed after it was written")
    if facts["sha256"][name] != assets.sha256_file(path / name):
        raise ValueError(f"{name} was changed after it was written")
    return facts
