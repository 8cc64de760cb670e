"""Scores against a loop over positions that asks `transformers`."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from collapse.experiment import corpus, decoding, scoring
from collapse.experiment.protocol import Protocol


def test_scores_are_those_of_a_loop_over_positions(
    fresh: Any, blocks: corpus.Blocks, toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "PART", 3 * 8)  # 8 blocks, 3 at a time: the last part is smaller
    monkeypatch.setitem(scoring.CHUNK, "cpu", 5)  # and chunks of logits end within a block
    found = scoring.score(fresh, blocks.test, toy)
    assert found.nll.shape == found.entropy.shape == (8, 7)
    for row, block in enumerate(blocks.test):
        for position in range(1, 8):
            context = torch.from_numpy(block[None, :position].astype(np.int64)).to(fresh.device)
            with torch.inference_mode():
                logits = fresh(context).logits[0, -1]
            p = torch.softmax(logits.double(), -1).cpu().numpy()
            assert found.nll[row, position - 1] == pytest.approx(-np.log(p[block[position]]), 1e-4)
            assert found.entropy[row, position - 1] == pytest.approx(stats.entropy(p), 1e-4)


def test_scoring_leaves_no_dropout_on_and_changes_no_weight(
    fresh: Any, blocks: corpus.Blocks, toy: Protocol
) -> None:
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    fresh.train()
    one, two = scoring.score(fresh, blocks.test, toy), scoring.score(fresh, blocks.test, toy)
    assert np.array_equal(one.nll, two.nll)
    assert all(torch.equal(before[name], value) for name, value in fresh.state_dict().items())


def test_the_mean_is_that_of_the_scores(fresh: Any, blocks: corpus.Blocks, toy: Protocol) -> None:
    found = scoring.mean_nll(fresh, blocks.test, toy)
    assert found == pytest.approx(scoring.score(fresh, blocks.test, toy).nll.mean(), rel=1e-5)


def test_half_precision_scores_nearly_alike(
    fresh: Any, blocks: corpus.Blocks, toy: Protocol
) -> None:
    single = scoring.score(fresh, blocks.test, toy)
    half = scoring.score(fresh, blocks.test, toy.replace(precision="bf16"))
    assert not np.array_equal(half.nll, single.nll)
    assert half.nll.mean() == pytest.approx(single.nll.mean(), rel=1e-2)
    assert half.entropy.mean() == pytest.approx(single.entropy.mean(), rel=1e-2)


class Memory:
    """The memory of a GPU of 1,000,000 bytes, and PyTorch's allocator in front of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, others: int) -> None:
        self.others, self.allocated, self.reserved = others, 0, 0
        for name, ask in (
            ("mem_get_info", lambda _=None: (1_000_000 - self.others - self.reserved, 1_000_000)),
            ("memory_allocated", lambda _=None: self.allocated),
            ("memory_reserved", lambda _=None: self.reserved),
        ):
            monkeypatch.setattr(torch.cuda, name, ask)

    def hold(self, allocated: int) -> None:
        self.allocated, self.reserved = allocated, max(self.reserved, allocated)


class OnGpu:
    """A model of which only the place and the shape matter."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def parameters(self) -> Any:
        return iter([SimpleNamespace(device=torch.device("cuda"))])


def test_a_gpu_s_batches_do_not_shrink_by_what_the_allocator_holds_back(
    base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu, net = Memory(monkeypatch, others=100_000), OnGpu(base.model.config)

    def sizes() -> tuple[int, int, int]:
        rows = decoding.rows_at_once(Protocol(decoding="greedy"), net, 8)
        return scoring.free_memory(), scoring.blocks_at_once(net, 8), rows

    gpu.hold(50_000)
    before = sizes()
    assert before[0] == 850_000 and min(before[1:]) > 1
    gpu.hold(700_000)  # a first call
    assert scoring.free_memory() == 200_000
    gpu.hold(50_000)  # is over: the allocator keeps what it had
    assert torch.cuda.mem_get_info()[0] == 200_000
    assert sizes() == before
