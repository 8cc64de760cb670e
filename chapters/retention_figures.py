"""The figures that the two chapters on kept text share, and those of one of them alone."""

import html
from collections.abc import Mapping

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from collapse.book import figures, ratios
from collapse.book.figures import BAND, COLOURS, INK, LINES, MARKERS, PAPER, canvas, name_lines
from collapse.experiment.arms import Run, describe

BANDS = ((1, 99), (10, 90))  # percentiles between which a band holds the blocks


def text_bands(runs: Mapping[str, Run]) -> tuple[Figure, pd.DataFrame]:
    """How surprising each generation's text is to generation 0, a panel for each run.

    Bands hold the middle 98 and 80 % of blocks, the line is the median; at the right, human text
    that nobody trained on.

    Returns:
        the figure and its data: one row a panel, text and percentile.
    """
    figure, panels = canvas(max(len(runs), 1), height=3.4, sharey=True, squeeze=False)
    parts = []
    for axes, (name, run) in zip(panels[0], runs.items(), strict=False):
        arrays = run.record.arrays
        texts = np.exp(arrays["text_nll"].astype(np.float64))
        human = np.exp(arrays["test_nll"][0].astype(np.float64))
        x = np.arange(len(texts))
        for shade, (low, high) in zip((0.2, 0.35), BANDS, strict=True):
            ends = np.percentile(texts, [low, high], axis=1)
            axes.fill_between(x, *ends, color=COLOURS[0], alpha=shade, lw=0)
            axes.fill_between([x[-1] + 0.6, x[-1] + 1.4], *np.percentile(human, [low, high]),
                              color=PAPER, alpha=shade, lw=0)  # fmt: skip
        axes.plot(x, np.median(texts, axis=1), color=COLOURS[0], lw=2, marker="o", ms=4)
        axes.plot([x[-1] + 0.6, x[-1] + 1.4], [np.median(human)] * 2, color=PAPER, lw=2)
        axes.set_xticks([*x, x[-1] + 1], [*map(str, x), "human"])
        axes.set(title=name, yscale="log", xlabel="generation that wrote the text")
        for who, values in (*enumerate(texts), ("human", human)):
            points = [1, 10, 50, 90, 99]
            parts.append(pd.DataFrame({
                "model": name, "text": str(who), "percentile": points,
                "block_perplexity": np.percentile(values, points),
            }))  # fmt: skip
        figures.plain_numbers(axes.yaxis)
    panels[0, 0].set_ylabel("perplexity of a block\nunder generation 0")
    return figure, pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def copies(found: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """How much of each generation's text stands in its prompt, or in the same block before.

    Args:
        found: of `retention.copies`.
    """
    figure, axes = canvas(height=3.2)
    human, rows = found[found["text"] == "human"].iloc[0], found[found["text"] != "human"]
    x = rows["text"].astype(int)
    ends = [("human text,\nboth at most", 100 * human[["copied", "repeated"]].max(), PAPER)]
    for index, (column, label) in enumerate(
        (("copied", "copied from\nthe prompt"), ("repeated", "repeated\nin the block"))
    ):
        drawn = {"color": COLOURS[index], "marker": MARKERS[index], "ls": LINES[index], "lw": 2}
        axes.plot(x, 100 * rows[column], **drawn)
        ends.append((label, 100 * rows[column].iloc[-1], COLOURS[index]))
    axes.axhline(ends[0][1], color=BAND, lw=1.5, ls=(0, (4, 2)), zorder=0)
    axes.set(ylabel="runs of four tokens (%)", ylim=(0, 100))
    axes.set_xlabel("generation that wrote the text")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    name_lines(axes, ends)
    return figure, found


def square(corners: Mapping[tuple[int, float], list[Run]]) -> tuple[Figure, pd.DataFrame]:
    """The last generation's ratio by what is kept, a line for each number of epochs.

    Thin lines are seeds, thick ones their means with 95 % intervals.

    Args:
        corners: epochs and kept share -> the runs, one a seed.

    Returns:
        the figure and its data: one row a corner and seed, or their mean.
    """
    figure, axes = canvas(height=3.4)
    shares = sorted({share for _, share in corners})
    parts, ends = [], []
    for index, epochs in enumerate(sorted({epochs for epochs, _ in corners})):
        colour, marker = COLOURS[index], MARKERS[index]
        found = {s: ratios.ratio(corners.get((epochs, s), [])) for s in shares}
        for seed in sorted({seed for one in found.values() for seed in one.by_seed}):
            values = [found[share].by_seed.get(seed, np.nan) for share in shares]
            axes.plot(range(len(shares)), values, color=colour, lw=0.7, alpha=0.6)
        for place, (share, one) in enumerate(found.items()):
            parts.append(pd.DataFrame({
                "epochs": epochs, "retained": share, "seed": list(one.by_seed),
                "ratio": list(one.by_seed.values()),
            }))  # fmt: skip
            axes.plot([place + 0.03 * (2 * index - 1)] * 2, [one.low, one.high], color=colour, lw=2)
        means = [one.mean for one in found.values()]
        axes.plot(range(len(shares)), means, color=colour, lw=2, ls=LINES[index], marker=marker)
        ends.append((f"{epochs} epochs\n×{means[-1]:.2f}", means[-1], colour))
    axes.axhline(1, color=INK, lw=1)
    axes.set(yscale="log", xlim=(-0.15, len(shares) - 0.85))
    names = {0.0: "nothing kept"}
    axes.set_xticks(range(len(shares)), [names.get(s, f"{100 * s:g} % kept") for s in shares])
    axes.set_xlabel("human text in each generation")
    axes.set_ylabel("perplexity on human text,\ntimes that of generation 0")
    figures.plain_numbers(axes.yaxis)
    name_lines(axes, ends)
    data = pd.concat(parts) if parts else pd.DataFrame()
    return figure, ratios.drawn(data, "ratio", ["epochs", "retained"])


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
        f"({html.escape(describe([run]))})</caption><tbody>{body}</tbody></table>"
    )


def _one_line(text: str) -> str:
    return " ".join(text.replace("</s>", " ¶ ").split())
