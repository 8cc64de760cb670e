"""Dose and response: the synthetic share of the training text, crossed with the generation.

An arm is compared with the one whose share is 0, seed by seed and generation by generation: that
one trains on the same human blocks again and again, so that what is left is the effect of the
share and not of another training. Then recovery: a collapsed model trained further on human text
that no generation has seen. At the end, what others claim.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize

from collapse.book import numbers, ratios
from collapse.book.numbers import Number
from collapse.experiment.arms import Run
from collapse.laws import drift
from collapse.measure import verdicts
from collapse.measure.per_seed import NOT_RUN, PerSeed, over_seeds
from collapse.measure.verdicts import (
    AGREES,
    CANNOT_TELL,
    DISAGREES,
    MARGIN,
    NOT_READ,
    Claim,
    Phrases,
)

Doses = Mapping[float, list[Run]]  # synthetic share -> runs that differ by seed alone
Mended = dict[tuple[int, int], list[Run]]  # rounds of collapse before, human blocks -> runs

CERTAINTY = 0.90  # of the interval of an equivalence test at 5 %: two one-sided tests
COLUMNS = {
    "test_perplexity": "perplexity on human text",
    "distinct_tokens": "distinct tokens in its text",
    "tail_coverage": "rare human tokens still written",
    "moving_type_token_ratio": "moving type-token ratio",
}
WITHIN = "within the margin"
_PERCENT = 1.3  # a ratio below is told in per cent
_MARGINS = Phrases("below the margin", WITHIN, "above the margin", CANNOT_TELL)


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
    made = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    made.attrs["records"] = {share: ratios.names(runs) for share, runs in doses.items()}
    return made


def change(found: pd.DataFrame, share: float, generation: int, column: str) -> PerSeed:
    """One cell of the grid: the ratio to share 0, over seeds."""
    rows = found[(found["share"] == share) & (found["generation"] == generation)]
    records = found.attrs.get("records", {})
    return over_seeds(
        dict(zip(rows["seed"], rows[f"{column}_change"], strict=True)),
        ratio=True,
        what=f"{COLUMNS[column]} in generation {generation} ÷ that with human text alone: "
        f"{100 * share:g} % synthetic",
        records=tuple(name for one in dict.fromkeys((share, 0.0)) for name in records.get(one, ())),
    )


def middle(doses: Doses) -> float:
    """The share between 0 and 1 that is nearest to one half."""
    return min((share for share in doses if 0 < share < 1), key=lambda share: abs(share - 0.5))


def since(found: pd.DataFrame, share: float, before: int, end: int) -> PerSeed:
    """Perplexity in a generation over that in one before, each relative to share 0."""
    now, then = (change(found, share, number, "test_perplexity") for number in (end, before))
    return now / then


def worse(measured: PerSeed) -> Number:
    """A ratio with its interval: in per cent more below 1.3 times, as a factor from there on.

    >>> one, two = PerSeed({0: 1.2}, 1.2, 1.1, 1.3), PerSeed({0: 2.0}, 2.0, 1.5, 2.5)
    >>> [numbers.of(found, origin="a toy", **in_words(found)).text for found in (one, two)]
    ['20 % [10, 30]', '×2.00 [1.50, 2.50]']
    """
    return numbers.of(measured, **in_words(measured))


def in_words(measured: PerSeed) -> dict[str, Any]:
    """How `worse` has a ratio written."""
    if not measured.mean < _PERCENT:
        return {"before": "×"}
    digits = 0 if 100 * (measured.mean - 1) >= 10 else 1
    what = f"change in per cent of {measured.what}"
    return {"what": what, "unit": "%", "times": 100, "less": 1.0, "digits": digits}


# -- equivalence -------------------------------------------------------------------------------


def equivalence(found: pd.DataFrame, column: str = "test_perplexity") -> pd.DataFrame:
    """Two one-sided tests of each cell: is the change within `MARGIN` for certain, or beyond it?

    Schuirmann 1987: equivalent at 5 % where the 90 % interval of the mean log ratio, Student's over
    seeds, lies within plus and minus log(1 + `MARGIN`); beyond where it lies outside. Each cell is
    a test by itself.

    Columns: `share`, `generation`, `seeds`, `change` with `low` and `high`, in per cent; `verdict`:
    `within the margin`, `above the margin`, `below the margin` or `cannot tell`.
    """
    bound, rows = math.log1p(MARGIN), []
    columns = ["share", "generation", "seeds", "change", "low", "high", "verdict"]
    for (share, generation), cell in found.groupby(["share", "generation"]):
        if share == 0 or generation == 0:
            continue
        logs = dict(zip(cell["seed"], np.log(cell[f"{column}_change"]), strict=True))
        mean = over_seeds(logs, confidence=CERTAINTY)
        percents = (100 * math.expm1(end) for end in (mean.mean, mean.low, mean.high))
        verdict = verdicts.judge(mean, -bound, bound, _MARGINS)
        rows.append((share, generation, len(logs), *percents, verdict))
    return pd.DataFrame(rows, columns=columns)


def told(tested: pd.DataFrame, share: float, generation: int) -> str:
    """The change in one cell with its 90 % interval, in per cent."""
    rows = tested[(tested["share"] == share) & (tested["generation"] == generation)]
    if rows.empty:
        return NOT_RUN
    row = rows.iloc[0]
    if math.isnan(row["low"]):
        return f"{row['change']:+.1f} % (one seed, no interval)"
    return f"{row['change']:+.1f} % [{row['low']:+.1f}, {row['high']:+.1f}]"


def every_share(tested: pd.DataFrame, generation: int) -> str:
    """The change and the verdict at each share."""
    rows = tested[tested["generation"] == generation]
    changes = [f"{100 * s:g} %: {told(tested, s, generation)}" for s in rows["share"]]
    return "; ".join(map(", ".join, zip(changes, rows["verdict"], strict=True))) or NOT_RUN


def certain_from(tested: pd.DataFrame, generation: int, margin: float = MARGIN) -> float:
    """The least share from which on each has its interval above a margin; nan where none has."""
    rows = tested[tested["generation"] == generation].sort_values("share", ascending=False)
    return _last(rows[(rows["low"] > 100 * margin).cummin()])


def certain_up_to(tested: pd.DataFrame, generation: int) -> float:
    """The largest share up to which every tested one is within the margin; nan where none is."""
    rows = tested[tested["generation"] == generation].sort_values("share")
    return _last(rows[(rows["verdict"] == WITHIN).cummin()])


def _last(rows: pd.DataFrame) -> float:
    return float(rows["share"].iloc[-1]) if len(rows) else math.nan


# -- pace --------------------------------------------------------------------------------------


def increments(runs: list[Run]) -> pd.DataFrame:
    """By how much a generation is worse on human test text than the one before.

    Columns: `seed`, `generation` from 1; `nats`, of loss a token; `points`, of perplexity divided
    by that of generation 0.
    """
    rows = ratios.table(runs)
    if rows.empty:
        return pd.DataFrame(columns=["seed", "generation", "nats", "points"])
    losses = np.log(rows["test_perplexity"]).groupby(rows["seed"])
    steps = rows[["seed", "generation"]].assign(
        nats=losses.diff(), points=rows.groupby("seed")["ratio"].diff()
    )
    return steps[steps["generation"] > 0].reset_index(drop=True)


def acceleration(runs: list[Run], column: str = "nats") -> PerSeed:
    """By how much increments grow in each generation, least squares: above 0 decay accelerates."""
    steps = ratios.by_seed(runs, lambda run: increments([run])[column].to_numpy())
    return over_seeds(
        {
            seed: float(np.polyfit(np.arange(len(one)), one, 1)[0])
            for seed, one in steps.items()
            if len(one) > 1
        }
    )


def _end(run: Run) -> float:
    return float(run.record.generations["test_perplexity"].iloc[-1])


# -- recovery ----------------------------------------------------------------------------------


def curve(run: Run) -> pd.DataFrame:
    """Perplexity on human validation text by epoch of the recovery; epoch 0 is before it.

    Columns: `epoch`, `perplexity`.
    """
    before = float(run.record.generations["valid_perplexity"].iloc[-2])
    after = np.exp(run.record.arrays["recovery_nll"].astype(np.float64))
    values = np.concatenate([[before], after])
    return pd.DataFrame({"epoch": np.arange(len(values)), "perplexity": values})


def regained(runs: list[Run]) -> PerSeed:
    """The share of the lost loss on human test text that a recovery brings back, over seeds.

    1 is the loss of generation 0. A seed that had lost nothing is left out.
    """
    losses = ratios.by_seed(runs, lambda run: np.log(run.record.generations["test_perplexity"]))
    ends = {seed: loss.to_numpy()[[0, -2, -1]] for seed, loss in losses.items()}
    return over_seeds(
        {
            seed: float((before - after) / (before - first))
            for seed, (first, before, after) in ends.items()
            if before > first
        },
        what=f"share of the lost loss on human test blocks that is back: {ratios.setting(runs)}",
        records=ratios.names(runs),
    )


def beside(runs: list[Run], others: list[Run]) -> PerSeed:
    """Last test perplexity of one arm over another's, seed by seed."""
    measure = "perplexity on human test blocks, at the end"
    return ratios.per_seed(runs, _end, measure) / ratios.per_seed(others, _end, measure)


