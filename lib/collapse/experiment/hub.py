"""Models from the model hub, checked by the hub's own SHA-256.

A hub that does not answer is given up after five seconds.
"""

import functools
import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Collection
from pathlib import Path
from typing import Any

from collapse.experiment.assets import AssetError, atomic, cache_dir, sha256_file

PATIENCE = 5.0  # seconds until a silent hub counts as absent


@functools.cache
def answers(endpoint: str | None = None) -> bool:
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
            urllib.request.urlopen(request, timeout=PATIENCE).close()
        except urllib.error.HTTPError:
            pass  # an answer, if an unfriendly one
        except (OSError, ValueError):
            return
        answered.set()

    # A thread, because resolving a name has no time limit of its own.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return answered.is_set()


def snapshot(name: str) -> tuple[Path, dict[str, str]]:
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
    if not answers():
        folder = earlier_snapshot(name)
        if folder is None:
            raise AssetError(
                f"model {name!r} is no folder here and the model hub does not answer; use {others}"
            )
        return folder, {"hub": name, "revision": folder.name, **weight_hashes(folder)}
    try:
        info = HfApi().model_info(name, files_metadata=True, timeout=PATIENCE)
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
