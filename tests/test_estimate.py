"""Speeds from trials, with the clock replaced by costs that are known."""

from collections.abc import Callable

import numpy as np
import pytest

from collapse import corpus, decode, estimate, model
from collapse.protocol import Protocol


@pytest.fixture
def ground(toy: Protocol) -> tuple[model.Base, corpus.Blocks]:
    text = corpus.load_text(toy.corpus)
    base = model.load(toy.model)
    return base, corpus.load_blocks(toy, text, base.tokenizer)


Ground = tuple[model.Base, corpus.Blocks]
COSTS = {  # seconds: constant, and for each unit of size
    "training": (2.0, 0.25),
    "scoring": (0.0, 0.125),
    "rows": (0.0, 0.5),
    "writing": (3.0, 0.75),
}


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """The sizes that each trial was run with; its seconds are those of `COSTS`."""
    seen: dict[str, list[int]] = {name: [] for name in COSTS}

    def timed(action: Callable[[int], None], size: int) -> float:
        action(size)
        seen[action.__name__].append(size)
        constant, each = COSTS[action.__name__]
        return constant + each * size

    monkeypatch.setattr(estimate, "_timed", timed)
    return seen


def test_with_time_enough_each_trial_reaches_the_real_size(
    toy: Protocol, ground: Ground, sizes: dict[str, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "rows_at_once", lambda *_: 10)
    base, blocks = ground
    found = estimate.speed(base.model, blocks, toy, patience=1e6)
    assert [max(tried) for tried in sizes.values()] == [8, 20, 10, 8]  # batch, blocks, rows, tokens
    assert found.trained == pytest.approx((2.0 + 8 * 0.25) / 8)
    assert found.scored == pytest.approx(0.125)
    assert found.written == pytest.approx((3.0 + 8 * 0.75) / 10)


@pytest.mark.parametrize("patience", [50.0, 60.0])
def test_with_little_time_the_rest_is_extrapolated(
    toy: Protocol, ground: Ground, sizes: dict[str, list[int]], patience: float
) -> None:
    base, blocks = ground
    protocol = toy.replace(block_length=64, batch=20)
    found = estimate.speed(base.model, blocks, protocol, patience)
    assert max(sizes["training"]) < 20 and max(sizes["writing"]) < 64
    assert found.trained == pytest.approx((2.0 + 20 * 0.25) / 20)
    assert found.written == pytest.approx((3.0 + 64 * 0.75) / max(sizes["rows"]))


def test_where_one_block_uses_up_the_time_a_step_is_that_and_forward_passes(
    toy: Protocol, ground: Ground, sizes: dict[str, list[int]]
) -> None:
    base, blocks = ground
    found = estimate.speed(base.model, blocks, toy, patience=1e-9)
    assert all(tried == [1] for name, tried in sizes.items())
    # More blocks take three forward passes each, less than the 2.25 s of the first one.
    assert found.trained == pytest.approx((2.25 + 7 * 3 * 0.125) / 8)
    assert found.written == pytest.approx(8 * 3.75)


def test_patience_limits_what_is_spent() -> None:
    spent = []

    def action(size: int) -> None:
        spent.append(0.01 * size)

    def timed(action: Callable[[int], None], size: int) -> float:
        action(size)
        return spent[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(estimate, "_timed", timed)
        estimate._trial(action, 10**9, 3.0)
    assert sum(spent[1:]) <= 3.0
    assert len(spent) > 3


def test_real_trials_take_time_and_change_no_token(toy: Protocol, ground: Ground) -> None:
    base, blocks = ground
    before = blocks.train.copy()
    found = estimate.speed(base.model, blocks, toy, patience=0.5)
    assert min(found.trained, found.scored, found.written) > 0
    assert np.array_equal(blocks.train, before)


def test_a_prompt_of_one_token_is_tried_where_the_protocol_has_no_other(
    toy: Protocol, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = []
    generate = decode.generate

    def noting(net: object, prompts: np.ndarray, *args: object, **options: object) -> np.ndarray:
        shapes.append(prompts.shape[1])
        return generate(net, prompts, *args, **options)

    monkeypatch.setattr(estimate, "generate", noting)
    base, blocks = ground
    for prompts, length in (("human", toy.block_length), ("bos", 1)):
        shapes.clear()
        estimate.speed(base.model, blocks, toy.replace(prompts=prompts), patience=0.1)
        assert set(shapes) == {length}
