"""Arithmetic of what press pieces print, for the ledger of claims: no experiment, no source.

A check says what the printed numbers give, and whether that is what is said of them. Its name in
`CHECKS` is the claim's in the ledger.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from collapse.measure import metrics
from collapse.measure.verdicts import AGREES, CANNOT_TELL, DISAGREES


class Checked(NamedTuple):
    """What the numbers give, in words, and one of the verdicts."""

    computed: str
    verdict: str


# -- laws ------------------------------------------------------------------------------------


def yearly_growth(first: float, last: float, years: float) -> float:
    """The rate that makes one number another in so many years: 0.1 for 10 per cent a year."""
    return (last / first) ** (1 / years) - 1


def recounted(rate: float, counted: int, years: int) -> float:
    """The rate over the true number of years, where one was printed that counts others."""
    return (1 + rate) ** (counted / years) - 1


def counts_printed_as(percent: float, of: int, digits: int = 0) -> list[int]:
    """Every count of `of` whose share is printed as this percentage, rounded half up.

    None, where no count is: the percentage cannot be a share of so many.
    """
    step = 10**digits
    return [k for k in range(of + 1) if math.floor(100 * k / of * step + 0.5) / step == percent]


def months(first: tuple[int, int], last: tuple[int, int]) -> int:
    """How many months there are, both ends included; each end is (year, month)."""
    return 12 * (last[0] - first[0]) + last[1] - first[1] + 1


def effective(before: float, after: float) -> float:
    """What a fall of entropy, in bits, leaves of the effective number of words."""
    return float(2 ** (after - before))


def _told(holds: bool) -> str:
    return AGREES if holds else DISAGREES


# -- checks ----------------------------------------------------------------------------------


def articles(of: int = 65_000, last: tuple[int, int] = (2025, 5)) -> Checked:
    """65,000 articles from January 2020 to May 2025: a thousand a month."""
    share = of / months((2020, 1), last)
    return Checked(f"{share:,.0f} a month", _told(share == round(share)))


def halved(before: float = 4.2, after: float = 2.5) -> Checked:
    """Entropy from 4.2 to 2.5 bits a token, and a vocabulary narrowed to half."""
    left = effective(before, after)
    return Checked(f"{left:.0%} of the effective vocabulary", _told(abs(left - 0.5) < 0.05))


def licences(parts: tuple[float, ...] = (60, 70), said: float = 130) -> Checked:
    """Two licences of 60 and 70 million dollars a year, told as more than 130 million."""
    total = sum(parts)
    return Checked(f"{total:g} million", _told(total > said))


def markets(
    printed: tuple[float, ...] = (0.33, 0.23, 0.31, 0.12), years: int = 4, counted: int = 5
) -> Checked:
    """Growth rates of markets from 2024 to 2028, four years apart, that are those of five.

    The pieces of the market grow from 7.8 to 21.9 billion dollars; the rates printed are whole
    per cents.
    """
    true = [recounted(rate, counted, years) for rate in printed]
    told = ", ".join(f"{100 * rate:.0f}" for rate in true)
    right = all(abs(a - b) < 0.005 for a, b in zip(true, printed, strict=True))
    return Checked(f"{told} % a year over {years} years", _told(right))


def whole_market(first: float = 7.8, last: float = 21.9, said: float = 0.23) -> Checked:
    """The sum of those markets: 23 per cent a year is its growth over five years, not four."""
    rate = yearly_growth(first, last, 4)
    return Checked(f"{100 * rate:.1f} % a year", _told(abs(rate - said) < 0.005))


def mixture(parts: tuple[float, ...] = (67, 15, 4.5, 4.5, 4.5, 2.5, 2)) -> Checked:
    """The parts of LLaMA's training text sum to all of it."""
    return Checked(f"{sum(parts):g} %", _told(sum(parts) == 100))


def workers(low: float = 33, high: float = 46, of: int = 46) -> Checked:
    """33 to 46 per cent can be shares of 46 summaries; no more is said by them."""
    first, last = counts_printed_as(low, of), counts_printed_as(high, of)
    if not first or not last:
        return Checked("no such counts", DISAGREES)
    return Checked(f"{first[0]} to {last[-1]} of {of}", AGREES)


def caught(count: int = 6, of: int = 10) -> Checked:
    """Six of ten caught: too few to say that a detector does better than a coin."""
    low, high = metrics.share_interval(count / of, of)
    verdict = AGREES if low > 0.5 else DISAGREES if high < 0.5 else CANNOT_TELL
    return Checked(f"{count / of:.0%} [{low:.0%}, {high:.0%}]", verdict)


def next_crawl(
    expected: tuple[int, int] = (2025, 9), written: tuple[int, int] = (2026, 5)
) -> Checked:
    """A crawl that is expected for the third quarter of 2025, in a piece of May 2026."""
    late = months(expected, written) - 1
    words = f"{late} months before the piece" if late > 0 else "after the piece"
    return Checked(words, _told(late <= 0))


CHECKS: dict[str, Callable[[], Checked]] = {
    "0-4": articles,
    "0-13": halved,
    "0-22": licences,
    "1-14": markets,
    "1-14b": whole_market,
    "1-19": next_crawl,
    "3-6": mixture,
    "4-3": workers,
    "4-9": caught,
}
