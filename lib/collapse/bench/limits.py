"""What this machine allows, and what a token takes of it at the very least."""

from typing import Any

import torch

from collapse.bench.contestants import Ground, best, kind
from collapse.experiment import decoding
from collapse.sweeps import cost


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
    net, shape = ground.base.model, _shape(ground.base.model)
    found = {}
    for name, way, beams in (("five beams", "beam", 5), ("sampling", "sample", 1)):
        rows = decoding.rows_at_once(ground.protocol.replace(decoding=way), net, length)
        found[name] = {
            "operations": cost.writing(shape, rows, length, length, beams) / (rows * length),
            "bytes": cost.bytes_moved(shape, rows, length, length, beams, size) / (rows * length),
        }
    # A step of training reads the weights twice, and in the optimiser reads weights, gradients and
    # two moments, and writes three of them; gradients are written once.
    found["training"] = {
        "operations": cost.training(shape, batch, length) / (batch * length),
        "bytes": 10 * cost.weight_bytes(shape) / (batch * length),
    }
    return found


def operations(net: Any, blocks: int, length: int) -> float:
    """Of training once on some blocks and continuing them by as many tokens."""
    shape = _shape(net)
    trained = cost.training(shape, blocks, length)
    return float(trained + cost.writing(shape, blocks, length, length))


def _shape(net: Any) -> cost.Shape:
    return cost.shape(net.config, sum(weights.numel() for weights in net.parameters()))
