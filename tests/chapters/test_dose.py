"""Dose and response, recovery, and claims on both: numbers by hand, and tests that can say no."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import how_much_human_text as dose
import how_much_human_text_figures as dose_figures
from collapse.book import figures
from collapse.experiment.arms import Run
from collapse.experiment.protocol import Protocol
from collapse.measure import verdicts
from toy_records import make_record, runs_of


def dosed(ends: dict[float, dict[int, list[float]]]) -> dict[float, list[Run]]:
    return {
        share: runs_of(by_seed, retained=round(1 - share, 9)) for share, by_seed in ends.items()
    }


DOSES = dosed(
    {
        0.0: {0: [20.0, 20.0, 21.0], 1: [10.0, 10.0, 10.0], 2: [40.0, 40.0, 40.0]},
        0.1: {0: [20.0, 20.2, 21.1], 1: [10.0, 10.1, 10.05], 2: [40.0, 40.5, 40.2]},
        1.0: {0: [20.0, 24.0, 25.2], 1: [10.0, 12.5, 13.0], 2: [40.0, 48.0, 50.0]},
    }
)


def test_a_cell_is_divided_by_that_of_human_text_of_the_same_seed_and_generation() -> None:
    found = dose.change(dose.grid(DOSES), 1.0, 2, "test_perplexity")
    assert found.by_seed == pytest.approx({0: 1.2, 1: 1.3, 2: 1.25})
    assert found.mean == pytest.approx((1.2 * 1.3 * 1.25) ** (1 / 3))
    assert dose.change(dose.grid(DOSES), 0.0, 2, "test_perplexity").by_seed == {0: 1, 1: 1, 2: 1}


def test_without_the_arm_of_human_text_there_is_nothing_to_compare_with() -> None:
    assert dose.grid({1.0: DOSES[1.0]}).empty
    assert dose.grid({}).empty
    assert dose.equivalence(dose.grid({})).empty
    assert math.isnan(dose.certain_from(dose.equivalence(dose.grid({})), 2))


def test_equivalence_is_two_one_sided_tests_at_five_per_cent() -> None:
    tested = dose.equivalence(dose.grid(DOSES)).set_index(["share", "generation"])
    logs = np.log([20.2 / 20, 10.1 / 10, 40.5 / 40])
    bound = math.log(1.02)
    upper = stats.ttest_1samp(logs, bound, alternative="less").pvalue
    lower = stats.ttest_1samp(logs, -bound, alternative="greater").pvalue
    cell = tested.loc[(0.1, 1)]
    assert (max(upper, lower) < 0.05) == (cell.verdict == "within the margin")
    assert tested.loc[(0.1, 2)].verdict == "within the margin"
    interval = stats.ttest_1samp(logs, 0).confidence_interval(0.9)
    assert cell.low == pytest.approx(100 * math.expm1(interval.low))
    assert cell.high == pytest.approx(100 * math.expm1(interval.high))
    assert tested.loc[(1.0, 2)].verdict == "above the margin"


def test_a_fall_is_not_taken_for_a_rise_nor_a_wide_interval_for_either() -> None:
    start = {seed: [20.0, 20.0] for seed in range(3)}
    for ends, verdict in (([17, 17.1, 16.9], "below the margin"), ([20, 23, 17], "undecided")):
        other = {seed: [20.0, float(end)] for seed, end in enumerate(ends)}
        tested = dose.equivalence(dose.grid(dosed({0.0: start, 0.5: other})))
        assert tested["verdict"].tolist() == [verdict]


def test_where_it_becomes_certain_counts_from_the_ends_without_a_gap() -> None:
    words = {0.01: (-1, "within the margin"), 0.02: (1.9, "undecided"), 0.5: (1.9, "undecided"),
             0.05: (0.1, "within the margin"), 0.1: (3, "above the margin"),
             1.0: (9, "above the margin")}  # fmt: skip
    tested = pd.DataFrame(
        [
            {"share": share, "generation": 5, "low": low, "verdict": word}
            for share, (low, word) in words.items()
        ]
    )
    assert dose.certain_up_to(tested, 5) == 0.01
    assert dose.certain_from(tested, 5) == 1.0
    assert dose.certain_from(tested, 5, margin=0.0) == 0.02
    assert dose.where(tested, 5) == (
        "a rise of more than 2 % is ruled out up to a share of 1 %, and shown from 100 % on; a "
        "rise of whatever size is shown from 2 % on"
    )
    assert dose.where(tested, 4) == "this is not run yet"
    assert math.isnan(dose.certain_from(tested, 4))


def test_one_seed_is_undecided() -> None:
    one = {share: runs[:1] for share, runs in DOSES.items()}
    tested = dose.equivalence(dose.grid(one))
    assert set(tested["verdict"]) == {"undecided, one seed gives no interval"}
    dose_figures.equivalence_figure(one, (1, 2))


def test_acceleration_is_the_last_step_less_the_first_in_nats() -> None:
    found = dose.acceleration(DOSES[1.0])
    assert found.by_seed[0] == pytest.approx(math.log(25.2 / 24) - math.log(24 / 20))
    assert found.high < 0 and dose.pace_in_words(found) == "it slows"
    # 20, 24, 25.2: one fifth of the first, then six hundredths.
    assert dose.acceleration(DOSES[1.0], "points").by_seed[0] == pytest.approx(0.06 - 0.2)
    growing = runs_of({seed: [20.0, 21.0 + seed / 10, 30.0] for seed in range(3)})
    assert dose.pace_in_words(dose.acceleration(growing)) == "it accelerates"
    assert dose.acceleration(runs_of({0: [10, 11], 1: [10, 11]})).by_seed == {}


def test_the_best_share_is_that_with_the_lowest_end() -> None:
    assert dose.best_human_share(DOSES) == {0: 1.0, 1: 1.0, 2: 1.0}
    turned = dosed({0.0: {0: [20.0, 30.0]}, 0.5: {0: [20.0, 25.0]}, 1.0: {0: [20.0, 28.0]}})
    assert dose.best_human_share(turned) == {0: 0.5}


def test_a_path_through_the_grid_grows_in_both_directions() -> None:
    path = dose_figures._path([0.0, 0.1, 0.25, 0.5, 1.0], 2)
    assert path == [(0, 0), (2, 1), (4, 2)]


@pytest.mark.parametrize("doses", [DOSES, {0.0: [], 1.0: []}], ids=["three", "not run"])
def test_the_figures_are_drawn_with_and_without_runs(doses: dict[float, list[Run]]) -> None:
    for figure, _ in (
        dose_figures.grid_figure(doses), dose_figures.equivalence_figure(doses, (1, 2)),
        dose_figures.weight_figure(doses, 20, 0),
        dose_figures.pace_figure({"all": doses.get(1.0, [])}),
    ):  # fmt: skip
        assert figures.rendered(figure, "svg")


# -- recovery ----------------------------------------------------------------------------------


def mended(
    test: list[float],
    by_epoch: list[float],
    seed: int = 0,
    blocks: int = 8,
    valid: list[float] | None = None,
) -> Run:
    protocol = Protocol(
        generations=len(test), train_blocks=20, recovery=blocks, epochs=len(by_epoch), seed=seed
    )
    record = make_record(protocol, test)
    record.generations["valid_perplexity"] = valid or test
    nll = np.log(np.array(by_epoch)).astype(np.float32)
    return Run(
        dataclasses.replace(
            record, arrays={**record.arrays, "recovery_nll": nll}, table=record.generations
        ),
        False,
    )


def test_a_recovery_is_measured_from_the_collapsed_model_to_generation_0() -> None:
    run = mended([11.0, 15.0, 22.0, 12.5], [14.0, 9.5, 9.0], valid=[10.0, 15.0, 20.0, 9.0])
    rows = dose.curve(run)
    assert rows["epoch"].tolist() == [0, 1, 2, 3]
    assert rows["perplexity"].tolist() == pytest.approx([20, 14, 9.5, 9])
    assert dose.regained([run]).by_seed[0] == pytest.approx(math.log(22 / 12.5) / math.log(2))
    never = mended([10.0, 20.0, 12.0], [14.0, 12.0], seed=1)
    assert dose.epochs_back([run, never]) == {0: 2, 1: None}
    other = mended([10.0, 9.0], [9.0])
    assert dose.beside([run, never], [other]).by_seed == pytest.approx({0: 12.5 / 9})


def test_a_chain_that_has_lost_nothing_cannot_regain_it() -> None:
    healthy = mended([10.0, 9.5, 9.0], [9.0])
    assert dose.regained([healthy]).by_seed == {}
    assert dose.enough({(1, 8): [healthy]}, 1) is None


def test_enough_is_the_least_amount_that_brings_every_seed_back() -> None:
    back, not_yet = [10.0, 20.0, 9.0], [10.0, 20.0, 11.0]
    runs = {
        (1, 8): [mended(not_yet, [11.0]), mended(back, [9.0], 1)],
        (1, 16): [mended(back, [9.9]), mended(back, [9.0], 1)],
        (1, 32): [mended(back, [8.0]), mended(back, [9.0], 1)],
    }
    assert dose.enough(runs, 1) == 16
    assert dose.enough({key: runs[key] for key in [(1, 8)]}, 1) is None
    figure, data = dose_figures.recovery_figure(runs)
    assert set(data["blocks"]) == {8, 16, 32}
    assert figures.rendered(figure, "svg")
    assert figures.rendered(dose_figures.recovery_figure({(0, 8): []})[0], "svg")


# -- claims ------------------------------------------------------------------------------------


def test_claims_of_doses_follow_from_the_runs() -> None:
    tested = dose.equivalence(dose.grid(DOSES))
    rows = {row.claim: row for row in dose.claims(DOSES, tested, 2)}
    small = rows["even small percentages of synthetic data raise error"]
    # 21.1/21, 10.05/10 and 40.2/40: half a per cent more, all of them.
    assert small.result.startswith("10 %: +0.5 % [")
    weight = rows["the best weight of human data is 0.618"]
    assert weight.result.startswith("0.618")
    table = rows["scores fall (a table in which generation and share rise together)"]
    assert table.result.count("[") == 2
    # Nobody can look up the article: no verdict is given on it.
    assert {row.verdict for row in (small, table)} == {verdicts.NOT_READ}


def test_a_mixture_that_is_better_is_named() -> None:
    human = {seed: [20.0, 20.0, 30.0 + seed / 10] for seed in range(3)}
    mixed = {seed: [20.0, 20.0, 25.0 + seed / 10] for seed in range(3)}
    doses = dosed({0.0: human, 0.5: mixed, 1.0: human})
    tested = dose.equivalence(dose.grid(doses))
    assert dose.best_mixture(doses, tested, 2) == "better with 50 % human text than with all"
    one = {share: runs[:1] for share, runs in doses.items()}
    said = dose.best_mixture(one, dose.equivalence(dose.grid(one)), 2)
    assert said.startswith("undecided")
    nothing: dict[float, list[Run]] = {0.0: [], 0.5: [], 1.0: []}
    empty = dose.equivalence(dose.grid(nothing))
    assert dose.best_mixture(nothing, empty, 2) == "not run yet"
    rows = dose.claims(nothing, empty, 2)
    assert sum("not run yet" in row.result for row in rows) == 5
    assert not any("reproduced" in row.verdict for row in rows if "a mean" not in row.verdict)
