"""What the chapter on entropy reads from the records and draws: gauges, arms, vocabulary."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from collapse.book import figures, ratios
from collapse.experiment import sources
from collapse.experiment.arms import Run
from collapse.measure import gauges, metrics, verdicts
from collapse.measure.per_seed import NOT_RUN, PerSeed, over_seeds
from collapse.measure.verdicts import Phrases, Reference

MOVED = 3.0  # standard errors: so far a gauge must be from its value in generation 0
CONTEXTS = {
    "predictive_entropy": "on human text",
    "own_text_entropy": "on its own text",
    "reference_entropy": "on generation 0's text",
}
LABELS = {"test_perplexity": "perplexity on human text"} | {
    name: gauge.label for name, gauge in (gauges.PREDICTIONS | gauges.TEXT).items()
}
# Reported for Keisha et al. 2025 by others; see the chapter. The arithmetic is ours.
GENERAL = Reference(2.5 / 4.2, 2.5 / 4.2, "reported, general: 4.2 → 2.5", -1)
DOMAIN = Reference(3.3 / 3.5, 3.3 / 3.5, "reported, domain: 3.5 → 3.3", -1)
HALF = Reference(0.5, 0.5, "claimed: half", -1)
_IN_WORDS = Phrases("falls to", "stays at", "rises to", "is not clearly changed, at")

Arms = figures.Arms


def gauges_table() -> str:
    """Gauges of predictions and text for a reader, a MyST table: formula, source, warning."""
    lines = ["| gauge | unit | formula | not to be compared with |", "|---|---|---|---|"]
    for gauge in (gauges.PREDICTIONS | gauges.TEXT).values():
        cited = f" {{cite:p}}`{gauge.source}`" if gauge.source else ""
        lines.append(
            f"| {gauge.label}{cited} | {gauge.unit} | ${gauge.formula}$ | {gauge.warning} |"
        )
    return "\n".join(lines)


# -- one run -----------------------------------------------------------------------------------


def movements(run: Run) -> pd.DataFrame:
    """How far each gauge is from its value in generation 0, by generation.

    Columns: `gauge`, `generation`, `value`, `ratio` to generation 0, and `distance` in standard
    errors of the difference, of that of logarithms for perplexities. The errors of the two
    generations are taken to be independent, for all gauges alike. Those that are read off the same
    blocks in both have less noise than that, so their distances are understated. Gauges without an
    interval are left out.
    """
    rows, found = run.record.generations, []
    for name in LABELS:
        if f"{name}_se" not in rows:
            continue
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
    """For each gauge the generation from which on it stays away from generation 0's value.

    nan where it is within `MOVED` standard errors in the last generation.
    """

    def of(rows: pd.DataFrame) -> float:
        near = rows["generation"][~(rows["distance"].abs() > MOVED)]
        first = near.max() + 1
        return float(first) if first <= rows["generation"].max() else math.nan

    return moved.groupby("gauge", sort=False)[["generation", "distance"]].apply(of)


def gauges_figure(runs: list[Run]) -> tuple[Figure, pd.DataFrame]:
    """All gauges of several runs of one arm in standard errors, and when each leaves for good.

    Left: the first of the runs, one row a gauge, a dot a generation. Right: for each run the
    generation from which on the gauge stays more than `MOVED` standard errors away.
    """
    figures.style()
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10.5, 8.2), layout="constrained", sharey=True, width_ratios=(2, 1)
    )
    tables = {run.record.protocol.seed: movements(run) for run in runs}
    firsts = pd.DataFrame({seed: first_move(table) for seed, table in tables.items()})
    shown = next(iter(tables.values()))
    last = shown["generation"].max()
    reach = shown[shown["generation"] == last].set_index("gauge")["distance"].abs()
    late = firsts.fillna(last + 1).mean(axis=1)
    order = sorted(firsts.index, key=lambda name: (late[name], -reach[name]))
    shades = sns.color_palette("viridis", int(last) + 1)
    for number, rows in shown[shown["generation"] > 0].groupby("generation"):
        places = [order.index(name) for name in rows["gauge"]]
        left.scatter(
            rows["distance"], places, color=shades[int(number)], s=26 + 9 * int(number),
            edgecolor="white", lw=0.5, zorder=3, label=f"generation {number}",
            marker="osD^vPX*"[(int(number) - 1) % 8],
        )  # fmt: skip
    left.axvspan(-MOVED, MOVED, color=figures.BAND, alpha=0.25, lw=0, zorder=0)
    left.axvline(0, color="#333333", lw=1)
    left.set_xscale("symlog", linthresh=10)
    ticks = [-1000, -100, -10, 0, 10, 100, 1000]
    left.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    far = 1.3 * max(10.0, float(shown["distance"].abs().max()))
    left.set_xlim(-far, far)
    left.set_yticks(range(len(order)), [LABELS[name] for name in order])
    left.set_ylim(len(order) - 0.5, -0.5)
    seed = next(iter(tables))
    left.set(xlabel="standard errors away from generation 0")
    left.set_title(f"Seed {seed}", pad=30)
    left.legend(
        fontsize=9, ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1), columnspacing=0.8,
        handletextpad=0.1, borderpad=0.2,
    ).set_in_layout(False)  # fmt: skip
    for index, number in enumerate(firsts):
        values = [firsts.loc[name, number] for name in order]
        shift = 0.18 * (index - (len(firsts.columns) - 1) / 2)
        colour, marker = figures.COLOURS[index % 4], figures.MARKERS[index % 4]
        never = [math.isnan(value) for value in values]
        places = np.arange(len(order)) + shift
        x = np.where(never, last + 1, values)
        right.plot(x, places, marker, color=colour, ms=6, ls="", label=f"seed {number}")
        right.plot(x[never], places[never], marker, mfc="white", color=colour, ms=6, ls="")
    numbers = range(1, int(last) + 1)
    right.set_xticks([*numbers, int(last) + 1], [*map(str, numbers), "never"])
    right.tick_params(axis="x", labelsize=9)
    right.set_xlim(0.5, last + 1.5)
    right.set(xlabel="moves in generation")
    right.set_title("Every seed", pad=30)
    right.legend(fontsize=9, loc="upper right")
    data = [table.assign(seed=seed) for seed, table in tables.items()]
    return figure, pd.concat(data, ignore_index=True)


def leads(runs: list[Run], first: str, second: str) -> tuple[int, int]:
    """In how many runs one gauge leaves before another, and of how many; never counts as last."""
    ahead = 0
    for run in runs:
        left = first_move(movements(run)).fillna(math.inf)
        ahead += left[first] < left[second]
    return int(ahead), len(runs)


# -- several arms ------------------------------------------------------------------------------


def by_arm(arms: Arms, column: str) -> pd.DataFrame:
    """A column by arm, seed and generation: `value` with `_low`, `_high`, `ratio` to the first."""
    parts = []
    for label, runs in arms.items():
        for run in runs:
            rows = run.record.generations
            part = rows[["generation"]].assign(value=rows[column], arm=label, column=column)
            part.insert(3, "seed", run.record.protocol.seed)
            for end in ("low", "high"):
                part[f"value_{end}"] = rows[f"{column}_{end}"]
            parts.append(part.assign(ratio=rows[column] / rows[column].iloc[0]))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def in_words(found: PerSeed) -> str:
    """`falls to 0.83 [0.80, 0.86]`, or that it rises, hardly changes, or that it is open."""
    if not found.by_seed:
        return f"is {NOT_RUN}"
    if math.isnan(found.low):
        return f"ends at {found}"
    return f"{verdicts.change(found, _IN_WORDS)} {found}"


def always_falls(found: dict[str, PerSeed]) -> str:
    """The verdict on the claim that something falls under every condition."""
    told = {name: verdicts.falls(one) for name, one in found.items() if not math.isnan(one.low)}
    if not told:
        return next((verdicts.falls(one) for one in found.values()), NOT_RUN)
    against = [name for name, word in told.items() if word.startswith(verdicts.NOT_REPRODUCED)]
    if against:
        return f"{verdicts.NOT_REPRODUCED}, it does not fall with {' and '.join(against)}"
    open_ = [name for name, word in told.items() if word != verdicts.REPRODUCED]
    if open_:
        return f"{verdicts.UNDECIDED}, it may not fall with {' and '.join(open_)}"
    return verdicts.REPRODUCED


def mean_of(runs: list[Run], column: str, generation: int = -1) -> float:
    """The mean over seeds of a column in one generation; nan without runs."""
    values = [float(run.record.generations[column].iloc[generation]) for run in runs]
    return float(np.mean(values)) if values else math.nan


def contexts_figure(
    arms: Arms, references: Sequence[Reference] = ()
) -> tuple[Figure, pd.DataFrame]:
    """Entropy of predictions in three contexts, in bits, and on human text as a ratio.

    Thin lines are seeds with their 95 % intervals over blocks, thick ones their means.
    """
    figures.style()
    figure, grid = plt.subplots(2, 2, figsize=(9.2, 7.6), layout="constrained", sharex=True)
    axes, data = grid.ravel(), []
    for place, (column, words) in enumerate(CONTEXTS.items()):
        table = by_arm(arms, column)
        data.append(table)
        _by_generation(axes[place], table, arms, "value")
        axes[place].set(title=f"Entropy {words}", ylabel="bits a token")
    low = min(ax.get_ylim()[0] for ax in axes[:3])
    high = max(ax.get_ylim()[1] for ax in axes[:3])
    for ax in axes[:3]:
        ax.set_ylim(low, high)
    _by_generation(axes[3], data[0], arms, "ratio")
    for reference in references:
        figures.band(axes[3], reference)
    axes[3].set(title="On human text, relative", ylabel="÷ generation 0")
    axes[0].legend(fontsize=9)
    for ax in grid[1]:
        ax.set_xlabel("generation (0 = trained on human text)")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure, pd.concat(data, ignore_index=True)


def _by_generation(axes: Axes, table: pd.DataFrame, arms: Arms, column: str) -> None:
    for index, label in enumerate(arms):
        rows = table[table["arm"] == label] if len(table) else table
        if len(rows):
            place = (index, len(arms))
            figures.seeds_and_mean(axes, rows, column, place, label, intervals=column == "value")


def decoding_figure(arms: Arms) -> tuple[Figure, pd.DataFrame]:
    """Entropy of the last generation over that of generation 0, by decoding: where it rises.

    Hollow circles are seeds, filled markers means with 95 % intervals over seeds.
    """
    figures.style()
    columns = {**CONTEXTS, "unigram_entropy": "of the words of its text"}
    figure, grid = plt.subplots(
        2, 2, figsize=(9.2, 2.4 + 0.8 * len(arms)), layout="constrained", sharey=True
    )
    data = []
    for ax, (column, words) in zip(grid.ravel(), columns.items(), strict=True):
        for index, (label, runs) in enumerate(arms.items()):
            if not runs:
                continue
            found = ratios.ratio(runs, column)
            rises = found.mean > 1
            colour, marker = (figures.COLOURS[1], ">") if rises else (figures.COLOURS[0], "<")
            figures.seeds_and_interval(ax, index, found, colour, marker)
            data += [
                {"column": column, "arm": label, "seed": seed, "ratio": value}
                for seed, value in found.by_seed.items()
            ]
        ax.axvline(1, color="#333333", lw=1)
        ax.set_title(f"Entropy {words}")
    for ax in grid[1]:
        ax.set_xlabel("last generation ÷ generation 0")
    grid[0, 0].set_yticks(range(len(arms)), list(arms))
    grid[0, 0].set_ylim(len(arms) - 0.5, -0.5)
    return figure, pd.DataFrame(data)


# -- vocabulary --------------------------------------------------------------------------------


def vocabulary(run: Run, length: int, generation: int = -1) -> float:
    """Distinct tokens expected in `length` tokens of a generation's text."""
    return metrics.rarefied_vocabulary(run.record.text_counts[generation], length)


