"""Base models: where weights come from, and how a small one is made."""

import copy
import dataclasses
import functools
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertLMHeadModel

from collapse import assets, corpus, model, provenance
from collapse.assets import AssetError
from collapse.protocol import Protocol
from toy_models import opt


def equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one)


def test_a_local_folder_is_loaded_and_identified_by_its_files(
    base: model.Base, model_folder: Path
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
    file: str, toy: Protocol, base: model.Base, model_folder: Path, tmp_path: Path
) -> None:
    folder = copied(model_folder, tmp_path)
    if file == "config.json":
        change(folder / file, dropout=0.3)
    elif file == "tokenizer.json":
        (folder / file).write_text((folder / file).read_text() + "\n")
    else:
        rewrite(folder, lambda tensors: tensors["model.decoder.final_layer_norm.bias"].add_(1))
    other = load(toy, folder)
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


def load(toy: Protocol, folder: Path) -> model.Base:
    return model.load(toy.replace(model=str(folder)), corpus.load_text(toy.corpus))


def refusal(toy: Protocol, folder: Path) -> str:
    """The sentence that refuses a folder."""
    with pytest.raises(AssetError) as refused:
        load(toy, folder)
    said = str(refused.value)
    assert "\n" not in said and folder.name in said
    return said


FC1 = "model.decoder.layers.0.fc1.weight"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda tensors: tensors.pop(FC1), f"lack what its config.json asks for: {FC1};"),
        (
            lambda tensors: [tensors.pop(name) for name in list(tensors)[:3]],
            "lack what its config.json asks for: ",
        ),
        (
            lambda tensors: tensors.update({"v_head.weight": torch.zeros(3)}),
            "have besides what its config.json asks for: v_head.weight;",
        ),
        (
            lambda tensors: tensors.update({FC1: torch.zeros(3, 3)}),
            f"have in another shape what its config.json asks for: {FC1};",
        ),
        (lambda tensors: tensors[FC1].fill_(float("nan")), "is not a number"),
    ],
    ids=["missing", "three missing", "unexpected", "another shape", "nan"],
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
    assert said in refusal(toy, folder)


def test_a_missing_head_is_refused_unless_it_is_the_embedding(
    toy: Protocol, base: model.Base, model_folder: Path, tmp_path: Path
) -> None:
    assert "lm_head.weight" not in load_file(model_folder / "model.safetensors")
    head = base.model.get_output_embeddings().weight
    assert head.data_ptr() == base.model.get_input_embeddings().weight.data_ptr()
    folder = copied(model_folder, tmp_path)
    change(folder / "config.json", tie_word_embeddings=False)
    assert "lack what its config.json asks for: lm_head.weight;" in refusal(toy, folder)


@pytest.mark.parametrize("spoil", ["cut short", "placeholder", "nothing"])
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_damaged_weights_are_named(
    spoil: str, file: str, toy: Protocol, model_folder: Path, tmp_path: Path
) -> None:
    folder = copied(model_folder, tmp_path)
    if file == "pytorch_model.bin":
        torch.save(load_file(folder / "model.safetensors"), folder / file)
        (folder / "model.safetensors").unlink()
        assert load(toy, folder).parameters
    content = {
        "cut short": (folder / file).read_bytes()[:-100],
        "placeholder": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "nothing": b"",
    }[spoil]
    (folder / file).write_bytes(content)
    said = refusal(toy, folder)
    if spoil == "placeholder":
        assert said.startswith(f"{file} of the model ") and "is a placeholder of Git LFS" in said
        assert "git lfs pull" in said
    else:
        assert "damaged" in said and "again" in said and "run the same command" not in said


def test_a_model_without_a_tokeniser_is_told_so(
    toy: Protocol, model_folder: Path, tmp_path: Path
) -> None:
    folder = copied(model_folder, tmp_path)
    for path in folder.glob("tokenizer*"):
        path.unlink()
    assert "has no usable tokeniser" in refusal(toy, folder)
    with pytest.raises(AssetError, match="has no usable tokeniser"):
        model.tokenizer(str(folder), corpus.load_text(toy.corpus))


