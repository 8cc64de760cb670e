"""Which measure of collapse moves first: distances in standard errors, and all formulas."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from IPython.display import Markdown
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from collapse.book import figures, numbers
from collapse.book.numbers import Number
from collapse.experiment.arms import Run
from collapse.measure import gauges

MOVED = 3.0  # standard errors: so far a measure must be from its value in generation 0
CLIPPED = 50  # standard errors: what is farther is drawn and printed as if it were here
# The measures that have an interval, as short as a telephone needs them.
LABELS = {
    "test_perplexity": "perplexity (human)",
    "predictive_entropy": "entropy (human)",
    "own_text_entropy": "entropy (own text)",
    "reference_entropy": "entropy (gen. 0)",
    "overconfidence": "over-confidence",
    "own_text_perplexity": "perplexity (own text)",
    "unigram_entropy": "words, plug-in",
    "miller_madow": "words, Miller–M.",
    "chao_shen": "words, Chao–Shen",
    "bigram_entropy": "word after one",
    "trigram_entropy": "word after two",
    "distinct_tokens": "different tokens",
    "moving_type_token_ratio": "different in 50",
    "distinct_2_pooled": "pairs, all text",
    "distinct_2_each": "pairs, by block",
    "tail_coverage": "rare ones written",
    "tail_share": "share of rare ones",
    "divergence": "distance to human",
}


def gauges_table() -> str:
    """Measures of predictions and text for a reader, a MyST table: formula, source, warning."""
    lines = ["| measure | unit | formula | not to be compared with |", "|---|---|---|---|"]
    for gauge in (gauges.PREDICTIONS | gauges.TEXT).values():
        cited = f" {{cite:p}}`{gauge.source}`" if gauge.source else ""
        lines.append(
            f"| {gauge.label}{cited} | {gauge.unit} | ${gauge.formula}$ | {gauge.warning} |"
        )
    return "\n".join(lines)


def glue_table(name: str) -> None:
    """Have the text of the page know that table by a name."""
    from myst_nb import glue  # and with it all of Sphinx

    glue(name, Markdown(gauges_table()), display=False)


def movements(run: Run) -> pd.DataFrame:
    """How far each measure is from its value in generation 0, by generation.

    Columns: `gauge`, `generation`, `value`, `ratio` to generation 0, and `distance` in standard
    errors of the difference, of that of logarithms for perplexities. The errors of the two
    generations are taken to be independent, for all measures alike. Those that are read off the
    same blocks in both have less noise than that, so their distances are understated. Measures
    without an interval are left out.
    """
    rows, found = run.record.generations, []
    for name in LABELS:
        value, own = rows[name].to_numpy(), rows[f"{name}_se"].to_numpy()
        logarithmic = gauges.GAUGES[name].interval == gauges.LOG
        part = rows[["generation"]].assign(value=value)
        part.insert(0, "gauge", name)
        with np.errstate(divide="ignore", invalid="ignore"):
            part["ratio"] = value / value[0]
            change = np.log(value / value[0]) if logarithmic else value - value[0]
            part["distance"] = np.where(change == 0, 0.0, change / np.hypot(own, own[0]))
        found.append(part)
    return pd.concat(found, ignore_index=True)


def first_move(moved: pd.DataFrame) -> pd.Series:
    """For each measure the generation from which on it stays away from generation 0's value.

    nan where it is within `MOVED` standard errors in the last generation.
    """

    def of(rows: pd.DataFrame) -> float:
        near = rows["generation"][~(rows["distance"].abs() > MOVED)]
        first = near.max() + 1
        return float(first) if first <= rows["generation"].max() else math.nan

    return moved.groupby("gauge", sort=False)[["generation", "distance"]].apply(of)


def first_moves(runs: Sequence[Run]) -> pd.DataFrame:
    """When each measure moved, a column a seed."""
    return pd.DataFrame({r.record.protocol.seed: first_move(movements(r)) for r in runs})


def at_once(runs: Sequence[Run]) -> list[str]:
    """The measures that have moved in generation 1, for good, in every run."""
    firsts = first_moves(runs)
    return [str(name) for name in firsts.index[(firsts == 1).all(axis=1)]] if len(firsts) else []


def leads(runs: list[Run], first: str, second: str) -> Number:
    """In how many runs one measure moves before another, as `1 of 3`; never counts as last."""
    moves = [first_move(movements(run)).fillna(math.inf) for run in runs]
    ahead = sum(moved[first] < moved[second] for moved in moves)
    return numbers.one(
        ahead, f"runs in which {LABELS[first]} moves before {LABELS[second]}", "a count",
        runs=runs, text=f"{ahead} of {len(runs)}",
    )  # fmt: skip


def told(arms: figures.Arms) -> tuple[dict[str, Number], str]:
    """The numbers of the page's prose on these measures by their names there; and the alt text.

    Args:
        arms: two ways of writing, the page's own first.
    """
    early = {name: at_once(runs) for name, runs in arms.items()}
    counts = [
        numbers.one(
            len(early[name]) if runs else math.nan, f"measures that moved in generation 1, {name}",
            f"a count, beyond {MOVED:g} standard errors in every seed", runs=runs,
        )
        for name, runs in arms.items()
    ]  # fmt: skip
    both = [LABELS[name] for name in LABELS if all(name in moved for moved in early.values())]
    alt = (
        f"Heat strips of {len(LABELS)} measures. Moved in generation 1 in every seed: "
        + "; ".join(f"{count} with {name}" for count, name in zip(counts, arms, strict=True))
        + f". Both times: {', '.join(both) or 'none'}."
    )
    ahead = leads(next(iter(arms.values())), "own_text_perplexity", "unigram_entropy")
    found = dict(zip(("early", "late"), counts, strict=True)) | {"ahead": ahead}
    found["all"] = numbers.one(
        len(LABELS), "measures that have an interval", "a count", origin="this book's measures"
    )
    return {f"ent-{name}": number for name, number in found.items()}, alt


def gauges_figure(arms: figures.Arms) -> tuple[Figure, pd.DataFrame]:
    """How far each measure is from generation 0 in the first run of each arm, a row a measure.

    The last column of a panel says for each run from which generation on the measure stays more
    than `MOVED` standard errors away.
    """
    arms = {label: runs for label, runs in arms.items() if runs}
    firsts = {label: first_moves(runs) for label, runs in arms.items()}
    tables = {
        label: [movements(run).assign(arm=label, seed=run.record.protocol.seed) for run in runs]
        for label, runs in arms.items()
    }
    late = sum(found.fillna(len(found)).mean(axis=1) for found in firsts.values())
    order = sorted(LABELS, key=lambda name: late[name])
    figure, grid = figures.canvas(len(arms), 4.7, sharey=True, squeeze=False)
    for axes, label in zip(grid[0], arms, strict=True):
        shown = tables[label][0].pivot(index="gauge", columns="generation", values="distance")
        moved = [_each(firsts[label].loc[name]) for name in order]
        _strip(axes, shown.loc[order].drop(columns=0), moved)
        seed = arms[label][0].record.protocol.seed
        axes.set(title=label, ylabel=f"standard errors, seed {seed}")
    grid[0, 0].set_yticks(range(len(order)), [LABELS[name] for name in order])
    return figure, pd.concat([table for one in tables.values() for table in one], ignore_index=True)


def _each(firsts: pd.Series) -> str:
    """`1 3 –`: the generation in each run, or the first and the last of many."""
    each = firsts.tolist() if len(firsts) < 4 else [firsts.min(), firsts.max(skipna=False)]
    words = ["–" if math.isnan(first) else f"{first:.0f}" for first in each]
    return (" " if len(firsts) < 4 else "…").join(words)


def _strip(axes: Axes, distances: pd.DataFrame, moved: list[str]) -> None:
    """One cell a measure and generation, with its number, and a column of words at the right."""
    last = distances.columns.max()
    clipped = np.clip(distances.to_numpy(), -CLIPPED, CLIPPED)
    colours = colormaps["PuOr_r"](0.5 + np.cbrt(clipped / CLIPPED) / 2)
    axes.imshow(colours, aspect="auto", extent=(0.5, last + 0.5, len(clipped) - 0.5, -0.5))
    light = colours[..., :3] ** 2.2 @ (0.2126, 0.7152, 0.0722)  # as seen
    for (row, column), value in np.ndenumerate(clipped):
        if not math.isnan(value):
            number = f"{value:+.0f}".replace("-", "−") if abs(value) >= 0.5 else "0"
            axes.text(column + 1, row, number, ha="center", va="center",
                      color="white" if light[row, column] < 0.2 else figures.INK)  # fmt: skip
    for row, words in enumerate(moved):
        axes.text(last + 1.4, row, words, ha="center", va="center", color=figures.INK)
    axes.set_xlim(0.5, last + 2.3)
    numbers = range(1, last + 1)
    axes.set_xticks([*numbers, last + 1.4], [*map(str, numbers), "moved\nin"])
    axes.set_xlabel("generation")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
