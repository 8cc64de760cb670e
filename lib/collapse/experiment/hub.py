"""Models from the model hub, checked by the hub's own SHA-256."""

import fnmatch
from pathlib import Path
from typing import Any

from collapse.experiment import assets
from collapse.experiment.assets import AssetError, atomic, cache_dir

PATIENCE = 5.0  # seconds until a silent hub counts as absent
WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")  # whole or in parts; the first there is


def snapshot(name: str) -> tuple[Path, dict[str, str]]:
    """A model's files from the hub, the weights checked against the hub's own SHA-256.

    Where the hub does not answer, a copy that an earlier download left is used, if there is one.
    `HF_HUB_OFFLINE=1` stands for no answer, `HF_ENDPOINT` names another hub.

    Returns:
        the local folder, and what identifies it: `hub` name, `revision`, SHA-256 of the weights.
    """
    from huggingface_hub import HfApi, errors

    try:
        return _fetched(name, HfApi().model_info(name, files_metadata=True, timeout=PATIENCE))
    except AssetError:
        raise
    except Exception as error:  # of any kind: anything may answer in the hub's place
        silent = isinstance(error, errors.HTTPError | OSError)
        if silent and not isinstance(error, errors.HfHubHTTPError):  # which is an answer
            if folder := earlier_snapshot(name):
                hashes = assets.folder_hashes(folder, assets.WEIGHTS)
                return folder, {"hub": name, "revision": folder.name, **hashes}
        reason = " ".join(str(error).split()) or type(error).__name__
        raise AssetError(
            f"model {name!r} is no folder here and {HfApi().endpoint} does not give it ({reason}); "
            "check its spelling, HF_ENDPOINT, and HF_TOKEN for a model that not everybody gets, or "
            "use model=smollm2-135m (from the package index), model=tiny, or a local folder"
        ) from error


def earlier_snapshot(name: str) -> Path | None:
    """The folder of a model that an earlier download from the hub left; None where none did."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    for cache in (cache_dir() / "hub", None):  # None is the hub's own, shared by all programs
        try:
            return Path(snapshot_download(name, cache_dir=cache, local_files_only=True))
        except (LocalEntryNotFoundError, HFValidationError):
            continue
    return None


def _fetched(name: str, info: Any) -> tuple[Path, dict[str, str]]:
    from huggingface_hub import snapshot_download

    files = {file.rfilename: file for file in info.siblings}
    weights = next((kind for kind in WEIGHTS if fnmatch.filter(files, kind)), WEIGHTS[0])
    # All of the revision that the hashes are of, should the model change meanwhile.
    which, cache = ["*.json", "*.txt", "*.model", weights], cache_dir() / "hub"
    place = snapshot_download(name, revision=info.sha, cache_dir=cache, allow_patterns=which)
    folder = Path(place)
    hashes = assets.folder_hashes(folder, assets.WEIGHTS)
    for key, found in hashes.items():
        published = files[key.removeprefix("sha256:")].lfs
        if published is not None and published.sha256 != found:
            raise AssetError(
                f"{key.removeprefix('sha256:')} of {name} has SHA-256 {found} where the hub says "
                f"{published.sha256}; remove {cache} and try again"
            )
    # What was asked for by revision is found by name later on, once it is verified.
    with atomic(folder.parents[1] / "refs" / "main") as temporary:
        temporary.write_text(str(info.sha))
    return folder, {"hub": name, "revision": str(info.sha), **hashes}
