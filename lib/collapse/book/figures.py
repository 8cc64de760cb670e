"""The one plot style, and saving a figure with its data and its card.

A figure is drawn 640 pixels wide, with text of 12, and once more for telephones, its panels below
one another. Lines are named where they end. Colour means the same on every page and is never
alone: arms differ in marker and line style too.
"""

import io
import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("agg")

import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML, display
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from collapse.book import cards, columns, ratios
from collapse.book.numbers import glue as glue
from collapse.book.numbers import words as words
from collapse.book.tables import remark as remark
from collapse.book.tables import table as table
from collapse.experiment.arms import describe
from collapse.experiment.assets import atomic, build_dir
from collapse.measure.per_seed import NOT_RUN, PerSeed
from collapse.measure.verdicts import Reference

if TYPE_CHECKING:  # or torch would be loaded
    from collapse.experiment.arms import Run

WIDE, NARROW = 640 / 96, 345 / 96  # inches, of which a page has 96 pixels each
# Okabe and Ito's colours that survive colour blindness; the order alternates dark and light.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
MARKERS = ("o", "s", "^", "D")
LINES = ("-", "--", "-.", ":")
BAND, PAPER = "#999999", "#666666"
INK = "#222222"
# Ways of writing, from the whole distribution to the likeliest text.
WRITING = {
    "temperature 1": "#00463A", "top-p 0.9": "#00876C", "temperature 0.7": "#6A9A2C",
    "five beams": "#A87B00",
}  # fmt: skip

# The colour of a share of human text: dark blue where all is human, orange where none is.
human_share = LinearSegmentedColormap.from_list("human share", ["#C4500F", "#7A4B8B", "#0B3C8C"])

Arms = dict[str, list["Run"]]  # label -> runs that differ by seed alone


def style() -> None:
    """Set the book's plot style for all figures that follow, whatever was set before."""
    matplotlib.rcdefaults()  # not the reader's own matplotlibrc
    sizes = dict.fromkeys(
        ("font.size", "axes.labelsize", "axes.titlesize", "xtick.labelsize", "ytick.labelsize",
         "legend.fontsize"), 9,
    )  # fmt: skip
    sns.set_theme(
        style="ticks",
        rc=sizes
        | {
            "figure.dpi": 96,
            "savefig.dpi": 288,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "grid.alpha": 0.3,
            "legend.frameon": False,
            "font.family": ["DejaVu Sans"],
            "svg.fonttype": "none",  # text that can be searched, and is not drawn as outlines
            "svg.hashsalt": "collapse",  # the same figure, the same bytes
        },
    )


def canvas(
    columns: int = 1, height: float = 3.4, rows: int = 1, **options: Any
) -> tuple[Figure, Any]:
    """An empty figure in the book's style, as wide as a page's text; and its axes.

    Args:
        height: in inches, of which a page has 96 pixels each.
    """
    style()
    return plt.subplots(rows, columns, figsize=(WIDE, height), layout="constrained", **options)


