"""What studies say of the machine-written share of the web, as read, and corrected; and sliders.

`_static/prevalence.js` plays the sliders; without a script they stay hidden, and the figure
remains.
"""

import math
from dataclasses import dataclass

import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from collapse.book import figures, numbers, widget
from collapse.book.numbers import Number
from collapse.laws import prevalence
from collapse.laws.prevalence import Count

# -- what others measured ----------------------------------------------------------------------

# Rates of error that no study rules out: none was found for text that people edited.
SENSITIVITY, FALSE_ALARMS = (0.7, 1.0), (0.0, 0.05)


@dataclass(frozen=True)
class Study:
    """What one source says of one share, as far as it could be read.

    share: reported; two numbers are a range.
    count: flagged, of how many; what the source does not print is told in `remark`.
    caught, false: of texts known to be written by machines, and by humans, how many are flagged.
    """

    name: str
    unit: str
    detector: str
    share: tuple[float, ...]
    new: bool
    read: str
    count: Count | None = None
    caught: Count | None = None
    false: Count | None = None
    remark: str = ""


GRAPHITE, READ = "Graphite 2025, as read", "published shares, as read"
ITSELF, COPY, OTHERS = "the source", "a copy", "others' reports"
STUDIES = (
    Study(
        "Graphite 2025", "articles, Nov 2024", "Surfer, above half of an article", (0.503,), True,
        COPY, (503, 1000), (5973, 6009), (668, 15894),
        "65,000 articles in 65 months; 1,000 in this one is our assumption. Counts of errors are "
        "ours, from 99.4 % of 6,009 articles by GPT-4o and 4.2 % of 15,894 older ones",
    ),
    Study(
        "Graphite 2026", "articles, 2025–26", "mean of Pangram, GPTZero, Copyleaks", (0.50,), True,
        ITSELF, (5540, 11080), None, None,
        "“roughly 50 %” since early 2025; 15 of 75 months of 55,400 articles is our assumption; "
        "each detector's errors are below 2 %",
    ),
    Study(
        "Ahrefs 2025", "pages with any", "its own", (0.742,), True, OTHERS,
        (667_800, 900_000), None, None, "pages new in April 2025; errors not found",
    ),
    Study(
        "Ahrefs 2025", "pages above 70 %", "its own", (0.180,), True, OTHERS,
        (162_090, 900_000), None, None, "the same pages: 2.5 % all, and 15.51 % from 71 to 99 %",
    ),
    Study(
        "Dolezal et al. 2026", "sites, May 2025", "Pangram, AI or mixed", (6 / 17,), True,
        ITSELF, (6, 17), None, None,
        "6 of 17 is our reading of 35.29 %: every month in the one stored version of the file "
        "behind the published figure is a multiple of 1/17 or 1/16",
    ),
    Study(
        "Pew 2026", "dated pages", "Pangram's open model", (0.35,), True, OTHERS, None, None, None,
        "pages with a date after ChatGPT's release; 10 to 15 % of pages carry a date",
    ),
    Study(
        "Russell et al. 2025", "US newspapers", "Pangram, AI or mixed", (0.091,), True,
        ITSELF, (16_926, 186_000), None, None, "articles of summer 2025",
    ),
    Study(
        "Spennemann 2025", "text, active pages", "words that ChatGPT likes", (0.30, 0.40), False,
        ITSELF, None, None, None, "“at least 30 %”, “likely approaching 40 %”; abstract read",
    ),
    Study(
        "Graphite 2025", "Google's results", "Surfer", (0.14,), False, OTHERS, None, None, None,
        "articles that rank; how many was not found",
    ),
    Study(
        "Pew 2026", "all pages, July 2026", "Pangram's open model", (0.10,), False, OTHERS,
        (1000, 10_000), None, None, "a random 10,000 pages of a Common Crawl snapshot",
    ),
)  # fmt: skip
# Share by month, June 2024 to May 2025, of 17 sites each: data/prevalence.csv of the authors'
# page, version cf313727 of 24 stored months; the whole file is theirs and is not shipped.
DOLEZAL_YEAR = (3, 4, 4, 4, 4, 1, 2, 3, 3, 4, 4, 6)
SITES = 17


