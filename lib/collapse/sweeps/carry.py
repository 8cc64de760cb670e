"""A sweep on a machine that is lent for a while and keeps nothing: what travels, and back.

All that a run needs of its past are the finished generations without their weights, a few
megabytes each, for the weights of generation 0 can be trained again. A folder carries them and the
records from one machine to the next; it is up to date after every generation. It takes what belongs
to the runs of the sweep, and nothing else that the cache holds; what is damaged on either side is
replaced by what is whole on the other.
"""

import shutil
from pathlib import Path

from collapse.experiment import assets, generations, records
from collapse.experiment.assets import AssetError
from collapse.experiment.protocol import Protocol, ProtocolError
from collapse.experiment.records import Record, RecordError


def check(protocol: Protocol) -> None:
    """Refuse a run that could not go on from what is carried.

    A recovery can: of the weights that it goes on from, only one generation is made again.

    Raises:
        ProtocolError: every generation of the run starts from the weights of the one before.
    """
    if protocol.init == "previous":
        raise ProtocolError(
            f"init={protocol.init!r} hands on the weights of each generation, which are too large "
            "to be carried; leave out --carry, or sweep other runs"
        )


def fetch(folder: Path) -> int:
    """Bring what is carried into cache and build folder; return how many generations that were.

    Raises:
        AssetError: the disk is full or cannot be written.
    """
    found = [_copy(path, generations.folder(path.name)) for path in _generations(folder)]
    for path in records.list_records(folder / "records"):
        try:
            records.write(records.read(path), records.built())
        except RecordError as error:
            print(f"{error}; it is not brought here from {folder}", flush=True)
    return sum(found)


def store(folder: Path, key: str) -> None:
    """Bring a finished generation into the folder that is carried.

    Raises:
        AssetError: the disk is full or cannot be written.
    """
    _copy(generations.folder(key), folder / "generations" / key)


def store_record(folder: Path, record: Record) -> None:
    """Bring a record into the folder that is carried.

    Raises:
        AssetError: the disk is full or cannot be written.
    """
    records.write(record, folder / "records")


def _generations(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "generations").glob("[!.]*/") if path.is_dir())


def _copy(source: Path, target: Path) -> bool:
    """Copy a generation without its weights, unless there is a whole one; return whether it was."""
    with assets.locked(target):
        assets.restore(target)
        if target.exists():
            try:
                generations.read(target)
                return False
            except AssetError:
                pass  # a damaged one is replaced
        try:
            generations.read(source)
        except AssetError as error:
            print(f"{error}; it is not copied", flush=True)
            return False
        with assets.atomic(target, replace=True) as temporary:
            shutil.copytree(source, temporary, ignore=shutil.ignore_patterns(generations.WEIGHTS))
    return True
