"""The alarms' trial on made-up chains, whose noise and change are known."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import toy_alarms
from scipy import stats
from toy_alarms import DOSES, SPREAD, run

import would_you_have_noticed as noticed
import would_you_have_noticed_charts as alarms
import would_you_have_noticed_claims as said
import would_you_have_noticed_figures as pictures
from toy_figures import assert_readable


@pytest.fixture(scope="module")
def found() -> dict[str, list[Any]]:
    return toy_alarms.found()


@pytest.fixture(scope="module")
def trial(found: dict[str, list[Any]]) -> noticed.Trial:
    return noticed.Trial(found)


def test_scaled_changes_of_the_null_have_mean_zero_and_one_standard_deviation(
    trial: noticed.Trial,
) -> None:
    null = pd.concat([of.scaled for of in trial.null])
    assert len(null) == 8 * 15
    # Eight seeds share their run-in's error within a seed: about 8 / (1/15 + 1/6) free numbers.
    assert null.to_numpy().std() == pytest.approx(1, rel=0.15)
    assert abs(null.to_numpy().mean()) < 0.3


def test_a_change_comes_out_as_many_standard_deviations_as_it_has(trial: noticed.Trial) -> None:
    z = np.concatenate([of.scaled.to_numpy() for of in trial.chain("written 0.25")])
    assert z.mean() == pytest.approx(0.1 / (SPREAD * math.sqrt(1 + 1 / 5)), rel=0.1)


def test_a_seed_is_scaled_by_the_others(found: dict[str, list[Any]]) -> None:
    loud = {**found, "null": [run(0, 21, 0.0, 50 * SPREAD), *found["null"][1:]]}
    z = next(of for of in noticed.Trial(loud).null if of.seed == 0).scaled.to_numpy()
    assert z.std() > 20  # its own noise does not hide it


def test_chains_without_a_null_of_their_seed_are_left_out(found: dict[str, list[Any]]) -> None:
    alone = {**found, "null": found["null"][1:]}
    assert {of.seed for of in noticed.Trial(alone).chain("written 0.25")} == {1, 2}
    assert noticed.Trial({"null": found["null"][:1]}).series == []


def test_false_alarms_of_three_standard_deviations_are_as_rare_as_the_normal_tail(
    trial: noticed.Trial,
) -> None:
    alarm = noticed.charts("3 standard deviations")[0]
    many = [noticed.charts("3 standard deviations")[n] for n in range(len(noticed.GAUGES))]
    rates = [trial.false_alarms(one).mean for one in many]
    assert alarm.limit == 3
    assert np.mean(rates) < 3 * 100 * stats.norm.sf(3) + 0.5
    assert trial.false_alarms(noticed.Alarm("low", "chao_shen", alarms.shewhart, 0)).mean > 20


def test_a_limit_set_to_a_rate_keeps_it(trial: noticed.Trial) -> None:
    for alarm in [*noticed.charts(), *noticed.several()[:2], noticed.both()]:
        assert trial.false_alarms(trial.set_to(alarm)).mean <= 2 + 1e-9


def test_delays_are_those_of_a_chart_drawn_by_hand(trial: noticed.Trial) -> None:
    alarm = noticed.charts()[0]
    for of in trial.chain("written 0.1"):
        state, first = 0.0, math.nan
        for number, z in enumerate(of.scaled["test_perplexity"], start=1):
            state = max(0.0, state + z - 0.5)
            if state >= 4:
                first = number
                break
        assert trial.delays(alarm, "written 0.1")[of.seed] == first
    assert trial.delay(alarm, "written 0.25").mean <= 2
    deaf = noticed.Alarm("deaf", "chao_shen", alarms.shewhart, 1e9)
    assert trial.delay(deaf, "written 0.25").mean == 8  # as many as were looked at
    assert all(math.isnan(delay) for delay in trial.delays(deaf, "written 0.25").values())


def test_published_thresholds_are_ratios_to_the_run_in(trial: noticed.Trial) -> None:
    perplexity = noticed.thresholds()[0]
    assert perplexity.limit == pytest.approx(math.log(1.1)) and not perplexity.scaled
    for of in trial.chain("written 0.25"):
        ratio = np.exp(of.changes["test_perplexity"])
        rings = alarms.alarms(
            perplexity.numbers(of, trial.reference), perplexity.chart, perplexity.limit
        )
        assert rings.tolist() == (ratio >= 1.1).tolist()


def test_what_is_shuffled_between_chains_no_longer_rings_soon(found: dict[str, list[Any]]) -> None:
    """Negative control: with the labels of null and change swapped the verdict flips."""
    swapped = {**found, "written 0.25": [run(seed, 9, 0.0) for seed in (0, 1, 2)]}
    alarm = noticed.charts("3 standard deviations")[0]
    told, flipped = (noticed.Trial(each).delay(alarm, "written 0.25") for each in (found, swapped))
    assert told.mean == 1 and flipped.mean > 4


def test_evidence_counts_the_blocks_that_got_worse(trial: noticed.Trial) -> None:
    of = trial.chain("written 0.25")[0]
    assert (of.evidence > math.log(50)).all()  # 0.1 worse in each block, and noise of 0.05
    assert np.mean([each.evidence.mean() for each in trial.null]) < 0


QUARTER = {"written 0.25": "25 % written"}
KINDS = {
    "written text": [(f"written {dose:g}", f"{100 * dose:g} %") for dose in DOSES],
    "no collapse": [("other writing", "other writing")],
}


@pytest.mark.parametrize(
    "figure",
    [
        lambda trial: pictures.plane(trial, DOSES),
        lambda trial: pictures.by_gauge(trial, KINDS),
        lambda trial: pictures.course(trial, DOSES),
    ],
)
def test_figures_can_be_read(figure: Any, trial: noticed.Trial) -> None:
    assert_readable(lambda: figure(trial))


def test_the_table_counts_chains_that_ring_within_three(trial: noticed.Trial) -> None:
    rows = pictures.table(trial, noticed.charts()[:1], QUARTER)
    assert rows[0]["25 % written"] == "3 of 3"
    empty = pictures.table(noticed.Trial({"null": []}), noticed.charts()[:1], QUARTER)
    assert empty[0]["25 % written"] == "not run yet"


# -- what is said ----------------------------------------------------------------------------


def test_claims_follow_the_change_and_flip_with_it(found: dict[str, list[Any]]) -> None:
    def verdict(chains: dict[str, list[Any]]) -> list[str]:
        return [claim.verdict for claim in said.claims(noticed.Trial(chains))]

    # A tenth by the end, e^0.1, at a dose of a quarter; all gauges move alike, so none leads.
    told = verdict(found)
    assert told[1] == "disagrees" and told[3] == "disagrees"
    larger = {**found, "written 0.25": [run(seed, 9, 0.3) for seed in range(3)]}
    assert verdict(larger)[:2] == ["agrees", "agrees"]
    none = {**found, "written 0.1": [run(seed, 9, 0.0) for seed in range(3)]}
    assert verdict(none)[3] == "agrees"
    assert set(verdict({"null": []})) == {"not run yet"}


def test_the_noise_of_the_same_text_is_told_from_that_of_fresh_text(trial: noticed.Trial) -> None:
    assert said.quieter(trial) == pytest.approx(4, rel=0.25)
    assert said.noise(trial) == pytest.approx(SPREAD, rel=0.1)
    assert math.isnan(said.quieter(noticed.Trial({"null": []})))


def test_numbers_have_their_runs(trial: noticed.Trial) -> None:
    found = said.numbers_of(trial, DOSES)
    assert found["null-seeds"].text == "8" and found["seeds"].text == "3"
    assert said.numbers_of(noticed.Trial({"null": []}), DOSES)["noise"].text == "not run yet"


def test_two_gauges_that_must_both_move_stay_quiet_where_one_does(
    found: dict[str, list[Any]],
) -> None:
    one_only = [run(seed, 9, 0.0) for seed in range(3)]
    for each in one_only:
        each.record.generations.loc[1:, "test_perplexity"] *= 1.3
    trial = noticed.Trial({**found, "written 0.1": one_only})
    alarm = trial.set_to(noticed.both())
    assert trial.delay(alarm, "written 0.1").mean > 6  # and where both move:
    assert trial.delay(alarm, "written 0.25").mean <= 2
