"""One number a seed: intervals against SciPy and simulation, and the one rule of verdicts."""

import math

import numpy as np
import pytest
from scipy import stats

from collapse.measure import verdicts
from collapse.measure.per_seed import PerSeed, over_seeds, prediction_interval
from collapse.measure.verdicts import Claim, Phrases, Reference


def interval(low: float, high: float) -> PerSeed:
    return PerSeed({0: low, 1: high}, (low + high) / 2, low, high)


def test_ratios_have_student_s_interval_of_their_logarithms() -> None:
    numbers = [1.2, 1.5, 1.9]
    found = over_seeds(dict(enumerate(numbers)), ratio=True)
    expected = stats.t.interval(0.95, 2, np.log(numbers).mean(), stats.sem(np.log(numbers)))
    assert found.mean == pytest.approx(stats.gmean(numbers))
    assert (found.low, found.high) == pytest.approx(tuple(np.exp(expected)))


def test_a_ratio_and_its_inverse_say_the_same() -> None:
    above, below = (over_seeds(dict(enumerate(x))) for x in ([3.0, 3.3, 4.0], [2.0, 2.5, 2.4]))
    one, other = above / below, below / above
    assert (1 / other.mean, 1 / other.high, 1 / other.low) == pytest.approx(
        (one.mean, one.low, one.high)
    )
    assert one.low > 0


def test_values_have_student_s_interval() -> None:
    numbers = [-0.2, 0.1, 0.4]
    found = over_seeds(dict(enumerate(numbers)))
    expected = stats.t.interval(0.95, 2, np.mean(numbers), stats.sem(numbers))
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, *expected))


def test_what_has_no_interval_says_why() -> None:
    assert str(over_seeds({}, True)) == verdicts.rises(over_seeds({}, True)) == "not run yet"
    one = over_seeds({3: 1.5}, ratio=True)
    assert str(one) == "1.50 (one seed, no interval)"
    assert verdicts.rises(one) == "cannot tell"
    gone = over_seeds({0: 0.0, 1: 0.5}, ratio=True)
    assert str(gone) == "0.00 (a seed at 0, no interval)"
    assert verdicts.falls(gone) == "cannot tell"
    assert math.isnan(over_seeds({0: math.nan, 1: 1.0}, ratio=True).mean)


@pytest.mark.parametrize(
    ("low", "high", "rises", "falls", "stays"),
    [
        (1.03, 1.50, "agrees", "disagrees", "disagrees"),
        (0.50, 0.97, "disagrees", "agrees", "disagrees"),
        (0.99, 1.01, "disagrees", "disagrees", "agrees"),
        (0.90, 1.01, "disagrees", "cannot tell", "cannot tell"),
        (1.00, 1.03, "cannot tell", "disagrees", "cannot tell"),
        (0.90, 1.10, *["cannot tell"] * 3),
    ],
)
def test_one_margin_decides_on_every_direction(
    low: float, high: float, rises: str, falls: str, stays: str
) -> None:
    """The case of 1.00 to 1.03 was once called reproduced."""
    measured = interval(low, high)
    found = (verdicts.rises(measured), verdicts.falls(measured), verdicts.stays(measured))
    assert found == (rises, falls, stays)


def test_arms_swapped_flip_the_verdict() -> None:
    above, below = ({0: 3.0, 1: 3.2, 2: 3.1}, {0: 2.0, 1: 2.1, 2: 2.0})
    ratio = over_seeds(above) / over_seeds(below)
    swapped = over_seeds(below) / over_seeds(above)
    assert verdicts.rises(ratio) == verdicts.falls(swapped) == "agrees"
    assert verdicts.rises(swapped) == "disagrees"


