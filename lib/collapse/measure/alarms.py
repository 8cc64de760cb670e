"""Alarms: rules that watch a series of numbers and ring, and what they promise.

A chart turns a series into a statistic; it rings where the statistic exceeds a limit. The series is
one of standardised changes, positive in the direction that is watched for. After an alarm a chart
starts anew.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy import special, stats

Chart = Callable[[float, float, int], float]  # state, change, its number from 1 -> next state


def shewhart(_: float, change: float, __: int) -> float:
    """The change itself (Shewhart 1931): sees what is large at once, forgets the past."""
    return change


def cusum(state: float, change: float, _: int) -> float:
    """One-sided cumulative sum of what exceeds 0.5 (Page 1954): sees what is small but stays.

    S_n = max(0, S_(n-1) + z_n - 0.5); 0.5 is best for a lasting change of one standard deviation.
    """
    return max(0.0, state + change - 0.5)


def ewma(state: float, change: float, number: int, weight: float = 0.2) -> float:
    """Exponentially weighted mean in its own standard deviations (Roberts 1959).

    E_n = (1 - w) E_(n-1) + w z_n, divided by √(w / (2 - w) (1 - (1 - w)^2n)).
    """
    before = state * _spread(weight, number - 1)
    return ((1 - weight) * before + weight * change) / _spread(weight, number)


def _spread(weight: float, number: int) -> float:
    return math.sqrt(weight / (2 - weight) * (1 - (1 - weight) ** (2 * number)))


def e_detector(state: float, evidence: float, _: int) -> float:
    """Logarithm of the sum of all e-processes that begin now or began before.

    R_n = (R_(n-1) + 1) E_n (Shin, Ramdas and Rinaldo 2024, the Shiryaev-Roberts form): where each
    log E_n given the past is the evidence of an e-value, an alarm at R ≥ N rings for nothing once
    in N steps or less often, on average, whatever the distribution. `evidence` is log E_n; the
    state of a chart that starts is -inf.
    """
    return float(np.logaddexp(state, 0.0)) + evidence


START: dict[Chart, float] = {e_detector: -math.inf}  # of other charts 0, before the first change


def statistic(changes: np.ndarray, chart: Chart, limit: float = math.inf) -> np.ndarray:
    """The statistic of a chart along a series, which starts anew after it exceeded the limit."""
    found, state, number = np.empty(len(changes)), START.get(chart, 0.0), 0
    for at, change in enumerate(changes):
        number += 1
        state = found[at] = chart(state, float(change), number)
        if state >= limit:
            state, number = START.get(chart, 0.0), 0
    return found


def alarms(changes: np.ndarray, chart: Chart, limit: float) -> np.ndarray:
    """At which places of a series a chart rings, bool, like `changes`."""
    return statistic(changes, chart, limit) >= limit


def limit_for(series: list[np.ndarray], chart: Chart, rate: float) -> float:
    """The lowest limit at which a chart rings at so many places of some series, or fewer.

    The rate is the mean over series of the share of places at which it rings.
    """
    low, high = 0.0, max(float(statistic(each, chart).max()) for each in series) + 1e-9
    for _ in range(40):  # the rate falls, nearly everywhere, as the limit rises
        middle = (low + high) / 2
        found = np.mean([alarms(each, chart, middle).mean() for each in series])
        low, high = (low, middle) if found <= rate else (middle, high)
    return high


# -- evidence --------------------------------------------------------------------------------


def sign_evidence(worse: int, of: int) -> float:
    """Logarithm of an e-value against the claim that at most half of what is compared got worse.

    The likelihood of `worse` of `of` under a share that is uniform between 1/2 and 1, over that
    under 1/2: E = 2^(n+1) B(s+1, n-s+1) P(X > 1/2), X of the beta distribution of these two.
    Step by step it is a martingale at 1/2 and falls below, so it may be looked at after each step
    (Ville 1939; Robbins 1970 for mixtures).
    """
    if of == 0:
        return 0.0
    tail = stats.beta.logsf(0.5, worse + 1, of - worse + 1)
    return float((of + 1) * math.log(2) + special.betaln(worse + 1, of - worse + 1) + tail)


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
