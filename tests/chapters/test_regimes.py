"""Replacing and accumulating: claims beside made-up runs, and a minority counted by hand."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

import replace_or_accumulate as regimes
import replace_or_accumulate_minority as minority
from collapse.book import figures
from collapse.experiment.arms import Run
from collapse.experiment.protocol import Protocol
from collapse.measure.verdicts import Claim
from replace_or_accumulate_minority import Lens
from toy_records import make_record, runs_of

ARMS = {  # perplexity by seed; the second half of each chain is its last step
    "replaced": [20.0, 30.0, 45.0],
    "accumulated, equal steps": [20.0, 22.0, 22.0],
    "accumulated, equal epochs": [20.0, 21.0, 21.1],
    "accumulated, as many drawn": [20.0, 23.0, 24.0],
    "redrawn": [20.0, 24.0, 26.0],
    "fixed": [20.0, 25.0, 28.0],
    "fresh": [20.0, 23.0, 25.0],
}


def arm(perplexities: list[float]) -> list[Run]:
    """Three seeds that differ a little in the last generation."""
    return runs_of({s: [*perplexities[:-1], perplexities[-1] * (1 + 0.001 * s)] for s in range(3)})


@pytest.fixture(scope="module")
def scan() -> pd.DataFrame:
    return regimes.scan(12, 0)


@pytest.fixture(scope="module")
def linear() -> pd.DataFrame:
    problems = {
        "replaced": (regimes.PLAIN, "replace"),
        "accumulated": (regimes.PLAIN, "accumulate"),
    }
    return regimes.linear(problems, 6, 60, 0)


def by_claim(rows: list[Claim]) -> dict[str, list[Claim]]:
    found: dict[str, list[Claim]] = {}
    for row in rows:
        found.setdefault(row.claim, []).append(row)
    return found


def test_claims_of_regimes_follow_from_the_runs(linear: pd.DataFrame, scan: pd.DataFrame) -> None:
    found = {name: arm(values) for name, values in ARMS.items()}
    rows = by_claim(regimes.claims(found, linear, scan, "10 %"))
    steps, epochs = rows["accumulating avoids collapse"]
    # 22/20 and 22/22; 21.1/20 and 21.1/21, each within a fifth of a per cent.
    assert steps.verdict == "whole chain: not reproduced, it rises; last step: reproduced"
    assert epochs.verdict == "whole chain: not reproduced, it rises; last step: reproduced"
    (worse,) = rows["replacing is worse than accumulating"]
    assert worse.result.startswith(f"{45 / 22:.2f} [")
    assert worse.verdict == "reproduced"
    (between,) = rows["a sample of constant size from the pool lies above accumulation"]
    assert between.verdict == "reproduced"
    (fresh,) = rows["fresh human data do better than fixed ones"]
    assert fresh.verdict == "reproduced"
    (law,) = rows["with accumulated data, error stays below π²/6 of the first"]
    assert law.verdict.startswith("reproduced")


def test_a_law_that_is_left_is_not_reproduced(linear: pd.DataFrame, scan: pd.DataFrame) -> None:
    assert regimes.obeyed(linear)
    bent = linear.assign(law=linear["law"] * 1.5)
    assert not regimes.obeyed(bent)
    rows = regimes.claims({name: [] for name in ARMS}, bent, scan, "10 %")
    assert rows[0].verdict == "not reproduced, they leave it"
    assert rows[2].verdict == "whole chain: not run yet; last step: not run yet"


def test_scaling_stops_only_where_risk_levels_off(scan: pd.DataFrame) -> None:
    claim = "with a constant share of synthetic data scaling stops"
    arms = {name: [] for name in ARMS}
    falling = scan.assign(measured=1000 / scan["rows"], error=1e-6)
    flat = scan.assign(measured=0.1, error=1e-6)
    linear = pd.DataFrame(
        [{"regime": r, "generation": 0, "law": 1.0, "measured": 1.0, "error": 1.0}
         for r in ("replaced", "accumulated")]
    )  # fmt: skip
    for data, verdict in ((falling, "not reproduced"), (flat, "reproduced, it levels off")):
        (row,) = by_claim(regimes.claims(arms, linear, data, "10 %"))[claim]
        assert row.verdict == verdict


# -- minority ----------------------------------------------------------------------------------

LENS = Lens(
    np.array([1, 2]), np.array([3]), ("she", "her", "he"),
    blocks=np.array([1, 0, 0, 1, 0]) == 1, others=np.array([0, 1, 1, 0, 0]) == 1,
)  # fmt: skip


def test_what_is_said_of_women_is_counted_and_what_is_unlearnt_of_it_is_compared() -> None:
    record = make_record(Protocol(generations=2))
    counts = np.zeros((2, 11), np.int32)
    counts[0, [0, 1, 2, 3]], counts[1, [0, 3]] = [90, 4, 2, 4], [99, 1]
    nll = np.array([[3, 2, 2, 3, 9], [4, 2.5, 2.5, 4, 0]], np.float32)
    text = np.stack([np.repeat(np.arange(11), one) for one in counts])[:, None]
    arrays = {**record.arrays, "text": text, "test_nll": nll}
    rows = minority.table({"a": [Run(dataclasses.replace(record, arrays=arrays), False)]}, LENS)
    assert rows["per_thousand"].tolist() == [60, 0]
    assert rows["men"].tolist() == [4, 1]
    assert rows["loss_women"].tolist() == [3, 4] and rows["loss_others"].tolist() == [2, 2.5]
    assert minority.kept(rows).by_seed == {0: 0}
    assert minority.lost_more(rows).by_seed[0] == pytest.approx(math.exp(1 - 0.5))


def test_only_words_that_are_whole_tokens_tell() -> None:
    class Split:
        unk_token_id = 0

        def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
            known = {" she": [7], " her": [8], " He": [9], " hers": [8, 5], " herself": [0]}
            return {"input_ids": known.get(text, [1, 2])}

    assert minority.whole(Split(), minority.WOMEN) == {
        "she": 7,
        "her": 8,
    }
    assert minority.whole(Split(), minority.MEN) == {"He": 9}


def test_a_model_without_these_words_gives_a_figure_all_the_same() -> None:
    nobody = dataclasses.replace(
        LENS, women=LENS.women[:0], words=(), blocks=np.zeros(5, bool), others=np.zeros(5, bool)
    )
    runs = runs_of({0: [20.0, 24.0], 1: [20.0, 25.0]})
    figure, data = minority.figure({"a": runs, "not run": []}, nobody)
    assert (data["women"] == 0).all() and data["loss_women"].isna().all()
    assert figures.rendered(figure, "svg")
    assert minority.in_words([], nobody) == "not run yet"
    assert math.isnan(minority.lost_more(data).mean)