def test_a_size_is_widened_by_the_margin() -> None:
    assert verdicts.size(interval(1.38, 1.83), 1.40, 1.82) == "agrees"
    assert verdicts.size(interval(1.30, 1.83), 1.40, 1.82) == "cannot tell"
    assert verdicts.size(interval(1.90, 2.00), 1.40, 1.82) == "disagrees"


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (1.45, 1.7, "agrees"),
        (2.0, 2.2, "same direction"),
        (1.1, 1.2, "same direction"),
        (1.3, 1.5, "same direction"),
        (0.99, 1.01, "disagrees"),
        (0.5, 0.9, "disagrees"),
        (0.9, 1.6, "cannot tell"),
        (math.nan, math.nan, "cannot tell"),
    ],
)
def test_a_verdict_is_on_direction_and_size(low: float, high: float, said: str) -> None:
    measured = PerSeed({0: 1.0}, (low + high) / 2, low, high)
    assert verdicts.beside(measured, Reference(1.4, 1.8, "")) == said


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (1.1, 1.2, "disagrees"),
        (0.9, 1.2, "cannot tell"),
        (0.7, 0.9, "same direction"),
        (0.2, 0.5, "same direction"),
        (0.595, 0.605, "agrees"),
    ],
)
def test_a_verdict_on_a_fall_is_on_direction_and_size(low: float, high: float, said: str) -> None:
    assert verdicts.beside(interval(low, high), Reference(0.6, 0.6, "", -1)) == said


def test_one_function_says_where_an_interval_lies() -> None:
    words = Phrases("below", "within", "above", "across")
    cases = {(0, 1): "below", (2, 3): "within", (2.5, 2.6): "within", (4, 5): "above",
             (1, 2.5): "across", (2.5, 4): "across", (1, 4): "across"}  # fmt: skip
    for (low, high), said in cases.items():
        assert verdicts.judge(interval(low, high), 2, 3, words) == said
    assert verdicts.judge(over_seeds({}), 2, 3, words) == "not run yet"


def test_an_interval_of_another_confidence_is_scipy_s() -> None:
    numbers = [-0.2, 0.1, 0.4]
    found = over_seeds(dict(enumerate(numbers)), confidence=0.9)
    expected = stats.t.interval(0.9, 2, np.mean(numbers), stats.sem(numbers))
    assert (found.low, found.high) == pytest.approx(expected)


def test_a_claim_takes_the_four_verdicts_and_no_other_words() -> None:
    for good in ("agrees", "same direction", "disagrees", "cannot tell", "source not read"):
        assert Claim("", "", "", good).verdict == good
    for bad in ("compatible", "agrees: it rises", "probably agrees", ""):
        with pytest.raises(ValueError, match="none of the verdicts"):
            Claim("", "", "", bad)


def test_one_more_seed_lies_in_the_prediction_interval_at_its_level() -> None:
    random = np.random.default_rng(0)
    for arms in (1, 8):
        inside = 0
        for _ in range(2000):
            drawn = random.normal(5, 2, (arms, 4))
            low, high = prediction_interval(drawn[0, :3], list(drawn[1:, :3]), 0.9)
            inside += low <= drawn[0, 3] <= high
        # Student's interval is exact where the arm stands alone; others may only make it wider.
        kind = "two-sided" if arms == 1 else "less"
        assert stats.binomtest(inside, 2000, 0.9, alternative=kind).pvalue > 1e-4
        assert inside < 1980
    one = np.array([1.0])
    assert all(math.isnan(end) for end in prediction_interval(one, [], 0.9))


def test_arms_that_differ_in_their_spread_are_each_given_their_own() -> None:
    """Variances as unlike as inverse chi-squares of one degree: no kind is told to differ often."""
    random = np.random.default_rng(1)
    inside = {"tight": [], "wide": []}
    for _ in range(400):
        spreads = np.sqrt(1 / random.chisquare(1, 24))
        drawn = random.normal(0, spreads[:, None], (24, 4))
        for index in (int(spreads.argmin()), int(spreads.argmax()), *range(6)):
            others = [drawn[other, :3] for other in range(24) if other != index]
            low, high = prediction_interval(drawn[index, :3], others, 0.9)
            kind = "wide" if spreads[index] > np.median(spreads) else "tight"
            inside[kind].append(low <= drawn[index, 3] <= high)
    assert np.mean(inside["tight"]) >= 0.9
    assert np.mean(inside["wide"]) >= 0.7  # pooled, the widest of 24 would be in less than half
    assert np.mean(inside["tight"] + inside["wide"]) >= 0.85
