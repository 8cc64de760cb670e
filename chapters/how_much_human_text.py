"""Dose and response: the synthetic share of the training text, crossed with the generation.

An arm is compared with the one whose share is 0, seed by seed and generation by generation: that
one trains on the same human blocks again and again, so that what is left is the effect of the
share and not of another training.
"""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from collapse.experiment.loop import Run
from collapse.measure import per_seed
from collapse.measure.per_seed import MARGIN, PerSeed

Doses = Mapping[float, list[Run]]  # synthetic share -> runs that differ by seed alone

CERTAINTY = 0.90  # of the interval of an equivalence test at 5 %: two one-sided tests
COLUMNS = {
    "test_perplexity": "perplexity on human text",
    "distinct_tokens": "distinct tokens in its text",
    "tail_coverage": "rare human tokens still written",
    "moving_type_token_ratio": "moving type-token ratio",
}


def grid(doses: Doses) -> pd.DataFrame:
    """Each measure by share, seed and generation, divided by that of share 0.

    Columns: `share`, `seed`, `generation`, and of each of `COLUMNS` its value and, with `_change`,
    its ratio to the run with share 0, of the same seed and in the same generation.
    """
    base = {run.record.protocol.seed: run.record.generations for run in doses.get(0.0, [])}
    parts = []
    for share, runs in sorted(doses.items()):
        for run in runs:
            seed, rows = run.record.protocol.seed, run.record.generations
            if seed not in base:
                continue
            part = pd.DataFrame({"share": share, "seed": seed, "generation": rows["generation"]})
            for column in COLUMNS:
                part[column] = rows[column]
                part[f"{column}_change"] = rows[column] / base[seed][column]
            parts.append(part)
    columns = ["share", "seed", "generation", *COLUMNS, *(f"{name}_change" for name in COLUMNS)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def change(found: pd.DataFrame, share: float, generation: int, column: str) -> PerSeed:
    """One cell of the grid: the ratio to share 0, over seeds."""
    rows = found[(found["share"] == share) & (found["generation"] == generation)]
    return per_seed.ratios(dict(zip(rows["seed"], rows[f"{column}_change"], strict=True)))


def equivalence(found: pd.DataFrame, column: str = "test_perplexity") -> pd.DataFrame:
    """Two one-sided tests of each cell: is the change within `MARGIN` for certain, or beyond it?

    Schuirmann 1987: equivalent at 5 % where the 90 % interval of the mean log ratio, Student's over
    seeds, lies within plus and minus log(1 + `MARGIN`); beyond where it lies outside. Each cell is
    a test by itself.

    Columns: `share`, `generation`, `seeds`, `change` with `low` and `high`, in per cent; `verdict`:
    `within the margin`, `above the margin`, `below the margin`, `undecided` and why.
    """
    bound, rows = math.log1p(MARGIN), []
    for (share, generation), cell in found.groupby(["share", "generation"]):
        if share == 0 or generation == 0:
            continue
        logs = np.log(cell[f"{column}_change"].to_numpy())
        low = high = math.nan
        if len(logs) > 1:
            error = logs.std(ddof=1) / math.sqrt(len(logs))
            half = stats.t.ppf(0.5 + CERTAINTY / 2, len(logs) - 1) * error
            low, high = logs.mean() - half, logs.mean() + half
        rows.append(
            {
                "share": share,
                "generation": generation,
                "seeds": len(logs),
                "change": 100 * math.expm1(logs.mean()),
                "low": 100 * math.expm1(low),
                "high": 100 * math.expm1(high),
                "verdict": _verdict(low, high, bound),
            }
        )
    columns = ["share", "generation", "seeds", "change", "low", "high", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def _verdict(low: float, high: float, bound: float) -> str:
    if math.isnan(low):
        return "undecided, one seed gives no interval"
    if -bound <= low and high <= bound:
        return "within the margin"
    if low > bound:
        return "above the margin"
    return "below the margin" if high < -bound else "undecided"


def cell(tested: pd.DataFrame, share: float, generation: int) -> pd.Series | None:
    """The row of one cell; None where it was not run."""
    rows = tested[(tested["share"] == share) & (tested["generation"] == generation)]
    return rows.iloc[0] if len(rows) else None


def margin(tested: pd.DataFrame, share: float, generation: int) -> str:
    """The verdict on one cell."""
    row = cell(tested, share, generation)
    return "not run yet" if row is None else str(row["verdict"])


def told(tested: pd.DataFrame, share: float, generation: int) -> str:
    """The change in one cell with its 90 % interval, in per cent."""
    row = cell(tested, share, generation)
    if row is None:
        return "not run yet"
    if math.isnan(row["low"]):
        return f"{row['change']:+.1f} % (one seed, no interval)"
    return f"{row['change']:+.1f} % [{row['low']:+.1f}, {row['high']:+.1f}]"


def where(tested: pd.DataFrame, generation: int) -> str:
    """In a sentence, up to which share a change is ruled out, and from which on it is shown."""
    up_to, start = certain_up_to(tested, generation), certain_from(tested, generation)
    limit = f"a rise of more than {100 * MARGIN:g} %"
    if not (tested["generation"] == generation).any():
        return "this is not run yet"
    first = f"{limit} is ruled out up to a share of {100 * up_to:g} %"
    if math.isnan(up_to):
        first = f"{limit} is ruled out at no share"
    last = "shown at none" if math.isnan(start) else f"shown from {100 * start:g} % on"
    any_ = certain_from(tested, generation, 0.0)
    smaller = "at none" if math.isnan(any_) else f"from {100 * any_:g} % on"
    return f"{first}, and {last}; a rise of whatever size is shown {smaller}"


def certain_from(tested: pd.DataFrame, generation: int, margin: float = MARGIN) -> float:
    """The least share from which on each has its interval above a margin; nan where none has."""
    found = math.nan
    rows = tested[tested["generation"] == generation]
    for _, row in rows.sort_values("share", ascending=False).iterrows():
        if not row["low"] > 100 * margin:
            break
        found = float(row["share"])
    return found


def certain_up_to(tested: pd.DataFrame, generation: int) -> float:
    """The largest share up to which every tested one is within the margin; nan where none is."""
    found = math.nan
    rows = tested[tested["generation"] == generation]
    for _, row in rows.sort_values("share").iterrows():
        if row["verdict"] != "within the margin":
            break
        found = float(row["share"])
    return found


def increments(runs: list[Run]) -> pd.DataFrame:
    """By how much a generation is worse on human test text than the one before.

    Columns: `seed`, `generation` from 1; `nats`, of loss a token; `points`, of perplexity divided
    by that of generation 0.
    """
    parts = []
    for run in runs:
        perplexity = run.record.generations["test_perplexity"].to_numpy()
        parts.append(
            pd.DataFrame(
                {
                    "seed": run.record.protocol.seed,
                    "generation": np.arange(1, len(perplexity)),
                    "nats": np.diff(np.log(perplexity)),
                    "points": np.diff(perplexity / perplexity[0]),
                }
            )
        )
    columns = ["seed", "generation", "nats", "points"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def acceleration(runs: list[Run], column: str = "nats") -> PerSeed:
    """By how much increments grow in each generation, least squares: above 0 decay accelerates."""
    by_seed = {}
    for run in runs:
        steps = increments([run])[column].to_numpy()
        if len(steps) > 1:
            slope = np.polyfit(np.arange(len(steps)), steps, 1)[0]
            by_seed[run.record.protocol.seed] = float(slope)
    return per_seed.values(by_seed)


def pace_in_words(measured: PerSeed) -> str:
    """What a slope of increments says; one within `MARGIN` of 0 is none."""
    if why := per_seed.unknown(measured):
        return why
    if measured.low > MARGIN:
        return "it accelerates"
    if measured.high < -MARGIN:
        return "it slows"
    steady = -MARGIN <= measured.low and measured.high <= MARGIN
    return "its pace is steady" if steady else "its pace may be steady or not"


def best_human_share(doses: Doses) -> dict[int, float]:
    """By seed, the human share with the lowest perplexity in the last generation."""
    ends: dict[int, dict[float, float]] = {}
    for share, runs in doses.items():
        for run in runs:
            value = float(run.record.generations["test_perplexity"].iloc[-1])
            ends.setdefault(run.record.protocol.seed, {})[1 - share] = value
    return {seed: min(values, key=values.__getitem__) for seed, values in sorted(ends.items())}
