"""One number a seed: mean, interval, what it says of a change, and the verdict on a claim.

The unit is the seed: blocks of several seeds are never pooled. Ratios are averaged on the log
scale, so that a ÷ b and b ÷ a say the same. One rule decides everywhere: a change of less than
`MARGIN` counts as none, and something is said only where the whole interval says it.
"""

import math
from dataclasses import dataclass

import numpy as np

from collapse.measure import metrics

MARGIN = 0.02  # a ratio between 1 / (1 + MARGIN) and 1 + MARGIN is no change
REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
UNDECIDED, NOT_RUN = "undecided", "not run yet"
VERDICTS = (REPRODUCED, NOT_REPRODUCED, UNDECIDED, NOT_RUN)


@dataclass(frozen=True)
class PerSeed:
    """One number a seed with their mean and its 95 % interval over seeds.

    by_seed: seed -> number; empty where nothing was run.
    low, high: nan where there is no interval.
    """

    by_seed: dict[int, float]
    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        if not self.by_seed:
            return NOT_RUN
        if math.isnan(self.mean):
            return "undefined, as it starts at 0"
        if math.isnan(self.low):
            why = "one seed" if len(self.by_seed) == 1 else "a seed at 0"
            return f"{self.mean:.2f} ({why}, no interval)"
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"

    def __truediv__(self, other: "PerSeed") -> "PerSeed":
        """The ratio of two numbers, seed by seed, for the seeds that both have."""
        both = [seed for seed in self.by_seed if seed in other.by_seed]
        return ratios({seed: self.by_seed[seed] / other.by_seed[seed] for seed in both})


def values(by_seed: dict[int, float]) -> PerSeed:
    """Mean of one number a seed, with Student's interval."""
    numbers = np.array(list(by_seed.values()))
    low, high = metrics.mean_interval(numbers)
    return PerSeed(by_seed, float(numbers.mean()) if len(numbers) else math.nan, low, high)


def ratios(by_seed: dict[int, float]) -> PerSeed:
    """Geometric mean of one ratio a seed, with Student's interval of the logarithms.

    Undefined where a ratio is; 0 without an interval where a seed is at 0.
    """
    numbers = np.array(list(by_seed.values()))
    if not len(numbers) or np.isnan(numbers).any() or (numbers <= 0).any():
        middle = math.nan if not len(numbers) or np.isnan(numbers).any() else 0.0
        return PerSeed(by_seed, middle, math.nan, math.nan)
    logs = np.log(numbers)
    low, high = np.exp(metrics.mean_interval(logs))
    return PerSeed(by_seed, float(np.exp(logs.mean())), float(low), float(high))


def unknown(measured: PerSeed) -> str:
    """The verdict where there is no interval to judge; empty where there is one."""
    if not measured.by_seed:
        return NOT_RUN
    if math.isnan(measured.low):
        few = len(measured.by_seed) == 1
        return f"{UNDECIDED}, {'one seed gives' if few else 'a seed at 0 leaves'} no interval"
    return ""


def change(low: float, high: float) -> str:
    """What the interval of a ratio says: `rises`, `falls`, `stays`, or `undecided`."""
    if low > 1 + MARGIN:
        return "rises"
    if high < 1 / (1 + MARGIN):
        return "falls"
    return "stays" if low >= 1 / (1 + MARGIN) and high <= 1 + MARGIN else UNDECIDED


def rises(measured: PerSeed) -> str:
    """The verdict on the claim that a ratio is above 1."""
    return _lies(measured, 1 + MARGIN, math.inf) + _seen(measured, "rises")


def falls(measured: PerSeed) -> str:
    """The verdict on the claim that a ratio is below 1."""
    return _lies(measured, 0, 1 / (1 + MARGIN)) + _seen(measured, "falls")


def stays(measured: PerSeed) -> str:
    """The verdict on the claim that a ratio is 1."""
    return size(measured, 1, 1) + _seen(measured, "stays")


def size(measured: PerSeed, low: float, high: float) -> str:
    """The verdict on the claim that a ratio lies between two ends, each widened by `MARGIN`."""
    return _lies(measured, low / (1 + MARGIN), high * (1 + MARGIN))


def _lies(measured: PerSeed, low: float, high: float) -> str:
    if why := unknown(measured):
        return why
    if low <= measured.low and measured.high <= high:
        return REPRODUCED
    if measured.high < low or measured.low > high:
        return NOT_REPRODUCED
    bound = low if measured.low < low else high
    return f"{UNDECIDED}, less and more than {bound:.2f} are both possible"


def _seen(measured: PerSeed, claimed: str) -> str:
    """What is seen instead, where it can be said."""
    told = {"rises": ", it rises", "falls": ", it falls", "stays": ", it stays within 2 %"}
    seen = UNDECIDED if unknown(measured) else change(measured.low, measured.high)
    return "" if seen == claimed else told.get(seen, "")
