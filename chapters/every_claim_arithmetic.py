"""Arithmetic of what press pieces print, for the ledger of claims: no experiment, no source.

A check says what the printed numbers give, and whether that is what is said of them. Its name in
`CHECKS` is the claim's in the ledger.
"""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

from collapse.measure.verdicts import AGREES, DISAGREES, Claim


class Checked(NamedTuple):
    """What the numbers give, in words, and one of the verdicts."""

    computed: str
    verdict: str


# -- laws ------------------------------------------------------------------------------------


def yearly_growth(first: float, last: float, years: float) -> float:
    """The rate that makes one number another in so many years: 0.1 for 10 per cent a year."""
    return (last / first) ** (1 / years) - 1


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


def halved(before: float = 4.2, after: float = 2.5) -> Checked:
    """Entropy from 4.2 to 2.5 bits a token, and a vocabulary narrowed to half."""
    left = effective(before, after)
    return Checked(f"{left:.0%} of the effective vocabulary", _told(abs(left - 0.5) < 0.05))


def market(first: float = 7.8, last: float = 21.9, years: int = 4, said: float = 0.23) -> Checked:
    """Markets that together grow from 7.8 to 21.9 billion dollars from 2024 to 2028, four years:
    by the rate that is printed?"""
    rate = yearly_growth(first, last, years)
    return Checked(f"{100 * rate:.0f} % a year", _told(round(rate, 2) == said))


def next_crawl(
    expected: tuple[int, int] = (2025, 9), written: tuple[int, int] = (2026, 5)
) -> Checked:
    """A crawl that is expected for the third quarter of 2025, in a piece of May 2026."""
    late = months(expected, written) - 1
    words = f"{late} months before the piece" if late > 0 else "after the piece"
    return Checked(words, _told(late <= 0))


def ninefold(so_far: float = 2.4, whole_year: float = 0.461, said: float = 9) -> Checked:
    """2.4 million mentions by 20 November, nine times those of the same months the year before, of
    whose 12 months 461,000 are known: the part may not be more than the whole."""
    part = so_far / said
    told = (
        f"{part / whole_year:.0%} of the year before; of all of it {so_far / whole_year:.1f} times"
    )
    return Checked(told, _told(part <= whole_year))


def accelerates(slopes: tuple[float, ...] = (1.2, 1.65, 3.3, 2.46)) -> Checked:
    """Points of a score lost in each generation, between the rows of a table: does each step lose
    more than the one before?"""
    grows = all(later > earlier for earlier, later in itertools.pairwise(slopes))
    return Checked(f"{', '.join(map(str, slopes))} points a generation", _told(grows))


def solved(printed: tuple[float, ...] = (28.1, 8.2), of: int = 164) -> Checked:
    """Shares of HumanEval's 164 problems that are solved, with one try each. A mean over several
    tries can be anything, so it says nothing of where such numbers come from."""
    counts = [counts_printed_as(percent, of, 1) for percent in printed]
    told = "; ".join(
        f"{percent:g} %: {', '.join(map(str, found)) or 'no count'}"
        for percent, found in zip(printed, counts, strict=True)
    )
    return Checked(f"{told} of {of}", _told(all(counts)))


# id of the claim -> (what is checked, the check)
CHECKS: dict[str, tuple[str, Callable[[], Checked]]] = {
    "0-7": (
        "2.4 million mentions by 20 November ÷ 9, of 461,000 in all of the year before",
        ninefold,
    ),
    "0-13": ("what a fall from 4.2 to 2.5 bits leaves of the effective vocabulary", halved),
    "1-7": ("counts of HumanEval's problems, solved in one try, that are printed so", solved),
    "1-8": ("points of MMLU lost, between the rows of the piece's table", accelerates),
    "1-14": ("7.8 to 21.9 billion dollars in four years, told as 23 % a year", market),
    "1-19": ("the crawl expected for September 2025, and a piece of May 2026", next_crawl),
}


def claims() -> list[Claim]:
    """What the checks give, as rows for the ledger."""
    found = {id: (what, check()) for id, (what, check) in CHECKS.items()}
    return [Claim(id, what, one.computed, one.verdict) for id, (what, one) in found.items()]
