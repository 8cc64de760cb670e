"""Speeds from trials, with the clock replaced by costs that are known."""

from collections.abc import Callable

import numpy as np
import pytest

from collapse.experiment import corpus, decoding, models
from collapse.experiment.protocol import Protocol
from collapse.sweeps import estimate


@pytest.fixture
def ground(toy: Protocol) -> tuple[models.Base, np.ndarray]:
    text = corpus.load_text(toy.corpus)
    base = models.load(toy.model)
    return base, corpus.load_blocks(toy, text, base.tokenizer).train


Ground = tuple[models.Base, np.ndarray]
COSTS = {"training": (2.0, 0.25), "scoring": (0.0, 0.125), "writing": (3.0, 0.75)}  # s + s a unit


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
    monkeypatch.setattr(estimate, "PATIENCE", 1e6)
    monkeypatch.setattr(estimate, "rows_at_once", lambda *_: 10)
    found = estimate.speed(ground[0].model, ground[1], toy)
    assert [max(tried) for tried in sizes.values()] == [8, 20, 10]  # batch, blocks, rows
    assert found.trained == pytest.approx((2.0 + 8 * 0.25) / 8)
    assert found.scored == pytest.approx(0.125)
    assert found.written == pytest.approx((3.0 + 10 * 0.75) / 10)


def test_a_trial_that_took_long_is_the_last(
    toy: Protocol, ground: Ground, sizes: dict[str, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "PATIENCE", 2.5)
    found = estimate.speed(ground[0].model, ground[1], toy)
    assert sizes["training"] == [1, 1, 4]  # 2.25 s, then 3 s
    assert sizes["writing"] == [1, 1]
    assert found.trained == pytest.approx(3.0 / 4)
    assert found.written == pytest.approx(3.75)


def test_real_trials_take_time_and_change_no_token(
    toy: Protocol, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "PATIENCE", 0.1)
    before = ground[1].copy()
    found = estimate.speed(ground[0].model, ground[1], toy)
    assert min(found.trained, found.scored, found.written) > 0
    assert np.array_equal(ground[1], before)


def test_a_prompt_of_one_token_is_tried_where_the_protocol_has_no_other(
    toy: Protocol, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = []
    generate = decoding.generate

    def noting(net: object, prompts: np.ndarray, *args: object, **options: object) -> np.ndarray:
        shapes.append(prompts.shape[1])
        return generate(net, prompts, *args, **options)

    monkeypatch.setattr(estimate, "PATIENCE", 0.1)
    monkeypatch.setattr(estimate, "generate", noting)
    for prompts, length in (("human", toy.block_length), ("bos", 1)):
        shapes.clear()
        estimate.speed(ground[0].model, ground[1], toy.replace(prompts=prompts))
        assert set(shapes) == {length}
