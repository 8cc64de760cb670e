"""How fast this machine trains, scores and writes: trials, made for a plan that asks for them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from collapse.experiment.decoding import generate, rows_at_once
from collapse.experiment.protocol import Protocol
from collapse.experiment.scoring import score
from collapse.experiment.training import fine_tune

PATIENCE = 3.0  # seconds: a trial that took longer is the last of its kind
SCORED = 64  # blocks, enough for several parts to be read side by side
GROWTH = 4  # from one size of a trial to the next


@dataclass(frozen=True)
class Speed:
    """Seconds that a block takes: to train on once, to score, to write."""

    trained: float
    scored: float
    written: float


def speed(net: Any, blocks: np.ndarray, protocol: Protocol) -> Speed:
    """How fast a protocol's blocks are dealt with; rather too slow than too fast.

    Args:
        net: a model on the device that it will run on; random weights are as fast. They change.
        blocks: tokens, (blocks, block_length); random ones are as fast.
    """
    batch = min(protocol.batch, len(blocks))
    prompts = np.zeros((len(blocks), 1), np.int32) if protocol.prompts == "bos" else blocks
    once = protocol.replace(epochs=1, selection="last", batch=batch)

    def training(size: int) -> None:
        fine_tune(net, blocks[:size], blocks[:1], once, seed=0)

    def scoring(size: int) -> None:
        score(net, blocks[:size], protocol)

    def writing(size: int) -> None:
        generate(net, prompts[:size], protocol.block_length, protocol, eos_token_id=None)

    return Speed(
        trained=_each(training, batch),
        scored=_each(scoring, min(SCORED, len(blocks))),
        written=_each(writing, min(rows_at_once(protocol, net, prompts.shape[1]), len(blocks))),
    )


def _each(action: Callable[[int], None], most: int) -> float:
    """Seconds for one of the largest number tried: 1, 4, 16, ... up to `most` or to impatience."""
    _timed(action, 1)  # allocates
    size = 1
    while True:
        seconds = _timed(action, size)
        if size == most or seconds > PATIENCE:
            return seconds / size
        size = min(GROWTH * size, most)


def _timed(action: Callable[[int], None], size: int) -> float:
    started = time.perf_counter()
    action(size)
    return time.perf_counter() - started
