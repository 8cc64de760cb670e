"""What this machine allows, and what a token takes of it at the very least."""

import torch

from collapse.bench.contestants import Ground, best, kind
from collapse.experiment import decoding
from collapse.sweeps import plan


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
