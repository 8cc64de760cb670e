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
from typing import NoReturn

MANIFEST = "manifest.json"
NEEDED = (
    "torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "accelerate", "numpy",
    "scipy", "pandas", "psutil", "filelock",
)  # fmt: skip


def main() -> int:
    """Compute what the pack asks for; return the exit status of `book sweep`, 3 for want of time.

    Raises:
        SystemExit: a part is missing or damaged, or this machine lacks a package.
    """
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Compute the runs of this pack.")
    until = "start no generation that would not end by then"
    parser.add_argument("--minutes", metavar="M", type=float, help=until)
    folder = "folder of what is finished; DIR.zip is taken up, and left at the end"
    parser.add_argument("--carry", metavar="DIR", type=Path, default=here / "carried", help=folder)
    asked = parser.parse_args()
    if asked.minutes is not None and not asked.minutes > 0:
        refuse(f"--minutes takes a number above 0, not {asked.minutes}; give one")
    if sys.version_info < (3, 11):  # noqa: UP036 (this file is what an older one runs)
        refuse(f"this pack needs Python 3.11 or newer, not {sys.version.split()[0]}; use another")
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        refuse(
            f"this Python has no {', '.join(missing)}, which the pack does not bring; start run.py "
            "with a Python that has"
        )
    try:
        manifest = json.loads((here / MANIFEST).read_bytes())
        scale, whole, parts = manifest["scale"], manifest["archive"], manifest["parts"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        refuse(f"{here / MANIFEST} cannot be read ({error}); copy it from the pack again")
    work, carry = here / f"work-{whole[:12]}", asked.carry.resolve()
    if not work.exists():
        lay_out(here, work, parts, whole)
    archive = carry.with_name(f"{carry.name}.zip")
    take_up(archive, carry)
    command = [sys.executable, "-m", "collapse.sweeps", work / "runs.json", scale, carry]
    command += [] if asked.minutes is None else [str(asked.minutes)]
    paths = [str(work / "book" / "lib"), str(work / "packages"), os.environ.get("PYTHONPATH")]
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "COLLAPSE_CACHE": str(work / "cache"),
        "COLLAPSE_BUILD": str(work / "build"),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
    }
    # A job whose time is up is told to end, and has some seconds to put down what is finished.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        return subprocess.run(command, env=env, cwd=work).returncode
    finally:
        if put_down(carry, archive):
            print(f"{archive}: bring it home, and give it to `book unpack` there", flush=True)


def refuse(said: str) -> NoReturn:
    """End with a sentence: the pack, or this machine, is not what it should be."""
    raise SystemExit(f"Error: {said}")


def lay_out(here: Path, work: Path, parts: "dict[str, str]", whole: str) -> None:
    """Make a folder of the pack's content from its parts.

    All missing parts are named at once, for bringing them may take a journey each.

    Args:
        parts: name -> SHA-256, in their order.
        whole: SHA-256 of what they make together.

    Raises:
        SystemExit: a part is missing or damaged.
    """
    if missing := [name for name in parts if not (here / name).is_file()]:
        refuse(
            f"of the {len(parts)} parts of the pack there is no {', '.join(missing)} in {here}; "
            "copy what is missing"
        )
    if damaged := [name for name, known in parts.items() if sha256(here / name) != known]:
        refuse(
            f"{', '.join(damaged)} in {here} differs from what was packed, by its SHA-256; copy it "
            "from the pack again"
        )
    temporary = here / f".{work.name}.part"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    joined = temporary / "joined.zip"
    with joined.open("wb") as target:
        for name in parts:
            with (here / name).open("rb") as file:
                shutil.copyfileobj(file, target)
    if sha256(joined) != whole:
        refuse(
            f"the parts in {here} do not make the archive that {MANIFEST} names; copy all of one "
            "pack again"
        )
    with zipfile.ZipFile(joined) as archive:
        archive.extractall(temporary)
    joined.unlink()
    temporary.rename(work)


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def take_up(archive: Path, carry: Path) -> None:
    """Bring what an earlier machine finished into the folder that is carried.

    Raises:
        SystemExit: the archive is damaged.
    """
    if not archive.exists():
        return
    try:
        with zipfile.ZipFile(archive) as packed:
            if damaged := packed.testzip():
                raise zipfile.BadZipFile(f"{damaged} in it was changed")
            packed.extractall(carry, [n for n in packed.namelist() if not (carry / n).exists()])
    except zipfile.BadZipFile as error:
        refuse(f"{archive} is damaged ({error}); copy it again, or remove it to start without")


def put_down(carry: Path, archive: Path) -> bool:
    """Make one file of the folder that is carried; return whether there was anything in it."""
    names = sorted(path.relative_to(carry) for path in carry.rglob("*") if path.is_file())
    kept = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    if kept:
        temporary = archive.with_name(f".{archive.name}.part")
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as packed:
            for name in kept:
                packed.write(carry / name, name)
        temporary.replace(archive)
    return bool(kept)


if __name__ == "__main__":
    sys.exit(main())
