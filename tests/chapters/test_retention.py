"""The two settings of the paper: its ranges, and what is said of the runs beside them."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

import retention
from collapse.book import ratios
from collapse.experiment.arms import Run
from collapse.measure import verdicts
from collapse.measure.per_seed import PerSeed
from collapse.measure.verdicts import Reference
from toy_records import GROWING, runs_of


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.9, 1.1, "agrees"), (1.1, 1.4, "cannot tell"), (1.3, 1.5, "disagrees")],
)
def test_minor_degradation_is_an_upper_bound(low: float, high: float, said: str) -> None:
    measured = PerSeed({0: 1.0, 1: 1.0}, (low + high) / 2, low, high)
    assert verdicts.beside(measured, retention.MINOR_DEGRADATION) == said


def test_tails_are_the_shares_outside_the_central_98_percent_of_generation_0() -> None:
    first = np.arange(1000) / 1000
    second = np.concatenate([np.full(300, -1.0), np.full(600, 0.5), np.full(100, 2.0)])
    for side, share in (("below", 0.3), ("above", 0.1)):
        nll = np.stack([first, np.zeros(1000), second]).astype(np.float16)
        for last, expected in ((1, 0.01), (3, share)):
            assert retention.outside(nll[:last], side) == pytest.approx(expected, abs=0.002)


def test_a_tail_is_told_by_seed_and_not_by_pooled_blocks() -> None:
    """Two of three seeds shrink, one grows a lot: blocks together say grown, seeds do not."""
    runs = []
    for seed, outside in enumerate((2, 30, 2)):
        made = runs_of({seed: [20.0, 24.0]})[0].record
        first = np.linspace(1.0, 2.0, 500)
        last = np.where(np.arange(500) < outside, 0.5, 1.5)
        text = np.stack([first, last]).astype(np.float16)
        arrays = {**made.arrays, "text_nll": text}
        runs.append(Run(dataclasses.replace(made, arrays=arrays), False))
    assert str(retention.tail_share(runs, "below")) == "2.3 % [0.0, 10.3]"
    assert str(retention.tail_share(runs[1:2], "below")) == "6.0 %"
    assert str(retention.tail_share([], "below")) == "not run yet"


def test_nothing_run_has_no_verdict() -> None:
    assert verdicts.beside(ratios.ratio([]), retention.NOTHING_RETAINED) == "not run yet"


@pytest.mark.parametrize(
    ("reference", "low", "high"),
    [
        (retention.FROM_20_TO_28, 28 / 20, 28 / 20),
        (retention.LOSING_20_TO_28, (34 + 20) / 34, (34 + 28) / 34),
        (retention.MINOR_DEGRADATION, 1, 42 / 34),
        (retention.NOTHING_RETAINED, 28 / 20, (34 + 28) / 34),
    ],
)
def test_the_paper_s_ranges_follow_from_its_numbers(
    reference: Reference, low: float, high: float
) -> None:
    assert (reference.low, reference.high) == pytest.approx((low, high), abs=0.005)


def test_a_summary_holds_means_over_seeds() -> None:
    runs = runs_of(GROWING)
    found = retention.summary(runs, "lost_")
    assert found["lost_seeds"].value == 3 and found["lost_end"].value == 2
    assert found["lost_test_first"].value == pytest.approx(70 / 3)
    assert found["lost_test_last"].value == pytest.approx(104 / 3)
    assert found["lost_ratio"] == ratios.ratio(runs)
    assert all(name.startswith("lost_") for name in found)


def test_copied_and_repeated_runs_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs_of({0: [20.0, 24.0]}, prompts="human")[0]
    prompt = np.array([[1, 2, 3, 4, 5, 6]])
    text = np.array([[[1, 2, 3, 4, 9, 8]], [[7, 7, 7, 7, 7, 7]]])
    made = dataclasses.replace(run.record, arrays={**run.record.arrays, "text": text})
    blocks = SimpleNamespace(train=prompt, following=np.array([[3, 4, 5, 6, 7, 8]]))
    monkeypatch.setattr(retention.corpus, "load_text", lambda name: None)
    monkeypatch.setattr(retention.corpus, "load_blocks", lambda *given: blocks)
    monkeypatch.setattr(retention.models, "tokenizer", lambda name: None)
    found = retention.copies(Run(made, False)).set_index("text")
    assert found.copied.to_dict() == pytest.approx({"human": 1 / 3, "0": 1 / 3, "1": 0})
    assert found.repeated.to_dict() == pytest.approx({"human": 0, "0": 0, "1": 2 / 3})
    bos = dataclasses.replace(made, protocol=made.protocol.replace(prompts="bos"))
    assert retention.copies(Run(bos, False)).copied.isna().all()
