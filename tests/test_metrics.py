"""Measures against values computed by hand or by scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from collapse import metrics


def test_perplexity_of_a_uniform_choice_is_the_number_of_choices() -> None:
    assert metrics.perplexity(np.full((3, 5), math.log(7), np.float32)) == pytest.approx(7)


def test_perplexity_weighs_tokens_and_not_sequences() -> None:
    short, long = [math.log(2)], [math.log(16)] * 3
    by_hand = (2 * 16 * 16 * 16) ** (1 / 4)
    assert metrics.perplexity(np.array(short + long)) == pytest.approx(by_hand)
    assert by_hand != pytest.approx((2 + 16) / 2)


def test_perplexity_adds_up_many_small_losses_in_double_precision() -> None:
    assert metrics.perplexity(np.full(10**6, 0.1, np.float32)) == pytest.approx(math.exp(0.1))


def test_the_bootstrap_interval_covers_the_truth_in_about_95_of_100_cases(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics, "RESAMPLES", 300)
    random = np.random.default_rng(0)
    truth, cases, covered = math.exp(3.0), 200, 0
    for case in range(cases):
        low, high = metrics.perplexity_interval(random.normal(3.0, 0.5, 60), seed=case)
        assert low < high
        covered += low <= truth <= high
    # A percentile interval of 60 values covers about 0.94, so hits ~ Binomial(200, 0.94): mean
    # 188, standard deviation sqrt(200 * 0.94 * 0.06) = 3.4. Four of these either way: 175 to 200.
    # An interval at 99 % would give 198 of 200 and must be told apart: hence not above 197.
    assert 175 <= covered <= 197


def test_the_bootstrap_interval_is_reproducible_and_needs_two_sequences() -> None:
    values = np.random.default_rng(1).normal(3, 1, 40)
    assert metrics.perplexity_interval(values, 5) == metrics.perplexity_interval(values, 5)
    assert metrics.perplexity_interval(values, 5) != metrics.perplexity_interval(values, 6)
    assert all(math.isnan(end) for end in metrics.perplexity_interval(values[:1]))


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_interval_over_seeds_is_students(seeds: int) -> None:
    values = np.random.default_rng(seeds).normal(1.5, 0.2, seeds)
    expected = stats.t.interval(0.95, seeds - 1, loc=values.mean(), scale=stats.sem(values))
    assert metrics.seed_interval(values) == pytest.approx(expected)


def test_one_seed_has_no_interval() -> None:
    assert all(math.isnan(end) for end in metrics.seed_interval(np.array([1.2])))


def test_bits_per_byte_by_hand() -> None:
    token_bytes = np.array([0, 1, 3])
    targets = np.array([[1, 2], [0, 2]])  # 1 + 3 + 0 + 3 = 7 bytes
    nll = np.log(2) * np.array([[2.0, 4.0], [1.0, 7.0]])  # 14 bits
    assert metrics.bits_per_byte(nll, targets, token_bytes) == pytest.approx(2.0)


def test_nats_become_bits() -> None:
    assert metrics.bits(np.log([2.0, 8.0])) == pytest.approx(2.0)


def test_counts_cover_the_whole_vocabulary() -> None:
    found = metrics.counts(np.array([[1, 1], [3, 0]]), 6)
    assert found.tolist() == [1, 2, 0, 1, 0, 0]
    assert found.dtype == np.int32


def test_unigram_entropy_of_a_uniform_text_is_the_logarithm_of_its_types() -> None:
    assert metrics.unigram_entropy(np.array([5] * 12 + [0] * 9)) == pytest.approx(math.log2(12))
    assert metrics.unigram_entropy(np.array([0, 40, 0])) == 0


def test_unigram_entropy_agrees_with_scipy_on_a_geometric_text() -> None:
    counts = np.array([2**k for k in range(12)])
    assert metrics.unigram_entropy(counts) == pytest.approx(stats.entropy(counts, base=2))


def test_distinct_tokens_are_counted_at_a_given_length() -> None:
    tokens = np.array([[4, 4, 1], [1, 2, 3]])
    assert metrics.distinct_tokens(tokens, 4) == 2
    assert metrics.distinct_tokens(tokens, 6) == 4
    with pytest.raises(ValueError, match="6 tokens are fewer than the length 7"):
        metrics.distinct_tokens(tokens, 7)


def test_tails_exclude_the_threshold_itself() -> None:
    values = np.array([1.0, 2.0, 2.0, 5.0])
    assert metrics.share_above(values, 2.0) == 0.25
    assert metrics.share_below(values, 2.0) == 0.25


def test_the_share_interval_is_wilson_s() -> None:
    share, count, z = 0.04, 250, stats.norm.ppf(0.975)
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = share * (1 - share) / count + z**2 / (4 * count**2)
    half = z / (1 + z**2 / count) * spread**0.5
    assert metrics.share_interval(share, count) == pytest.approx((centre - half, centre + half))
