"""Fine-tuning: gradients and weights against `transformers` and a plain loop, and the protocol."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from collapse.errors import BookError
from collapse.experiment import corpus, generations, loop, models, records, scoring, training
from collapse.experiment.protocol import Protocol
from collapse.measure import metrics
from toy_models import VOCABULARY, llama, opt

LENGTH = 11


MODELS = {
    "opt": lambda: opt(dropout=0.0),
    "opt, untied": lambda: opt(dropout=0.0, tie_word_embeddings=False),
    "llama": llama,
    "llama, biases": lambda: llama(attention_bias=True),
    "llama, tied": lambda: llama(tie_word_embeddings=True),
}


@pytest.fixture(params=MODELS)
def net(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    return MODELS[request.param]().to(models.device())


def random_blocks(rows: int) -> torch.Tensor:
    """Tokens, the one that OPT takes for padding among them."""
    random = np.random.default_rng(1)
    ids = random.integers(0, VOCABULARY, (rows, LENGTH))
    ids[0, 3] = 1
    return torch.from_numpy(ids).to(models.device())


def mean_loss(net: Any, ids: torch.Tensor) -> torch.Tensor:
    logits = net(input_ids=ids).logits[:, :-1]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


def gradients(
    net: Any, ids: torch.Tensor, at_once: int, precision: str = "fp32"
) -> tuple[dict[str, torch.Tensor], float]:
    """Of each parameter by this book's code, and the mean loss."""
    net.train()
    training.gradient(net, ids, at_once, precision)  # what it leaves must not matter
    total = training.gradient(net, ids, at_once, precision)
    return {name: p.grad for name, p in net.named_parameters()}, float(total) / ids[:, 1:].numel()


@pytest.mark.parametrize(("at_once", "chunk"), [(100, 10_000), (100, 7), (3, 10_000), (1, 7)])
def test_gradients_are_those_of_transformers(
    net: Any, at_once: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "CHUNK", dict.fromkeys(scoring.CHUNK, chunk))
    ids = random_blocks(7)
    twin = copy.deepcopy(net).train()
    expected = mean_loss(twin, ids)
    expected.backward()
    found, loss = gradients(net, ids, at_once)
    assert loss == pytest.approx(float(expected.detach()), rel=1e-5)
    for name, parameter in twin.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-3, atol=1e-5, msg=name)


def test_logits_are_never_whole_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "CHUNK", dict.fromkeys(scoring.CHUNK, 16))
    net, rows = llama(vocab_size=2000).to(models.device()), 32
    ids = torch.randint(2000, (rows, LENGTH), device=net.device)
    assert largest_array(lambda: mean_loss(net, ids).backward()) == rows * LENGTH * 2000
    # Nothing is larger than a chunk's logits, or the embedding's gradient.
    parameters = max(p.numel() for p in net.parameters())
    found = largest_array(lambda: training.gradient(net, ids, rows, "fp32"))
    assert found == max(16 * 2000, parameters)


