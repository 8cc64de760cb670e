"""The model hub, played by a local server."""

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
from transformers import OPTConfig, OPTForCausalLM

from collapse.experiment import assets, hub
from collapse.experiment.assets import AssetError, sha256_file
from fake_hub import COMMIT, serve

ADDRESS = "/{repo_id}/resolve/{revision}/{filename}"
NOBODY = "http://127.0.0.1:9"  # where no one listens


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    config = OPTConfig(
        vocab_size=20, hidden_size=8, word_embed_proj_dim=8, num_hidden_layers=1,
        num_attention_heads=1, ffn_dim=8, max_position_embeddings=16,
    )  # fmt: skip
    OPTForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Name the address of the hub, as if it could be asked, and directly."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "home"))

    def name(endpoint: str) -> None:
        addresses = {"ENDPOINT": "", "HUGGINGFACE_CO_URL_TEMPLATE": ADDRESS}
        for constant, rest in addresses.items():  # as `HF_ENDPOINT` sets them on import
            monkeypatch.setattr(huggingface_hub.constants, constant, endpoint + rest)

    return name


def refusal(name: str) -> str:
    """The sentence that refuses a model."""
    with pytest.raises(AssetError) as refused:
        hub.snapshot(name)
    said = str(refused.value)
    assert "\n" not in said
    return said


def test_a_model_comes_with_its_revision_and_verified_hash(
    at: Callable[[str], None], weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hub.earlier_snapshot("some/model") is None
    with serve("some/model", weights, moves=True) as endpoint:  # a later revision comes meanwhile
        at(endpoint)
        folder, identity = hub.snapshot("some/model")
    assert folder.name == COMMIT
    sha256 = sha256_file(weights / "model.safetensors")
    assert identity == {
        "hub": "some/model", "revision": COMMIT, "sha256:model.safetensors": sha256,
    }  # fmt: skip
    # And again from the copy, when the hub is gone or is not to be asked.
    at(NOBODY)
    assert hub.snapshot("some/model") == (folder, identity)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert hub.snapshot("some/model") == (folder, identity)
    assert hub.earlier_snapshot("some/model") == folder


def test_weights_that_differ_from_the_hub_s_hash_are_refused(
    at: Callable[[str], None], weights: Path
) -> None:
    with serve("some/model", weights, {"model.safetensors": "0" * 64}) as endpoint:
        at(endpoint)
        said = refusal("some/model")
    assert said.startswith("model.safetensors of some/model has SHA-256") and "remove" in said
    # Nor are they taken for a copy when the hub is gone.
    at(NOBODY)
    assert refusal("some/model").startswith("model 'some/model' is no folder here and http://127")


def test_a_model_that_the_hub_does_not_give_is_refused_by_name(
    at: Callable[[str], None], weights: Path
) -> None:
    with serve("some/model", weights) as endpoint:
        at(endpoint)
        said = refusal("some/other")
    assert said.startswith(f"model 'some/other' is no folder here and {endpoint} does not give it")
    assert "spelling" in said
    with serve("some/model", weights, gated=True) as endpoint:
        at(endpoint)
        said = refusal("some/model")
    assert "some/model" in said and "gated" in said and "HF_TOKEN" in said


@pytest.mark.parametrize("kind", ["model.safetensors", "pytorch_model.bin"])
def test_weights_in_parts_are_fetched_and_others_are_not(
    at: Callable[[str], None], weights: Path, kind: str, tmp_path: Path
) -> None:
    folder, stem = tmp_path / "parts", Path(kind)
    parts = [f"{stem.stem}-0000{n}-of-00002{stem.suffix}" for n in (1, 2)]
    folder.mkdir()
    shutil.copy(weights / "config.json", folder)
    others = [f"other{stem.suffix}", "pytorch_model.bin"] if "model.s" in kind else ["x.bin"]
    for file in [*parts, *others]:
        (folder / file).write_bytes(file.encode())
    index = {"weight_map": {"a": parts[0], "b": parts[1], "c": parts[0]}}
    (folder / f"{kind}.index.json").write_text(json.dumps(index))
    with serve("some/model", folder) as endpoint:
        at(endpoint)
        _, identity = hub.snapshot("some/model")
    found = {name: value for name, value in identity.items() if name.startswith("sha256:")}
    assert found == {f"sha256:{part}": sha256_file(folder / part) for part in parts}


@pytest.mark.parametrize("page", [b"<html>Please log in</html>", b"[]", b"{}"])
def test_an_answer_that_is_not_a_hub_s_names_who_gave_it(
    at: Callable[[str], None], weights: Path, page: bytes
) -> None:
    with serve("some/model", weights, page=page) as endpoint:
        at(endpoint)
        said = refusal("some/model")
    assert f"{endpoint} does not give it" in said and "HF_ENDPOINT" in said


@pytest.mark.parametrize("name", ["/modles/mine", "./mine", "../mine", "a/b/c", "my model", "~/m"])
def test_what_can_only_be_a_path_is_no_folder(
    at: Callable[[str], None], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(NOBODY)
    for offline in (False, True):
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
        said = refusal(name)
        assert said.startswith(f"model {name!r} is no folder here") and "spelling" in said


def test_a_hub_that_is_silent_or_not_there_is_given_up_and_the_remedy_told(
    at: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hub.PATIENCE <= 5
    monkeypatch.setattr(hub, "PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never says a word
        for address in (f"http://127.0.0.1:{silent.getsockname()[1]}", NOBODY, "no address"):
            at(address)
            said = refusal("some/model")
            assert said.startswith(f"model 'some/model' is no folder here and {address} does")
            assert "smollm2-135m" in said


def test_an_offline_hub_is_not_asked(
    at: Callable[[str], None], weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve("some/model", weights) as endpoint:
        at(endpoint)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        assert "offline" in refusal("some/model")
    assert not (assets.cache_dir() / "hub").exists()
