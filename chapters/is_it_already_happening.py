"""How much of the web is machine-written: what studies say, and what a chain makes of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from collapse.book import figures, ratios
from collapse.experiment.arms import Run
from collapse.laws import exposure, prevalence
from collapse.laws.prevalence import Count
from collapse.measure import verdicts
from collapse.measure.per_seed import PerSeed, over_seeds
from collapse.measure.verdicts import AGREES, CANNOT_TELL, DISAGREES, Claim

# -- what others measured ----------------------------------------------------------------------

# Rates of error that no study rules out: nobody has measured a detector on text that was edited.
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


ITSELF, COPY, OTHERS = "the source", "a copy of the source", "others' reports of it"
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
PEW = {"new": ("Pew, dated pages", 0.35), "there": ("Pew, all pages", 0.10)}
PEW_AT = 2026.55
NEWSLETTER = "The Technical Executive"  # a piece of the press that this book began with
RELEASED = 2022.91  # ChatGPT, 30 November 2022
LLAMA = {
    "Common Crawl": 67.0, "C4": 15.0, "GitHub": 4.5, "Wikipedia": 4.5, "books": 4.5,
    "arXiv": 2.5, "Stack Exchange": 2.0,
}  # fmt: skip


def estimates(draws: int) -> pd.DataFrame:
    """A row a study: as reported, with its sampling error, corrected, and what is not ruled out.

    Columns `low`, `high` are Wilson's interval; `corrected`, `corrected_low`, `corrected_high` are
    given where both rates of error were measured; `least`, `most` are the ends of the region.
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
            "corrected_high": fixed[2], "least": ends[0][0], "most": ends[-1][1],
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
            axes.plot([row.least, row.most], [place] * 2, lw=9, color=figures.BAND, alpha=0.35,
                      solid_capstyle="butt")  # fmt: skip
            axes.plot([row.low, row.high], [place] * 2, lw=1.6, color=colour)
            axes.plot([row.share, row.share_up_to], [place] * 2, lw=1.6, ls=":", color=colour)
            axes.plot({row.share, row.share_up_to}, [place] * len({row.share, row.share_up_to}),
                      "o", ms=7, mfc="white", mec=colour, mew=1.6)  # fmt: skip
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


# -- flow and stock ----------------------------------------------------------------------------


def readings_figure(
    readings: Mapping[str, Sequence[float]], known: int
) -> tuple[Figure, pd.DataFrame]:
    """The machine share of the pages that a crawl would read, by year, and Pew's two numbers.

    Args:
        readings: reading -> its share at the end of each year.
        known: years of which the flow was measured; what follows is dashed.
    """
    figure, axes = figures.canvas()
    ends, rows = [], []
    for place, (name, shares) in enumerate(readings.items()):
        years = RELEASED + 1 + np.arange(len(shares))
        colour, marker = figures.COLOURS[place], figures.MARKERS[place]
        for part, dash in ((slice(None, known), "-"), (slice(known - 1, None), ":")):
            drawn = np.asarray(shares)[part]
            axes.plot(years[part], drawn, dash, lw=2, color=colour, marker=marker, ms=4)
        ends.append((name, float(shares[-1]), colour))
        rows += [{"reading": name, "year": year, "share": share, "measured": n < known}
                 for n, (year, share) in enumerate(zip(years, shares, strict=True))]  # fmt: skip
    for name, share in PEW.values():
        axes.plot(PEW_AT, share, "*", ms=11, color=figures.INK, zorder=5)
        axes.annotate(name, (PEW_AT, share), (8, -11), textcoords="offset points")
        rows.append({"reading": name, "year": PEW_AT, "share": share, "measured": True})
    axes.set(ylim=(0, 0.56), ylabel="written by machines", xlabel="year")
    axes.yaxis.set_major_formatter(PercentFormatter(1, 0, symbol=" %"))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figures.name_lines(axes, ends)
    return figure, pd.DataFrame(rows)


def stocks(new: Sequence[float], before: int, growths: Sequence[float]) -> dict[float, float]:
    """Growth of new pages in a year -> the machine share of all pages in the end."""
    return {growth: float(exposure.pages(new, before, 1 + growth)[-1]) for growth in growths}


def exposures(
    readings: Mapping[str, Sequence[float]], growing: Mapping[float, float], web: float, year: int
) -> list[dict[str, str]]:
    """A table: what a reading says of the web in a year, and of a training mixture."""
    told = {
        "the new pages (flow)": readings["flow"][year - 1],
        "Pew: pages dated after ChatGPT": PEW["new"][1],
        "an index that forgets (index)": readings["index"][year - 1],
        **{
            f"all pages (stock), new ones grow by {100 * growth:g} % a year": share
            for growth, share in growing.items()
        },
        "Pew: all pages": PEW["there"][1],
    }  # fmt: skip
    return [
        {"what is crawled": name, "of it by machines": figures.percent(share),
         "of the training mixture": figures.percent(web * share)}
        for name, share in told.items()
    ]  # fmt: skip


# -- the rising loop ---------------------------------------------------------------------------

Loops = Mapping[str, list[Run]]  # reading -> runs that differ by seed alone


