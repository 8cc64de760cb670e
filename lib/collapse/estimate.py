"""How fast this machine trains, scores and writes: trials of growing size, in about ten seconds."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from collapse.corpus import Blocks
from collapse.decode import generate, rows_at_once
from collapse.protocol import Protocol
from collapse.scoring import score
from collapse.training import fine_tune

PATIENCE = 6.0  # seconds for all trials of one protocol, first calls not counted
# Shares of it; what they leave is for an end that takes longer than foreseen.
_TRAINING, _SCORING, _ROWS, _WRITING = 0.3, 0.1, 0.15, 0.4
SCORED = 64  # blocks, enough for several parts to be read side by side
GROWTH = 4  # from one size of a trial to the next


@dataclass(frozen=True)
class Speed:
    """Seconds that a block takes: to train on once, to score, to write."""

    trained: float
    scored: float
    written: float


def speed(net: Any, blocks: Blocks, protocol: Protocol, patience: float = PATIENCE) -> Speed:
    """How fast a protocol's blocks are dealt with, within a factor of about two.

    Each trial grows fourfold until the real one is reached or the patience for it is used up;
    what is missing then is extrapolated in a straight line. The weights of `net` change: every
    generation overwrites them before it starts.

    Args:
        net: the base model, on the device that it will run on; random weights are as fast.
        blocks: of the protocol's number and length; random tokens are as fast.
        patience: seconds; a model that needs longer for a single block takes longer.
    """
    train = blocks.train
    batch = min(protocol.batch, len(train))
    prompts = np.zeros((len(train), 1), np.int32) if protocol.prompts == "bos" else train
    once = protocol.replace(epochs=1, selection="last", batch=batch)

    def training(size: int) -> None:
        fine_tune(net, train[:size], train[:1], once, seed=0)

    def scoring(size: int) -> None:
        score(net, train[:size], protocol)

    def rows(size: int) -> None:
        generate(net, prompts[:size], 1, protocol, eos_token_id=None)

    trained = _trial(training, batch, _TRAINING * patience)
    most = min(SCORED, len(train))
    scored = _seconds(_trial(scoring, most, _SCORING * patience), most) / most
    most = min(rows_at_once(protocol, net, prompts.shape[1]), len(prompts))
    at_once = _trial(rows, most, _ROWS * patience)[-1][0]

    def writing(size: int) -> None:
        generate(net, prompts[:at_once], size, protocol, eos_token_id=None)

    written = _trial(writing, protocol.block_length, _WRITING * patience)
    return Speed(
        # Three forward passes a block; the rest of what a single block took is once a step.
        trained=_seconds(trained, batch, most_each=3 * scored) / batch,
        scored=scored,
        written=_seconds(written, protocol.block_length) / at_once,
    )


def _trial(action: Callable[[int], None], most: int, patience: float) -> list[tuple[int, float]]:
    """Sizes 1, 4, 16, ... with the seconds that the action took, up to `most` or to impatience."""
    first = _timed(action, 1)  # allocates, and is a measure only where there is no time for another
    if first > patience:
        return [(1, first)]
    size, spent, measured = 1, 0.0, []
    while True:
        measured.append((size, _timed(action, size)))
        spent += measured[-1][1]
        if size == most or spent + GROWTH * measured[-1][1] > patience:
            return measured
        size = min(GROWTH * size, most)


def _seconds(measured: list[tuple[int, float]], size: int, most_each: float = math.inf) -> float:
    """What a size takes, on the line through the last two sizes measured, or through zero.

    Args:
        most_each: seconds, where more is known to be a constant part.
    """
    (before, earlier), (last, seconds) = [(0, 0.0), *measured][-2:]
    slope = max(0.0, seconds - earlier) / (last - before)
    return seconds + (size - last) * min(slope, most_each)


def _timed(action: Callable[[int], None], size: int) -> float:
    started = time.perf_counter()
    action(size)
    return time.perf_counter() - started
