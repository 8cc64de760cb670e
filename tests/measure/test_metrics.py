"""Measures against values computed by hand or by scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from collapse.measure import metrics


def test_perplexity_of_a_uniform_choice_is_the_number_of_choices() -> None:
    assert metrics.perplexity(np.full((3, 5), math.log(7), np.float32)) == pytest.approx(7)


def test_perplexity_weighs_tokens_and_not_sequences() -> None:
    short, long = [math.log(2)], [math.log(16)] * 3
    by_hand = (2 * 16 * 16 * 16) ** (1 / 4)
    assert metrics.perplexity(np.array(short + long)) == pytest.approx(by_hand)
    assert by_hand != pytest.approx((2 + 16) / 2)


def test_perplexity_adds_up_many_small_losses_in_double_precision() -> None:
    assert metrics.perplexity(np.full(10**6, 0.1, np.float32)) == pytest.approx(math.exp(0.1))


def test_one_value_has_no_interval() -> None:
    assert math.isnan(metrics.quantile(0))


@pytest.mark.parametrize("sizes", [[1] * 30, [3] * 10, [6] * 5])
def test_the_jackknife_of_a_mean_is_the_classical_error_of_its_groups(sizes: list[int]) -> None:
    values = np.random.default_rng(0).normal(5, 2, 30)
    groups = np.split(values, np.cumsum(sizes)[:-1])
    without = np.array(
        [np.concatenate(groups[:i] + groups[i + 1 :]).mean() for i in range(len(groups))]
    )
    means = [group.mean() for group in groups]
    found = metrics.jackknife_error(values.mean(), without, np.array(sizes))
    assert found == pytest.approx(stats.sem(means))


def test_the_jackknife_of_unequal_groups_is_right_on_average() -> None:
    random, sizes = np.random.default_rng(1), np.array([1, 5, 9, 2, 3, 10, 7, 4, 6, 3])
    found = []
    for _ in range(2000):
        groups = np.split(random.normal(5, 2, sizes.sum()), np.cumsum(sizes)[:-1])
        sums = np.array([group.sum() for group in groups])
        without = (sums.sum() - sums) / (sizes.sum() - sizes)
        found.append(metrics.jackknife_error(sums.sum() / sizes.sum(), without, sizes) ** 2)
    # A variance with 9 degrees of freedom has a relative error of sqrt(2 / 9); four of these of
    # the mean of 2000 are 0.042, and the groups weigh unequally.
    assert np.mean(found) == pytest.approx(4 / sizes.sum(), rel=0.08)
    assert math.isnan(metrics.jackknife_error(1.0, np.array([1.0]), np.array([5])))


def test_the_error_of_a_number_of_kinds_is_that_of_the_formula_by_hand() -> None:
    incidence = np.array([0, 0, 1, 1, 1, 1, 2, 2, 5, 9])  # 4 once, 2 twice, 8 of 10 blocks seen
    missed = 0.9 * 16 / 4
    new = missed * (1 - (1 - 4 / (10 * missed + 4)) ** 10)
    assert metrics.kinds_error(incidence, 10) == pytest.approx(math.sqrt(new))
    assert metrics.kinds_error(np.array([3, 4]), 10) == 0  # there are no others
    assert metrics.kinds_error(np.array([1, 4]), 10) == 0  # one seen once says nothing of others


@pytest.mark.parametrize("blocks", [20, 60, 200])
def test_the_error_of_a_number_of_kinds_is_what_texts_differ_by(blocks: int) -> None:
    random = np.random.default_rng(blocks)
    chances = random.beta(0.3, 20, 900)  # of each kind to occur in a block
    told, numbers = [], []
    for _ in range(300):
        incidence = random.binomial(blocks, chances)
        told.append(metrics.kinds_error(incidence, blocks))
        numbers.append(np.count_nonzero(incidence))
    exact = math.sqrt((((1 - chances) ** blocks) * (1 - (1 - chances) ** blocks)).sum())
    assert np.std(numbers, ddof=1) == pytest.approx(exact, rel=0.16)  # four standard errors
    assert np.mean(told) == pytest.approx(exact, rel=0.15)


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


# -- estimators on distributions whose entropy is known ---------------------------------------


def sampled(shares: np.ndarray, length: int, samples: int = 200) -> np.ndarray:
    """Counts of independent samples, (samples, kinds)."""
    return np.random.default_rng(0).multinomial(length, shares, samples)


def zipf(kinds: int) -> np.ndarray:
    shares = 1 / np.arange(1, kinds + 1)
    return shares / shares.sum()


KNOWN = {  # shares, and the entropy in bits in closed form
    "uniform": (np.full(64, 1 / 64), 6.0),
    "geometric": (
        0.25 * 0.75 ** np.arange(200), -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25)) / 0.25
    ),
    "zipf": (zipf(200), float(stats.entropy(zipf(200), base=2))),
}  # fmt: skip


def close(values: np.ndarray, expected: float, also: float = 0.0) -> bool:
    """Whether a mean is within five standard errors, and `also`, of what is expected."""
    error = 5 * values.std(ddof=1) / math.sqrt(len(values)) + also
    return abs(values.mean() - expected) < error


@pytest.mark.parametrize("name", KNOWN)
def test_the_plug_in_s_bias_is_miller_s_and_miller_madow_removes_it(name: str) -> None:
    shares, entropy = KNOWN[name]
    length = 5000  # long, so that the next term of the bias, of order 1/N^2, is small
    drawn = sampled(shares, length, 2000)
    plain = np.array([metrics.unigram_entropy(row) for row in drawn])
    mended = np.array([metrics.miller_madow(row) for row in drawn])
    present = np.count_nonzero(drawn, axis=1).mean()
    assert close(plain, entropy - (present - 1) / (2 * length * math.log(2)), also=2e-3)
    assert close(mended, entropy, also=2e-3)
    assert not close(plain, entropy)


@pytest.mark.parametrize("name", KNOWN)
def test_chao_and_shen_s_estimator_converges_from_few_draws_on(name: str) -> None:
    shares, entropy = KNOWN[name]
    errors = {}
    for length in (60, 600, 60_000):
        drawn = sampled(shares, length)
        found = np.array([metrics.chao_shen(row) for row in drawn])
        plain = np.array([metrics.unigram_entropy(row) for row in drawn])
        errors[length] = abs(found.mean() - entropy)
        if length == 60:
            assert errors[length] < abs(plain.mean() - entropy)
    assert errors[60_000] < 0.01


@pytest.mark.parametrize(
    ("length", "expected"),
    [(500, (7.43, 7.87, 8.48)), (10_000, (9.33, 9.57, 9.90)), (50_000, (9.85, 9.99, 10.24))],
)
def test_estimates_on_a_large_zipf_law_are_those_of_an_earlier_computation(
    length: int, expected: tuple[float, float, float]
) -> None:
    # Values of a separate program, written for a review of estimators; the true entropy is 10.13.
    assert stats.entropy(zipf(20_000), base=2) == pytest.approx(10.13, abs=0.01)
    drawn = sampled(zipf(20_000), length, 40)
    for estimate, value in zip(
        (metrics.unigram_entropy, metrics.miller_madow, metrics.chao_shen), expected, strict=True
    ):
        assert np.mean([estimate(row) for row in drawn]) == pytest.approx(value, abs=0.06)


def test_an_estimate_where_nothing_occurs_twice_is_finite() -> None:
    assert math.isfinite(metrics.chao_shen(np.ones(10, int)))
    assert metrics.chao_shen(np.array([7])) == pytest.approx(0.0, abs=1e-9)


def test_conditional_entropy_of_a_chain_is_that_of_its_transitions() -> None:
    # A chain on three letters whose next letter depends on the last alone.
    steps = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.0, 0.5, 0.5]])
    random, rows = np.random.default_rng(0), np.zeros((4000, 40), int)
    for column in range(1, 40):
        chance = random.random(4000)[:, None]
        rows[:, column] = (steps.cumsum(1)[rows[:, column - 1]] < chance).sum(1)
    last = np.bincount(rows[:, :-1].ravel(), minlength=3) / rows[:, :-1].size
    expected = float(last @ stats.entropy(steps, axis=1, base=2))
    for order in (2, 3):
        whole = np.bincount(metrics.ngrams(rows, order).ravel())
        before = np.bincount(metrics.ngrams(rows, order - 1)[:, :-1].ravel())
        assert metrics.conditional_entropy(whole, before) == pytest.approx(expected, abs=0.01)
    assert metrics.unigram_entropy(np.bincount(rows.ravel())) > expected + 0.2


# -- vocabulary and diversity -----------------------------------------------------------------


def test_rarefied_vocabulary_is_the_mean_of_random_samples() -> None:
    counts = np.array([50, 20, 5, 3, 1, 1, 1, 0])
    tokens, random = np.repeat(np.arange(8), counts), np.random.default_rng(0)
    found = [len(np.unique(random.choice(tokens, 12, replace=False))) for _ in range(4000)]
    assert close(np.array(found, float), metrics.rarefied_vocabulary(counts, 12))
    assert metrics.rarefied_vocabulary(counts, 81) == pytest.approx(7)
    assert metrics.rarefied_vocabulary(counts, 1) == pytest.approx(1)
    with pytest.raises(ValueError, match="81 tokens are fewer"):
        metrics.rarefied_vocabulary(counts, 82)


def test_type_token_ratios_are_counted_stretch_by_stretch() -> None:
    rows = np.random.default_rng(0).integers(0, 9, (3, 30))
    by_hand = [[len(set(row[i : i + 7])) / 7 for i in range(24)] for row in rows.tolist()]
    assert metrics.moving_type_token_ratios(rows, 7) == pytest.approx(np.mean(by_hand, axis=1))
    assert metrics.moving_type_token_ratios(np.arange(60)[None], 50) == 1.0


def test_runs_of_tokens_have_equal_numbers_where_they_are_equal() -> None:
    rows = np.random.default_rng(0).integers(0, 4, (6, 12))
    for order in (1, 2, 3, 4):
        numbers = metrics.ngrams(rows, order)
        runs = [tuple(row[i : i + order]) for row in rows.tolist() for i in range(13 - order)]
        pairs = set(zip(numbers.ravel().tolist(), runs, strict=True))
        assert len(pairs) == len(set(runs)) == len(set(numbers.ravel().tolist()))
    with pytest.raises(ValueError, match="blocks of 12 tokens have no runs of 13"):
        metrics.ngrams(rows, 13)


def test_distinct_n_is_counted_over_all_or_each() -> None:
    rows = np.array([[1, 2, 1, 2, 1], [3, 4, 5, 6, 7]])
    pairs = metrics.ngrams(rows, 2)
    assert metrics.distinct_each(pairs).tolist() == [0.5, 1.0]  # 12 and 21; four different ones
    assert metrics.distinct_pooled(np.bincount(pairs.ravel())) == pytest.approx(6 / 8)
    assert metrics.distinct_pooled(2 * np.bincount(pairs.ravel())) == pytest.approx(6 / 16)


def test_self_bleu_is_the_geometric_mean_of_four_precisions() -> None:
    # Blocks of equal length, so no brevity penalty; each precision is counted by hand.
    rows = np.array([[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 9], [7, 7, 8, 8, 6, 5]])
    shared = [6 / 6, 4 / 5, 3 / 4, 2 / 3]  # of the first: 6 stands in the third block
    assert metrics.self_bleu(rows)[0] == pytest.approx(np.prod(shared) ** 0.25)
    assert metrics.self_bleu(np.repeat(rows[:1], 3, axis=0)).tolist() == [1, 1, 1]
    assert math.isnan(metrics.self_bleu(rows[:1])[0])


def test_a_power_law_s_exponent_is_found() -> None:
    counts = 1e9 * np.arange(1, 3001.0) ** -0.8
    assert metrics.zipf_exponent(counts) == pytest.approx(0.8, abs=1e-6)
    assert math.isnan(metrics.zipf_exponent(counts[:199]))


def test_the_tail_is_what_humans_use_seldom() -> None:
    human = np.array([90, 50, 3, 2, 1, 0, 4])
    rare = metrics.tail(human, mass=0.05)  # 7.5 of 150 tokens: 1 + 2 + 3 fit, 4 more do not
    assert sorted(rare.tolist()) == [2, 3, 4]
    text = np.array([40, 0, 0, 5, 1, 9, 5])
    assert metrics.tail_share(text, rare) == pytest.approx(6 / 60)
    assert len(metrics.tail(human, mass=0.0)) == 0


def test_divergence_is_that_of_entropies() -> None:
    one, two = np.array([5, 3, 2, 0]), np.array([1, 1, 1, 7])
    p, q = one / 10, two / 10
    middle = stats.entropy((p + q) / 2, base=2)
    expected = middle - (stats.entropy(p, base=2) + stats.entropy(q, base=2)) / 2
    assert metrics.divergence(one, two) == pytest.approx(expected)
    assert metrics.divergence(one, one) == 0.0
    assert metrics.divergence(np.array([1, 0]), np.array([0, 1])) == pytest.approx(1.0)
