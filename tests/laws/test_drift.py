"""Simulators against closed forms, within bounds that follow from the number of chains.

A mean of R independent values lies within five standard errors of its expectation but for one time
in two million. Every such test is also run with a twin that is slightly wrong, and must fail there.
"""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from collapse.laws import drift


def agrees(values: np.ndarray, expected: float) -> bool:
    """Whether independent values have a mean within five standard errors of what is expected."""
    return abs(values.mean() - expected) < 5 * values.std(ddof=1) / math.sqrt(len(values))


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


# -- discrete --------------------------------------------------------------------------------


def test_the_loss_of_one_step_is_that_of_missing_every_draw(random: np.random.Generator) -> None:
    shares = drift.resample_one(0.01, 100, 1, 10**6, random)
    missing = (shares[1] == 0).astype(float)
    assert agrees(missing, drift.lost_at_once(0.01, 100))
    assert not agrees(missing, drift.lost_at_once(0.01, 101))
    assert drift.lost_at_once(0.01, 100) == pytest.approx(0.99**100)


def test_in_the_end_a_kind_is_lost_with_one_minus_its_share(random: np.random.Generator) -> None:
    shares = drift.resample_one(0.1, 20, 400, 50_000, random)  # 20 half-lives: all are decided
    assert set(np.unique(shares[-1])) == {0.0, 1.0}
    lost = (shares[-1] == 0).astype(float)
    assert agrees(lost, drift.lost_in_the_end(0.1))
    assert not agrees(lost, drift.lost_at_once(0.1, 20))  # 0.12: another question


def test_diversity_decays_by_one_over_the_draws(random: np.random.Generator) -> None:
    start = np.array([0.5, 0.3, 0.15, 0.05])
    chains = drift.resample(np.tile(start, (10**5, 1)), 30, 12, random)
    for generation in (1, 5, 12):
        differ = 1 - np.square(chains[generation]).sum(1)  # the probability that two draws do
        law = (1 - 1 / 30) ** generation * (1 - np.square(start).sum())  # of heterozygosity
        assert agrees(differ, law)
        # The unbiased estimate of a sample's diversity, M/(M-1) times this, does not decay so.
        assert not agrees(differ * 30 / 29, law)


def test_shares_are_a_martingale_and_sum_to_one(random: np.random.Generator) -> None:
    start = np.array([0.7, 0.2, 0.1])
    chains = drift.resample(np.tile(start, (10**5, 1)), 10, 5, random)
    np.testing.assert_allclose(chains.sum(-1), 1.0)
    for kind in range(3):
        assert agrees(chains[5, :, kind], start[kind])


def test_the_law_of_counts_is_that_of_enumerated_paths() -> None:
    # Three draws, two generations, from one copy: all paths by hand.
    def step(i: int, j: int) -> float:
        return math.comb(3, j) * (i / 3) ** j * (1 - i / 3) ** (3 - j)

    law = drift.counts_law(1, 3, 2)
    for end in range(4):
        assert law[2, end] == pytest.approx(sum(step(1, k) * step(k, end) for k in range(4)))


def test_the_law_of_counts_is_met_by_the_simulator(random: np.random.Generator) -> None:
    law = drift.counts_law(10, 100, 60)
    shares = drift.resample_one(0.1, 100, 60, 10**5, random)
    for generation in (10, 60):
        assert agrees((shares[generation] == 0).astype(float), law[generation, 0])
        assert agrees(shares[generation], law[generation] @ np.arange(101) / 100)


def test_rare_kinds_die_out_like_branching_lines(random: np.random.Generator) -> None:
    law = drift.lost_by(np.array([1, 3]), 10)
    assert law[0].tolist() == [0.0, 0.0] and law[1, 0] == pytest.approx(math.exp(-1))
    draws = 10**6  # so many that the limit's error, about 1/draws, is far below the bound
    for position, count in enumerate((1, 3)):
        shares = drift.resample_one(count / draws, draws, 10, 10**5, random)
        for generation in (1, 4, 10):
            assert agrees((shares[generation] == 0).astype(float), law[generation, position])
    assert np.all(np.diff(law, axis=0) > 0)


