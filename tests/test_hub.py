"""The model hub, played by a local server; the client reads its address when it is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import OPTConfig, OPTForCausalLM

from collapse.assets import sha256_file
from fake_hub import COMMIT, serve

SCRIPT = """
import sys
from collapse import assets
try:
    folder, identity = assets.hub_snapshot(sys.argv[1])
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


def test_an_unknown_model_is_named(weights: Path, tmp_path: Path) -> None:
    with serve("some/model", weights) as endpoint:
        told = ask("some/other", endpoint, tmp_path)
    assert told.startswith("refused: the model hub has no model 'some/other'")


def test_without_hub_and_copy_the_remedy_is_told(tmp_path: Path) -> None:
    told = ask("some/model", "http://127.0.0.1:9", tmp_path)
    assert told.startswith("refused: model 'some/model' is no folder here")
    assert "smollm2-135m" in told
