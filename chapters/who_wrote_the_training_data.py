"""One crowd-sourcing task, counted again: how many of its answers did a machine write?

All counts are of the repository epfl-dlab/GPTurk at commit e5c5679, whose data are not shipped.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from collapse.book import figures, numbers
from collapse.book.numbers import Number
from collapse.laws import prevalence
from collapse.laws.prevalence import Count
from collapse.measure.verdicts import AGREES, CANNOT_TELL, DISAGREES, NOT_READ, Claim
from is_it_already_happening_studies import in_per_cent

ANSWERS, WORKERS = 48, 44  # in the batch of the task
ABSTRACTS = 16
TEXTS: Count = (
    320,
    448,
)  # by ChatGPT, of the summaries that the classifier learns and is tested on


SOURCE = "epfl-dlab/GPTurk, commit e5c5679"
WILSON = "95 %, Wilson"


@dataclass(frozen=True)
class Reading:
    """What the classifier says of the new answers, and how it did on texts with a known writer."""

    what: str
    flagged: Count
    caught: Count | None = None
    false: Count | None = None


# Notebook 3_finetuned_classifying. Its printed accuracy, recall and precision of two tests leave
# one table of counts each: 1 of 31 humans' and 0 of 81 machines' texts wrong, and 2 of 54 and 2
# of 120.
READINGS = (
    Reading("strict cutoff\nanswers", (15, 46), (81, 81), (1, 31)),
    Reading("strict cutoff\nworkers", (14, 42)),
    Reading("even cutoff\nanswers", (21, 46), (118, 120), (2, 54)),
    Reading("second file\nanswers", (16, 47)),
    Reading("first file\nanswers", (19, 47)),
)
SEEN, UNSEEN = (111, 112), (170, 174)  # right, of how many: abstracts seen in training, and not
# Our own: `accuracies` of the 448 summaries in data/classifier_training/base.json.
OURS = {"mixed": (425, 448), "apart": (331, 448)}


def table(draws: int) -> pd.DataFrame:
    """A row a reading: share flagged with Wilson's interval, and corrected where that is known."""
    rows = []
    for reading in READINGS:
        low, high = prevalence.wilson(reading.flagged)
        fixed = (math.nan,) * 3
        if reading.caught and reading.false:
            fixed = prevalence.interval(reading.flagged, reading.caught, reading.false, draws)
        rows.append({
            "reading": reading.what.replace("\n", ", "), "flagged": reading.flagged[0],
            "of": reading.flagged[1], "share": reading.flagged[0] / reading.flagged[1],
            "low": low, "high": high, "corrected": fixed[0], "corrected_low": fixed[1],
            "corrected_high": fixed[2],
        })  # fmt: skip
    return pd.DataFrame(rows)


def figure(found: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Each reading's share with its interval, and what it is once errors are taken off."""
    drawing, axes = figures.canvas(height=0.9 + 0.52 * len(found))
    axes.axvspan(0.33, 0.46, color=figures.BAND, alpha=0.25, lw=0)
    for place, row in enumerate(found.itertuples()):
        axes.plot([row.low, row.high], [place - 0.08] * 2, lw=1.6, color=figures.COLOURS[1])
        axes.plot(row.share, place - 0.08, "o", ms=7, mfc="white", mec=figures.COLOURS[1], mew=1.6)
        if not math.isnan(row.corrected):
            axes.plot([row.corrected_low, row.corrected_high], [place + 0.22] * 2, lw=2.4,
                      color=figures.INK)  # fmt: skip
            axes.plot(row.corrected, place + 0.22, "D", ms=6, color=figures.INK)
    names = [f"{one.what}\n{one.flagged[0]} of {one.flagged[1]}" for one in READINGS]
    axes.set_yticks(range(len(found)), [name.replace("\n", ", ", 1) for name in names])
    axes.set(xlim=(0, 0.8), ylim=(len(found) - 0.4, -0.5), xlabel="called machine-written")
    axes.xaxis.set_major_formatter(PercentFormatter(1, 0, symbol=" %"))
    return drawing, found


def accuracies(rows: pd.DataFrame, folds: int = 8) -> dict[str, Count]:
    """How often a counter of words tells the writer right: texts in folds at random, or by source.

    Words weighed by tf-idf and a linear support vector machine, both as scikit-learn has them.

    Args:
        rows: columns `text`, `labels` and `HITId`, the last of which names the source.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    counter = make_pipeline(TfidfVectorizer(), LinearSVC(class_weight="balanced"))
    splits = {
        "mixed": StratifiedKFold(folds, shuffle=True, random_state=0), "apart": GroupKFold(folds)
    }  # fmt: skip
    found = {}
    for name, split in splits.items():
        said = cross_val_predict(
            counter,
            rows["text"],
            rows["labels"],
            cv=split,
            groups=rows["HITId"] if name == "apart" else None,
        )
        found[name] = (int(np.sum(said == rows["labels"])), len(rows))
    return found


def flagged(row: pd.Series, fixed: bool = False) -> Number:
    """What a reading says, or what it comes to once errors are taken off."""
    keys = ("corrected", "corrected_low", "corrected_high") if fixed else ("share", "low", "high")
    share, *ends = (row[key] for key in keys)
    how = (
        "95 %, Rogan and Gladen's correction, rates from Jeffreys' posteriors" if fixed else WILSON
    )
    return in_per_cent(share, tuple(ends), f"called machine-written, {row.reading}", how, SOURCE)


def right(count: Count, what: str) -> Number:
    """A share of texts whose writer is told right."""
    what = f"texts whose writer is told right, {what}"
    return in_per_cent(count[0] / count[1], prevalence.wilson(count), what, WILSON, SOURCE, 1)


def tests() -> list[dict[str, Any]]:
    """How right a classifier is, by whether it has seen other texts about the same abstract."""
    rows = {
        "the paper's, fine-tuned": (SEEN, UNSEEN),
        "words counted (ours)": (OURS["mixed"], OURS["apart"]),
        "always “a machine”": (TEXTS, TEXTS),
    }
    return [
        {"classifier": name, "abstracts seen before": right(seen, f"{name}, abstracts seen"),
         "abstracts new to it": right(new, f"{name}, abstracts new")}
        for name, (seen, new) in rows.items()
    ]  # fmt: skip


def claims(found: pd.DataFrame) -> list[Claim]:
    """What is said of this task, beside its counts."""
    strict, even = found.iloc[0], found.iloc[2]

    def span(low: float, high: float, what: str, how: str) -> Number:
        text = f"{100 * low:.0f} to {100 * high:.0f} %"
        return numbers.one(math.nan, what, how, origin=SOURCE, text=text, unit="%",
                           low=100 * low, high=100 * high, interval=how)  # fmt: skip

    rounded = (round(100 * strict.share), round(100 * even.share))
    return [
        Claim(
            "veselovsky-share",
            "answers flagged, two cutoffs", f"{strict.flagged} and {even.flagged} of {even.of}",
            AGREES if rounded == (33, 46) else DISAGREES,
        ),
        Claim(
            "4-3",
            f"one task, {ANSWERS} answers of {WORKERS} workers; ends of both intervals",
            span(strict.low, even.high, "answers called machine-written, both cutoffs", WILSON),
            CANNOT_TELL,
        ),
        Claim(
            "4-10",
            "tested on texts whose writer is known; real answers have no labels",
            f"{SEEN[0]} of {SEEN[1]}", DISAGREES,
        ),
        Claim(
            "4-9", "Wilson's interval of that count",
            span(*prevalence.wilson((6, 10)), "caught, if it is 6 of 10", WILSON), NOT_READ,
        ),
    ]  # fmt: skip
