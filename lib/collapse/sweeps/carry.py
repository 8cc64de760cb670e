"""A sweep on a machine that is lent for a while and keeps nothing: what travels, and back.

All that a run needs of its past are the finished generations without their weights, a few
megabytes each, for weights can be trained again. A folder carries them and the records from one
machine to the next, those of the sweep's runs and nothing else. What is damaged on either side is
replaced by what is whole on the other.
"""

from contextlib import suppress
from pathlib import Path

from collapse.experiment import assets, generations, records
from collapse.experiment.assets import AssetError
from collapse.experiment.record import RecordError


def fetch(folder: Path) -> int:
    """Bring what is carried into cache and build folder; return how many generations that were."""
    for path in records.list_records(folder / "records"):
        try:
            records.write(records.read(path), records.built())
        except RecordError as error:
            print(f"{error}; it is not brought here from {folder}", flush=True)
    carried = sorted(folder.glob("generations/[!.]*/"))
    return sum(copy(path, generations.folder(path.name)) for path in carried if path.is_dir())


def copy(source: Path, target: Path) -> bool:
    """Copy a generation without its weights, unless there is a whole one; return whether it was."""
    with assets.locked(target):
        with suppress(AssetError):  # a damaged one is replaced
            generations.read(target)
            return False
        try:
            found = generations.read(source)
        except AssetError as error:
            print(f"{error}; it is not copied", flush=True)
            return False
        generations.write(target, found)
    return True
