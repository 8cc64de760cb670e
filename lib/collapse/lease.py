"""A sweep on a machine that is lent for a while and keeps nothing: what travels, and back.

All that a run needs of its past are the finished generations without their weights, a few
megabytes each, for the weights of generation 0 can be trained again. A folder carries them and the
records from one machine to the next; it is up to date after every generation.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from collapse import assets, finished, records
from collapse.protocol import Protocol, ProtocolError


def check(protocols: Sequence[Protocol]) -> None:
    """Refuse runs that could not go on from what is carried.

    Raises:
        ProtocolError: a run hands weights from one generation to the next.
    """
    for p in protocols:
        if p.init == "previous" or p.recovery:
            what = f"recovery={p.recovery}" if p.recovery else f"init={p.init!r}"
            raise ProtocolError(
                f"{what} hands on the weights of a generation, which are too large to be carried; "
                "leave out --carry, or sweep other runs"
            )


def fetch(folder: Path) -> int:
    """Bring what is carried into cache and build folder; return how many generations that were.

    Raises:
        AssetError: the disk is full or cannot be written.
    """
    found = _copy(folder / "generations", assets.cache_dir() / "generations")
    _copy(folder / "records", records.built())
    return found


def store(folder: Path) -> None:
    """Bring what is finished into the folder that is carried.

    Raises:
        AssetError: the disk is full or cannot be written.
    """
    _copy(assets.cache_dir() / "generations", folder / "generations")
    _copy(records.built(), folder / "records")


def _copy(source: Path, target: Path) -> int:
    """Copy the folders that the target lacks, each in one step; return how many."""
    copied = 0
    for path in sorted(source.glob("[!.]*/")):
        if not (target / path.name).exists():
            with assets.atomic(target / path.name) as temporary:
                shutil.copytree(path, temporary, ignore=shutil.ignore_patterns(finished.WEIGHTS))
            copied += 1
    return copied