def name_lines(axes: Axes, ends: Sequence[tuple[str, float, Any]], gap: float = 0.075) -> None:
    """Write the names of lines at the right edge, where they end, none over another.

    To be called when all is drawn: the places depend on how far the axis reaches.

    Args:
        ends: name, height of the line's end in data, colour.
        gap: least distance of two names with one line each, in heights of the axes.
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    places = sorted(
        (float(to_axes.transform((axes.get_xlim()[1], y))[1]), name, colour)
        for name, y, colour in ends
    )
    heights = [gap * (1 + name.count("\n")) for _, name, _ in places]
    middles = [place for place, _, _ in places]
    for _ in range(200):  # pushed apart, pair by pair, until none is over another
        for at in range(len(middles) - 1):
            lack = (heights[at] + heights[at + 1]) / 2 - (middles[at + 1] - middles[at])
            if lack > 1e-6:
                middles[at] -= lack / 2
                middles[at + 1] += lack / 2
    floor = -0.04
    for at, height in enumerate(heights):  # none below the axis, where its name stands
        middles[at] = max(middles[at], floor + height / 2)
        floor = middles[at] + height / 2
    for middle, (_, name, colour) in zip(middles, places, strict=True):
        axes.text(1.02, middle, name, color=colour, va="center", transform=axes.transAxes,
                  linespacing=1.1)  # fmt: skip


def perplexity(
    arms: Arms, references: Sequence[Reference] = (), background: Arms | None = None
) -> tuple[Figure, pd.DataFrame]:
    """Perplexity on human text by generation, as a multiple of generation 0's.

    Thin lines are seeds, thick ones their means; grey ones are runs to compare with. References
    are drawn as bands. The axis is logarithmic, as models differ by large factors.

    Returns:
        the figure and its data: one row a setting, generation and seed, or their mean; and one
        a reference.
    """
    figure, axes = canvas()
    data, ends = [], []
    front = {label: runs for label, runs in arms.items() if runs}
    behind = {label: runs for label, runs in (background or {}).items() if runs}
    for index, (label, runs) in enumerate([*behind.items(), *front.items()]):
        rows = ratios.table(runs)
        data.append(ratios.drawn(rows.assign(setting=label), "ratio", ["setting", "generation"]))
        grey = label in behind
        place = (index if grey else index - len(behind), len(front))
        colour = "#777777" if grey else human_share(runs[0].record.protocol.retained)
        last = seeds_and_mean(axes, rows, "ratio", place, colour)
        ends.append((f"{label}\n×{last:.2f}", last, colour))
    for reference in references:
        if reference.low == reference.high:
            axes.axhline(reference.low, color=BAND, lw=1.5, ls=(0, (4, 2)), zorder=0)
        else:
            axes.axhspan(reference.low, reference.high, color=BAND, alpha=0.25, lw=0, zorder=0)
        row = {"setting": reference.label, "low": reference.low, "high": reference.high}
        data.append(pd.DataFrame([row]))
        ends.append((reference.label, math.sqrt(reference.low * reference.high), PAPER))
    axes.set_yscale("log")
    axes.set(ylabel="perplexity on human text,\ntimes that of generation 0")
    plain_numbers(axes.yaxis)
    axes.set_xlabel("generation (0 = trained on human text)")
    name_lines(axes, ends)
    return figure, pd.concat(data, ignore_index=True) if data else pd.DataFrame()


def seeds_and_mean(
    axes: Axes, rows: pd.DataFrame, column: str, place: tuple[int, int], colour: Any,
    by: str = "generation",
) -> float:  # fmt: skip
    """Draw one arm: thin lines are seeds, the thick one is their mean, whose end is returned.

    Args:
        rows: columns `seed`, `column`, and that named by `by`.
        place: of the arm among the arms of the figure, and how many there are.
    """
    index, count = place
    look = {"color": colour, "ls": LINES[index % 4], "marker": MARKERS[index % 4]}
    for _, one in rows.groupby("seed"):
        x = one[by] + 0.06 * (index - (count - 1) / 2)
        axes.plot(x, one[column], lw=0.7, alpha=0.55, ms=2.5, **look)
    mean = mean_over_seeds(rows, column, by)
    axes.plot(mean.index, mean, lw=2, ms=5, **look)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return float(mean.iloc[-1])


def mean_over_seeds(rows: pd.DataFrame, column: str, by: str = "generation") -> pd.Series:
    """The mean of a column by generation; of `ratio` on the log scale, as its interval is."""
    groups = rows.groupby(by)[column]
    return np.exp(groups.apply(lambda x: np.log(x).mean())) if column == "ratio" else groups.mean()


def seeds_and_interval(axes: Axes, row: int, ratio: PerSeed, colour: str, marker: str) -> None:
    """Draw one ratio in a row: hollow circles are seeds, the filled marker is their mean."""
    values = list(ratio.by_seed.values())
    axes.plot(values, [row - 0.14] * len(values), "o", ms=5, mfc="none", color="#333333")
    axes.plot([ratio.low, ratio.high], [row + 0.1] * 2, lw=2.4, color=colour)
    axes.plot(ratio.mean, row + 0.1, marker=marker, ms=9, color=colour)


def plain_numbers(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers, at few enough places to read them.

    To be called when all is drawn: the places depend on how far the axis reaches.
    """
    low, high = axis.get_view_interval()
    decades = math.log10(high / low)
    if decades < 0.6:
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    else:
        axis.set_major_locator(
            LogLocator(subs=(1, 2, 5)) if decades < 2.5 else LogLocator(numticks=5)
        )
    axis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1000 else f"{value:g}")
    )
    axis.set_minor_formatter(NullFormatter())


