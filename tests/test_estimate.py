"""The estimate of a run's time, with the clock replaced."""

from collections.abc import Callable

import pytest

from collapse import corpus, decode, estimate, model
from collapse.protocol import Protocol


def test_the_trial_is_scaled_to_all_epochs_blocks_and_tokens(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = corpus.load_text(toy.corpus)
    base = model.load(toy, text)
    blocks = corpus.load_blocks(toy, text, base.tokenizer)
    protocol = toy.replace(epochs=3, batch=4)  # 20 blocks are 5 steps an epoch
    monkeypatch.setattr(decode, "ROWS", 10)  # and 2 batches of prompts
    seconds = {"training": 7.0, "writing": 0.5}

    def timed(action: Callable[[], None]) -> float:
        action()
        return seconds[action.__name__]

    monkeypatch.setattr(estimate, "_timed", timed)
    tokens = protocol.block_length / estimate.TRIAL_TOKENS
    expected = 3 * 5 * 7.0 + 2 * tokens * 0.5
    assert estimate.seconds_per_generation(base, blocks, protocol) == pytest.approx(expected)


def test_a_trial_takes_time() -> None:
    assert estimate._timed(lambda: sum(range(10_000))) > 0
