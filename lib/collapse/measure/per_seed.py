"""One number a seed: their mean, and its interval over seeds.

The unit is the seed: blocks of several seeds are never pooled. Ratios are averaged on the log
scale, so that a ÷ b and b ÷ a say the same.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from collapse.measure import metrics

NOT_RUN = "not run yet"


@dataclass(frozen=True)
class PerSeed:
    """One number a seed with their mean and its 95 % interval over seeds.

    by_seed: seed -> number; empty where nothing was run.
    low, high: nan where there is no interval.
    logs: mean and interval are of logarithms, and then their exponentials.
    what: `measure: setting` in words, for whoever cites the number.
    records: the names of those that it comes from.
    """

    by_seed: Mapping[int, float]
    mean: float
    low: float
    high: float
    logs: bool = field(default=False, compare=False)
    confidence: float = field(default=metrics.CONFIDENCE, compare=False)
    what: str = field(default="", compare=False)
    records: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        if not self.by_seed:
            return NOT_RUN
        if math.isnan(self.mean):
            return "undefined (it starts at 0)"
        if math.isnan(self.low):
            why = "one seed" if len(self.by_seed) == 1 else "a seed at 0"
            return f"{self.mean:.2f} ({why}, no interval)"
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"

    def __truediv__(self, other: "PerSeed") -> "PerSeed":
        """The ratio of two numbers, seed by seed, for the seeds that both have."""
        both = [seed for seed in self.by_seed if seed in other.by_seed]
        measure, _, above = self.what.partition(": ")
        same, _, below = other.what.partition(": ")
        both_named = f"{measure}: ({above}) ÷ ({below})"
        return over_seeds(
            {seed: self.by_seed[seed] / other.by_seed[seed] for seed in both},
            ratio=True,
            what=both_named if same == measure else f"({self.what}) ÷ ({other.what})",
            records=tuple(dict.fromkeys(self.records + other.records)),
        )


def over_seeds(
    by_seed: Mapping[int, float],
    ratio: bool = False,
    confidence: float = metrics.CONFIDENCE,
    what: str = "",
    records: tuple[str, ...] = (),
) -> PerSeed:
    """The mean of one number a seed, with Student's interval.

    Args:
        ratio: take mean and interval of the logarithms, and then their exponentials. Undefined
            where a ratio is; 0 without an interval where a seed is at 0.
        what, records: as in `PerSeed`.
    """
    told = (ratio, confidence, what, records)
    numbers = np.array(list(by_seed.values()), np.float64)
    if ratio and not (numbers > 0).all():
        middle = math.nan if np.isnan(numbers).any() else 0.0
        return PerSeed(by_seed, middle, math.nan, math.nan, *told)
    scaled, freedom = np.log(numbers) if ratio else numbers, len(numbers) - 1
    middle = scaled.mean() if len(numbers) else math.nan
    half = metrics.quantile(freedom, confidence) * stats.sem(scaled) if freedom > 0 else math.nan
    ends = np.array([middle, middle - half, middle + half])
    mean, low, high = map(float, np.exp(ends) if ratio else ends)
    return PerSeed(by_seed, mean, low, high, *told)


def prediction_interval(
    values: np.ndarray, others: Sequence[np.ndarray], confidence: float
) -> tuple[float, float]:
    """Where one more seed's number lies: mean ± t s √(1 + 1/n), with a moderated variance s².

    The median variance of other arms counts as one degree of freedom beside the n - 1 of this arm
    (the form is Smyth 2004, doi:10.2202/1544-6115.1027). One, not an estimate of how alike the
    arms are: that estimate is itself uncertain, and made one seed in seven fall outside. The ends
    are nan where nothing tells of a spread.
    """
    spreads = [group.var(ddof=1) for group in others if len(group) > 1]
    freedom = len(values) - 1 + bool(spreads)
    if not len(values) or not freedom:
        return math.nan, math.nan
    squares = len(values) * values.var() + (np.median(spreads) if spreads else 0)
    error = math.sqrt(squares / freedom * (1 + 1 / len(values)))
    half = metrics.quantile(freedom, confidence) * error
    return float(values.mean() - half), float(values.mean() + half)
