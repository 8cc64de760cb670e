"""The one plot style, the book's figures, and saving a figure with its data and its card.

Every figure is drawn from records and says by itself which ones. Colour is never alone: arms
differ in marker and line style too, generations in lightness.
"""

import html
import io
import json
import math
import textwrap
from collections.abc import Mapping, Sequence
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
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from collapse.book import cards, ratios
from collapse.experiment.arms import describe
from collapse.experiment.assets import atomic, build_dir
from collapse.measure.per_seed import PerSeed
from collapse.measure.verdicts import Reference

if TYPE_CHECKING:  # or torch would be loaded
    from collapse.experiment.arms import Run

# Okabe and Ito's colours that survive colour blindness; the order alternates dark and light.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
MARKERS = ("o", "s", "^", "D")
LINES = ("-", "--", "-.", ":")
BAND = "#999999"

Arms = dict[str, list["Run"]]  # label -> runs that differ by seed alone


def style() -> None:
    """Set the book's plot style for all figures that follow, whatever was set before."""
    matplotlib.rcdefaults()  # not the reader's own matplotlibrc
    sns.set_theme(
        context="notebook",
        style="ticks",
        font_scale=1.05,
        rc={
            "figure.dpi": 100,
            "savefig.dpi": 200,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.3,
            "legend.frameon": False,
            "svg.hashsalt": "collapse",  # the same figure, the same bytes
        },
    )