# -- Gaussians -------------------------------------------------------------------------------


def test_refitting_is_fitting_drawn_points(random: np.random.Generator) -> None:
    # The simulator draws no points; here they are drawn, and both are compared.
    draws, chains = 7, 40_000
    means, variances = np.zeros(chains), np.ones(chains)
    for _ in range(3):
        points = means + np.sqrt(variances) * random.standard_normal((draws, chains))
        means, variances = points.mean(0), points.var(0, ddof=1)
    found_means, found_variances = drift.refit(draws, 3, chains, random)
    assert stats.ks_2samp(means, found_means[3]).pvalue > 1e-4
    assert stats.ks_2samp(variances, found_variances[3]).pvalue > 1e-4
    _, twins = drift.refit(draws, 3, chains, random, biased=True)
    assert stats.ks_2samp(variances, twins[3]).pvalue < 1e-12


@pytest.mark.parametrize("biased", [False, True])
def test_the_mean_variance_stays_or_falls_as_the_estimator_has_it(
    random: np.random.Generator, biased: bool
) -> None:
    _, variances = drift.refit(20, 10, 200_000, random, biased)
    for generation in (1, 4, 10):
        assert agrees(variances[generation], float(drift.mean_variance(20, generation, biased)))
        twin = float(drift.mean_variance(20, generation, not biased))
        assert not agrees(variances[generation], twin)


def test_the_median_variance_halves_in_its_half_life(random: np.random.Generator) -> None:
    draws, chains = 40, 10**5
    generation = round(drift.half_life(draws))
    _, variances = drift.refit(draws, generation, chains, random)
    median = np.median(variances[generation])
    assert median == pytest.approx(drift.median_variance(draws, generation), rel=0.03)
    assert median == pytest.approx(0.5, rel=0.03)
    # The logarithm has a mean in closed form, to which the median of its sum is close.
    k = draws - 1
    log_mean = (
        generation * (integrate.quad(lambda x: math.log(x / k) * stats.chi2.pdf(x, k), 0, 400)[0])
    )
    assert agrees(np.log(variances[generation]), log_mean)


@pytest.mark.parametrize("draws", [5, 50])
def test_the_distance_grows_by_its_law(random: np.random.Generator, draws: int) -> None:
    means, variances = drift.refit(draws, 12, 200_000, random)
    twin_means, twins = drift.refit(draws, 12, 200_000, random, biased=True)
    for generation in (1, 3, 12):
        expected = float(drift.expected_distance(draws, generation))
        assert agrees(drift.distance(means[generation], variances[generation]), expected)
    # The bias is of second order at first, and unmistakable after twelve rounds.
    assert not agrees(drift.distance(twin_means[12], twins[12]), expected)


def test_the_distance_begins_as_the_paper_s_supplement_says() -> None:
    assert drift.expected_distance(10**4, 5) == pytest.approx(1.5 * 5 / 10**4, rel=1e-3)


def test_the_distance_is_that_of_quantile_functions() -> None:
    mean, variance = 0.7, 2.3
    expected, _ = integrate.quad(
        lambda u: (mean + variance**0.5 * stats.norm.ppf(u) - stats.norm.ppf(u)) ** 2, 0, 1
    )
    found = drift.distance(np.array([mean]), np.array([variance]))
    assert found[0] == pytest.approx(expected, rel=1e-6)


# -- keeping, adding, choosing ---------------------------------------------------------------


def test_accumulated_means_vary_by_a_sum_of_inverse_squares(random: np.random.Generator) -> None:
    means = drift.accumulate(10, 50, 10**5, random)
    for generation in (1, 2, 50):
        expected = drift.accumulated_variance(10, generation)
        assert agrees(np.square(means[generation]), expected)
        assert not agrees(np.square(means[generation]), generation / 10) or generation == 1
    assert drift.accumulated_variance(10, 10**5) == pytest.approx(math.pi**2 / 60, rel=1e-4)


