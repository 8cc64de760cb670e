"""What `book bench` measures: contests, how the cost grows, and the limits of the machine.

Everything that is compared is measured in one run, in turns, so that what slows the machine down
for a while slows all of them down; and each in a process of its own, so that what one leaves behind
in memory or threads does not slow down another. Rates are tokens a second of whole continuations,
or of blocks trained on.
"""

import contextlib
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from collapse.bench import contestants
from collapse.bench.contestants import Ground, best, kind, seconds
from collapse.bench.measured import OTHER, SCHEMA
from collapse.experiment import decoding, devices, loop, provenance, training
from collapse.experiment.protocol import Protocol
from collapse.pretraining import pretrain
from collapse.sweeps import plan

COMPARED = ("torch", "transformers", "accelerate", "ctranslate2")  # packages
ROUNDS = 5  # turns of each side
GROWTH_ROUNDS = 3  # of these sizes:
BLOCKS = (32, 64, 128, 256)
GENERATIONS = (1, 2, 4)
WIDTHS = (64, 128, 256, 512)  # of four layers


def measure() -> dict[str, Any]:
    """Measure all there is to measure here; about a quarter of an hour on two cores."""
    ground = contestants.ground()
    print("limits of the machine", flush=True)
    return {
        "schema": SCHEMA,
        **provenance.describe("bench", []),
        "kind": kind(),
        "model": ground.base.name,
        "parameters": ground.base.parameters,
        "precision": ground.protocol.precision,
        "compared": {name: version(name) for name in COMPARED if find_spec(name)},
        "rounds": ROUNDS,
        "block_length": ground.protocol.block_length,
        "batch": ground.protocol.batch,
        "limits": {"operations": products(), "bytes": copies()},
        "needed": needed(ground),
        "contests": {name: _race(name) for name in contestants.CONTESTS},
        "same_text": contestants.same_text(ground),
        "growth": growth(ground.protocol) if kind() == "cpu" else {},
    }


def _race(contest: str) -> dict[str, list[float]]:
    """Tokens a second of each side in each round, the first turn of each not counted."""
    here = contestants.has_other()
    sides = [who for who in contestants.CONTESTS[contest] if here or who != OTHER]
    rates: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        processes = {who: stack.enter_context(_process()) for who in sides}
        for number in range(ROUNDS + 1):
            what = f"round {number} of {ROUNDS}" if number else "warming up"
            print(f"{contest}: {what}", flush=True)
            for who in sides:
                name, rate = processes[who].submit(_turn, contest, who).result()
                if number:
                    rates.setdefault(name, []).append(rate)
    return rates


def _process() -> Executor:
    """A process that stays, and waits for its turns."""
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=spawn, initializer=devices.end_with_parent)


def _turn(contest: str, who: str) -> tuple[str, float]:
    """In the process of a side: its full name, and its tokens a second in one turn."""
    side = contestants.side(contest, who)
    rate = side.tokens / seconds(side.turn)
    if kind() == "cuda":
        torch.cuda.empty_cache()  # another process is next
    return side.name, rate


def growth(protocol: Protocol) -> dict[str, list[list[float]]]:
    """Pairs of a size and seconds, each size in each of some rounds, after one not counted.

    `tokens` and `generations` are those of whole runs of the loop, `operations` those of training
    and writing with models of four widths and random weights.
    """
    small = protocol.replace(train_blocks=64, eval_blocks=32, generations=1)
    length = protocol.block_length
    trials: dict[str, list[tuple[float, Callable[[], float]]]] = {
        "tokens": [(n * length, partial(_run, small.replace(train_blocks=n))) for n in BLOCKS],
        "generations": [(n, partial(_run, small.replace(generations=n))) for n in GENERATIONS],
        "operations": [_sized(width, protocol) for width in WIDTHS],
    }
    found: dict[str, list[list[float]]] = {}
    for name, tried in trials.items():
        print(f"growth with {name}", flush=True)
        tried[0][1]()
        found[name] = [[size, trial()] for _ in range(GROWTH_ROUNDS) for size, trial in tried]
    return found


