"""Base models: where weights come from, and how a small one is made."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertLMHeadModel, GPT2Config, GPT2LMHeadModel

from collapse.experiment import models
from collapse.experiment.assets import AssetError
from collapse.experiment.protocol import Protocol
from toy_models import opt


def test_a_local_folder_is_loaded_and_identified_by_its_files(
    base: models.Base, model_folder: Path
) -> None:
    assert base.identity == {
        f"sha256:{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in model_folder.iterdir()
    }
    assert {"sha256:config.json", "sha256:model.safetensors"} < set(base.identity)
    assert base.parameters == sum(p.numel() for p in base.model.parameters())
    assert not base.model.training


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_another_file_in_a_model_s_folder_is_another_model(
    file: str, toy: Protocol, base: models.Base, model_folder: Path, tmp_path: Path
) -> None:
    folder = copied(model_folder, tmp_path)
    if file == "config.json":
        change(folder / file, dropout=0.3)
    elif file == "tokenizer.json":
        (folder / file).write_text((folder / file).read_text() + "\n")
    else:
        rewrite(folder, lambda tensors: tensors["model.decoder.final_layer_norm.bias"].add_(1))
    other = load(folder)
    assert other.identity != base.identity
    assert other.identity.keys() == base.identity.keys()


def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "mine"))


def change(path: Path, **values: Any) -> None:
    """Other values in a file of settings."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def rewrite(folder: Path, edit: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    """Other tensors in a folder's file of weights."""
    path = folder / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    edit(tensors)
    save_file(tensors, path, {"format": "pt"})


def load(folder: Path) -> models.Base:
    return models.load(str(folder))


def refusal(folder: Path) -> str:
    """The sentence that refuses a folder."""
    with pytest.raises(AssetError) as refused:
        load(folder)
    said = str(refused.value)
    assert "\n" not in said and folder.name in said
    return said


FC1 = "model.decoder.layers.0.fc1.weight"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda tensors: tensors.pop(FC1), f"missing: {FC1};"),
        (
            lambda tensors: tensors.update({"v_head.weight": torch.zeros(3)}),
            "unexpected: v_head.weight;",
        ),
        (
            lambda tensors: tensors.update({FC1: torch.zeros(3, 3)}),
            f"mismatched: ('{FC1}', ",
        ),
    ],
    ids=["missing", "unexpected", "another shape"],
)
def test_weights_that_are_not_the_config_s_are_refused(
    edit: Callable[[dict[str, torch.Tensor]], Any],
    said: str,
    toy: Protocol,
    model_folder: Path,
    tmp_path: Path,
) -> None:
    folder = copied(model_folder, tmp_path)
    rewrite(folder, edit)
    found = refusal(folder)
    assert "not what its config.json asks for" in found and said in found


def test_a_missing_head_is_refused_unless_it_is_the_embedding(
    toy: Protocol, base: models.Base, model_folder: Path, tmp_path: Path
) -> None:
    assert "lm_head.weight" not in load_file(model_folder / "model.safetensors")
    head = base.model.get_output_embeddings().weight
    assert head.data_ptr() == base.model.get_input_embeddings().weight.data_ptr()
    folder = copied(model_folder, tmp_path)
    change(folder / "config.json", tie_word_embeddings=False)
    assert "missing: lm_head.weight;" in refusal(folder)


@pytest.mark.parametrize("spoil", ["cut short", "placeholder", "nothing"])
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_damaged_weights_are_named(
    spoil: str, file: str, toy: Protocol, model_folder: Path, tmp_path: Path
) -> None:
    folder = copied(model_folder, tmp_path)
    if file == "pytorch_model.bin":
        torch.save(load_file(folder / "model.safetensors"), folder / file)
        (folder / "model.safetensors").unlink()
        assert load(folder).parameters
    content = {
        "cut short": (folder / file).read_bytes()[:-100],
        "placeholder": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "nothing": b"",
    }[spoil]
    (folder / file).write_bytes(content)
    said = refusal(folder)
    assert "damaged, or a placeholder of git lfs, bring it again" in said


def test_a_model_without_a_tokeniser_is_told_so(
    toy: Protocol, model_folder: Path, tmp_path: Path
) -> None:
    folder = copied(model_folder, tmp_path)
    for path in folder.glob("tokenizer*"):
        path.unlink()
    assert "has no usable tokeniser" in refusal(folder)
    with pytest.raises(AssetError, match="has no usable tokeniser"):
        models.tokenizer(str(folder))


def test_another_model_s_tokeniser_is_refused(
    toy: Protocol, model_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    opt(vocab_size=50).save_pretrained(folder)
    for path in model_folder.glob("tokenizer*"):
        shutil.copy(path, folder)
    assert "has 300 tokens where the model knows 50" in refusal(folder)


@pytest.mark.parametrize("kind", ["BertLMHeadModel", "GPT2LMHeadModel", "OPTForCausalLM"])
def test_a_model_that_the_book_does_not_know_how_to_run_is_refused(
    kind: str, toy: Protocol, model_folder: Path, tmp_path: Path
) -> None:
    size = {"vocab_size": 300, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = {
        "BertLMHeadModel": lambda: BertLMHeadModel(BertConfig(**size, hidden_size=16)),
        "GPT2LMHeadModel": lambda: GPT2LMHeadModel(GPT2Config(**size, hidden_size=16)),
        "OPTForCausalLM": lambda: opt(vocab_size=300, do_layer_norm_before=False),
    }[kind]()
    model.save_pretrained(tmp_path / "mine")
    for path in model_folder.glob("tokenizer*"):
        shutil.copy(path, tmp_path / "mine")
    assert f"a {kind}, is neither an OPT nor a Llama" in refusal(tmp_path / "mine")


def test_a_name_that_only_the_hub_could_know_is_refused_in_one_sentence(toy: Protocol) -> None:
    with pytest.raises(AssetError) as refusal:
        models.load("nobody/nothing")
    said = str(refusal.value)
    assert said.startswith(
        "model 'nobody/nothing' is no folder here and https://huggingface.co does"
    )
    assert "model=tiny" in said and "\n" not in said


def test_a_folder_without_a_model_is_refused_in_one_sentence(toy: Protocol, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="holds no file of a model") as refusal:
        models.load(str(tmp_path))
    assert "\n" not in str(refusal.value)


def test_names_are_looked_up_without_torch() -> None:
    program = (
        "import sys\n"
        "from collapse.experiment import corpus, models, protocol, sources, training_text\n"
        "assert models.source('tiny').folder.name == 'tiny'\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
