"""Claims of others beside runs that are made up: what is said must follow from the numbers."""

import pandas as pd
import pytest
from test_dose import DOSES, dosed
from test_results import runs_of

import claims
import how_much_human_text as dose
import replace_or_accumulate as regimes
from collapse.experiment.loop import Run
from collapse.measure import verdicts
from collapse.measure.verdicts import Claim

ARMS = {  # perplexity by seed; the second half of each chain is its last step
    "replaced": [20.0, 30.0, 45.0],
    "accumulated, equal steps": [20.0, 22.0, 22.0],
    "accumulated, equal epochs": [20.0, 21.0, 21.1],
    "accumulated, as many drawn": [20.0, 23.0, 24.0],
    "redrawn": [20.0, 24.0, 26.0],
    "fixed": [20.0, 25.0, 28.0],
    "fresh": [20.0, 23.0, 25.0],
}


def arm(perplexities: list[float]) -> list[Run]:
    """Three seeds that differ a little in the last generation."""
    return runs_of({s: [*perplexities[:-1], perplexities[-1] * (1 + 0.001 * s)] for s in range(3)})


@pytest.fixture(scope="module")
def scan() -> pd.DataFrame:
    return regimes.scan(12, 0)


@pytest.fixture(scope="module")
def linear() -> pd.DataFrame:
    problems = {
        "replaced": (regimes.PLAIN, "replace"),
        "accumulated": (regimes.PLAIN, "accumulate"),
    }
    return regimes.linear(problems, 6, 60, 0)


def by_claim(rows: list[Claim]) -> dict[str, list[Claim]]:
    found: dict[str, list[Claim]] = {}
    for row in rows:
        found.setdefault(row.claim, []).append(row)
    return found


def test_claims_of_regimes_follow_from_the_runs(linear: pd.DataFrame, scan: pd.DataFrame) -> None:
    found = {name: arm(values) for name, values in ARMS.items()}
    rows = by_claim(claims.of_regimes(found, linear, scan, "10 %"))
    steps, epochs = rows["accumulating avoids collapse"]
    # 22/20 and 22/22; 21.1/20 and 21.1/21, each within a fifth of a per cent.
    assert steps.verdict == "whole chain: not reproduced, it rises; last step: reproduced"
    assert epochs.verdict == "whole chain: not reproduced, it rises; last step: reproduced"
    (worse,) = rows["replacing is worse than accumulating"]
    assert worse.result.startswith(f"{45 / 22:.2f} [")
    assert worse.verdict == "reproduced"
    (between,) = rows["a sample of constant size from the pool lies above accumulation"]
    assert between.verdict == "reproduced"
    (fresh,) = rows["fresh human data do better than fixed ones"]
    assert fresh.verdict == "reproduced"
    (law,) = rows["with accumulated data, error stays below π²/6 of the first"]
    assert law.verdict.startswith("reproduced")


def test_a_law_that_is_left_is_not_reproduced(linear: pd.DataFrame, scan: pd.DataFrame) -> None:
    assert regimes.obeyed(linear)
    bent = linear.assign(law=linear["law"] * 1.5)
    assert not regimes.obeyed(bent)
    rows = claims.of_regimes({name: [] for name in ARMS}, bent, scan, "10 %")
    assert rows[0].verdict == "not reproduced, they leave it"
    assert rows[2].verdict == "whole chain: not run yet; last step: not run yet"


def test_scaling_stops_only_where_risk_levels_off(scan: pd.DataFrame) -> None:
    claim = "with a constant share of synthetic data scaling stops"
    arms = {name: [] for name in ARMS}
    falling = scan.assign(measured=1000 / scan["rows"], error=1e-6)
    flat = scan.assign(measured=0.1, error=1e-6)
    linear = pd.DataFrame(
        [{"regime": r, "generation": 0, "law": 1.0, "measured": 1.0, "error": 1.0}
         for r in ("replaced", "accumulated")]
    )  # fmt: skip
    for data, verdict in ((falling, "not reproduced"), (flat, "reproduced, it levels off")):
        (row,) = by_claim(claims.of_regimes(arms, linear, data, "10 %"))[claim]
        assert row.verdict == verdict


def test_claims_of_doses_follow_from_the_runs() -> None:
    tested = dose.equivalence(dose.grid(DOSES))
    rows = by_claim(claims.of_doses(DOSES, tested, 2))
    (small,) = rows["even small percentages of synthetic data raise error"]
    # 21.1/21, 10.05/10 and 40.2/40: half a per cent more, all of them.
    assert small.result.startswith("10 %: +0.5 % [")
    (weight,) = rows["the best weight of human data is 0.618"]
    assert weight.result.startswith("0.618")
    (table,) = rows["scores fall (a table in which generation and share rise together)"]
    assert table.result.count("[") == 2
    # Nobody can look up the article: no verdict is given on it.
    assert {row.verdict for row in (small, table)} == {verdicts.NOT_READ}


def test_a_mixture_that_is_better_is_named() -> None:
    human = {seed: [20.0, 20.0, 30.0 + seed / 10] for seed in range(3)}
    mixed = {seed: [20.0, 20.0, 25.0 + seed / 10] for seed in range(3)}
    doses = dosed({0.0: human, 0.5: mixed, 1.0: human})
    tested = dose.equivalence(dose.grid(doses))
    assert claims.best_mixture(doses, tested, 2) == "better with 50 % human text than with all"
    one = {share: runs[:1] for share, runs in doses.items()}
    said = claims.best_mixture(one, dose.equivalence(dose.grid(one)), 2)
    assert said.startswith("undecided")
    nothing: dict[float, list[Run]] = {0.0: [], 0.5: [], 1.0: []}
    empty = dose.equivalence(dose.grid(nothing))
    assert claims.best_mixture(nothing, empty, 2) == "not run yet"
    rows = claims.of_doses(nothing, empty, 2)
    assert sum("not run yet" in row.result for row in rows) == 5
    assert not any("reproduced" in row.verdict for row in rows if "a mean" not in row.verdict)