def test_another_model_s_tokeniser_is_refused(
    toy: Protocol, model_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    opt(vocab_size=50).save_pretrained(folder)
    for path in model_folder.glob("tokenizer*"):
        shutil.copy(path, folder)
    assert "has 300 tokens where the model knows 50" in refusal(toy, folder)


def test_a_model_that_sees_later_tokens_is_refused(
    toy: Protocol, model_folder: Path, tmp_path: Path
) -> None:
    size = {"vocab_size": 300, "hidden_size": 16, "intermediate_size": 32}
    layers = {"num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 64}
    for seed, decoder in ((0, False), (1, True)):
        torch.manual_seed(seed)
        folder = tmp_path / str(decoder)
        BertLMHeadModel(BertConfig(**size, **layers, is_decoder=decoder)).save_pretrained(folder)
        for path in model_folder.glob("tokenizer*"):
            shutil.copy(path, folder)
    assert "sees later tokens" in refusal(toy, tmp_path / "False")
    assert load(toy, tmp_path / "True").parameters  # the same architecture, causal


def test_a_name_that_only_the_hub_could_know_is_refused_in_one_sentence(toy: Protocol) -> None:
    with pytest.raises(AssetError) as refusal:
        model.load(toy.replace(model="nobody/nothing"), corpus.load_text(toy.corpus))
    said = str(refusal.value)
    assert said.startswith("model 'nobody/nothing' is no folder here and the model hub does not")
    assert "model=tiny" in said and "\n" not in said


def test_a_folder_without_a_model_is_refused_in_one_sentence(toy: Protocol, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="cannot load the model") as refusal:
        model.load(toy.replace(model=str(tmp_path)), corpus.load_text(toy.corpus))
    assert "\n" not in str(refusal.value)


@pytest.fixture
def quick_mini(monkeypatch: pytest.MonkeyPatch) -> corpus.Text:
    """Makes `mini` a matter of a second: three steps on nine speeches; returns those speeches."""
    recipe = dataclasses.replace(model.RECIPES["mini"], steps=3, warmup=1, batch=2, width=12)
    monkeypatch.setitem(model.RECIPES, "mini", recipe)
    speeches = {split: lines[:60] for split, lines in corpus._sotu().items()}
    monkeypatch.setattr(corpus, "_sotu", lambda: speeches)
    return corpus.load_text("sotu")


def spy_on(monkeypatch: pytest.MonkeyPatch, name: str) -> list[tuple[Any, ...]]:
    """The arguments of each call of a function of `model`, whose source stays what it is."""
    calls, real = [], getattr(model, name)

    @functools.wraps(real)  # `load_small` reads the source of what it calls
    def spy(*args: Any) -> Any:
        calls.append(args)
        return real(*args)

    monkeypatch.setattr(model, name, spy)
    return calls


def test_a_small_base_is_pretrained_once_and_then_cached(
    quick_mini: corpus.Text, corpus_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = corpus.load_text(str(corpus_file))
    calls = spy_on(monkeypatch, "_pretrain")
    first, second = model.load_small("mini", text), model.load_small("mini", text)
    assert len(calls) == 1
    assert equal(first.model.state_dict(), second.model.state_dict())
    assert first.identity == second.identity
    assert first.tokenizer.get_vocab() == second.tokenizer.get_vocab()
    (folder,) = (assets.cache_dir() / "mini").iterdir()
    stored = assets.sha256_file(folder / "model.safetensors")
    assert first.identity["sha256:model.safetensors"] == stored


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_small_base_of_which_one_bit_has_flipped_is_made_again(
    file: str,
    quick_mini: corpus.Text,
    corpus_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = corpus.load_text(str(corpus_file))
    first = model.load_small("mini", text)
    weights = copy.deepcopy(first.model.state_dict())  # else they are the file itself
    (folder,) = (assets.cache_dir() / "mini").iterdir()
    whole = (folder / file).read_bytes()
    (folder / file).write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
    assert model.at_hand("mini", text) is None
    capsys.readouterr()
    calls = spy_on(monkeypatch, "_pretrain")
    second = model.load_small("mini", text)
    assert len(calls) == 1
    assert f"{folder} is damaged and made again" in capsys.readouterr().out
    assert (folder / file).read_bytes() == whole
    assert second.identity == first.identity
    assert equal(weights, second.model.state_dict())
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("what", ["threads", "device", "transformers", "schedule"])
def test_what_decides_the_weights_of_a_small_base_is_in_its_key(
    what: str, corpus_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, source = corpus.load_text(str(corpus_file)), corpus.load_text("sotu")
    before = model._small_folder("mini", text, source)
    assert model._small_folder("mini", text, source) == before
    if what == "schedule":
        monkeypatch.setattr(model, "_pretraining_lr", lambda step, recipe: recipe.lr)
    else:
        numerics = provenance.numerics() | {what: "another"}
        monkeypatch.setattr(provenance, "numerics", lambda: numerics)
    assert model._small_folder("mini", text, source) != before


def test_code_that_has_no_part_in_a_small_base_is_not_in_its_key(
    corpus_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, source = corpus.load_text(str(corpus_file)), corpus.load_text("sotu")
    before = model._small_folder("mini", text, source)
    numerics = provenance.numerics() | {"code": "another"}
    monkeypatch.setattr(provenance, "numerics", lambda: numerics)
    assert model._small_folder("mini", text, source) == before


def test_a_small_base_puts_the_end_token_before_each_line(
    quick_mini: corpus.Text, corpus_file: Path
) -> None:
    base = model.load_small("mini", corpus.load_text(str(corpus_file)))
    start = base.tokenizer.eos_token_id
    ids = base.tokenizer(["rain\n", ""])["input_ids"]
    assert ids[0][0] == start and ids[1] == [start]
    assert base.model.config.vocab_size == len(base.tokenizer)


def word_runs(lines: list[str]) -> set[tuple[str, ...]]:
    found = set()
    for line in lines:
        words = re.findall(r"\w+", line.lower())
        found |= {tuple(words[i : i + 13]) for i in range(len(words) - 12)}
    return found


def test_a_small_base_is_pretrained_on_nothing_that_the_task_contains(
    quick_mini: corpus.Text, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speeches = [line for lines in quick_mini.splits.values() for line in lines]
    planted = [line for line in speeches if len(line.split()) > 30][::7]
    assert len(planted) >= 5
    path = tmp_path / "task.txt"
    path.write_text("rain and wind .\n" + "".join(line.upper() for line in planted))
    calls = spy_on(monkeypatch, "_pretrain")
    model.load_small("mini", corpus.load_text(str(path)))
    used = calls[0][0]
    assert not set(planted) & set(used)
    assert not word_runs(planted) & word_runs(used)
    assert len(used) > len(speeches) / 2


def test_another_task_or_recipe_gets_a_small_base_of_its_own(
    quick_mini: corpus.Text, corpus_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = spy_on(monkeypatch, "_pretrain")
    model.load_small("mini", corpus.load_text(str(corpus_file)))
    (tmp_path / "other.txt").write_text("quite another text\n" * 20)
    model.load_small("mini", corpus.load_text(str(tmp_path / "other.txt")))
    recipe = dataclasses.replace(model.RECIPES["mini"], seed=1)
    monkeypatch.setitem(model.RECIPES, "mini", recipe)
    model.load_small("mini", corpus.load_text(str(corpus_file)))
    assert len(calls) == 3


def test_a_task_about_the_speeches_gets_a_base_pretrained_on_wikitext(
    quick_mini: corpus.Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    wikitext = ["The lapwing nests on wet meadows and calls at night .\n"] * 400
    monkeypatch.setattr(corpus, "_wikitext2", lambda: {"train": wikitext, "valid": [], "test": []})
    calls = spy_on(monkeypatch, "_pretrain")
    found = model.load_small("mini", corpus.load_text("sotu"))
    assert set(calls[0][0]) == set(wikitext)
    assert found.identity["pretrained on"].startswith("wikitext2")


def test_the_tokeniser_of_a_small_base_is_had_without_pretraining_it(
    corpus_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = corpus.load_text(str(corpus_file))
    monkeypatch.setattr(model, "_pretrain", lambda *_: pytest.fail("nothing should be trained"))
    alone = model.tokenizer("mini", text)
    monkeypatch.undo()
    monkeypatch.setattr(
        model, "RECIPES", {"mini": dataclasses.replace(model.RECIPES["mini"], steps=1)}
    )
    with_weights = model.load_small("mini", text).tokenizer
    assert alone.get_vocab() == with_weights.get_vocab()
    assert model.tokenizer("mini", text).get_vocab() == alone.get_vocab()
    said = "The president of the United States, and what she wrote."
    assert alone(said)["input_ids"] == with_weights(said)["input_ids"]