def against(runs: list[Run], control: list[Run]) -> pd.DataFrame:
    """Perplexity over that of the seed's control: columns `seed`, `generation`, `ratio`.

    A generation of the control inherits nothing, so the mean of all of them after the first
    stands for it, on the log scale. A seed without a control is left out.
    """
    means = ratios.by_seed(
        control, lambda run: float(np.log(run.record.generations["test_perplexity"][1:]).mean())
    )
    parts = []
    for run in runs:
        if (seed := run.record.protocol.seed) in means:
            rows = run.record.generations[["generation", "test_perplexity"]].iloc[1:]
            parts.append(
                rows.assign(seed=seed, ratio=rows["test_perplexity"] / np.exp(means[seed]))
            )
    columns = ["seed", "generation", "ratio"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def responses(rows: pd.DataFrame) -> dict[str, PerSeed]:
    """As the plan has them: `early`, `level`, and `acceleration`, which is level ÷ early²."""
    end = int(rows["generation"].max()) if len(rows) else 0
    of = {"level": {end - 1, end}, "early": {end // 2 - 1, end // 2}}
    logs = rows.assign(log=np.log(rows["ratio"].astype(float)))
    found = {
        name: {int(seed): float(np.exp(one.loc[one["generation"].isin(which), "log"].mean()))
               for seed, one in logs.groupby("seed")}
        for name, which in of.items()
    }  # fmt: skip
    found["acceleration"] = {s: found["level"][s] / found["early"][s] ** 2 for s in found["level"]}
    return {name: over_seeds(values, True) for name, values in found.items()}


def loop_figure(
    loops: Loops, control: list[Run], human: Mapping[str, Sequence[float]]
) -> tuple[Figure, pd.DataFrame]:
    """Perplexity on human text over the control's, by generation, for each reading."""
    figure, axes = figures.canvas()
    ends, parts = [], []
    for place, (name, runs) in enumerate(loops.items()):
        rows = against(runs, control).assign(reading=name)
        parts.append(rows)
        if len(rows):
            colour = figures.COLOURS[place]
            figures.seeds_and_mean(axes, rows, "ratio", (place, len(loops)), name, colour=colour)
            last = figures.mean_over_seeds(rows, "ratio").iloc[-1]
            human_end = figures.percent(human[name][-1])
            ends.append((f"{name}, at the end\n{human_end} human: ×{last:.2f}", last, colour))
    axes.axhline(1, color=figures.INK, lw=1)
    axes.set(ylabel="perplexity on human text,\ntimes that with human text alone",
             xlabel="generation, each a year")  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figures.name_lines(axes, ends)
    return figure, pd.concat(parts, ignore_index=True)


# -- verdicts ----------------------------------------------------------------------------------


def claims(
    found: pd.DataFrame, measured: Sequence[float], told: Mapping[str, Mapping[str, PerSeed]]
) -> list[Claim]:
    """What is said of the web, beside the studies and the chains.

    Args:
        found: of `estimates`.
        measured: the share of new articles after each year.
        told: reading -> its `responses`.
    """
    first = found.iloc[0]
    ends = (first.corrected, first.corrected_low, first.corrected_high)
    half = "{:.1f} % [{:.1f}, {:.1f}]".format(*(100 * end for end in ends))
    more, less = first.corrected_low > 0.5, first.corrected_high < 0.5
    steps = np.diff([0.0, *measured])
    there = found[~found["new"] & (found["study"] == "Pew 2026")].iloc[0]
    allowed = ", ".join(figures.percent(end) for end in (there.least, there.most))
    mixture = sum(LLAMA.values())
    return [
        Claim(
            "over 50 % of new web content is written by machines", NEWSLETTER,
            "new English articles, Nov 2024, corrected", half,
            AGREES if more else DISAGREES if less else CANNOT_TELL,
        ),
        Claim(
            "and the problem is accelerating", NEWSLETTER,
            "what each year added to the share of new articles",
            ", ".join(f"{100 * step:.0f}" for step in steps) + " points",
            AGREES if (np.diff(steps) > 0).all() else DISAGREES,
        ),
        Claim(
            "30 to 40 % of the text of the active web is, by “Jia et al.”",
            f"{NEWSLETTER}; no such paper found, Spennemann 2025 says it",
            "Pew's share of all pages, with what errors allow",
            f"{figures.percent(there.share)} [{allowed}]",
            DISAGREES if there.most < 0.30 else CANNOT_TELL,
        ),
        Claim(
            "web pages are 82 % of a training mixture", "LLaMA, Table 1",
            "Common Crawl and C4, of all its sources",
            f"{LLAMA['Common Crawl'] + LLAMA['C4']:g} of {mixture:g} %",
            AGREES if mixture == 100 else DISAGREES,
        ),
        *(
            Claim(
                "degradation accelerates", "“AI Self-Poisoning”",
                f"rising loop, {name}: level ÷ early²", str(said["acceleration"]),
                verdicts.rises(said["acceleration"]),
            )
            for name, said in told.items()
        ),
        Claim(
            "model collapse is already happening", "an RSS digest",
            "rising loop, stock: perplexity ÷ with human text alone",
            str(told["stock"]["level"]), verdicts.rises(told["stock"]["level"]),
        ),
    ]  # fmt: skip