def human_vocabulary(run: Run, length: int) -> float:
    """The same of human text that continues the same prompts."""
    return metrics.rarefied_vocabulary(run.record.arrays["human_counts"], length)


def vocabulary_ratio(runs: list[Run], length: int) -> PerSeed:
    """Vocabulary at a length in the last generation over that in generation 0."""
    last, first = (
        over_seeds(ratios.by_seed(runs, lambda run, n=n: vocabulary(run, length, n)))
        for n in (-1, 0)
    )
    return last / first


def effective_vocabulary(bits: Any) -> Any:
    """2^H: how many equally frequent words would have this entropy (Hill 1973, order 1)."""
    return 2.0**bits


def vocabulary_figure(arms: Arms, shown: Run) -> tuple[Figure, pd.DataFrame]:
    """How vocabulary grows with the length of a text, and the effective vocabulary by arm."""
    figures.style()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.4), layout="constrained")
    counts = shown.record.text_counts
    size = int(min(counts.sum(1).min(), shown.record.arrays["human_counts"].sum()))
    lengths = np.unique(np.geomspace(min(50, size), size, 30).round().astype(int))
    shades = sns.color_palette("viridis", len(counts))
    human = [human_vocabulary(shown, length) for length in lengths]
    left.plot(lengths, human, color="black", lw=1.6, ls=":", label="human text")
    grown = [pd.DataFrame({"text": "human", "length": lengths, "types": human})]
    for number in range(len(counts)):
        types = [vocabulary(shown, length, number) for length in lengths]
        left.plot(lengths, types, color=shades[number], ls=figures.LINES[number % 4],
                  lw=1.8, label=f"generation {number}")  # fmt: skip
        grown.append(
            pd.DataFrame({"text": f"generation {number}", "length": lengths, "types": types})
        )
    left.set(xscale="log", yscale="log", xlabel="tokens of text read",
             ylabel="distinct tokens expected", title="Vocabulary at a fixed length")  # fmt: skip
    figures.plain_numbers(left.yaxis)
    left.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    left.legend(fontsize=9)
    table = by_arm(arms, "miller_madow")
    for name in ("value", "value_low", "value_high"):
        table[name] = effective_vocabulary(table[name])
    _by_generation(right, table, arms, "value")
    for run in {run.record.protocol.corpus: run for runs in arms.values() for run in runs}.values():
        human_types = effective_vocabulary(run.record.corpus["human_text"]["miller_madow"])
        right.axhline(human_types, color="black", lw=1.2, ls=":")
        right.annotate(
            f"human text of {sources.label(run.record.protocol.corpus)}", (0.99, human_types),
            xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=9,
        )  # fmt: skip
    right.set(xlabel="generation", ylabel=r"$2^H$ (tokens)", title="Effective vocabulary")
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    bottom, top = right.get_ylim()
    right.set_ylim(bottom, top + 0.35 * (top - bottom))  # room for the legend
    right.legend(fontsize=9, loc="upper right")
    return figure, figures.panels(left=pd.concat(grown), right=table)