# -- claims ------------------------------------------------------------------------------------


def claims(doses: Doses, tested: pd.DataFrame, end: int) -> list[Claim]:
    """The claims about how much synthetic text does harm, and how much human text is needed.

    Args:
        tested: as `equivalence` gives it for perplexity.
        end: the last generation.
    """
    found = grid(doses)
    small = [share for share in sorted(doses) if 0 < share <= 0.1]
    repetition = equivalence(found, "moving_type_token_ratio")
    half = middle(doses)

    def cell(share: float, generation: int, column: str = "test_perplexity") -> PerSeed:
        return change(found, share, generation, column)

    by_share = cell(1.0, 1) / cell(half, 1)
    by_generation = cell(1.0, end) / cell(1.0, 1)
    least = optimize.minimize_scalar(drift.weighed_variance, bounds=(0.1, 1), method="bounded").x
    pace = {column: acceleration(doses[1.0], column) for column in ("nats", "points")}

    def each(words: Callable[[float], str]) -> str:
        return "; ".join(f"{100 * share:g} %: {words(share)}" for share in small) or NOT_RUN

    return [
        Claim(
            "1-1",
            "perplexity against human text alone, 90 % intervals",
            each(lambda share: told(tested, share, end)), NOT_READ,
        ),
        Claim(
            "1-1b",
            "distinct tokens ÷ those with human text alone",
            each(lambda share: str(cell(share, end, "distinct_tokens"))), NOT_READ,
        ),
        Claim(
            "1-11",
            "moving type-token ratio, which repetition lowers, 2 % synthetic",
            told(repetition, 0.02, end), NOT_READ,
        ),
        Claim(
            "1-7",
            f"perplexity: all synthetic ÷ {100 * half:g} %, generation 1; "
            "all synthetic, last generation ÷ 1",
            f"{by_share}; {by_generation}", NOT_READ,
        ),
        Claim(
            "1-8",
            "synthetic text alone, growth of the steps: of loss, in nats; of perplexity ÷ that of "
            "generation 0",
            f"{pace['nats']}; {pace['points']}", NOT_READ,
        ),
        Claim(
            "he-golden",
            "a fitted mean, as many human as synthetic data: weight with the least variance",
            numbers.one(least, "weight of human data with the least variance of a fitted mean",
                        "a closed form, minimised", origin="the law of a weighed mean",
                        text=f"{least:.3f} by the law"),
            AGREES if abs(least - drift.GOLDEN) < 0.001 else DISAGREES,
        ),
    ]  # fmt: skip
