"""The model hub, played by a local server; the client reads its address when it is imported."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from transformers import OPTConfig, OPTForCausalLM

from collapse.experiment import hub
from collapse.experiment.assets import sha256_file
from fake_hub import COMMIT, serve
from local_server import running

SCRIPT = """
import sys
from collapse.experiment import assets, hub
try:
    folder, identity = hub.snapshot(sys.argv[1])
except assets.AssetError as error:
    print("refused:", error)
else:
    print("folder:", folder)
    print("identity:", identity)
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    config = OPTConfig(
        vocab_size=20, hidden_size=8, word_embed_proj_dim=8, num_hidden_layers=1,
        num_attention_heads=1, ffn_dim=8, max_position_embeddings=16,
    )  # fmt: skip
    OPTForCausalLM(config).save_pretrained(folder)
    return folder


def ask(name: str, endpoint: str, cache: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, name],
        env={
            **{
                key: value
                for key, value in os.environ.items()
                if not key.startswith(("HF_", "TRANSFORMERS_"))
            },
            **{"HF_ENDPOINT": endpoint, "HF_HOME": str(cache / "home")},
            **{"COLLAPSE_CACHE": str(cache), "NO_PROXY": "127.0.0.1", **environment},
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_model_comes_with_its_revision_and_verified_hash(weights: Path, tmp_path: Path) -> None:
    with serve("some/model", weights) as endpoint:
        told = ask("some/model", endpoint, tmp_path)
    assert sha256_file(weights / "model.safetensors") in told
    assert f"'revision': '{COMMIT}'" in told
    # And again from the copy, when the hub is gone.
    again = ask("some/model", endpoint, tmp_path, HF_HUB_OFFLINE="1")
    assert sha256_file(weights / "model.safetensors") in again


def test_weights_that_differ_from_the_hub_s_hash_are_refused(weights: Path, tmp_path: Path) -> None:
    with serve("some/model", weights, {"model.safetensors": "0" * 64}) as endpoint:
        told = ask("some/model", endpoint, tmp_path)
    assert told.startswith("refused: model.safetensors of some/model has SHA-256")
    assert "remove" in told and told.count("\n") == 1
    # Nor are they taken for a copy when the hub is gone.
    again = ask("some/model", endpoint, tmp_path, HF_HUB_OFFLINE="1")
    assert again.startswith("refused: model 'some/model' is no folder here")


def test_an_unknown_model_is_named(weights: Path, tmp_path: Path) -> None:
    with serve("some/model", weights) as endpoint:
        told = ask("some/other", endpoint, tmp_path)
    assert told.startswith("refused: the model hub has no model 'some/other'")


def test_without_hub_and_copy_the_remedy_is_told(tmp_path: Path) -> None:
    told = ask("some/model", "http://127.0.0.1:9", tmp_path)
    assert told.startswith("refused: model 'some/model' is no folder here")
    assert "smollm2-135m" in told


def test_the_files_are_of_the_revision_that_the_hashes_were_asked_of(
    weights: Path, tmp_path: Path
) -> None:
    with serve("some/model", weights, moves=True) as endpoint:
        told = ask("some/model", endpoint, tmp_path)
    assert f"'revision': '{COMMIT}'" in told
    assert told.splitlines()[0].endswith(f"/{COMMIT}")


@pytest.mark.parametrize("kind", ["model.safetensors", "pytorch_model.bin"])
def test_weights_in_parts_are_found_through_their_index(
    weights: Path, kind: str, tmp_path: Path
) -> None:
    folder, stem = tmp_path / "parts", Path(kind)
    parts = [f"{stem.stem}-0000{n}-of-00002{stem.suffix}" for n in (1, 2)]
    folder.mkdir()
    (folder / "config.json").write_bytes((weights / "config.json").read_bytes())
    for part in [*parts, f"other{stem.suffix}"]:
        (folder / part).write_bytes(part.encode())
    index = {"weight_map": {"a": parts[0], "b": parts[1], "c": parts[0]}}
    (folder / f"{kind}.index.json").write_text(json.dumps(index))
    with serve("some/model", folder) as endpoint:
        told = ask("some/model", endpoint, tmp_path / "cache")
    for part in parts:
        assert f"'sha256:{part}': '{sha256_file(folder / part)}'" in told
    assert "other" not in told


def test_a_model_without_weights_is_refused(weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "none"
    folder.mkdir()
    (folder / "config.json").write_bytes((weights / "config.json").read_bytes())
    with serve("some/model", folder) as endpoint:
        told = ask("some/model", endpoint, tmp_path / "cache")
    assert told.startswith("refused: 'some/model' on the model hub has neither model.safetensors")


def test_a_gated_model_asks_for_a_token(weights: Path, tmp_path: Path) -> None:
    with serve("some/model", weights, gated=True) as endpoint:
        told = ask("some/model", endpoint, tmp_path)
    assert told.startswith(
        "refused: the model hub gives 'some/model' only to those who have agreed"
    )
    assert "HF_TOKEN" in told and told.count("\n") == 1


@pytest.mark.parametrize("page", [b"<html>Please log in</html>", b"[]", b"{}"])
def test_an_answer_that_is_not_a_hub_s_names_who_gave_it(
    weights: Path, page: bytes, tmp_path: Path
) -> None:
    with serve("some/model", weights, page=page) as endpoint:
        told = ask("some/model", endpoint, tmp_path)
    assert told.startswith(f"refused: {endpoint} did not answer as a model hub does")
    assert "HF_ENDPOINT" in told and told.count("\n") == 1


@pytest.mark.parametrize("offline", ["0", "1"])
@pytest.mark.parametrize("name", ["/modles/mine", "./mine", "../mine", "a/b/c", "my model", "~/m"])
def test_what_can_only_be_a_path_is_no_folder(name: str, offline: str, tmp_path: Path) -> None:
    told = ask(name, "http://127.0.0.1:9", tmp_path, HF_HUB_OFFLINE=offline)
    assert told.startswith(f"refused: model {name!r} is no folder here and cannot be a name on")
    assert "spelling" in told and told.count("\n") == 1


# -- whether it answers -----------------------------------------------------------------------


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the hub could be asked, and directly."""
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "*")


@contextmanager
def silent_server() -> Iterator[str]:
    """Accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def http_server(status: int) -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    with running(server) as address:
        yield address


def test_an_offline_hub_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(hub.urllib.request, "urlopen", lambda *a, **k: asked.append(a))
    for word in ("1", "true", "yes"):
        monkeypatch.setenv("HF_HUB_OFFLINE", word)
        hub.answers.cache_clear()
        assert hub.answers() is False
    assert asked == []


def test_a_silent_hub_counts_as_absent(online: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub.PATIENCE <= 5
    monkeypatch.setattr(hub, "PATIENCE", 0.3)
    with silent_server() as address:
        assert hub.answers(address) is False


def test_a_hub_whose_name_is_never_resolved_counts_as_absent(
    online: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def hang(*_: object, **__: object) -> None:
        released.wait(30)
        raise OSError("no such name")

    monkeypatch.setattr(hub, "PATIENCE", 0.3)
    monkeypatch.setattr(hub.urllib.request, "urlopen", hang)
    assert hub.answers("http://nowhere.invalid") is False
    released.set()


def test_a_refused_connection_counts_as_absent(online: None) -> None:
    with silent_server() as address:
        pass  # closed again: nobody listens there now
    assert hub.answers(address) is False


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_malformed_address_counts_as_absent_without_a_traceback(online: None) -> None:
    assert hub.answers("no address") is False


@pytest.mark.parametrize("status", [200, 404])
def test_a_hub_that_answers_is_present(online: None, status: int) -> None:
    with http_server(status) as address:
        assert hub.answers(address) is True


def test_the_hub_is_asked_once_and_where_the_environment_says(
    online: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http_server(200) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert hub.answers() is True
    assert hub.answers() is True  # the server is gone, the answer is remembered
