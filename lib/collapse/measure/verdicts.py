"""From intervals to words, by one rule, and what others claim beside what was measured.

Something is said only where the whole interval says it. A ratio that changes by less than `MARGIN`
counts as unchanged.
"""

import math
import re
from dataclasses import dataclass
from typing import NamedTuple

from collapse.measure.per_seed import NOT_RUN, PerSeed

MARGIN = 0.02  # a ratio between 1 / (1 + MARGIN) and 1 + MARGIN is no change
REPRODUCED, NOT_REPRODUCED, UNDECIDED = "reproduced", "not reproduced", "undecided"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, UNDECIDED, NOT_RUN)
NOT_READ = "source not read"  # in the place of a verdict on what cannot be looked up
RULE = (
    f"One rule decides. A ratio that changes by less than {MARGIN:.0%} counts as unchanged; that "
    "margin is ours. A claim is reproduced where the whole interval over seeds lies where the "
    "claim puts it, not reproduced where none of the interval does, and undecided otherwise. A "
    "reported size is widened by the same margin. A source that could not be looked up gets no "
    "verdict."
)
_PART = re.compile(rf"(?:[\w %]+: )?(?:{'|'.join((*VERDICTS, NOT_READ))})(?:, .*)?")


class Phrases(NamedTuple):
    """What is said of an interval that lies below a range, within it, above it, or across an end.

    across: `{end}` in it stands for the end of the range that the interval lies across.
    """

    below: str
    within: str
    above: str
    across: str


_OPEN = f"{UNDECIDED}, less and more than {{end:.2f}} are both possible"
CHANGE = Phrases("falls", "stays", "rises", UNDECIDED)
CLAIM = Phrases(NOT_REPRODUCED, REPRODUCED, NOT_REPRODUCED, _OPEN)
SIZE = Phrases(f"{NOT_REPRODUCED}, it is less", REPRODUCED, f"{NOT_REPRODUCED}, it is more", _OPEN)
_SEEN = Phrases(", it falls", ", it stays within 2 %", ", it rises", "")


def judge(measured: PerSeed, low: float, high: float, phrases: Phrases) -> str:
    """The phrase for where an interval lies beside a range; why not, where there is none."""
    if not measured.by_seed:
        return NOT_RUN
    if math.isnan(measured.low):
        one = len(measured.by_seed) == 1
        return f"{UNDECIDED}, {'one seed gives' if one else 'a seed at 0 leaves'} no interval"
    if low <= measured.low and measured.high <= high:
        return phrases.within
    if measured.high < low or measured.low > high:
        return phrases.below if measured.high < low else phrases.above
    return phrases.across.format(end=low if measured.low < low else high)


def change(measured: PerSeed, phrases: Phrases = CHANGE) -> str:
    """Whether a ratio falls, stays or rises."""
    return judge(measured, 1 / (1 + MARGIN), 1 + MARGIN, phrases)


def rises(measured: PerSeed) -> str:
    """The verdict on the claim that a ratio is above 1."""
    return _direction(measured, judge(measured, 1 + MARGIN, math.inf, CLAIM))


def falls(measured: PerSeed) -> str:
    """The verdict on the claim that a ratio is below 1."""
    return _direction(measured, judge(measured, 0, 1 / (1 + MARGIN), CLAIM))


def stays(measured: PerSeed) -> str:
    """The verdict on the claim that a ratio is 1."""
    return _direction(measured, change(measured, CLAIM))


def size(measured: PerSeed, low: float, high: float, phrases: Phrases = CLAIM) -> str:
    """The verdict on the claim that a ratio lies between two ends, each widened by `MARGIN`."""
    return judge(measured, low / (1 + MARGIN), high * (1 + MARGIN), phrases)


def _direction(measured: PerSeed, verdict: str) -> str:
    """A verdict, with what is seen instead of what was claimed."""
    return verdict + (change(measured, _SEEN) if verdict == NOT_REPRODUCED else "")


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
    """The verdicts on what a source says of a ratio: on its direction, if it has one, and size."""
    if not reference.direction:
        return size(measured, 0, reference.high, SIZE)
    told = size(measured, reference.low, reference.high, SIZE)
    if math.isnan(measured.low):
        return told
    direction = rises(measured) if reference.direction > 0 else falls(measured)
    return f"direction: {direction}; size: {told}"


@dataclass(frozen=True)
class Claim:
    """One claim, what was measured of it, and what follows.

    measured: `PerSeed`s say `not run yet` and `one seed` by themselves.
    verdict: one of `VERDICTS`, perhaps with a reason after a comma; several as in
        `direction: reproduced; size: undecided`; or `NOT_READ`.

    Raises:
        ValueError: the verdict is in other words.
    """

    claim: str
    source: str  # as readers cite it
    measured: str
    result: str
    verdict: str

    def __post_init__(self) -> None:
        for part in self.verdict.split("; "):
            if not _PART.fullmatch(part):
                raise ValueError(f"{part!r} is none of the verdicts {VERDICTS}")
