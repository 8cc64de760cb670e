"""What the runs of an arm say, over seeds: ratios between generations, and between arms.

Absolute perplexities cannot be compared with those of another model, corpus size or tokeniser. What
can be compared is the ratio of a later generation's perplexity to that of generation 0.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import pandas as pd

from collapse.book import numbers
from collapse.book.numbers import Number
from collapse.experiment.arms import label, way_of_writing
from collapse.experiment.sources import label as label_of_text
from collapse.measure.gauges import GAUGES
from collapse.measure.per_seed import PerSeed, over_seeds

if TYPE_CHECKING:
    from collapse.experiment.arms import Run


T = TypeVar("T")
_WHICH = {-1: "last generation", -2: "the one before", 0: "generation 0"}


def by_seed(runs: "list[Run]", number: "Callable[[Run], T]") -> dict[int, T]:
    """A number of each run, by its seed."""
    return {run.record.protocol.seed: number(run) for run in runs}


def names(runs: "list[Run]") -> tuple[str, ...]:
    """The records of runs, by name."""
    return tuple(run.record.name for run in runs)


def setting(runs: "list[Run]") -> str:
    """What the runs of an arm have in common, in words; nothing where nothing was run."""
    if not runs:
        return ""
    record, protocol = runs[0].record, runs[0].record.protocol
    model = record.base["name"].partition(" (")[0]
    text = label_of_text(protocol.corpus)
    return f"{model} on {text}, {way_of_writing(protocol)}, {label(protocol)}"


def per_seed(
    runs: "list[Run]", number: "Callable[[Run], float]", measure: str, ratio: bool = False
) -> PerSeed:
    """A number of each run, over seeds, with what it is of and its records.

    Args:
        measure: what the number is, in words.
        ratio: as in `over_seeds`.
    """
    what = f"{measure}: {setting(runs)}"
    return over_seeds(by_seed(runs, number), ratio, what=what, records=names(runs))


def table(runs: "list[Run]") -> pd.DataFrame:
    """The rows of several runs under each other, with columns `seed` and `ratio` added."""
    parts = []
    for run in runs:
        part = run.record.generations.copy()
        part.insert(0, "seed", run.record.protocol.seed)
        part["ratio"] = part["test_perplexity"] / part["test_perplexity"].iloc[0]
        parts.append(part)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def ratio(
    runs: "list[Run]", column: str = "test_perplexity", generation: int = -1, over: int = 0
) -> PerSeed:
    """A column's value in a generation, by default the last, over that in another, the first."""

    def of(run: "Run") -> float:
        values = run.record.generations[column]
        below = float(values.iloc[over])
        return float(values.iloc[generation]) / below if below else math.nan

    ends = " ÷ ".join(_WHICH.get(end, f"generation {end}") for end in (generation, over))
    return per_seed(runs, of, f"{GAUGES[column].label}, {ends}", ratio=True)


def paired(above: "list[Run]", below: "list[Run]", column: str = "test_perplexity") -> PerSeed:
    """Growth factor of one arm over that of another, seed by seed: above 1 = it grew more."""
    return ratio(above, column) / ratio(below, column)


def share_in(runs: "list[Run]", column: str, generation: int = -1) -> Number:
    """A share in one generation, the mean over seeds, in per cent."""
    found = per_seed(
        runs, lambda run: float(run.record.generations[column].iloc[generation]),
        f"{GAUGES[column].label}, {_WHICH.get(generation, f'generation {generation}')}",
    )  # fmt: skip
    return numbers.of(found, unit="%", digits=0, times=100, interval=False)


def minutes(runs: "list[Run]") -> Number:
    """The shortest and the longest time that one of the runs took, in minutes."""
    times = [sum(run.record.provenance["seconds"]) / 60 for run in runs]
    low, high = (min(times), max(times)) if times else (math.nan, math.nan)
    return numbers.one(
        math.nan, "time that one run took", "least and greatest of all runs", runs=runs,
        text=f"{low:.0f} to {high:.0f}", unit="minutes", low=low, high=high,
    )  # fmt: skip
