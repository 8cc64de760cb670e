"""The script of a pack: join and check its parts, compute, and leave what was computed as one file.

It lies beside the parts, as `run.py`, on a machine that has neither this book nor a network. It
needs Python 3.11 or newer, and of other packages those of `NEEDED`; the pack brings the rest.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
NEEDED = (
    "torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "accelerate", "numpy",
    "scipy", "pandas", "click", "yaml", "psutil", "filelock",
)  # fmt: skip
CHUNK = 1 << 20  # bytes read at once


class PackError(Exception):
    """The pack, or this machine, is not what it should be; the text is one sentence."""


def main(given: "list[str] | None" = None) -> int:
    """Compute what the pack asks for; return the exit status of `book sweep`, 3 for want of time.

    Raises:
        PackError: a part is missing or damaged, or this machine lacks a package.
    """
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Compute the runs of this pack.")
    parser.add_argument(
        "--minutes", metavar="M", help="start no generation that would not end by then"
    )
    parser.add_argument(
        "--carry",
        metavar="DIR",
        type=Path,
        default=here / "carried",
        help="folder of what is finished; DIR.zip is taken up, and left at the end",
    )
    asked = parser.parse_args(given)
    check_machine()
    manifest = read_manifest(here)
    work = lay_out(here, manifest)
    carry = asked.carry.resolve()
    archive = carry.with_name(f"{carry.name}.zip")
    take_up(archive, carry)
    command = [sys.executable, "-m", "collapse.cli", "sweep", "--runs", str(work / "runs.json")]
    command += ["--scale", manifest["scale"], "--carry", str(carry)]
    command += ["--minutes", asked.minutes] if asked.minutes else []
    # A job whose time is up is told to end, and has some seconds to put down what is finished.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        return subprocess.run(command, env=surroundings(work), cwd=work).returncode
    finally:
        if put_down(carry, archive):
            print(f"{archive}: bring it home, and give it to `book unpack` there", flush=True)


def check_machine() -> None:
    """Refuse a machine on which the runs could not be computed.

    Raises:
        PackError: Python is too old, or a package is missing.
    """
    if sys.version_info < (3, 11):  # noqa: UP036 (this file is what an older one runs)
        raise PackError(
            f"this pack needs Python 3.11 or newer, not {sys.version.split()[0]}; start run.py "
            "with another, as in python3.11 run.py"
        )
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise PackError(
            f"this Python has no {', '.join(missing)}, which the pack does not bring; start run.py "
            "with a Python that has"
        )


def read_manifest(here: Path) -> "dict[str, Any]":
    """What the pack consists of.

    Raises:
        PackError: it cannot be read.
    """
    try:
        manifest = json.loads((here / MANIFEST).read_text(encoding="utf-8"))
        return {name: manifest[name] for name in ("scale", "archive", "parts")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PackError(
            f"{here / MANIFEST} cannot be read ({error}); copy it from the pack again"
        ) from error


def lay_out(here: Path, manifest: "dict[str, Any]") -> Path:
    """The folder of the pack's content, made of its parts where it is not there yet.

    Raises:
        PackError: a part is missing or damaged.
    """
    expected = manifest["archive"]["sha256"]
    work = here / f"work-{expected[:12]}"
    if work.exists():
        return work
    temporary = here / f".{work.name}.part"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    joined = temporary / "joined.zip"
    join(here, manifest, joined)
    with zipfile.ZipFile(joined) as archive:
        archive.extractall(temporary)
    joined.unlink()
    for model in (temporary / "cache" / "models").glob("*"):  # known by where they lie
        place = temporary / "cache" / "sources" / model.name
        place.parent.mkdir(exist_ok=True)
        place.write_text(str(work / "cache" / "models" / model.name), encoding="utf-8")
    temporary.rename(work)
    return work


def join(here: Path, manifest: "dict[str, Any]", target: Path) -> None:
    """Put the parts one behind another into a file, each checked against the manifest.

    All missing parts are named at once, for bringing them may take a journey each.

    Raises:
        PackError: a part is missing or damaged.
    """
    parts = manifest["parts"]
    if missing := [part["name"] for part in parts if not (here / part["name"]).is_file()]:
        raise PackError(
            f"of the {len(parts)} parts of the pack there is no {', '.join(missing)} in {here}; "
            "copy what is missing"
        )
    if damaged := [part["name"] for part in parts if sha256(here / part["name"]) != part["sha256"]]:
        raise PackError(
            f"{', '.join(damaged)} in {here} differs from what was packed, by its SHA-256; copy it "
            "from the pack again"
        )
    with target.open("wb") as whole:
        for part in parts:
            with (here / part["name"]).open("rb") as file:
                shutil.copyfileobj(file, whole, CHUNK)
    if sha256(target) != manifest["archive"]["sha256"]:
        raise PackError(
            f"the parts in {here} do not make the archive that {MANIFEST} names; copy all of one "
            "pack again"
        )


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def surroundings(work: Path) -> "dict[str, str]":
    """The environment of the sweep: the pack's code, cache and build folder, and no model hub."""
    paths = [str(work / "book" / "lib"), str(work / "packages"), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "COLLAPSE_CACHE": str(work / "cache"),
        "COLLAPSE_BUILD": str(work / "build"),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
    }


def take_up(archive: Path, carry: Path) -> None:
    """Bring what an earlier machine finished into the folder that is carried.

    Raises:
        PackError: the archive is damaged.
    """
    if not archive.exists():
        return
    try:
        with zipfile.ZipFile(archive) as packed:
            if damaged := packed.testzip():
                raise zipfile.BadZipFile(f"{damaged} in it was changed")
            for name in packed.namelist():
                if not (carry / name).exists():
                    packed.extract(name, carry)
    except zipfile.BadZipFile as error:
        raise PackError(
            f"{archive} is damaged ({error}); copy it here again, or remove it to start without"
        ) from error


def put_down(carry: Path, archive: Path) -> bool:
    """Make one file of the folder that is carried; return whether there was anything in it."""
    names = sorted(path.relative_to(carry) for path in carry.rglob("*") if path.is_file())
    kept = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    if not kept:
        return False
    temporary = archive.with_name(f".{archive.name}.part")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in kept:
            packed.write(carry / name, name)
    temporary.replace(archive)
    return True


if __name__ == "__main__":
    try:
        sys.exit(main())
    except PackError as error:
        sys.exit(f"Error: {error}")
