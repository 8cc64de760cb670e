"""Arithmetic of printed numbers: against sums by hand, and with an input that flips each."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import every_claim_arithmetic as arithmetic
from collapse.measure.verdicts import AGREES, DISAGREES


@given(st.floats(0.1, 1e6), st.floats(-0.5, 2), st.integers(1, 12))
def test_a_rate_grows_to_what_it_is_taken_from(first: float, rate: float, years: int) -> None:
    last = first * math.prod([1 + rate] * years)
    assert arithmetic.yearly_growth(first, last, years) == pytest.approx(rate, abs=1e-9)


@given(st.integers(1, 300), st.integers(0, 1))
def test_counts_are_found_from_what_is_printed_of_them(of: int, digits: int) -> None:
    printed = [float(f"{100 * count / of + 1e-9:.{digits}f}") for count in range(of + 1)]
    for percent in set(printed):
        found = arithmetic.counts_printed_as(percent, of, digits)
        assert found == [count for count, one in enumerate(printed) if one == percent]


def test_some_percentages_are_no_share_of_few() -> None:
    assert arithmetic.counts_printed_as(33, 46) == [15]
    assert arithmetic.counts_printed_as(46, 46) == [21]
    assert arithmetic.counts_printed_as(34, 46) == []  # between 15 and 16 of 46
    assert arithmetic.counts_printed_as(50, 2) == [1]


def test_months_are_counted_with_both_ends() -> None:
    assert arithmetic.months((2020, 1), (2020, 1)) == 1
    assert arithmetic.months((2020, 1), (2025, 5)) == 65


def test_an_effective_number_of_words_halves_with_a_bit() -> None:
    assert arithmetic.effective(4, 3) == 0.5
    assert arithmetic.effective(math.log2(50), math.log2(10)) == pytest.approx(0.2)


WRONG = {  # id -> verdict on what is printed, and other numbers that flip it
    "0-13": (DISAGREES, {"after": 3.2}),
    "0-7": (AGREES, {"said": 5}),
    "1-7": (DISAGREES, {"printed": (28.0, 8.5)}),
    "1-8": (DISAGREES, {"slopes": (1.2, 1.65, 3.3, 3.5)}),
    "1-14": (DISAGREES, {"years": 5}),
    "1-19": (DISAGREES, {"expected": (2026, 9)}),
}


@pytest.mark.parametrize("name", arithmetic.CHECKS)
def test_every_verdict_is_flipped_by_another_number(name: str) -> None:
    verdict, change = WRONG[name]
    _, check = arithmetic.CHECKS[name]
    assert check().verdict == verdict
    assert check(**change).verdict == ({AGREES, DISAGREES} - {verdict}).pop()  # type: ignore[call-arg]


def test_every_check_has_a_number_that_flips_it() -> None:
    assert set(WRONG) == set(arithmetic.CHECKS)


def test_the_market_s_rate_compounds_to_its_last_sum() -> None:
    told = float(arithmetic.market().computed.split(" %")[0]) / 100
    assert 7.8 * (1 + told) ** 4 == pytest.approx(21.9, rel=0.03)
