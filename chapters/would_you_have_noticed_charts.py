"""Alarms: rules that watch a series of numbers and ring, and what they promise.

A chart turns a series into a statistic; it rings where the statistic exceeds a limit. The series is
one of standardised changes, positive in the direction that is watched for. After an alarm a chart
starts anew.
"""

import math
from collections.abc import Callable

import numpy as np

# State, change, its number from 1 -> next state, each an array of as many series.
Chart = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def shewhart(_: np.ndarray, change: np.ndarray, __: np.ndarray) -> np.ndarray:
    """The change itself (Shewhart 1931): sees what is large at once, forgets the past."""
    return change


def cusum(state: np.ndarray, change: np.ndarray, _: np.ndarray) -> np.ndarray:
    """One-sided cumulative sum of what exceeds 0.5 (Page 1954): sees what is small but stays.

    S_n = max(0, S_(n-1) + z_n - 0.5); 0.5 is best for a lasting change of one standard deviation.
    """
    return np.maximum(0.0, state + change - 0.5)


def ewma(state: np.ndarray, change: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Exponentially weighted mean in its own standard deviations (Roberts 1959).

    E_n = 0.8 E_(n-1) + 0.2 z_n, divided by √(0.2 / 1.8 (1 - 0.8^2n)).
    """

    def spread(steps: np.ndarray) -> np.ndarray:
        return np.sqrt(0.2 / 1.8 * (1 - 0.8 ** (2 * steps)))

    return (0.8 * state * spread(number - 1) + 0.2 * change) / spread(number)


def e_detector(state: np.ndarray, evidence: np.ndarray, _: np.ndarray) -> np.ndarray:
    """Logarithm of the sum of all e-processes that begin now or began before.

    R_n = (R_(n-1) + 1) E_n (Shin, Ramdas and Rinaldo 2024, the Shiryaev-Roberts form): where each
    E_n given the past is an e-value, an alarm at R ≥ N rings for nothing once in N steps or less
    often, on average, whatever the distribution. `evidence` is log E_n; the state is log R_n.
    """
    return np.logaddexp(state, 0.0) + evidence


START: dict[Chart, float] = {e_detector: -math.inf}  # of other charts 0, before the first change


def statistic(
    changes: np.ndarray, chart: Chart, limit: np.ndarray | float = math.inf
) -> np.ndarray:
    """The statistic of a chart along series, which starts anew after it reached the limit.

    Args:
        changes: (steps,) or (steps, series).
        limit: one, or an array that is broadcast against a step of the series.

    Returns:
        (steps,) followed by the shape of what is broadcast.
    """
    shape = np.broadcast_shapes(changes.shape[1:], np.shape(limit))
    start = START.get(chart, 0.0)
    state, number, found = np.full(shape, start), np.zeros(shape, int), []
    for change in changes:
        number = number + 1
        state = chart(state, change, number)
        found.append(np.broadcast_to(state, shape))
        rings = state >= limit
        state, number = np.where(rings, start, state), np.where(rings, 0, number)
    return np.array(found)


def alarms(changes: np.ndarray, chart: Chart, limit: np.ndarray | float) -> np.ndarray:
    """At which steps a chart rings, bool, shaped as `statistic` is."""
    return statistic(changes, chart, limit) >= limit


def rates(series: np.ndarray, chart: Chart, limits: np.ndarray) -> np.ndarray:
    """The share of steps at which a chart rings, by limit: (limits, series)."""
    return alarms(series, chart, limits[:, None]).mean(0)


def limit_for(series: np.ndarray, chart: Chart, rate: float) -> float:
    """The lowest limit, to a thousandth of the range, at which a chart rings so seldom.

    Args:
        series: (steps, series).
        rate: the mean over series of the share of steps at which it rings.
    """
    low, high = 0.0, float(statistic(series, chart).max()) + 1e-9
    for _ in range(2):  # the rate falls as the limit rises
        limits = np.linspace(low, high, 33)
        over = rates(series, chart, limits).mean(1) > rate
        last = int(np.flatnonzero(over).max()) if over.any() else 0
        low, high = limits[last], limits[min(last + 1, 32)]
    return float(high)


def hotelling(changes: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """How far vectors of changes lie from 0, with what changes together taken into account.

    Args:
        changes: (places, gauges).
        reference: changes without a cause, whose covariance is taken, (places, gauges).

    Returns:
        Hotelling's T² of each, (places,).
    """
    covariance = reference.T @ reference / len(reference)
    return np.einsum("ij,jk,ik->i", changes, np.linalg.inv(covariance), changes)
