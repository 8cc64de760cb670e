"""Shares of machine-written pages, against counting them page by page."""

import math

import numpy as np
import pytest

from collapse.laws import exposure

NEW = [0.36, 0.48, 0.5, 0.5]


@pytest.mark.parametrize(("growth", "half_life"), [(1.0, math.inf), (1.1, math.inf), (1.05, 3.0)])
def test_pages_that_are_counted_one_year_after_the_other(growth: float, half_life: float) -> None:
    before, machine, there = 10, 0.0, 0.0
    expected = []
    for year in range(1 - before, len(NEW) + 1):
        stays, fresh = 0.5 ** (1 / half_life), growth**year
        share = NEW[year - 1] if year > 0 else 0.0
        machine, there = machine * stays + share * fresh, there * stays + fresh
        expected.append(machine / there)
    weight = growth * exposure.halving(half_life)
    assert exposure.pages(NEW, before, weight) == pytest.approx(np.array(expected[before:]))


def test_a_web_that_keeps_nothing_is_what_is_new_and_one_without_a_past_their_mean() -> None:
    assert exposure.pages(NEW, 10, 1e9) == pytest.approx(np.array(NEW), abs=1e-6)
    assert exposure.pages(NEW, 0)[-1] == pytest.approx(np.mean(NEW))


def test_half_of_what_is_new_is_a_tenth_of_what_is_there() -> None:
    """Ten years without, then 0.18, 0.48 and 0.48: worked out by hand, as 1.14 of 13 pages."""
    assert exposure.pages([0.18, 0.48, 0.48], 10)[-1] == pytest.approx(1.14 / 13)


@pytest.mark.parametrize(
    ("new", "before", "weight", "named"),
    [([1.2], 1, 1.0, "1.2"), ([0.2], -1, 1.0, "before=-1"), ([0.2], 1, 0.0, "weight=0.0")],
)
def test_what_is_no_share_or_weighs_nothing_is_refused(
    new: list[float], before: int, weight: float, named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        exposure.pages(new, before, weight)
