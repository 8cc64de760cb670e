"""One number a seed: intervals against SciPy and simulation, and the one rule of verdicts."""

import math

import numpy as np
import pytest
from scipy import stats

from collapse.measure import per_seed
from collapse.measure.per_seed import PerSeed
from collapse.measure.verdicts import Claim, always_falls


def interval(low: float, high: float) -> PerSeed:
    return PerSeed({0: low, 1: high}, (low + high) / 2, low, high)


def test_ratios_have_student_s_interval_of_their_logarithms() -> None:
    numbers = [1.2, 1.5, 1.9]
    found = per_seed.ratios(dict(enumerate(numbers)))
    expected = stats.t.interval(0.95, 2, np.log(numbers).mean(), stats.sem(np.log(numbers)))
    assert found.mean == pytest.approx(stats.gmean(numbers))
    assert (found.low, found.high) == pytest.approx(tuple(np.exp(expected)))


def test_a_ratio_and_its_inverse_say_the_same() -> None:
    above, below = (per_seed.values(dict(enumerate(x))) for x in ([3.0, 3.3, 4.0], [2.0, 2.5, 2.4]))
    one, other = above / below, below / above
    assert (1 / other.mean, 1 / other.high, 1 / other.low) == pytest.approx(
        (one.mean, one.low, one.high)
    )
    assert one.low > 0


def test_values_have_student_s_interval() -> None:
    numbers = [-0.2, 0.1, 0.4]
    found = per_seed.values(dict(enumerate(numbers)))
    expected = stats.t.interval(0.95, 2, np.mean(numbers), stats.sem(numbers))
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, *expected))


def test_what_has_no_interval_says_why() -> None:
    assert str(per_seed.ratios({})) == per_seed.unknown(per_seed.ratios({})) == "not run yet"
    one = per_seed.ratios({3: 1.5})
    assert str(one) == "1.50 (one seed, no interval)"
    assert per_seed.rises(one) == "undecided, one seed gives no interval"
    gone = per_seed.ratios({0: 0.0, 1: 0.5})
    assert str(gone) == "0.00 (a seed at 0, no interval)"
    assert per_seed.falls(gone) == "undecided, a seed at 0 leaves no interval"
    assert math.isnan(per_seed.ratios({0: math.nan, 1: 1.0}).mean)


@pytest.mark.parametrize(
    ("low", "high", "rises", "falls", "stays"),
    [
        (1.03, 1.50, "reproduced", "not reproduced, it rises", "not reproduced, it rises"),
        (0.50, 0.97, "not reproduced, it falls", "reproduced", "not reproduced, it falls"),
        (0.99, 1.01, *["not reproduced, it stays within 2 %"] * 2, "reproduced"),
        (0.90, 1.01, "not reproduced", "undecided", "undecided"),
        (1.00, 1.03, "undecided", "not reproduced", "undecided"),
        (0.90, 1.10, *["undecided"] * 3),
    ],
)
def test_one_margin_decides_on_every_direction(
    low: float, high: float, rises: str, falls: str, stays: str
) -> None:
    """The case of 1.00 to 1.03 was once called reproduced."""
    measured = interval(low, high)
    for found, expected in (
        (per_seed.rises(measured), rises),
        (per_seed.falls(measured), falls),
        (per_seed.stays(measured), stays),
    ):
        assert found.startswith(expected) and (expected != "not reproduced" or found == expected)


def test_arms_swapped_flip_the_verdict() -> None:
    above, below = ({0: 3.0, 1: 3.2, 2: 3.1}, {0: 2.0, 1: 2.1, 2: 2.0})
    ratio = per_seed.values(above) / per_seed.values(below)
    swapped = per_seed.values(below) / per_seed.values(above)
    assert per_seed.rises(ratio) == per_seed.falls(swapped) == "reproduced"
    assert per_seed.rises(swapped).startswith("not reproduced")


def test_a_size_is_widened_by_the_margin() -> None:
    assert per_seed.size(interval(1.38, 1.83), 1.40, 1.82) == "reproduced"
    assert per_seed.size(interval(1.30, 1.83), 1.40, 1.82).startswith("undecided")
    assert per_seed.size(interval(1.90, 2.00), 1.40, 1.82) == "not reproduced"


def test_always_names_where_it_does_not_fall() -> None:
    falls, rises, open_ = interval(0.8, 0.9), interval(1.1, 1.2), interval(0.9, 1.1)
    assert always_falls({"a": falls, "b": falls}) == "reproduced"
    assert always_falls({"a": falls, "b": rises}) == "not reproduced, it does not fall with b"
    assert always_falls({"a": falls, "c": open_}) == "undecided, it may not fall with c"
    assert always_falls({"a": per_seed.ratios({})}) == "not run yet"


def test_a_claim_takes_the_four_verdicts_and_no_other_words() -> None:
    for good in ("reproduced", "direction: reproduced; size: not reproduced, it is more"):
        assert Claim("", "", "", "", good).verdict == good
    for bad in ("compatible", "reproduced: it rises", "probably reproduced", ""):
        with pytest.raises(ValueError, match="none of the verdicts"):
            Claim("", "", "", "", bad)
