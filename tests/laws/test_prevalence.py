"""The correction for an instrument that errs, against arithmetic, simulation and search."""

import itertools

import numpy as np
import pytest

from collapse.laws import prevalence


def test_what_is_said_is_undone_exactly() -> None:
    for share, s, f in itertools.product((0.0, 0.2, 0.9), (0.7, 0.99), (0.0, 0.1)):
        said = share * s + (1 - share) * f  # the law of total probability
        assert prevalence.corrected(said, s, f) == pytest.approx(share)


def test_the_first_crossing_of_a_half_is_none_once_corrected() -> None:
    """Worked out by hand: (0.503 - 0.042) ÷ (0.994 - 0.042)."""
    assert prevalence.corrected(0.503, 0.994, 0.042) == pytest.approx(0.461 / 0.952)


def test_an_instrument_that_tells_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sensitivity=0\.1 is not above false_alarms=0\.1"):
        prevalence.corrected(0.3, 0.1, 0.1)


def test_wilson_s_interval_solves_his_equation() -> None:
    """Its ends are the shares p at which |k/n - p| is 1.96 standard errors of p."""
    for k, n in ((6, 17), (15, 46), (21, 46), (10, 250)):
        low, high = prevalence.wilson((k, n))
        assert low < k / n < high
        for end in (low, high):
            assert abs(k / n - end) == pytest.approx(1.959964 * (end * (1 - end) / n) ** 0.5)


@pytest.mark.parametrize(
    ("share", "s", "f", "sizes"),
    [(0.5, 0.95, 0.05, (300, 400, 500)), (0.1, 0.9, 0.02, (1000, 200, 300))],
)
def test_the_interval_holds_the_share_in_19_of_20_worlds(
    share: float, s: float, f: float, sizes: tuple[int, int, int]
) -> None:
    random = np.random.default_rng(0)
    rates = (share * s + (1 - share) * f, s, f)
    worlds, held = 600, 0
    for _ in range(worlds):
        counts = [(int(random.binomial(n, p)), n) for n, p in zip(sizes, rates, strict=True)]
        _, low, high = prevalence.interval(*counts, draws=1000)
        held += low <= share <= high
    error = (0.95 * 0.05 / worlds) ** 0.5
    assert 0.95 - 3 * error < held / worlds < 0.95 + 3 * error


def test_with_known_rates_the_interval_is_that_of_what_is_said() -> None:
    many = 10**9
    _, low, high = prevalence.interval((300, 1000), (many, many), (0, many), draws=100_000)
    assert (low, high) == pytest.approx(prevalence.wilson((300, 1000)), abs=0.001)


def test_the_ends_of_a_region_are_the_ends_of_a_search() -> None:
    grid = [prevalence.corrected(0.503, s, f)
            for s in np.linspace(0.7, 0.99, 30) for f in np.linspace(0.01, 0.1, 30)]  # fmt: skip
    found = prevalence.region(0.503, (0.7, 0.99), (0.01, 0.1))
    assert found == pytest.approx((min(grid), max(grid)))
