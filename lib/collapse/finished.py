"""Finished generations in the cache, each under the hash of everything that determined it."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from collapse import assets, records

WEIGHTS = "weights.pt"


@dataclass(frozen=True)
class Generation:
    """What a generation leaves behind, but for its weights.

    tokens: int32, (training blocks, block_length): the text it wrote.
    row: of a record's `generations.csv`.
    history: of its training, a row an epoch, as `training.fine_tune` returns it.
    arrays: a row each of those of a record that have a value a block.
    seconds: that it took.
    """

    tokens: np.ndarray
    row: dict[str, float]
    history: list[dict[str, float]]
    arrays: dict[str, np.ndarray]
    seconds: float


def folder(key: str) -> Path:
    """Where a generation lies, or would lie."""
    return assets.cache_dir() / "generations" / key


def write(path: Path, generation: Generation, state: dict[str, torch.Tensor] | None = None) -> None:
    """Store a generation in one step.

    Args:
        state: its weights, where a later generation needs them.

    Raises:
        AssetError: the disk is full or cannot be written.
    """
    with assets.atomic(path) as temporary:
        temporary.mkdir()
        np.save(temporary / "tokens.npy", generation.tokens)
        np.savez(temporary / "arrays.npz", **generation.arrays)
        if state is not None:
            torch.save(state, temporary / WEIGHTS)
        facts = {name: getattr(generation, name) for name in ("row", "history", "seconds")}
        (temporary / "facts.json").write_text(json.dumps(facts))


def read(path: Path) -> Generation:
    """Read a generation.

    Raises:
        AssetError: a file of it is missing or damaged.
    """
    try:
        facts = json.loads((path / "facts.json").read_text())
        with np.load(path / "arrays.npz") as stored:
            arrays = {name: stored[name] for name in stored.files}
        tokens = np.load(path / "tokens.npy")
        return Generation(tokens, facts["row"], facts["history"], arrays, facts["seconds"])
    except records.DAMAGE as error:
        raise assets.AssetError(
            f"the finished generation {path} cannot be read ({error}); remove that folder, "
            "it will be computed again"
        ) from error


def has_weights(key: str) -> bool:
    """Whether the weights of a generation were kept."""
    return (folder(key) / WEIGHTS).exists()


def weights(key: str, device: torch.device) -> dict[str, torch.Tensor]:
    """The weights of a generation that `has_weights`."""
    return torch.load(folder(key) / WEIGHTS, map_location=device, weights_only=True)