@pytest.mark.parametrize("human", [0.0, 0.1, 0.5, 1.0])
def test_mixed_means_vary_by_a_geometric_sum(random: np.random.Generator, human: float) -> None:
    means = drift.mix(human, 10, 40, 10**5, random)
    for generation in (1, 5, 40):
        expected = float(drift.mixed_variance(human, 10, generation))
        assert agrees(np.square(means[generation]), expected)
    by_hand = sum((1 - human) ** (2 * i) for i in range(40)) / 10
    assert drift.mixed_variance(human, 10, 40) == pytest.approx(by_hand)


def test_mixed_means_settle_unless_nothing_is_human() -> None:
    assert drift.mixed_variance(0.1, 10) == pytest.approx(drift.mixed_variance(0.1, 10, 500))
    assert drift.mixed_variance(0.0, 10) == math.inf


@pytest.mark.parametrize("before", [0.0, 0.5, 1.0, 7.0])
def test_the_best_weight_is_at_least_one_half(before: float) -> None:
    found = optimize.minimize_scalar(
        lambda w: drift.weighed_variance(w, before), bounds=(0, 1), method="bounded"
    )
    assert (1 + before) / (2 + before) == pytest.approx(found.x, abs=1e-5)


def test_a_chain_settles_best_at_one_over_the_golden_ratio() -> None:
    found = optimize.minimize_scalar(drift.weighed_variance, bounds=(0.1, 1), method="bounded")
    assert found.x == pytest.approx(2 / (1 + math.sqrt(5)), abs=1e-5)
    assert found.fun == pytest.approx(drift.GOLDEN, abs=1e-9)
    assert (1 + found.fun) / (2 + found.fun) == pytest.approx(found.x, abs=1e-5)


@pytest.mark.parametrize("weight", [0.2, drift.GOLDEN, 0.9])
def test_simulated_chains_settle_where_the_law_says(weight: float) -> None:
    chains = 4000
    found = 5 * drift.weigh(weight, 5, 40, chains, np.random.default_rng(2)) ** 2
    error = found.std(ddof=1) / math.sqrt(chains)
    assert abs(found.mean() - drift.weighed_variance(weight)) < 4 * error
    # After one round only it would be less; near a weight of 1 by next to nothing.
    assert not agrees(found, drift.weighed_variance(weight, 0.0)) or weight == 0.9


@pytest.mark.parametrize(("kept", "drawn"), [(1, 2), (3, 10), (10, 10)])
def test_selection_shrinks_by_its_factor(
    random: np.random.Generator, kept: int, drawn: int
) -> None:
    variances = drift.select(kept, drawn, 2, 10**5, random)
    factor = drift.selected_variance(kept, drawn)
    assert agrees(variances[1], factor)
    assert agrees(variances[2], factor**2)
    assert not agrees(variances[1], 1.05 * factor)


def test_keeping_everything_selects_nothing_and_the_nearer_of_two_is_known() -> None:
    assert drift.selected_variance(7, 7) == pytest.approx(1.0)
    # E min(z1^2, z2^2) = 1 - 2/pi, by rotation to z1 - z2 and z1 + z2.
    assert drift.selected_variance(1, 2) == pytest.approx(1 - 2 / math.pi)


def test_selection_among_many_is_that_of_a_truncated_normal() -> None:
    edge = stats.norm.ppf(0.75)  # the nearest half of very many
    expected = stats.truncnorm(-edge, edge).var()
    found = [drift.selected_variance(n // 2, n) for n in (20, 200, 2000)]
    errors = [abs(value - expected) for value in found]
    assert all(one > two for one, two in itertools.pairwise(errors))
    assert found[-1] == pytest.approx(expected, rel=2e-3)