def largest_array(action: Callable[[], Any]) -> int:
    """Elements of the largest array that any operation makes, in backward passes too."""
    largest = 0

    class Seen(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            nonlocal largest
            made = func(*args, **(kwargs or {}))
            arrays = made if isinstance(made, tuple) else [made]
            largest = max([largest, *(a.numel() for a in arrays if isinstance(a, torch.Tensor))])
            return made

    with Seen():
        action()
    return largest


def test_half_precision_gradients_point_the_same_way(net: Any) -> None:
    ids = random_blocks(7)
    single, _ = gradients(copy.deepcopy(net), ids, 3)
    half, _ = gradients(net, ids, 3, "bf16")
    one, two = (torch.cat([g.flatten() for g in every.values()]) for every in (single, half))
    assert not torch.equal(one, two)
    cosine = torch.nn.functional.cosine_similarity(one.detach(), two.detach(), dim=0)
    assert float(cosine) > 0.99


@pytest.mark.parametrize("part", [512, 3 * LENGTH])
def test_a_run_ends_with_the_weights_of_a_plain_loop(
    net: Any, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "PART", part)
    train = random_blocks(13).cpu().numpy()
    protocol = Protocol(
        block_length=LENGTH, epochs=2, batch=6, lr=1e-3, lr_end=1e-4, selection="last"
    )
    before, twin = copy.deepcopy(net).eval(), copy.deepcopy(net).train()
    training.fine_tune(net, train, train[:2], protocol, seed=4)
    optimiser = torch.optim.AdamW(twin.parameters(), lr=1e-3)
    order = np.random.default_rng(4)
    for rate in (1e-3, (1e-3 + 1e-4) / 2):  # a cosine at its beginning and in its middle
        for group in optimiser.param_groups:
            group["lr"] = rate
        shuffled = order.permutation(13)
        for start in (0, 6, 12):
            optimiser.zero_grad()
            ids = torch.from_numpy(train[shuffled[start : start + 6]]).to(net.device)
            mean_loss(twin, ids).backward()
            optimiser.step()
    # Not the weights: Adam divides by the size of the gradient, and where that is zero but for
    # rounding, as in the keys' biases, rounding decides.
    ids = random_blocks(5)
    with torch.inference_mode():
        found, expected = net(input_ids=ids).logits, twin(input_ids=ids).logits
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    assert (found - before(input_ids=ids).logits).abs().mean() > 0.02  # training did something


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_losses_weigh_blocks_equally_and_dropout_acts_in_training_alone(
    blocks: corpus.Blocks, toy: Protocol, dropout: float
) -> None:
    # A rate too small to change anything: the epoch's loss is then that of the untrained model,
    # although the last of the three steps has half as many blocks.
    protocol = toy.replace(lr=1e-8, lr_end=0.0, epochs=1)
    net = opt(dropout=dropout, vocab_size=300).to(models.device())
    [row] = training.fine_tune(net, blocks.train, blocks.train, protocol, seed=0)
    with torch.inference_mode():
        expected = float(mean_loss(net, torch.from_numpy(blocks.train).long().to(net.device)))
    assert row["valid_nll"] == pytest.approx(expected, rel=1e-5)
    if dropout:
        assert abs(row["train_nll"] - expected) > 0.1
    else:
        assert row["train_nll"] == pytest.approx(expected, rel=1e-5)


def weights(net: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def equal(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one)


def test_fine_tuning_lowers_the_loss_and_tells_each_epoch(
    fresh: Any, blocks: corpus.Blocks, toy: Protocol
) -> None:
    before = scoring.score(fresh, blocks.train, toy).nll.mean()
    protocol = toy.replace(epochs=4, selection="last")
    history = training.fine_tune(fresh, blocks.train, blocks.valid, protocol, seed=0)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    assert history[0]["train_nll"] > history[-1]["train_nll"]
    assert scoring.score(fresh, blocks.train, toy).nll.mean() < before - 0.5
    assert not fresh.training


def test_selection_best_restores_the_best_epoch_and_last_keeps_the_last(
    base: models.Base, blocks: corpus.Blocks, toy: Protocol
) -> None:
    # A validation text that the training text is at odds with: it gets worse after an epoch.
    train, valid = np.tile(blocks.train[:1], (20, 1)), blocks.valid
    protocol = toy.replace(epochs=5, lr=3e-2)
    ends = {}
    for selection in ("best", "last"):
        net = copy.deepcopy(base.model).to(models.device())
        history = training.fine_tune(
            net, train, valid, protocol.replace(selection=selection), seed=0
        )
        ends[selection] = float(scoring.score(net, valid, protocol).nll.mean())
    losses = [row["valid_nll"] for row in history]
    assert min(losses) < losses[-1] - 0.01
    assert ends["best"] == pytest.approx(min(losses), abs=1e-5)
    assert ends["last"] == pytest.approx(losses[-1], abs=1e-5)


def test_a_seed_gives_bit_equal_weights_and_another_seed_others(
    base: models.Base, blocks: corpus.Blocks, toy: Protocol
) -> None:
    trained = []
    for seed in (1, 1, 2):
        net = copy.deepcopy(base.model).to(models.device())
        torch.rand(seed)  # the state of torch's own generator must not matter
        training.fine_tune(net, blocks.train, blocks.valid, toy, seed)
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


def test_rates_follow_a_cosine_and_each_epoch_sees_every_block_once_in_another_order(
    fresh: Any, blocks: corpus.Blocks, toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []
    gradient = training.gradient

    def spy(net: Any, ids: torch.Tensor, *args: Any) -> torch.Tensor:
        seen.extend(ids.tolist())
        return gradient(net, ids, *args)

    Spy.made = []
    monkeypatch.setattr(training, "gradient", spy)
    monkeypatch.setattr(torch.optim, "AdamW", Spy)
    protocol = toy.replace(epochs=4, lr=1e-2, lr_end=1e-3, batch=8)
    training.fine_tune(fresh, blocks.train, blocks.valid, protocol, seed=0)
    (optimiser,) = Spy.made
    cosine = [1e-3 + 9e-3 * (1 + np.cos(np.pi * epoch / 4)) / 2 for epoch in range(5)]
    steps = 3  # 20 blocks, 8 at a time
    assert optimiser.rates == pytest.approx(np.repeat(cosine[:4], steps).tolist())
    assert optimiser.param_groups[0]["lr"] == pytest.approx(1e-3)  # lr_end after the last epoch
    assert optimiser.defaults["betas"] == (0.9, 0.999)
    assert optimiser.defaults["weight_decay"] == 0.01
    epochs = [seen[20 * n : 20 * (n + 1)] for n in range(4)]
    assert all(sorted(epoch) == sorted(blocks.train.tolist()) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_shorter_epochs_go_through_all_blocks_before_any_comes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[list[int]] = []
    monkeypatch.setattr(
        training, "gradient", lambda net, blocks, *_: seen.append(blocks[:, 0].tolist()) or 0.0
    )
    protocol = Protocol(epochs=4, batch=4, lr=1e-3, block_length=LENGTH)
    train = np.repeat(np.arange(12, dtype=np.int32)[:, None], LENGTH, 1)
    training.fine_tune(llama().to(models.device()), train, train[:2], protocol, 0, None, 6)
    epochs = [seen[2 * n] + seen[2 * n + 1] for n in range(4)]
    assert [len(rows) for rows in seen] == [4, 2] * 4
    assert sorted(epochs[0] + epochs[1]) == sorted(epochs[2] + epochs[3]) == list(range(12))
    assert epochs[0] + epochs[1] != epochs[2] + epochs[3]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_training_that_diverges_is_stopped_in_one_sentence(
    fresh: Any, blocks: corpus.Blocks, toy: Protocol, precision: str
) -> None:
    protocol = toy.replace(lr=1.0, epochs=50, precision=precision)
    # So far from where it learns anything that products of weights overflow.
    for weight in fresh.parameters():
        weight.data *= 1e15
    with pytest.raises(training.TrainingError) as refused:
        training.fine_tune(fresh, blocks.train, blocks.valid, protocol, seed=0)
    said = str(refused.value)
    assert "loss in epoch 1 of a training is" in said and "lr=1 is too high" in said
    assert ("precision=fp32" in said) == (precision == "bf16")
    assert "\n" not in said


def test_a_validation_loss_that_is_not_finite_names_its_epoch(
    fresh: Any, blocks: corpus.Blocks, toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([3.0, np.inf])
    monkeypatch.setattr(scoring, "mean_nll", lambda *_: next(losses))
    with pytest.raises(training.TrainingError, match=r"validation loss in epoch 2 of .* is inf: "):
        training.fine_tune(fresh, blocks.train, blocks.valid, toy.replace(epochs=4), seed=0)


@pytest.mark.parametrize("column", ["test_perplexity", "zero shot", "loss"])
def test_a_run_of_numbers_that_are_not_finite_leaves_no_record(
    column: str, toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, measured, folder = scoring.mean_nll, scoring.score, generations.folder

    def diverging(*args: Any) -> float:
        stored = any(path.is_dir() for path in folder("key").parent.glob("*"))
        return np.nan if stored else loss(*args)

    if column == "loss":  # from generation 1
        monkeypatch.setattr(scoring, "mean_nll", diverging)
        said = r"^the validation loss in epoch 1 of generation 1 is nan: the training has diverged"
    elif column == "zero shot":
        monkeypatch.setattr(metrics, "perplexity", lambda nll: np.inf)
        said = "^the perplexity of .* on human text is inf before any training"
    else:

        def infinite(*args: Any) -> scoring.Scores:
            scores = measured(*args)  # the first are of the base model
            calls.append(1)
            return scores if len(calls) == 1 else replace(scores, nll=scores.nll + np.inf)

        calls: list[int] = []
        monkeypatch.setattr(scoring, "score", infinite)
        said = "^the test perplexity of generation 0 is inf: the training has diverged"
    with pytest.raises(BookError, match=said):
        loop.run(toy)
    assert not records.built().exists() or not list(records.built().iterdir())
