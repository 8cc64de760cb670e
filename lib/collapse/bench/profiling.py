"""Where the time of a step goes, by kind of operation, as PyTorch's profiler sees it."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from collapse.experiment import decoding, training
from collapse.experiment.corpus import Blocks
from collapse.experiment.protocol import Protocol

# The first kind with a word that begins the name of an operation.
KINDS = {
    "attention": ("aten::_scaled_dot", "aten::scaled_dot", "aten::bmm", "aten::baddbmm"),
    "products with weights": ("aten::mm", "aten::addmm", "aten::linear"),
    "softmax, choice of tokens": (
        "aten::_softmax", "aten::_log_softmax", "aten::log_softmax", "aten::topk", "aten::sort",
        "aten::cumsum", "aten::searchsorted", "aten::gather", "aten::scatter", "aten::amax",
        "aten::argmax", "aten::nll",
    ),
    "moving data": (
        "aten::copy_", "aten::cat", "aten::index", "aten::fill_", "aten::zero_", "aten::_index",
    ),
    "optimiser": ("aten::_fused_adam", "Optimizer"),
}  # fmt: skip
REST = "everything else"


def profiles(net: Any, blocks: Blocks, protocol: Protocol) -> dict[str, dict[str, float]]:
    """Shares of the time of training, of five-beam search and of sampling, on one thread.

    The weights of `net` change.
    """
    length, number = protocol.block_length, 64
    some = blocks.train[:number]

    def writing(way: str) -> Callable[[], np.ndarray]:
        p = protocol.replace(decoding=way)
        return lambda: decoding.generate(net, some, length, p, None)

    os.environ["KINETO_LOG_LEVEL"] = "99"  # it would speak of its own doings
    threads = torch.get_num_threads()
    if next(net.parameters()).device.type == "cpu":
        torch.set_num_threads(1)  # the profiler sees the thread that started it
    try:
        return {
            "five beams": _shares(writing("beam")),
            "sampling": _shares(writing("sample")),
            "training": _shares(lambda: training.fine_tune(net, some, some[:1], protocol, 0)),
        }
    finally:
        torch.set_num_threads(threads)


def _shares(action: Callable[[], Any]) -> dict[str, float]:
    action()
    cuda = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * cuda
    with profile(activities=activities) as seen:
        action()
    spent = dict.fromkeys([*KINDS, REST], 0.0)
    for event in seen.key_averages():
        spent[kind(event.key)] += (
            event.self_device_time_total if cuda else event.self_cpu_time_total
        )
    total = sum(spent.values())
    return {name: time / total for name, time in spent.items()}


def kind(operation: str) -> str:
    """The kind that an operation counts as."""
    for name, beginnings in KINDS.items():
        if operation.startswith(beginnings):
            return name
    return REST
