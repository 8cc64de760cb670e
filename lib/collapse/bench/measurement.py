"""How fast the loop is: against the usual ways of doing the same, and against the machine.

Everything that is compared is measured in one run, in turns, so that what slows the machine down
for a while slows all of them down; and each in a process of its own, so that what one leaves behind
in memory or threads does not slow down another. Rates are tokens a second of whole continuations,
or of blocks trained on.
"""

import contextlib
import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from collapse.bench import contestants, growth, profiling
from collapse.experiment import assets, decoding, devices, models, provenance, records
from collapse.sweeps import plan

SCHEMA = 1


def path(kind: str, folder: Path | None = None) -> Path:
    """Where the measurements of a kind of device lie; the published ones if no folder is given."""
    return (folder or records.published()) / f"bench-{kind}.json"


def measure(rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure all there is to measure here; about a quarter of an hour on two cores.

    Args:
        rounds: turns of each side.
        say: is told what is being measured.

    Raises:
        AssetError: text or base model cannot be had.
    """
    ground = contestants.ground()
    shape = plan.shape(ground.base.model.config.to_dict())
    say("limits of the machine")
    limits = {"operations": _products(ground.kind), "bytes": _copies(ground.kind)}
    contests = {
        name: _race(name, sides, rounds, say) for name, sides in contestants.CONTESTS.items()
    }
    same_text = contestants.same_text(ground)
    say("profiles")
    profiles = profiling.profiles(ground.base.model, ground.blocks, ground.protocol)
    grown = growth.measure(ground.protocol, say) if ground.kind == "cpu" else {}
    return {
        "schema": SCHEMA,
        **provenance.describe("bench", []),
        "kind": ground.kind,
        "model": ground.base.name,
        "parameters": ground.base.parameters,
        "precision": ground.protocol.precision,
        "compared": contestants.versions(),
        "rounds": rounds,
        "block_length": ground.protocol.block_length,
        "batch": ground.protocol.batch,
        "limits": limits,
        "needed": _needed(shape, ground),
        "contests": contests,
        "same_text": same_text,
        "profiles": profiles,
        "growth": grown,
    }


def store(found: dict[str, Any], target: Path) -> None:
    """Write measurements as JSON.

    Raises:
        AssetError: the disk is full or cannot be written.
    """
    with assets.atomic(target) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n")


# -- the machine -----------------------------------------------------------------------------


def _products(kind: str, size: int = 2048, turns: int = 15) -> float:
    """Operations a second of a product of large square matrices: the best of some turns."""
    dtype = torch.bfloat16 if kind == "cuda" else torch.float32
    size = size * (4 if kind == "cuda" else 1)
    one = torch.randn(size, size, device=kind, dtype=dtype)
    out = torch.empty_like(one)
    return 2 * size**3 / _best(lambda: torch.mm(one, one, out=out), kind, turns)


def _copies(kind: str, megabytes: int = 256, turns: int = 15) -> float:
    """Bytes a second, read and written, of copying an array far larger than any cache."""
    one = torch.ones(megabytes * 2**18, device=kind)
    out = torch.empty_like(one)
    return 2 * 4 * one.numel() / _best(lambda: out.copy_(one), kind, turns)


def _best(action: Callable[[], Any], kind: str, turns: int) -> float:
    action()
    return min(contestants.seconds(action, kind) for _ in range(turns))


def bytes_moved(
    model: plan.Shape, prompts: int, prompt_length: int, new_tokens: int, beams: int, size: int
) -> int:
    """The fewest bytes between memory and processor to continue one batch of prompts.

    All matrices once a token. Keys and values are written once, prompt_length of each prompt and
    new_tokens - 1 in each beam, and read at each of the new_tokens - 1 steps after the first: the
    prompt's once for all beams, and in each beam those that it wrote at earlier steps.

    Args:
        size: bytes of a weight, a key or a value: 4, or 2 in bfloat16.
    """
    steps = new_tokens - 1
    written = prompt_length + beams * steps
    read = steps * prompt_length + beams * steps * (steps - 1) // 2
    weights = new_tokens * (model.body + model.head)
    return size * (weights + prompts * (written + read) * model.kv)


def _needed(shape: plan.Shape, ground: contestants.Ground) -> dict[str, dict[str, float]]:
    """Operations and bytes that a token takes at least, in each contest."""
    length, batch = ground.protocol.block_length, ground.protocol.batch
    size = 2 if ground.protocol.precision == "bf16" else 4
    needed = {}
    for name, beams in (("five beams", 5), ("sampling", 1)):
        rows = decoding.rows_at_once(
            ground.protocol.replace(decoding="beam" if beams > 1 else "sample"),
            ground.base.model, length,
        )  # fmt: skip
        needed[name] = {
            "operations": plan.writing_operations(shape, rows, length, length, beams)
            / (rows * length),
            "bytes": bytes_moved(shape, rows, length, length, beams, size) / (rows * length),
        }
    # A step of training reads the weights twice, and in the optimiser reads weights, gradients and
    # two moments, and writes three of them; gradients are written once.
    needed["training"] = {
        "operations": 3 * plan.reading_operations(shape, batch, length) / (batch * length),
        "bytes": 10 * plan.weight_bytes(shape) / (batch * length),
    }
    return needed


# -- contests --------------------------------------------------------------------------------


def _race(
    contest: str, sides: Sequence[str], rounds: int, say: Callable[[str], None]
) -> dict[str, list[float]]:
    """Tokens a second of each side in each round, the first turn of each not counted."""
    if contestants.OTHER in sides and not contestants.has_other():
        say(f"{contest}: {contestants.OTHER} is not installed")
        sides = [who for who in sides if who != contestants.OTHER]
    rates: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        processes = {who: stack.enter_context(_process()) for who in sides}
        for number in range(rounds + 1):
            say(f"{contest}: " + (f"round {number} of {rounds}" if number else "warming up"))
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
    rate = side.tokens / contestants.seconds(side.turn, models.device().type)
    if models.device().type == "cuda":
        torch.cuda.empty_cache()  # another process is next
    return side.name, rate
