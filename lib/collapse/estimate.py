"""How long a run will take on this machine: a moment of training and writing, scaled up."""

import dataclasses
import time
from collections.abc import Callable

from collapse.corpus import Blocks
from collapse.decode import generate, rows_at_once
from collapse.model import Base, fine_tune
from collapse.protocol import Protocol

TRIAL_BLOCKS = 16  # trained on, at most
TRIAL_TOKENS = 8  # written for each prompt of one batch


def seconds_per_generation(base: Base, blocks: Blocks, protocol: Protocol) -> float:
    """Seconds that one generation of a protocol is likely to take, within a factor of about two.

    Changes the weights of `base.model`, which every generation overwrites before it starts.
    """
    trained = blocks.train[: min(TRIAL_BLOCKS, protocol.batch)]
    written = blocks.train[: rows_at_once(protocol)]
    once = dataclasses.replace(protocol, epochs=1, batch=len(trained))

    def training() -> None:
        fine_tune(base.model, trained, trained[:1], once, seed=0)

    def writing() -> None:
        generate(base.model, written, TRIAL_TOKENS, protocol, eos_token_id=None)

    epochs = protocol.epochs * len(blocks.train) / len(trained)
    texts = len(blocks.train) / len(written) * protocol.block_length / TRIAL_TOKENS
    return epochs * _timed(training) + texts * _timed(writing)


def _timed(action: Callable[[], None]) -> float:
    action()  # the first call allocates
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