def show(
    figure: Figure,
    data: pd.DataFrame,
    *,
    id: str,
    caption: str,
    alt: str,
    runs: Sequence["Run"] = (),
    origin: str = "",
    everything: pd.DataFrame | None = None,
) -> None:
    """Save a figure as SVG, wide and narrow, PNG, CSV and a card in JSON, and display it.

    The line below it says what the records say about the runs; `id` names the files, the figure's
    number and its address for good. What columns hold is in the card and in a data package.

    Args:
        data: what is drawn, a row a point or interval.
        origin: where the data come from, if not from runs.
        everything: what there is beyond what is drawn, for a second data file; of runs, by
            default, all gauges of all generations.

    Raises:
        AssetError: the disk is full or cannot be written.
        ColumnError: nothing says what a column of the data holds.
    """
    shown = origin or describe(list(runs))
    if everything is None and runs:
        everything = columns.of_runs(runs)
    tables = {f"{id}.csv": data}
    if everything is not None:
        tables[f"{id}-all.csv"] = everything
    card = cards.facts(id, caption, alt, tables, shown, runs)
    if not runs and not origin:
        figure.text(0.5, 0.5, NOT_RUN, ha="center", fontsize=14)
    picture = rendered(figure, "svg")
    files = {
        f"{id}.svg": picture,
        f"{id}.png": rendered(figure, "png"),
        f"{id}.narrow.svg": rendered(narrow(figure), "svg"),
        f"{id}.json": (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode(),
        **columns.files(card, tables),
    }
    for name, content in files.items():
        with atomic(build_dir() / "figures" / name) as temporary:
            temporary.write_bytes(content)
    plt.close(figure)
    display(
        {"image/svg+xml": picture.decode(), "text/plain": alt},
        raw=True,
        metadata={"collapse": {"id": id, "caption": caption, "alt": alt}},
    )
    display(HTML(cards.shown(card)))


def narrow(figure: Figure) -> Figure:
    """The figure as a telephone has room for it: its panels below one another."""
    cells = [(axes, axes.get_subplotspec()) for axes in figure.axes]
    panels = [(axes, cell) for axes, cell in cells if cell is not None]
    rows = max((cell.get_gridspec().nrows for _, cell in panels), default=1)
    height = max(figure.get_figheight() / rows, 2.4)
    grid = figure.add_gridspec(max(len(panels), 1), 1)
    for place, (axes, cell) in enumerate(panels):
        axes.set_subplotspec(grid[place])
        axes.tick_params(labelleft=True, labelbottom=True)  # also where panels shared an axis
        if place and cell.colspan.start and not axes.get_ylabel():
            axes.set_ylabel(panels[place - 1][0].get_ylabel())  # it stood at the left of the row
    figure.set_size_inches(NARROW, height * max(len(panels), 1))
    return figure


def rendered(figure: Figure, kind: str) -> bytes:
    """The figure as SVG, without a ground of its own, or PNG; the same figure, the same bytes."""
    buffer = io.BytesIO()
    vector = kind == "svg"
    metadata: dict[str, Any] = {"Date": None} if vector else {}
    figure.savefig(buffer, format=kind, metadata=metadata, transparent=vector)
    return buffer.getvalue()


def percent(share: float | None, digits: int = 0) -> str:
    """A share in per cent, as in `72 %`; `not run yet` where there is none."""
    return NOT_RUN if share is None or math.isnan(share) else f"{100 * share:.{digits}f} %"
