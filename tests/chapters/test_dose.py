"""Dose and response, recovery, and claims on both: numbers by hand, and tests that can say no."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import how_much_human_text as dose
import how_much_human_text_figures as dose_figures
import how_much_human_text_numbers as dose_numbers
from collapse.book import figures
from collapse.experiment.arms import Run
from collapse.experiment.protocol import Protocol
from collapse.measure import verdicts
from collapse.measure.per_seed import over_seeds
from toy_figures import Maker, assert_readable
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
    for ends, verdict in (([17, 17.1, 16.9], "below the margin"), ([20, 23, 17], "cannot tell")):
        other = {seed: [20.0, float(end)] for seed, end in enumerate(ends)}
        tested = dose.equivalence(dose.grid(dosed({0.0: start, 0.5: other})))
        assert tested["verdict"].tolist() == [verdict]


def test_where_it_becomes_certain_counts_from_the_ends_without_a_gap() -> None:
    words = {0.01: (-1, "within the margin"), 0.02: (1.9, "cannot tell"), 0.5: (1.9, "cannot tell"),
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
    told = dose_numbers.equivalence_numbers(tested, 5, [])
    assert (str(told["eq-last-within"]), str(told["eq-last-above"])) == ("1 %", "100 %")
    assert told["eq-first-within"] == told["eq-first-above"] == "no share"
    assert math.isnan(dose.certain_from(tested, 4))


def test_one_seed_cannot_tell() -> None:
    one = {share: runs[:1] for share, runs in DOSES.items()}
    tested = dose.equivalence(dose.grid(one))
    assert set(tested["verdict"]) == {verdicts.CANNOT_TELL}
    dose_figures.equivalence_figure(one, 2)


def test_acceleration_is_the_last_step_less_the_first_in_nats() -> None:
    found = dose.acceleration(DOSES[1.0])
    assert found.by_seed[0] == pytest.approx(math.log(25.2 / 24) - math.log(24 / 20))
    assert found.high < 0
    # 20, 24, 25.2: one fifth of the first, then six hundredths.
    assert dose.acceleration(DOSES[1.0], "points").by_seed[0] == pytest.approx(0.06 - 0.2)
    growing = runs_of({seed: [20.0, 21.0 + seed / 10, 30.0] for seed in range(3)})
    assert dose.acceleration(growing).low > 0
    assert dose.acceleration(runs_of({0: [10, 11], 1: [10, 11]})).by_seed == {}


def test_what_grows_after_a_generation_is_told_apart_from_what_was_there_by_then() -> None:
    found = dose.since(dose.grid(DOSES), 1.0, 1, 2)
    # 1.2 to 1.2, 1.25 to 1.3, 1.2 to 1.25.
    assert found.by_seed == pytest.approx({0: 1.0, 1: 1.04, 2: 1.25 / 1.2})


def test_a_ratio_is_told_in_per_cent_while_it_is_small() -> None:
    def told(*values: float) -> str:
        return str(dose.worse(over_seeds(dict(enumerate(values)), ratio=True)))

    assert told(1.2, 1.22).startswith("21 % [")
    assert told(1.012) == "1.2 %"
    assert told(2.0, 2.0) == "×2.00 [2.00, 2.00]"
    assert told() == "not run yet"
    cell = over_seeds({0: 1.21, 1: 1.21}, ratio=True)
    assert dose_figures.value_in_short(cell) == "+21 %"
    assert dose_figures.value_in_short(over_seeds({0: 0.99}, ratio=True)) == "−1.0 %"
    assert dose_figures.value_in_short(over_seeds({0: 5.25}, ratio=True)) == "×5.25"


def test_the_map_has_the_number_of_each_cell() -> None:
    figure, data = dose_figures.map_figure(DOSES)
    written = {text.get_text() for text in figure.axes[0].texts}
    # Means of logarithms, by hand: of 1.2, 1.25, 1.2; 1.2, 1.3, 1.25; 1.01, 1.01, 1.0125; ....
    assert written == {"+22 %", "+25 %", "+1.1 %", "+0.5 %"}
    assert set(data["retained"]) == {0.0, 0.9}
    mean = data[data["seed"].isna() & (data["generation"] == 2)].set_index("retained")
    assert mean["ratio_to_human"][0.0] == pytest.approx((1.2 * 1.3 * 1.25) ** (1 / 3))
    shown = figure.axes[0]
    assert len([one for one in shown.patches if one.get_fill()]) == 2 * 2 * 3


def makers(doses: dict[float, list[Run]], mended: dict[tuple[int, int], list[Run]]) -> list[Maker]:
    return [
        lambda: dose_figures.map_figure(doses),
        lambda: dose_figures.diversity_figure(doses, [0.1, 1.0]),
        lambda: dose_figures.equivalence_figure(doses, 2),
        lambda: dose_figures.pace_figure({1.0: doses[1.0], 0.1: doses.get(0.1, [])}),
        lambda: dose_figures.weight_figure(20, 0),
        lambda: dose_figures.recovery_figure(mended, 1),
        lambda: dose_figures.scar_figure(mended, 1),
    ]


@pytest.mark.parametrize("number", range(7))
def test_the_figures_can_be_read_with_and_without_runs(number: int) -> None:
    mended = {
        (before, blocks): [mended_run(before, blocks, seed) for seed in range(3)]
        for before in (0, 1) for blocks in (8, 16, 32)
    }  # fmt: skip
    assert_readable(makers(DOSES, mended)[number])
    empty = {key: list[Run]() for key in mended}
    figure, _ = makers({0.0: [], 1.0: []}, empty)[number]()
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


def mended_run(before: int, blocks: int, seed: int) -> Run:
    chain = [10.0, 20.0 + seed][: before + 1]
    ends = {8: 14.0, 16: 11.0, 32: 9.8 + before}
    return mended([*chain, ends[blocks] + seed / 10], [13.0, ends[blocks]], seed, blocks)


def test_a_recovery_is_measured_from_the_collapsed_model_to_generation_0() -> None:
    run = mended([11.0, 15.0, 22.0, 12.5], [14.0, 9.5, 9.0], valid=[10.0, 15.0, 20.0, 9.0])
    rows = dose.curve(run)
    assert rows["epoch"].tolist() == [0, 1, 2, 3]
    assert rows["perplexity"].tolist() == pytest.approx([20, 14, 9.5, 9])
    assert dose.regained([run]).by_seed[0] == pytest.approx(math.log(22 / 12.5) / math.log(2))
    never = mended([10.0, 20.0, 12.0], [14.0, 12.0], seed=1)
    other = mended([10.0, 9.0], [9.0])
    assert dose.beside([run, never], [other]).by_seed == pytest.approx({0: 12.5 / 9})


def test_a_chain_that_has_lost_nothing_cannot_regain_it() -> None:
    healthy = mended([10.0, 9.5, 9.0], [9.0])
    assert dose.regained([healthy]).by_seed == {}
    told = dose_numbers.recovery_numbers({(1, 8): [healthy], (0, 8): []}, 1, [8])
    assert str(told["mend-large-back"]) == "not run yet"


def test_what_was_taken_back_stands_at_the_ends_of_the_lines() -> None:
    runs = {
        (1, 8): [mended([10.0, 40.0, 20.0], [22.0, 20.0], seed, 8) for seed in range(2)],
        (1, 16): [mended([10.0, 40.0, 10.0], [11.0, 10.0], seed, 16) for seed in range(2)],
    }
    figure, data = dose_figures.recovery_figure(runs, 1)
    written = {text.get_text() for text in figure.axes[0].texts}
    # From 40 to 20 is half of the way to 10, in loss.
    assert written == {"8 blocks:\n50 % taken back", "16 blocks:\n100 % taken back",
                       "generation 0"}  # fmt: skip
    assert set(data["human_blocks"].dropna()) == {8, 16}
    control = {(0, 8): [mended([10.0, 16.0], [16.0], seed, 8) for seed in range(2)]}
    _, scars = dose_figures.scar_figure({**runs, **control}, 1)
    assert scars["ratio_to_uncollapsed"].tolist() == pytest.approx([20 / 16] * 3)  # and the mean


# -- claims ------------------------------------------------------------------------------------


def test_claims_of_doses_follow_from_the_runs() -> None:
    tested = dose.equivalence(dose.grid(DOSES))
    rows = {row.id: row for row in dose.claims(DOSES, tested, 2)}
    small = rows["1-1"]
    # 21.1/21, 10.05/10 and 40.2/40: half a per cent more, all of them.
    assert str(small.result).startswith("10 %: +0.5 % [")
    weight = rows["he-golden"]
    assert str(weight.result).startswith("0.618") and weight.verdict == verdicts.AGREES
    table = rows["1-7"]
    assert str(table.result).count("[") == 2
    # Nobody can look up the article: no verdict is given on it.
    assert {row.verdict for row in (small, table)} == {verdicts.NOT_READ}


def test_without_runs_the_claims_say_so() -> None:
    nothing: dict[float, list[Run]] = {0.0: [], 0.5: [], 1.0: []}
    rows = dose.claims(nothing, dose.equivalence(dose.grid(nothing)), 2)
    assert sum("not run yet" in str(row.result) for row in rows) == 5