def _run(protocol: Protocol) -> float:
    """Seconds that a run takes, with text and base model in memory and no finished generation."""
    loop.prepare(protocol)
    with tempfile.TemporaryDirectory() as folder:
        empty = {name: str(Path(folder) / name) for name in ("COLLAPSE_CACHE", "COLLAPSE_BUILD")}
        with mock.patch.dict(os.environ, empty):
            return seconds(lambda: loop.run(protocol))


def _sized(width: int, protocol: Protocol) -> tuple[float, Callable[[], float]]:
    """Operations of training on 32 blocks and continuing them, and what gives the seconds."""
    recipe = pretrain.Recipe(layers=4, width=width, heads=width // 32)
    net = pretrain.untrained(recipe).eval()
    length, number = protocol.block_length, 32
    blocks = np.random.default_rng(0).integers(4, recipe.vocabulary, (number, length), np.int32)

    def work() -> None:
        training.fine_tune(net, blocks, blocks[:1], protocol, seed=0)
        decoding.generate(net, blocks, length, protocol, None)

    shape = plan.shape(net.config.to_dict())
    count = 3 * plan.reading_operations(shape, number, length)
    count += plan.writing_operations(shape, number, length, length)
    return count, partial(seconds, work)


# -- what the machine allows, and what a token needs -----------------------------------------


def products(size: int = 2048, turns: int = 15) -> float:
    """Operations a second of a product of large square matrices: the best of some turns."""
    dtype = torch.bfloat16 if kind() == "cuda" else torch.float32
    size = size * (4 if kind() == "cuda" else 1)
    one = torch.randn(size, size, device=kind(), dtype=dtype)
    out = torch.empty_like(one)
    return 2 * size**3 / best(lambda: torch.mm(one, one, out=out), turns)


def copies(megabytes: int = 256, turns: int = 15) -> float:
    """Bytes a second, read and written, of copying an array far larger than any cache."""
    one = torch.ones(megabytes * 2**18, device=kind())
    out = torch.empty_like(one)
    return 2 * 4 * one.numel() / best(lambda: out.copy_(one), turns)


def needed(ground: Ground) -> dict[str, dict[str, float]]:
    """`operations` and `bytes` that a token takes at least, in each contest."""
    length, batch = ground.protocol.block_length, ground.protocol.batch
    size = 2 if ground.protocol.precision == "bf16" else 4
    net, shape = ground.base.model, plan.shape(ground.base.model.config.to_dict())
    found = {}
    for name, way, beams in (("five beams", "beam", 5), ("sampling", "sample", 1)):
        rows = decoding.rows_at_once(ground.protocol.replace(decoding=way), net, length)
        count = plan.writing_operations(shape, rows, length, length, beams)
        moved = bytes_moved(shape, rows, length, beams, size)
        found[name] = {"operations": count / (rows * length), "bytes": moved / (rows * length)}
    # A step of training reads the weights twice, and in the optimiser reads weights, gradients and
    # two moments, and writes three of them; gradients are written once.
    found["training"] = {
        "operations": 3 * plan.reading_operations(shape, batch, length) / (batch * length),
        "bytes": 10 * plan.weight_bytes(shape) / (batch * length),
    }
    return found


def bytes_moved(shape: plan.Shape, prompts: int, length: int, beams: int, size: int) -> int:
    """The fewest bytes between memory and processor to continue a batch by as many tokens.

    All matrices once a token. Keys and values are written once, and read at each step after the
    first: the prompt's once for all beams, and in each beam those that it wrote at earlier steps.

    `length` is in tokens, of a prompt and of its continuation; `size` is that of a weight, a key or
    a value in bytes: 4, or 2 in bfloat16.
    """
    steps = length - 1
    written = length + beams * steps
    read = steps * length + beams * steps * (steps - 1) // 2
    weights = length * (shape.body + shape.head)
    return size * (weights + prompts * (written + read) * shape.kv)
