"""A file of measurements, and what is read out of it. `measurement` makes such files."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from collapse.errors import BookError
from collapse.experiment.assets import ROOT, build_dir

SCHEMA = 1
OURS, GENERATE, OTHER, TRAINER = "this book", "generate", "CTranslate2", "Trainer"
PAPER = "the paper's way"
# What each contest is measured against: the side whose name begins like this.
RIVALS = {"five beams": GENERATE, "sampling": GENERATE, "training": TRAINER}


class BenchError(BookError):
    """A file of measurements cannot be used."""


def path(kind: str, folder: Path | None = None) -> Path:
    """Where the measurements of a kind of device lie; the published ones if no folder is given."""
    return (folder or ROOT / "records") / f"bench-{kind}.json"


def read(kind: str) -> dict[str, Any] | None:
    """Measurements on `cpu` or `cuda`: those made here, else the published ones, else None."""
    for file in (path(kind, build_dir()), path(kind)):
        if not file.exists():
            continue
        try:
            found = json.loads(file.read_text())
            if found.get("schema") != SCHEMA:
                raise ValueError("it is of another version of this book")
        except ValueError as error:
            raise BenchError(f"{file} cannot be used ({error}); run: make bench") from error
        return found
    return None


def ratios(found: dict[str, Any], contest: str, rival: str | None = None) -> list[float]:
    """How many times as fast as a rival this book is, round by round.

    `rival` is how its name begins, that of `RIVALS` if none is given; a `KeyError` where it was not
    measured.
    """
    sides, start = found["contests"][contest], rival or RIVALS[contest]
    theirs = next((name for name in sides if name.startswith(start)), start)
    return [one / two for one, two in zip(sides[OURS], sides[theirs], strict=True)]


def in_words(values: Sequence[float]) -> str:
    """Median and range: `4.1 (3.8 to 4.4)`."""
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def summary(found: dict[str, Any]) -> list[str]:
    """One line a contest: how many times as fast as its rival this book is."""
    return [
        f"{contest}: {in_words(ratios(found, contest))} times as fast as {rival}"
        for contest, rival in RIVALS.items()
    ]