def estimates(draws: int) -> pd.DataFrame:
    """A row a study: as reported, with its sampling error, corrected, and what is not ruled out.

    Columns `low`, `high` are Wilson's interval; `corrected`, `corrected_low`, `corrected_high` are
    given where both rates of error were measured; `allowed_low`, `allowed_high` are the ends of
    the region.
    """
    rows = []
    for study in STUDIES:
        low, high = prevalence.wilson(study.count) if study.count else (math.nan, math.nan)
        fixed = (math.nan,) * 3
        if study.count and study.caught and study.false:
            fixed = prevalence.interval(study.count, study.caught, study.false, draws)
        ends = [prevalence.region(share, SENSITIVITY, FALSE_ALARMS) for share in study.share]
        rows.append({
            "study": study.name, "unit": study.unit, "detector": study.detector,
            "new": study.new, "share": study.share[0], "share_up_to": study.share[-1],
            "low": low, "high": high, "corrected": fixed[0], "corrected_low": fixed[1],
            "corrected_high": fixed[2], "allowed_low": ends[0][0], "allowed_high": ends[-1][1],
            "read": study.read, "remark": study.remark,
        })  # fmt: skip
    return pd.DataFrame(rows)


def forest(found: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """All studies on one axis, those of what is new above those of what is there."""
    figure, axes = figures.canvas(height=1.0 + 0.43 * (len(found) + 2))
    labels, place = [], 0
    for new, head in ((True, "WHAT IS NEW"), (False, "WHAT IS THERE")):
        labels.append((place, head))
        place += 1
        for row in found[found["new"] == new].itertuples():
            colour = figures.COLOURS[1 if new else 0]
            axes.plot([row.allowed_low, row.allowed_high], [place] * 2, lw=9, alpha=0.35,
                      color=figures.BAND, solid_capstyle="butt")  # fmt: skip
            axes.plot([row.low, row.high], [place] * 2, lw=1.6, color=colour)
            axes.plot([row.share, row.share_up_to], [place] * 2, lw=1.6, ls=":", color=colour)
            axes.plot([row.share, row.share_up_to], [place] * 2, "o", ms=7, mfc="white",
                      mec=colour, mew=1.6)  # fmt: skip
            if not math.isnan(row.corrected):
                axes.plot([row.corrected_low, row.corrected_high], [place + 0.28] * 2, lw=2.4,
                          color=figures.INK)  # fmt: skip
                axes.plot(row.corrected, place + 0.28, "D", ms=6, color=figures.INK)
            labels.append((place, f"{row.study}\n{row.unit}"))
            place += 1
    axes.set_yticks([at for at, _ in labels], [label for _, label in labels])
    for label in axes.get_yticklabels():
        label.set_fontweight("bold" if label.get_text().isupper() else "normal")
    axes.set(xlim=(0, 1), ylim=(place - 0.3, -0.6), xlabel="written by machines")
    axes.xaxis.set_major_formatter(PercentFormatter(1, 0, symbol=" %"))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.axvline(0.5, color=figures.PAPER, lw=1, ls=(0, (4, 2)), zorder=0)
    return figure, found


def in_per_cent(
    share: float, ends: tuple[float, float], what: str, how: str, origin: str, digits: int = 0
) -> Number:
    """A share that is not of runs, with its interval, as `48.4 % [45.1, 51.7]`."""
    value, low, high = (100 * one for one in (share, *ends))
    text = f"{value:.{digits}f} % [{low:.{digits}f}, {high:.{digits}f}]"
    return numbers.one(
        value, what, how, origin=origin, text=text, unit="%", low=low, high=high, interval=how
    )


def half(found: pd.DataFrame) -> Number:
    """The first month with more than half, corrected."""
    first = found.iloc[0]
    return in_per_cent(
        first.corrected, (first.corrected_low, first.corrected_high),
        "machine-written new English articles, Nov 2024, corrected",
        "95 %, Rogan and Gladen's correction, rates from Jeffreys' posteriors", GRAPHITE, 1,
    )  # fmt: skip


# -- sliders ---------------------------------------------------------------------------------------


def sliders(said: float, sensitivity: float, false_alarms: float, id: str) -> HTML:
    """The sliders as HTML, set to some shares."""
    given = (
        ("said", "The detector flags", 0, 100, said),
        ("caught", "of machines' text it flags", 40, 100, sensitivity),
        ("false", "of human text it flags", 0, 30, false_alarms),
    )
    ranges = "".join(
        widget.slider(
            id, key, label, f'min="{low}" max="{high}" step="0.1" value="{100 * value:g}"'
        )
        for key, label, low, high, value in given
    )
    label = "The share said and the share that there is"
    return widget.frame("prevalence", id, "Correct a share", ranges, label, 64)
