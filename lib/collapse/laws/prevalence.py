"""How common something is, given how often an instrument that errs says so."""

import numpy as np
from scipy import stats

LEVEL = 0.95
Count = tuple[int, int]  # how many, of how many


def corrected(said: float, sensitivity: float, false_alarms: float) -> float:
    """The share that there is: (q - f) ÷ (s - f), kept within 0 to 1 (Rogan and Gladen 1978).

    Args:
        said: q, the share of which the instrument says so.
        sensitivity: s, how often it says so where it is so.
        false_alarms: f, how often it says so where it is not.

    Raises:
        ValueError: the instrument says so no more often where it is so than where it is not.
    """
    if sensitivity <= false_alarms:
        raise ValueError(
            f"sensitivity={sensitivity!r} is not above false_alarms={false_alarms!r}, so what the "
            "instrument says tells nothing; give a higher sensitivity"
        )
    return float(np.clip((said - false_alarms) / (sensitivity - false_alarms), 0, 1))


def wilson(count: Count) -> tuple[float, float]:
    """The 95 % interval of a share after Wilson (1927)."""
    low, high = stats.binomtest(*count).proportion_ci(LEVEL, method="wilson")
    return float(low), float(high)


def interval(
    said: Count, caught: Count, false: Count, draws: int, seed: int = 0
) -> tuple[float, float, float]:
    """The corrected share and its 95 % interval, where all three rates come from samples.

    Each rate is drawn from Jeffreys' posterior, a Beta(k + 1/2, n - k + 1/2), and each triple is
    corrected; the ends are quantiles.

    Args:
        said: of the texts in question, how many the instrument flags.
        caught: of texts known to be of the kind.
        false: of texts known not to be.

    Returns:
        the share from the rates as they are; the ends.
    """
    random = np.random.default_rng(seed)
    q, s, f = (random.beta(k + 0.5, n - k + 0.5, draws) for k, n in (said, caught, false))
    told = s > f
    shares = np.clip((q - f)[told] / (s - f)[told], 0, 1)
    low, high = np.quantile(shares, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return corrected(*(k / n for k, n in (said, caught, false))), float(low), float(high)


def region(
    said: float, sensitivity: tuple[float, float], false_alarms: tuple[float, float]
) -> tuple[float, float]:
    """All shares that rates between some ends allow: the least and the largest.

    The correction falls in both rates while the share said lies between them, so the ends are at
    corners.
    """
    return (
        corrected(said, sensitivity[1], false_alarms[1]),
        corrected(said, sensitivity[0], false_alarms[0]),
    )
