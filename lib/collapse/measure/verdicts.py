"""From intervals to four words, by one rule, and what others claim beside what was measured.

Something is said only where the whole interval says it. A ratio that changes by less than `MARGIN`
counts as unchanged.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from collapse.measure.per_seed import NOT_RUN, PerSeed

MARGIN = 0.02  # a ratio between 1 / (1 + MARGIN) and 1 + MARGIN is no change
AGREES, SAME_DIRECTION, DISAGREES, CANNOT_TELL = (
    "agrees", "same direction", "disagrees", "cannot tell",
)  # fmt: skip
NOT_READ = "source not read"  # in the place of a verdict on what cannot be looked up
VERDICTS = (AGREES, SAME_DIRECTION, DISAGREES, CANNOT_TELL, NOT_RUN, NOT_READ)
RULE = (
    "One rule gives the verdicts. Agrees: the whole 95 % interval over seeds lies where the claim "
    "puts it. Disagrees: none of it does. Same direction: it goes the claimed way, but by more or "
    "by less, or by how much the seeds cannot tell. Cannot tell: anything else, as with one seed. "
    f"A change of less than {100 * MARGIN:g} % is none, and a claimed size is widened by as much; "
    "that margin is ours."
)


class Phrases(NamedTuple):
    """What is said of an interval below a range, within it, above it, or across an end."""

    below: str
    within: str
    above: str
    across: str = CANNOT_TELL


CHANGE = Phrases("falls", "stays", "rises")
CLAIM = Phrases(DISAGREES, AGREES, DISAGREES)


def judge(measured: PerSeed, low: float, high: float, phrases: Phrases) -> str:
    """The phrase for where an interval lies beside a range; `across` too where there is none."""
    if not measured.by_seed:
        return NOT_RUN
    if math.isnan(measured.low):
        return phrases.across
    if low <= measured.low and measured.high <= high:
        return phrases.within
    if measured.high < low or measured.low > high:
        return phrases.below if measured.high < low else phrases.above
    return phrases.across


def change(measured: PerSeed, phrases: Phrases = CHANGE) -> str:
    """Whether a ratio falls, stays or rises."""
    return judge(measured, 1 / (1 + MARGIN), 1 + MARGIN, phrases)


def rises(measured: PerSeed) -> str:
    """The verdict on the claim that a ratio is above 1."""
    return judge(measured, 1 + MARGIN, math.inf, CLAIM)


def falls(measured: PerSeed) -> str:
    """The verdict on the claim that a ratio is below 1."""
    return judge(measured, 0, 1 / (1 + MARGIN), CLAIM)


def stays(measured: PerSeed) -> str:
    """The verdict on the claim that a ratio is 1."""
    return change(measured, CLAIM)


def size(measured: PerSeed, low: float, high: float, phrases: Phrases = CLAIM) -> str:
    """The verdict on the claim that a ratio lies between two ends, each widened by `MARGIN`."""
    return judge(measured, low / (1 + MARGIN), high * (1 + MARGIN), phrases)


@dataclass(frozen=True)
class Reference:
    """A range that a source gives for the ratio of a last generation's number to the first one's.

    direction: of the change that the source claims: 1 up, -1 down; 0 none, and then the range is
        an upper bound.
    """

    low: float
    high: float
    label: str
    direction: int = 1


def beside(measured: PerSeed, reference: Reference) -> str:
    """The verdict on what a source says of a ratio: on its direction, if it has one, and size."""
    if not reference.direction:
        return size(measured, 0, reference.high)
    told = size(measured, reference.low, reference.high)
    direction = rises(measured) if reference.direction > 0 else falls(measured)
    if direction != AGREES or told == AGREES:
        return direction
    return SAME_DIRECTION


@dataclass(frozen=True)
class Claim:
    """What was measured of a claim of the ledger, and what follows.

    id: of the claim in `claims.yml`.
    result: of what was measured; a `PerSeed` says `not run yet` and `one seed` by itself.
    verdict: one of `VERDICTS`.

    Raises:
        ValueError: the verdict is another word.
    """

    id: str
    measured: str
    result: object
    verdict: str

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"{self.verdict!r} is none of the verdicts {VERDICTS}")
