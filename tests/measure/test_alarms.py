"""E-values: against numerical integration, their mean, and what they promise."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from collapse.measure.alarms import sign_evidence


@pytest.mark.parametrize(("worse", "of"), [(0, 0), (0, 5), (3, 5), (5, 5), (40, 64), (20, 64)])
def test_the_mixture_is_the_integral_of_its_bets(worse: int, of: int) -> None:
    integral, _ = integrate.quad(lambda p: p**worse * (1 - p) ** (of - worse), 0.5, 1)
    assert sign_evidence(worse, of) == pytest.approx(2**of * 2 * integral, rel=1e-6)


@pytest.mark.parametrize("of", [1, 7, 50, 400])
def test_its_mean_is_one_where_nothing_changed(of: int) -> None:
    chances = stats.binom.pmf(np.arange(of + 1), of, 0.5)
    values = [sign_evidence(worse, of) for worse in range(of + 1)]
    assert np.dot(chances, values) == pytest.approx(1)
    assert values == sorted(values)


def test_it_rings_at_most_at_its_rate_whenever_one_stops() -> None:
    rng = np.random.default_rng(0)
    evidence = np.array([[sign_evidence(s, n) for s in range(n + 1)] + [0] * (200 - n)
                         for n in range(201)])  # fmt: skip
    worse = np.cumsum(rng.integers(0, 2, (10_000, 200)), axis=1)
    largest = evidence[np.arange(1, 201), worse].max(1)
    rings = float((largest >= 20).mean())
    assert rings <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 10_000)
    assert rings > 0.005  # and it does ring


def test_large_counts_neither_fail_nor_lose_their_sign() -> None:
    assert sign_evidence(100_000, 100_000) == math.inf
    assert sign_evidence(0, 100_000) < 1e-3
    with pytest.raises(ValueError, match="3 of 2"):
        sign_evidence(3, 2)
