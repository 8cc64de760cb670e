"""Models from the model hub, checked by the hub's own SHA-256."""

import fnmatch
import os
from pathlib import Path
from typing import Any

from collapse.experiment.assets import AssetError, atomic, cache_dir, sha256_file

PATIENCE = 5.0  # seconds until a silent hub counts as absent
OTHERS = "model=smollm2-135m (from the package index), model=tiny, or a local folder"


def snapshot(name: str) -> tuple[Path, dict[str, str]]:
    """A model's files from the hub, the weights checked against the hub's own SHA-256.

    Where the hub does not answer, a copy that an earlier download left is used, if there is one.
    `HF_HUB_OFFLINE=1` stands for no answer, `HF_ENDPOINT` names another hub.

    Returns:
        the local folder, and what identifies it: `hub` name, `revision`, SHA-256 of the weights.

    Raises:
        AssetError: the name cannot be one, the hub does not know the model or asks for a token, a
            file differs from the hub's hash, the answer is not a hub's, or there is none and no
            copy.
    """
    from huggingface_hub import errors
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
        if info := _asked(name):
            return _fetched(name, info)
    except errors.HFValidationError:
        raise AssetError(
            f"model {name!r} is no folder here and cannot be a name on the model hub, which is "
            f"OWNER/NAME; check its spelling, or use {OTHERS}"
        ) from None
    except errors.GatedRepoError as error:
        raise AssetError(
            f"the model hub gives {name!r} only to those who have agreed to its terms: agree on "
            f"the model's page and put a token of yours into HF_TOKEN, or use {OTHERS}"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise AssetError(
            f"the model hub has no model {name!r}, or not for everybody; give another name, for a "
            f"private model put a token of yours into HF_TOKEN, or use {OTHERS}"
        ) from error
    except (errors.HTTPError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise AssetError(
            f"the model hub failed while fetching {name!r} ({reason}); try again, or use "
            "model=smollm2-135m, which the package index has"
        ) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AssetError(
            f"{_endpoint()} did not answer as a model hub does when asked for {name!r}; check "
            "HF_ENDPOINT and whether a proxy or a login page answers in its place"
        ) from error
    if folder := earlier_snapshot(name):
        return folder, {"hub": name, "revision": folder.name, **_weight_hashes(folder)}
    raise AssetError(
        f"model {name!r} is no folder here and the model hub does not answer; use {OTHERS}"
    )


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


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


def _asked(name: str) -> Any:
    """What the hub tells of a model and its files; None where it does not answer."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    for switch in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):  # the hub's client obeys both
        if os.environ.get(switch, "").upper() in {"1", "ON", "YES", "TRUE"}:
            return None
    try:
        return HfApi(_endpoint()).model_info(name, files_metadata=True, timeout=PATIENCE)
    except HfHubHTTPError:
        raise  # an answer, if an unfriendly one
    except (HTTPError, OSError):
        return None


def _fetched(name: str, info: Any) -> tuple[Path, dict[str, str]]:
    from huggingface_hub import snapshot_download

    files = {file.rfilename: file for file in info.siblings or []}
    kinds = ("model*.safetensors", "pytorch_model*.bin")  # whole or in parts
    weights = next((kind for kind in kinds if fnmatch.filter(files, kind)), None)
    if weights is None:
        raise AssetError(
            f"{name!r} on the model hub has neither model.safetensors nor pytorch_model.bin, whole "
            "or in parts; give a model whose weights transformers can read"
        )
    folder = Path(
        snapshot_download(
            name,
            endpoint=_endpoint(),
            # All of the revision that the hashes are of, should the model change meanwhile.
            revision=info.sha,
            cache_dir=cache_dir() / "hub",
            allow_patterns=["*.json", "*.txt", "*.model", weights],
        )
    )
    hashes = _weight_hashes(folder)
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


def _weight_hashes(folder: Path) -> dict[str, str]:
    """`sha256:FILE` -> SHA-256 of each file of weights in a folder."""
    files = (path for path in sorted(folder.iterdir()) if path.suffix in (".safetensors", ".bin"))
    return {f"sha256:{path.name}": sha256_file(path) for path in files}
