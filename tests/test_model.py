"""Base models: where weights come from, and how a small one is made."""

import dataclasses
import functools
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from collapse import assets, corpus, model
from collapse.assets import AssetError
from collapse.protocol import Protocol


def equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one)


def test_a_local_folder_is_loaded_and_identified_by_its_weights(
    base: model.Base, model_folder: Path
) -> None:
    path = model_folder / "model.safetensors"
    assert base.identity == {"sha256:model.safetensors": assets.sha256_file(path)}
    assert base.parameters == sum(p.numel() for p in base.model.parameters())
    assert not base.model.training


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
