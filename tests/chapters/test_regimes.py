"""Replacing and keeping: claims beside made-up runs, and a minority counted by hand."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

import replace_or_accumulate as regimes
import replace_or_accumulate_minority as minority
import replace_or_accumulate_regression as regressions
from collapse.book import figures
from collapse.experiment.arms import Run
from collapse.experiment.protocol import Protocol
from collapse.measure.verdicts import AGREES, CANNOT_TELL, DISAGREES, Claim
from replace_or_accumulate_minority import Lens
from toy_figures import assert_readable
from toy_records import make_record, runs_of

ARMS = {  # perplexity by seed; the second half of each chain is its last step
    "replaced": [20.0, 30.0, 45.0],
    "all kept, equal steps": [20.0, 22.0, 22.0],
    "all kept, equal epochs": [20.0, 21.0, 21.1],
    "all kept, as many drawn": [20.0, 23.0, 24.0],
    "redrawn": [20.0, 24.0, 26.0],
    "fixed": [20.0, 25.0, 28.0],
    "fresh": [20.0, 23.0, 25.0],
}


def arm(perplexities: list[float]) -> list[Run]:
    """Three seeds that differ a little in the last generation."""
    return runs_of({s: [*perplexities[:-1], perplexities[-1] * (1 + 0.001 * s)] for s in range(3)})


@pytest.fixture(scope="module")
def scan() -> pd.DataFrame:
    return regressions.scan(12, 0)


@pytest.fixture(scope="module")
def linear() -> pd.DataFrame:
    problems = {
        "replaced": (regressions.PLAIN, "replace"),
        "all kept": (regressions.PLAIN, "accumulate"),
    }
    return regressions.linear(problems, 6, 60, 0)


def by_claim(rows: list[Claim]) -> dict[str, list[Claim]]:
    found: dict[str, list[Claim]] = {}
    for row in rows:
        found.setdefault(row.id, []).append(row)
    return found


def test_claims_of_regimes_follow_from_the_runs(linear: pd.DataFrame, scan: pd.DataFrame) -> None:
    found = {name: arm(values) for name, values in ARMS.items()}
    rows = by_claim(regimes.claims(found, linear, scan, "10 %"))
    # 22/20 and 21.1/20; 22/22 and 21.1/21, each within a fifth of a per cent.
    (whole,) = rows["gerstgrasser-avoids"]
    assert whole.verdict == DISAGREES
    assert str(whole.result).startswith("1.10 [") and "; 1.06 [" in whole.result
    (stopped,) = rows["gerstgrasser-stops"]
    assert stopped.verdict == AGREES
    (worse,) = rows["gerstgrasser-worse"]
    assert str(worse.result).startswith(f"{45 / 22:.2f} [")
    assert worse.verdict == AGREES
    (between,) = rows["kazdan-above"]
    assert between.verdict == AGREES
    (fresh,) = rows["alemohammad-fresh"]
    assert fresh.verdict == AGREES
    (law,) = rows["gerstgrasser-bound"]
    assert law.verdict == AGREES


def test_a_law_that_is_left_disagrees(linear: pd.DataFrame, scan: pd.DataFrame) -> None:
    assert regressions.obeyed(linear)
    bent = linear.assign(law=linear["law"] * 1.5)
    assert not regressions.obeyed(bent)
    rows = regimes.claims({name: [] for name in ARMS}, bent, scan, "10 %")
    assert rows[0].verdict == DISAGREES
    assert rows[2].verdict == rows[3].verdict == "not run yet"


def test_with_the_arms_swapped_the_verdicts_turn(linear: pd.DataFrame, scan: pd.DataFrame) -> None:
    swapped = ARMS | {
        "replaced": ARMS["all kept, equal steps"],
        "all kept, equal steps": ARMS["replaced"],
        "fixed": ARMS["fresh"],
        "fresh": ARMS["fixed"],
    }
    found = {name: arm(values) for name, values in swapped.items()}
    rows = by_claim(regimes.claims(found, linear, scan, "10 %"))
    for claim in (
        "gerstgrasser-worse",
        "kazdan-above",
        "kazdan-below",
        "alemohammad-fresh",
    ):
        (row,) = rows[claim]
        assert row.verdict == DISAGREES, claim


def test_two_ways_that_differ_are_not_averaged(linear: pd.DataFrame, scan: pd.DataFrame) -> None:
    found = {name: arm(values) for name, values in ARMS.items()}
    found["all kept, equal epochs"] = arm([20.0, 25.0, 30.0])
    (stopped,) = by_claim(regimes.claims(found, linear, scan, "10 %"))["gerstgrasser-stops"]
    assert stopped.verdict == CANNOT_TELL


def test_scaling_stops_only_where_risk_levels_off(scan: pd.DataFrame) -> None:
    claim = "dohmatob-floor"
    arms = {name: [] for name in ARMS}
    falling = scan.assign(measured=1000 / scan["rows"], standard_error=1e-6)
    flat = scan.assign(measured=0.1, standard_error=1e-6)
    linear = pd.DataFrame(
        [{"setting": r, "generation": 0, "law": 1.0, "measured": 1.0, "standard_error": 1.0,
          "high": 2.0}
         for r in ("replaced", "all kept")]
    )  # fmt: skip
    for data, verdict in ((falling, DISAGREES), (flat, AGREES)):
        (row,) = by_claim(regimes.claims(arms, linear, data, "10 %"))[claim]
        assert row.verdict == verdict


def test_figures_of_regressions_can_be_read() -> None:
    assert_readable(lambda: regressions.linear_figure(20, 20, 0))
    assert_readable(lambda: regressions.scan_figure(10, 0))


def test_runs_can_be_read_in_a_figure_and_a_table() -> None:
    names = ("replaced", "all kept, equal steps", "all kept, as many drawn")
    found = {name: with_human_shares(arm(ARMS[name])) for name in names}
    assert_readable(lambda: regimes.kept_figure(found, "all kept"))
    figure, data = regimes.kept_figure(found, "all kept")
    left, right = ({text.get_text() for text in axes.texts} for axes in figure.axes)
    assert left == {"replaced\n×2.25", "all kept"}
    assert right == {"all kept,\nequal steps\n×1.10", "all kept,\nas many drawn\n×1.20"}
    assert set(data["setting"]) == set(names)
    first, *_ = regimes.rows_of(found)
    assert str(first["perplexity, last ÷ first"]).startswith("2.25 [")
    assert str(first["last ÷ the one before"]).startswith("1.50 [")
    assert str(first["human share of the last text"]) == "25 %"


def test_without_runs_there_is_an_empty_figure_and_a_table_that_says_so() -> None:
    nothing: dict[str, list[Run]] = {name: [] for name in ARMS}
    assert figures.rendered(regimes.kept_figure(nothing, "all kept")[0], "svg")
    assert set(map(str, regimes.rows_of(nothing)[0].values())) == {"replaced", "not run yet"}
    assert set(map(str, regimes.arm_numbers(nothing).values())) == {"not run yet"}


def with_human_shares(runs: list[Run]) -> list[Run]:
    for run in runs:
        run.record.generations["human_share"] = [1.0, 0.5, 0.25]
    return runs


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
    runs = [Run(dataclasses.replace(record, arrays=arrays), False)]
    rows = minority.table({"a": runs}, LENS)
    assert rows["women"].tolist() == [6, 0] and rows["tokens"].tolist() == [100, 100]
    assert rows["men"].tolist() == [4, 1]
    assert rows["loss_women"].tolist() == [3, 4] and rows["loss_others"].tolist() == [2, 2.5]
    assert minority.lost_more(rows).by_seed[0] == pytest.approx(math.exp(1 - 0.5))
    (told,) = minority.rows_of({"a": runs, "not run": []}, LENS)
    assert told["words for women, first → last"] == "6 → 0"
    assert str(told["men, last, in 1,000 tokens"]) == "10.00"
    said = minority.told({"a": runs, "b": []}, LENS, runs)
    numbers = {name: str(number) for name, number in said.items()}
    assert (numbers["min-a-women-first"], numbers["min-a-men-last"]) == ("6", "1")
    assert numbers["min-b-women-last"] == "not run yet"
    figure, _ = minority.figure({"a": runs}, LENS)
    dots = [len(block.get_offsets()) for block in figure.axes[0].collections]
    assert dots == [6, 0]  # a dot for each word
    assert {text.get_text() for text in figure.axes[0].texts} == {"a", "6", "0"}


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
    rows = minority.table({"a": runs}, nobody)
    assert (data["women"] == 0).all() and rows["loss_women"].isna().all()
    assert figures.rendered(figure, "svg")
    assert math.isnan(minority.lost_more(rows).mean)


def test_the_strips_can_be_read() -> None:
    runs = runs_of({seed: [20.0 + n for n in range(6)] for seed in range(3)})
    arms = {f"a setting with a name {n}": runs for n in range(5)}
    assert_readable(lambda: minority.figure(arms, LENS))
    assert figures.rendered(minority.figure({"not run": []}, LENS)[0], "svg")
    assert str(minority.told({"none": []}, LENS, [])["min-human-women"]) == "not run yet"
