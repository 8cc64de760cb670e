"""How the time of a run grows with text, generations, seeds and model size: measured slopes.

In a doubly logarithmic plot a cost that is proportional to something has slope 1.
"""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy import stats

from collapse.experiment import assets, decoding, loop, training
from collapse.experiment.protocol import Protocol
from collapse.sweeps import plan

ROUNDS = 3
BLOCKS = (32, 64, 128, 256)
GENERATIONS = (1, 2, 4)
SEEDS = (1, 2, 4)
WIDTHS = (64, 128, 256, 512)  # of four layers


@dataclass(frozen=True)
class Slope:
    """A slope in a doubly logarithmic plot, with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def slope(points: list[list[float]]) -> Slope:
    """Least squares of log seconds on log size; points are (size, seconds), repeated ones too."""
    x, y = np.log(np.array(points)).T
    fit = stats.linregress(x, y)
    half = stats.t.ppf(0.975, len(x) - 2) * fit.stderr
    return Slope(fit.slope, fit.slope - half, fit.slope + half)


def measure(protocol: Protocol, say: Callable[[str], None]) -> dict[str, list[list[float]]]:
    """Pairs of a size and seconds, each size in each of three rounds.

    `tokens`, `generations` and `seeds` are those of whole runs of the loop, `operations` those of
    training and writing with models of four widths and random weights.
    """
    small = protocol.replace(train_blocks=64, eval_blocks=32, generations=1)
    length = protocol.block_length
    trials: dict[str, list[tuple[float, Callable[[], float]]]] = {
        "tokens": [(n * length, partial(_runs, [small.replace(train_blocks=n)])) for n in BLOCKS],
        "generations": [(n, partial(_runs, [small.replace(generations=n)])) for n in GENERATIONS],
        "seeds": [
            (n, partial(_runs, [small.replace(seed=seed) for seed in range(n)])) for n in SEEDS
        ],
        "operations": [_sized(width, protocol) for width in WIDTHS],
    }
    found: dict[str, list[list[float]]] = {}
    for name, tried in trials.items():
        say(f"growth with {name}")
        tried[0][1]()
        found[name] = [[size, seconds()] for _ in range(ROUNDS) for size, seconds in tried]
    return found


def _runs(protocols: list[Protocol]) -> float:
    """Seconds that runs take, with text and base model in memory and no finished generation."""
    kept = {name: os.environ.get(name) for name in ("COLLAPSE_CACHE", "COLLAPSE_BUILD")}
    loop.prepare(protocols[0])
    known = assets.cache_dir() / "sources"
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update({name: str(Path(folder) / name) for name in kept})
        if known.exists():
            shutil.copytree(known, assets.cache_dir() / "sources")
        try:
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                started = time.perf_counter()
                for protocol in protocols:
                    loop.run(protocol)
                return time.perf_counter() - started
        finally:
            for name, value in kept.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def _sized(width: int, protocol: Protocol) -> tuple[float, Callable[[], float]]:
    """Operations of training on 32 blocks and continuing them, and what gives the seconds."""
    from transformers import OPTConfig, OPTForCausalLM

    config = OPTConfig(
        vocab_size=3072, hidden_size=width, word_embed_proj_dim=width, num_hidden_layers=4,
        num_attention_heads=width // 32, ffn_dim=4 * width, max_position_embeddings=256,
        dropout=0.0,
    )  # fmt: skip
    net = OPTForCausalLM(config).eval()
    length, number = protocol.block_length, 32
    blocks = np.random.default_rng(0).integers(4, 3072, (number, length)).astype(np.int32)
    shape = plan.shape(config.to_dict())
    operations = 3 * plan.reading_operations(shape, number, length)
    operations += plan.writing_operations(shape, number, length, length)

    def work() -> float:
        started = time.perf_counter()
        training.fine_tune(net, blocks, blocks[:1], protocol, seed=0)
        decoding.generate(net, blocks, length, protocol, None)
        return time.perf_counter() - started

    return float(operations), work
