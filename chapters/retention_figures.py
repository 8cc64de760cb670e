"""The figures that the two chapters on retained text share, and those of one of them alone."""

import html
from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from collapse.book import ratios
from collapse.book.figures import (
    BAND,
    COLOURS,
    LINES,
    MARKERS,
    Arms,
    plain_numbers,
    seeds_and_interval,
    style,
)
from collapse.experiment.arms import Run, describe
from collapse.measure import metrics
from collapse.measure.verdicts import Reference


def text_histogram(run: Run) -> tuple[Figure, pd.DataFrame]:
    """Perplexity of each generation's text under generation 0, and the weight of its tails.

    Returns:
        the figure and its data: one row a generation and histogram bin, tails repeated.
    """
    style()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 4.6), layout="constrained")
    nll = run.record.arrays["text_nll"].astype(np.float64)
    edges = np.linspace(nll.min() / np.log(10), nll.max() / np.log(10), 41)
    centres = 10 ** ((edges[1:] + edges[:-1]) / 2)
    shades = sns.color_palette("viridis", len(nll))
    tails = metrics.tails(run.record.arrays["text_nll"])
    parts = []
    for number, row in enumerate(nll):
        share = np.histogram(row / np.log(10), edges)[0] / len(row)
        ends = number in (0, len(nll) - 1)
        left.plot(
            centres, share, color=shades[number], lw=2.4 if ends else 1.2,
            ls=LINES[number % 4], drawstyle="steps-mid", label=f"generation {number}",
        )  # fmt: skip
        parts.append(
            pd.DataFrame({"generation": number, "perplexity": centres, "share_of_blocks": share})
        )
    left.set(xscale="log", ylabel="share of blocks", title="Distribution")
    left.set_xlabel("perplexity under generation 0")
    plain_numbers(left.xaxis)
    left.legend(fontsize=8)
    for index, (column, label) in enumerate(
        (("below", "less perplexing than 99 %"), ("above", "more perplexing than 99 %"))
    ):
        error = np.abs(tails[[f"{column}_low", f"{column}_high"]].T - tails[column]).to_numpy()
        right.errorbar(
            tails["generation"] + 0.08 * (index - 0.5), 100 * tails[column], 100 * error,
            color=COLOURS[index], marker=MARKERS[index], ls=LINES[index], lw=2.2, elinewidth=1,
            capsize=3, label=f"{label} of generation 0's text",
        )  # fmt: skip
    right.set(ylabel="blocks in the tail (%)", title="Tails")
    right.set_xlabel("generation that wrote the text")
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    right.set_ylim(0, 1.3 * right.get_ylim()[1])  # room for the legend
    right.legend(fontsize=9, loc="upper left")
    return figure, pd.concat(parts, ignore_index=True).merge(tails, on="generation")


def gauges(run: Run, columns: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Several measures of one run on one axis, each divided by its value in generation 0.

    Args:
        columns: column of the record -> label.

    Returns:
        the figure and its data: the columns, divided.
    """
    style()
    figure, axes = plt.subplots(figsize=(8, 4.6), layout="constrained")
    rows = run.record.generations
    data = rows[["generation"]].copy()
    for index, (column, label) in enumerate(columns.items()):
        data[column] = rows[column] / rows[column].iloc[0]
        axes.plot(
            data["generation"], data[column], color=COLOURS[index % 4], marker=MARKERS[index % 4],
            ls=LINES[index % 4], lw=2.2, label=label,
        )  # fmt: skip
    axes.set(yscale="log", ylabel="value ÷ that of generation 0")
    axes.set_xlabel("generation (0 = trained on human text)")
    plain_numbers(axes.yaxis)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=9)
    return figure, data


def copies(found: pd.DataFrame, run: Run) -> tuple[Figure, pd.DataFrame]:
    """How much of each generation's text stands in its prompt, or in the same block before.

    Args:
        found: of `retention.copies`.
    """
    style()
    figure, axes = plt.subplots(figsize=(8, 4.6), layout="constrained")
    human, rows = found[found["text"] == "human"].iloc[0], found[found["text"] != "human"]
    x = rows["text"].astype(int)
    for index, (column, label) in enumerate(
        (("copied", "copied from the prompt"), ("repeated", "repeated in the block"))
    ):
        drawn = {"color": COLOURS[index], "marker": MARKERS[index], "ls": LINES[index], "lw": 2.2}
        axes.plot(x, 100 * rows[column], **drawn)
        axes.annotate(
            label, (x.iloc[-1], 100 * rows[column].iloc[-1]), xytext=(0, 8), fontsize=11,
            textcoords="offset points", ha="right", color=COLOURS[index],
        )  # fmt: skip
    level = 100 * human[["copied", "repeated"]].max()
    axes.axhline(level, color=BAND, lw=1.5, ls=(0, (4, 2)), zorder=0)
    axes.annotate("human text, both at most", (x.iloc[-1], level), xytext=(0, 4), fontsize=11,
                  textcoords="offset points", ha="right", color="#444444")  # fmt: skip
    axes.set(ylabel="runs of four tokens (%)", ylim=(0, 100))
    axes.set_xlabel("generation that wrote the text")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure, found


def last_ratios(arms: Arms, references: Sequence[Reference] = ()) -> tuple[Figure, pd.DataFrame]:
    """The last generation's ratio by arm: every seed a point, the mean with its 95 % interval.

    Returns:
        the figure and its data: one row an arm and seed.
    """
    style()
    figure, axes = plt.subplots(figsize=(8, 0.9 + 0.75 * len(arms)), layout="constrained")
    data = []
    for index, (label, runs) in enumerate(arms.items()):
        if not runs:
            continue
        ratio = ratios.ratio(runs)
        seeds_and_interval(axes, index, ratio, COLOURS[index % 4], MARKERS[index % 4])
        found = {"seed": list(ratio.by_seed), "ratio": list(ratio.by_seed.values())}
        data.append(pd.DataFrame({"arm": label, **found}))
    for reference in references:
        axes.axvspan(reference.low, reference.high, color=BAND, alpha=0.25, lw=0, zorder=0)
    axes.axvline(1, color="#333333", lw=1)
    axes.set_yticks(range(len(arms)), list(arms))
    axes.set_ylim(max(len(arms), 1) - 0.5, -0.5)
    axes.set_xlabel("test perplexity of the last generation ÷ that of generation 0")
    return figure, pd.concat(data, ignore_index=True) if data else pd.DataFrame()


def strip(run: Run, sample: int) -> HTML:
    """One prompt, what its human author wrote next, and what each generation wrote instead."""
    shown = run.record.samples[sample]
    rows = [("prompt", shown["prompt"]), ("human author", shown["human"])]
    rows += [(f"generation {n}", text) for n, text in enumerate(shown["generations"])]
    body = "".join(
        f'<tr><th scope="row">{name}</th><td>{html.escape(_one_line(text))}</td></tr>'
        for name, text in rows
    )
    seed = run.record.protocol.seed
    return HTML(
        f'<table class="strip"><caption>Continuations of one prompt, seed {seed} '
        f"({html.escape(describe([run]))})</caption>{body}</table>"
    )


def _one_line(text: str) -> str:
    return " ".join(text.replace("</s>", " ¶ ").split())