def perplexity(
    arms: Arms, references: Sequence[Reference] = (), background: Arms | None = None
) -> tuple[Figure, pd.DataFrame]:
    """Test perplexity by generation, absolute and relative to generation 0, every seed drawn.

    Thin lines are seeds, with the 95 % interval over test blocks on the left; thick
    lines are means over seeds; grey ones are runs to compare with. References are drawn as bands at
    the right-hand ratio axis. Both axes are logarithmic, as models differ by large factors.

    Returns:
        the figure and its data: one row an arm, seed and generation.
    """
    style()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 4.6), layout="constrained")
    data = []
    for index, (label, runs) in enumerate(arms.items()):
        if not runs:
            continue
        rows = ratios.table(runs)
        rows.insert(0, "arm", label)
        data.append(rows)
        place = (index, len(arms))
        seeds_and_mean(left, rows, "test_perplexity", place, label, intervals=True)
        seeds_and_mean(right, rows, "ratio", place, label)
    for index, (label, runs) in enumerate((background or {}).items()):
        rows = ratios.table(runs)
        rows.insert(0, "arm", label)
        data.append(rows)
        grey = {"color": "#777777", "ls": LINES[index % 4], "zorder": 1}
        for axes, column in ((left, "test_perplexity"), (right, "ratio")):
            for _, one in rows.groupby("seed"):
                axes.plot(one["generation"], one[column], lw=0.7, alpha=0.6, **grey)
            groups = rows.groupby("generation")[column]
            mean = (
                groups.apply(lambda x: np.exp(np.log(x).mean()))
                if column == "ratio"
                else groups.mean()
            )
            axes.plot(mean.index, mean, lw=1.8, label=label, **grey)
    for reference in references:
        band(right, reference)
    left.set(ylabel="test perplexity on human text", title="Absolute")
    right.set(ylabel="test perplexity ÷ that of generation 0", title="Relative to generation 0")
    for axes in (left, right):
        axes.set_yscale("log")
        plain_numbers(axes.yaxis)
        axes.set_xlabel("generation (0 = trained on human text)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if data:
        left.legend(loc="upper left", fontsize=9)
    sign(figure, [run for runs in arms.values() for run in runs])
    return figure, pd.concat(data, ignore_index=True) if data else pd.DataFrame()


def seeds_and_mean(
    axes: Axes,
    rows: pd.DataFrame,
    column: str,
    place: tuple[int, int],
    label: str,
    intervals: bool = False,
    by: str = "generation",
) -> None:
    """Draw one arm, most often by generation: thin lines are seeds, the thick one is their mean.

    Args:
        rows: columns `seed`, `column`, that named by `by`, and `column` + `_low`, `_high` for
            intervals.
        place: of the arm among the arms of the figure, and how many there are.
    """
    index, count = place
    colour, marker, line = (x[index % 4] for x in (COLOURS, MARKERS, LINES))
    thin: dict[str, Any] = {
        "color": colour,
        "lw": 0.8,
        "alpha": 0.55,
        "ls": line,
        "marker": marker,
        "ms": 3,
    }
    for _, one in rows.groupby("seed"):
        x = one[by] + 0.06 * (index - (count - 1) / 2)
        if intervals:
            ends = one[[f"{column}_low", f"{column}_high"]].to_numpy().T
            axes.errorbar(x, one[column], np.abs(ends - one[column].to_numpy()), capsize=2, **thin)
        else:
            axes.plot(x, one[column], **thin)
    mean = mean_over_seeds(rows, column, by)
    axes.plot(mean.index, mean, color=colour, lw=2.4, ls=line, marker=marker, ms=6, label=label)


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


def band(axes: Axes, reference: Reference) -> None:
    """Draw a reference across a ratio axis, as a line or a band with its label."""
    if reference.low == reference.high:
        axes.axhline(reference.low, color=BAND, lw=1.5, ls=(0, (4, 2)), zorder=0)
    else:
        axes.axhspan(reference.low, reference.high, color=BAND, alpha=0.25, lw=0, zorder=0)
    axes.annotate(
        reference.label, (0.99, reference.high), xycoords=("axes fraction", "data"),
        fontsize=9, color="#444444", va="bottom", ha="right",
    )  # fmt: skip


def plain_numbers(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers, at few enough places to read them.

    To be called when all is drawn: the places depend on how far the axis reaches.
    """
    low, high = axis.get_view_interval()
    decades = math.log10(high / low)
    if decades < 0.6:
        axis.set_major_locator(MaxNLocator(5))
    else:
        axis.set_major_locator(
            LogLocator(subs=(1, 2, 5)) if decades < 2.5 else LogLocator(numticks=5)
        )
    axis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1000 else f"{value:g}")
    )
    axis.set_minor_formatter(NullFormatter())


def panels(**data: pd.DataFrame) -> pd.DataFrame:
    """The data of a figure's panels in one table, with a column that names the panel."""
    return pd.concat([rows.assign(panel=panel) for panel, rows in data.items()])


def sign(figure: Figure, runs: list["Run"]) -> None:
    """Write below the figure what it shows, as the records tell it, no wider than the figure."""
    lines = textwrap.fill(describe(runs), width=int(11 * figure.get_figwidth()))
    figure.supxlabel(lines, fontsize=10, color="#444444")


def show(
    figure: Figure,
    data: pd.DataFrame,
    *,
    id: str,
    caption: str,
    alt: str,
    runs: Sequence["Run"] = (),
    origin: str = "",
) -> None:
    """Save a figure as SVG, PNG, CSV and a card in JSON, and display it.

    The caption is completed with what the records say about the runs; `id` names the files, the
    figure's number and its address for good.

    Args:
        origin: where the data come from, if not from runs.

    Raises:
        AssetError: the disk is full or cannot be written.
    """
    shown = origin or describe(list(runs))
    caption = f"{caption} *Shown: {cards.in_markdown(shown)}.*"
    card = cards.facts(id, caption, alt, list(data), shown, runs)
    files = {
        "svg": rendered(figure, "svg"),
        "png": rendered(figure, "png"),
        "csv": data.to_csv(index=False, lineterminator="\n").encode(),
        "json": (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode(),
    }
    for suffix, content in files.items():
        with atomic(build_dir() / "figures" / f"{id}.{suffix}") as temporary:
            temporary.write_bytes(content)
    plt.close(figure)
    display(
        {"image/svg+xml": files["svg"].decode(), "text/plain": alt},
        raw=True,
        metadata={"collapse": {"id": id, "caption": caption, "alt": alt}},
    )
    display(HTML(cards.shown(card)))


def rendered(figure: Figure, kind: str) -> bytes:
    """The figure as SVG or PNG, the same bytes for the same figure."""
    buffer = io.BytesIO()
    metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {}
    figure.savefig(buffer, format=kind, metadata=metadata, bbox_inches="tight")
    return buffer.getvalue()


def glue(numbers: Mapping[str, str]) -> None:
    """Have the text of a page know numbers, which are in words already, by their names."""
    from myst_nb import glue  # and with it all of Sphinx

    for name, number in numbers.items():
        glue(name, number, display=False)


def table(rows: Sequence[Any], note: str = "") -> HTML:
    """Rows, each a dictionary or dataclass, as a table for a page, uncut, with a note below it."""
    with pd.option_context("display.max_colwidth", None):
        shown = pd.DataFrame(list(rows)).to_html(index=False, classes="overview", border=0)
    return HTML(shown + (f'<p class="note">{html.escape(note)}</p>' if note else ""))
