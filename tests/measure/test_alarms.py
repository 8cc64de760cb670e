"""E-values against numerical integration, their definition and simulation."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from collapse.measure.alarms import sign_evidence

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(("worse", "of"), [(0, 1), (1, 1), (7, 10), (3, 10), (140, 256)])
def test_sign_evidence_is_the_mixture_integrated_numerically(worse: int, of: int) -> None:
    def ratio(share: float) -> float:
        return 2 * math.exp(of * math.log(2) + stats.binom.logpmf(worse, of, share)
                            - stats.binom.logpmf(worse, of, 0.5) - of * math.log(2))  # fmt: skip

    expected, _ = integrate.quad(ratio, 0.5, 1)
    assert sign_evidence(worse, of) == pytest.approx(math.log(expected), abs=1e-8)


def test_no_evidence_without_comparisons() -> None:
    assert sign_evidence(0, 0) == pytest.approx(0)
    assert sign_evidence(0, 100_000) < -1000


def test_an_e_value_is_one_on_average_and_less_where_fewer_got_worse() -> None:
    for of in (1, 5, 40):
        s = np.arange(of + 1)
        values = np.exp(sign_evidence(s, of))
        assert stats.binom.pmf(s, of, 0.5) @ values == pytest.approx(1)
        assert stats.binom.pmf(s, of, 0.4) @ values < 1


def test_looked_at_after_each_step_it_exceeds_20_in_at_most_one_run_of_20() -> None:
    runs, steps = 10_000, 200
    worse = np.cumsum(RANDOM.random((runs, steps)) < 0.5, axis=1)
    highest = sign_evidence(worse, np.arange(1, steps + 1)).max(1)
    rate = (highest >= math.log(20)).mean()
    assert rate <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)
    # And a test that looked at each step at an ordinary 5 % would not hold (negative control).
    z = (worse - np.arange(1, steps + 1) / 2) / np.sqrt(np.arange(1, steps + 1) / 4)
    assert (z.max(1) > stats.norm.ppf(0.95)).mean() > 0.2
