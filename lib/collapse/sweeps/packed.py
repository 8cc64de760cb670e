"""The script of a pack: join and check its parts, compute, and leave what was computed as one file.

It lies beside the parts, as `run.py`, on a machine that has neither this book nor a network, and
imports nothing of the book before it is laid out.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import sys
import zipfile
import zlib
from pathlib import Path
from typing import NoReturn

MANIFEST = "manifest.json"


def main() -> int:
    """Compute what the pack asks for; return the exit status of `book sweep`."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Compute the runs of this pack.")
    until = "start no generation that would not end by then"
    parser.add_argument("--minutes", metavar="M", type=float, help=until)
    folder = "folder of what is finished; DIR.zip is taken up, and left at the end"
    parser.add_argument("--carry", metavar="DIR", type=Path, default=here / "carried", help=folder)
    asked = parser.parse_args()
    work, scale = lay_out(here)
    carry = asked.carry.resolve()
    archive = carry.with_name(f"{carry.name}.zip")
    take_up(archive, carry)
    sys.path[:0] = [str(work / "book" / "lib"), str(work / "packages")]
    os.environ |= {
        "COLLAPSE_CACHE": str(work / "cache"),
        "COLLAPSE_BUILD": str(work / "build"),
        "HF_HUB_OFFLINE": "1",
    }
    # A job whose time is up is told to end, and has some seconds to put down what is finished.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        return compute(work / "runs.json", scale, asked.minutes, carry)
    finally:
        if any(carry.glob("generations/*/facts.npz")):
            made = shutil.make_archive(str(carry.with_name(f".{carry.name}")), "zip", carry)
            os.replace(made, archive)
            print(f"{archive}: bring it home, and give it to `book unpack` there", flush=True)


def refuse(said: str) -> NoReturn:
    """End with a sentence: the pack, or this machine, is not what it should be."""
    print(f"Error: {said}", file=sys.stderr)
    sys.exit(2)


def lay_out(here: Path) -> tuple[Path, str]:
    """Make a folder of the pack's content from its parts; return it, and the scale of the runs.

    All missing parts are named at once, for bringing them may take a journey each.
    """
    try:
        content = (here / MANIFEST).read_bytes()
        parts, scale = (json.loads(content)[key] for key in ("parts", "scale"))
    except (OSError, ValueError, KeyError) as error:
        refuse(f"{here / MANIFEST} cannot be read ({error}); copy it from the pack again")
    work = here / f"work-{hashlib.sha256(content).hexdigest()[:12]}"
    if work.exists():
        return work, scale
    if missing := [name for name in parts if not (here / name).is_file()]:
        refuse(
            f"of the {len(parts)} parts of the pack there is no {', '.join(missing)} in {here}; "
            "copy what is missing"
        )
    temporary = here / f".{work.name}.part"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    joined, damaged = temporary / "joined.zip", []
    with joined.open("wb") as target:
        for name, known in parts.items():
            target.write(content := (here / name).read_bytes())
            damaged += [name] * (hashlib.sha256(content).hexdigest() != known)
    if damaged:
        refuse(
            f"{', '.join(damaged)} in {here} differs from what was packed, by its SHA-256; copy it "
            "from the pack again"
        )
    with zipfile.ZipFile(joined) as archive:
        archive.extractall(temporary)
    joined.unlink()
    return temporary.rename(work), scale


def take_up(archive: Path, carry: Path) -> None:
    """Bring what an earlier machine finished into the folder that is carried."""
    try:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(carry)  # compares checksums
    except FileNotFoundError:
        return
    except (zipfile.BadZipFile, zlib.error) as error:
        refuse(f"{archive} is damaged ({error}); copy it again, or remove it to start without")


def compute(runs: Path, scale: str, minutes: float | None, carry: Path) -> int:
    """The sweep of the runs that a file states, as `book sweep --carry` would do it."""
    try:
        from collapse.errors import BookError
        from collapse.experiment.protocol import Protocol
        from collapse.sweeps.progress import OutOfTime
        from collapse.sweeps.sweep import sweep
    except ImportError as error:  # for all else is brought
        refuse(f"{error}, and the pack does not bring it; start {__file__} with another Python")
    try:
        protocols = [Protocol.from_dict(stated) for stated in json.loads(runs.read_bytes())]
        sweep(protocols, scale, minutes=minutes, carried=carry)
    except OutOfTime as error:
        print(f"time is up: {error}", flush=True)
        return 3
    except BookError as error:
        refuse(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
