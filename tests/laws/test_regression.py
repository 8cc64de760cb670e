"""Ridge regression on its own labels: closed forms against special cases and against simulation."""

import math
from dataclasses import replace

import numpy as np
import pytest

from collapse.laws import regression
from collapse.laws.regression import REGIMES, Task, risk

FLAT = Task(np.ones(10), np.linspace(-1, 1, 10), rows=400, noise=0.5)
STEEP = Task(np.geomspace(4, 0.25, 8), np.ones(8), rows=600, noise=1.0, penalty=0.2)


def test_without_penalty_errors_add_up_or_go_to_pi_squared_over_six() -> None:
    assert risk(FLAT, "replace", 20) / FLAT.unit == pytest.approx(np.arange(1, 22))
    added = risk(FLAT, "accumulate", 3000) / FLAT.unit
    assert added[:3] == pytest.approx([1, 1 + 1 / 4, 1 + 1 / 4 + 1 / 9])
    drawn = risk(FLAT, "accumulate-subsample", 3000) / FLAT.unit
    assert drawn[-1] == pytest.approx(math.pi**2 / 2 - 2, abs=3 / 3000)
    assert (np.diff(added) > 0).all()
    assert added[-1] == pytest.approx(math.pi**2 / 6, abs=1 / 3000)


def test_a_subsample_lies_between_and_its_second_generation_is_by_hand() -> None:
    found = {regime: risk(FLAT, regime, 30) / FLAT.unit for regime in REGIMES}
    drawn = found["accumulate-subsample"]
    assert (found["accumulate"][1:] < drawn[1:]).all() and (drawn[2:] < found["replace"][2:]).all()
    # Noise of the labels, 1; half of the rows believe generation 0, whose error counts (1/2)^2; and
    # the other half have the very labels that made this error: 2 * 1/2 * 1/2.
    assert drawn[1] == pytest.approx(1 + 1 / 4 + 1 / 2)


def test_ridge_forgets_geometrically_where_labels_are_replaced_and_slowly_where_they_are_kept() -> (
    None
):
    still = Task(np.ones(1), np.ones(1), rows=10**9, noise=0.0, penalty=0.25)  # a = 0.8
    n = np.arange(40)
    assert risk(still, "replace", 39) == pytest.approx((1 - 0.8 ** (n + 1)) ** 2)
    kept = 1 - np.sqrt(risk(still, "accumulate", 39))
    steps = np.concatenate([[1], (n[1:] + 0.8) / (n[1:] + 1)])
    assert kept == pytest.approx(0.8 * np.cumprod(steps))


def test_with_a_total_penalty_that_stays_the_bias_of_accumulated_ridge_does_not_grow() -> None:
    still = Task(np.geomspace(4, 0.25, 5), np.ones(5), 10**9, noise=0.0, penalty=0.3, fixed=True)
    assert risk(still, "accumulate", 500) == pytest.approx(risk(still, "accumulate", 0)[0])
    grown = risk(replace(still, fixed=False), "accumulate", 500)
    assert (np.diff(grown) > 0).all() and grown[-1] > 2 * grown[0]
    # At most the risk of predicting nothing.
    assert grown[-1] < still.eigenvalues.sum()


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize(
    "task", [FLAT, STEEP, replace(STEEP, fixed=True)], ids=["flat", "steep", "fixed"]
)
def test_the_risk_is_that_of_simulated_chains(task: Task, regime: str) -> None:
    chains = 400
    found = regression.simulate(task, regime, 8, chains, np.random.default_rng(0))
    error = found.std(0, ddof=1) / math.sqrt(chains)
    law = risk(task, regime, 8)
    # What the law of the subsample leaves out is of the order d / T.
    slack = law * len(task.truth) / task.rows if regime == "accumulate-subsample" else 0
    assert (np.abs(found.mean(0) - law) < 4 * error + slack).all()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_constant_share_of_synthetic_labels_leaves_a_floor(share: float) -> None:
    chains, rows = 150, 4000
    found = regression.simulate_floor(share, rows, FLAT, chains, np.random.default_rng(1))
    law = float(regression.floor(share, rows, FLAT))
    error = found.std(ddof=1) / math.sqrt(chains)
    # What the law leaves out: which rows the shift falls on, of the order d / n.
    assert abs(found.mean() - law) < 4 * error + law * 2 * len(FLAT.truth) / rows
    own = FLAT.noise**2 * 10 / (FLAT.rows - 11)
    assert regression.floor(share, 10**12, FLAT) == pytest.approx(share**2 * own, abs=1e-9)
