"""Charts and e-values, against closed forms, other formulas and simulation."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from collapse.measure import alarms

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


@pytest.mark.parametrize(("worse", "of"), [(0, 1), (1, 1), (7, 10), (3, 10), (140, 256)])
def test_sign_evidence_is_the_mixture_integrated_numerically(worse: int, of: int) -> None:
    def ratio(share: float) -> float:
        return 2 * math.exp(of * math.log(2) + stats.binom.logpmf(worse, of, share)
                            - stats.binom.logpmf(worse, of, 0.5) - of * math.log(2))  # fmt: skip

    expected, _ = integrate.quad(ratio, 0.5, 1)
    assert alarms.sign_evidence(worse, of) == pytest.approx(math.log(expected), abs=1e-8)


def test_no_evidence_without_comparisons() -> None:
    assert alarms.sign_evidence(0, 0) == pytest.approx(0)
    assert alarms.sign_evidence(0, 100_000) < -1000


def test_an_e_value_is_one_on_average_and_less_where_fewer_got_worse() -> None:
    for of in (1, 5, 40):
        s = np.arange(of + 1)
        values = np.exp(alarms.sign_evidence(s, of))
        assert stats.binom.pmf(s, of, 0.5) @ values == pytest.approx(1)
        assert stats.binom.pmf(s, of, 0.4) @ values < 1


def test_looked_at_after_each_step_it_exceeds_20_in_at_most_one_run_of_20() -> None:
    runs, steps = 10_000, 200
    worse = np.cumsum(RANDOM.random((runs, steps)) < 0.5, axis=1)
    highest = alarms.sign_evidence(worse, np.arange(1, steps + 1)).max(1)
    rate = (highest >= math.log(20)).mean()
    assert rate <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)
    # And a test that looked at each step at an ordinary 5 % would not hold (negative control).
    z = (worse - np.arange(1, steps + 1) / 2) / np.sqrt(np.arange(1, steps + 1) / 4)
    assert (z.max(1) > stats.norm.ppf(0.95)).mean() > 0.2


def test_an_e_detector_rings_for_nothing_no_more_often_than_it_promises() -> None:
    evidence = alarms.sign_evidence(RANDOM.binomial(30, 0.5, 30_000), 30)
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
