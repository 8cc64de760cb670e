"""Charts against closed forms, other formulas and simulation."""

import math

import numpy as np
import pytest
from scipy import stats

import would_you_have_noticed_charts as alarms
from collapse.measure.alarms import sign_evidence

RANDOM = np.random.default_rng(0)


def run_length_of_cusum(limit: float, shift: float, states: int = 400) -> float:
    """Average run length of the CUSUM with reference 0.5, by a Markov chain (Brook, Evans 1972)."""
    width = 2 * limit / (2 * states - 1)
    middles = np.arange(states) * width
    upper = middles[None, :] + width / 2 - middles[:, None] + 0.5 - shift
    below = stats.norm.cdf(upper)
    moves = np.diff(below, axis=1, prepend=0.0)  # state 0 takes all below
    return float(np.linalg.solve(np.eye(states) - moves, np.ones(states))[0])


def mean_gap(chart: alarms.Chart, limit: float, shift: float, steps: int) -> float:
    rings = alarms.alarms(RANDOM.normal(shift, 1, (steps // 100, 100)), chart, limit)
    return rings.size / rings.sum()


@pytest.mark.parametrize(("limit", "shift"), [(4, 0), (4, 1), (5, 1), (4, 2)])
def test_run_lengths_of_the_cusum_are_those_of_its_markov_chain(limit: float, shift: float) -> None:
    steps = 1_000_000 if shift == 0 else 100_000
    assert mean_gap(alarms.cusum, limit, shift, steps) == pytest.approx(
        run_length_of_cusum(limit, shift), rel=0.1
    )


def test_the_markov_chain_gives_the_published_run_lengths() -> None:
    # Montgomery, Introduction to Statistical Quality Control, tables of the one-sided chart.
    assert run_length_of_cusum(4, 0) == pytest.approx(336, rel=0.03)
    assert run_length_of_cusum(5, 0) == pytest.approx(930, rel=0.03)
    assert run_length_of_cusum(4, 1) == pytest.approx(8.38, rel=0.03)


def test_shewharts_chart_rings_as_often_as_the_normal_tail() -> None:
    assert mean_gap(alarms.shewhart, 2, 0, 200_000) == pytest.approx(1 / stats.norm.sf(2), rel=0.06)


def test_the_ewma_has_a_standard_deviation_of_one_at_each_step() -> None:
    many = alarms.statistic(RANDOM.normal(size=(12, 4000)), alarms.ewma)
    assert np.std(many, axis=1) == pytest.approx(np.ones(12), rel=0.05)
    weights = 0.2 * 0.8 ** np.arange(3)[::-1]  # of three changes, written out
    changes = np.array([1.0, -2.0, 3.0])
    expected = weights @ changes / math.sqrt((weights**2).sum())
    assert alarms.statistic(changes, alarms.ewma)[-1] == pytest.approx(expected)


def test_a_chart_starts_anew_after_it_rang() -> None:
    changes = np.full(6, 1.5)  # adds 1 a step
    assert alarms.alarms(changes, alarms.cusum, 3).tolist() == [False, False, True] * 2
    assert not alarms.alarms(changes, alarms.cusum, 100).any()


@pytest.mark.parametrize("chart", [alarms.shewhart, alarms.cusum, alarms.ewma])
def test_a_limit_keeps_its_rate_and_a_lower_one_does_not(chart: alarms.Chart) -> None:
    series = RANDOM.normal(size=(2000, 4))
    limit = alarms.limit_for(series, chart, 0.02)

    def rate(at: float) -> float:  # each series by itself
        return float(np.mean([alarms.alarms(one, chart, at).mean() for one in series.T]))

    assert rate(limit) <= 0.02 < rate(limit * 0.97) + 0.001
    assert rate(0.8 * limit) > 0.02
    limits = np.array([limit, 2.0])
    by_limit = [[alarms.alarms(one, chart, at).mean() for one in series.T] for at in limits]
    assert np.array_equal(alarms.rates(series, chart, limits), by_limit)


def test_an_e_detector_rings_for_nothing_no_more_often_than_it_promises() -> None:
    evidence = sign_evidence(RANDOM.binomial(30, 0.5, 30_000), 30)
    rings = alarms.alarms(evidence, alarms.e_detector, math.log(50))
    assert rings.mean() <= 1 / 50
    # By its definition: the sum over beginnings of the product since then.
    first = evidence[:8]
    sums = [sum(math.exp(first[start : n + 1].sum()) for start in range(n + 1)) for n in range(8)]
    assert alarms.statistic(first, alarms.e_detector) == pytest.approx(np.log(sums))


def test_hotelling_is_the_squared_length_after_whitening() -> None:
    mixing = np.array([[1.0, 0.0, 0.0], [0.5, 2.0, 0.0], [0.3, 0.1, 0.7]])
    reference = RANDOM.normal(size=(200, 3)) @ mixing.T
    reference -= reference.mean(0)
    changes = RANDOM.normal(size=(5, 3))
    whitened = np.linalg.solve(np.linalg.cholesky(np.cov(reference.T, bias=True)), changes.T)
    assert alarms.hotelling(changes, reference) == pytest.approx((whitened**2).sum(0))
