"""How much of the web is machine-written: what studies say, and what a chain makes of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from collapse.book import figures, numbers, ratios
from collapse.experiment.arms import Run
from collapse.laws import exposure
from collapse.measure import verdicts
from collapse.measure.per_seed import PerSeed, over_seeds
from collapse.measure.verdicts import AGREES, CANNOT_TELL, DISAGREES, Claim
from is_it_already_happening_studies import READ, half

PEW = {"new": ("Pew, dated pages", 0.35), "there": ("Pew, all pages", 0.10)}
PEW_AT = 2026.55
RELEASED = 2022.91  # ChatGPT, 30 November 2022
LLAMA = {
    "Common Crawl": 67.0, "C4": 15.0, "GitHub": 4.5, "Wikipedia": 4.5, "books": 4.5,
    "arXiv": 2.5, "Stack Exchange": 2.0,
}  # fmt: skip


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
    for which, (name, share) in PEW.items():
        axes.plot(PEW_AT, share, "*", ms=11, color=figures.INK, zorder=5)
        left = which == "new"  # where no line goes
        axes.annotate(name, (PEW_AT, share), (-8 if left else 6, -3 if left else -12),
                      textcoords="offset points", ha="right" if left else "left")  # fmt: skip
        rows.append({"reading": name, "year": PEW_AT, "share": share, "measured": True})
    axes.set(ylim=(0, 0.56), ylabel="written by machines", xlabel="year")
    axes.yaxis.set_major_formatter(PercentFormatter(1, 0, symbol=" %"))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    figures.name_lines(axes, ends)
    return figure, pd.DataFrame(rows)


def stocks(new: Sequence[float], before: int, growths: Sequence[float]) -> dict[float, float]:
    """Growth of new pages in a year -> the machine share of all pages in the end."""
    return {growth: float(exposure.pages(new, before, 1 + growth)[-1]) for growth in growths}


def exposures(
    readings: Mapping[str, Sequence[float]], growing: Mapping[float, float], web: float, year: int
) -> list[dict[str, Any]]:
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
        {"what is crawled": name,
         "of it by machines": numbers.share(
             share, f"machine-written, of {name}", "published, or a closed form", origin=READ),
         "of the training mixture": numbers.share(
             web * share, f"machine-written, of a training mixture from {name}",
             "the share of the web, times that of the web in the mixture", origin=READ)}
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


def responses(runs: list[Run], control: list[Run]) -> dict[str, PerSeed]:
    """As the plan has them: `early`, `level`, and `acceleration`, which is level ÷ early²."""
    rows = against(runs, control)
    end = int(rows["generation"].max()) if len(rows) else 0
    of = {"early": {end // 2 - 1, end // 2}, "level": {end - 1, end}}
    logs = rows.assign(log=np.log(rows["ratio"].astype(float)))
    found = {
        name: {int(seed): float(np.exp(one.loc[one["generation"].isin(which), "log"].mean()))
               for seed, one in logs.groupby("seed")}
        for name, which in of.items()
    }  # fmt: skip
    found["acceleration"] = {s: found["level"][s] / found["early"][s] ** 2 for s in found["level"]}
    labels = {name: "generations " + " and ".join(map(str, sorted(of[name]))) for name in of}
    labels["acceleration"] = "late ÷ early²"
    names = ratios.names(runs) + ratios.names(control)
    return {
        name: over_seeds(
            values, True, records=names,
            what=f"perplexity ÷ that of the control, {labels[name]}: {ratios.setting(runs)}",
        )
        for name, values in found.items()
    }  # fmt: skip


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
            last = figures.seeds_and_mean(axes, rows, "ratio", (place, len(loops)), colour)
            human_end = figures.percent(human[name][-1])
            ends.append((f"{name}, at the end\n{human_end} human: ×{last:.2f}", last, colour))
    axes.axhline(1, color=figures.INK, lw=1)
    axes.set(ylabel="perplexity on human text,\ntimes that with human text alone",
             xlabel="generation, each a year")  # fmt: skip
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
    more, less = first.corrected_low > 0.5, first.corrected_high < 0.5
    steps = np.diff(measured)
    mixture = sum(LLAMA.values())
    return [
        Claim(
            "0-2",
            "new English articles, Nov 2024, corrected", half(found),
            AGREES if more else DISAGREES if less else CANNOT_TELL,
        ),
        Claim(
            "0-3",
            "the share of new articles a year after ChatGPT, and what each later year added",
            f"{100 * measured[0]:.0f} %; {', '.join(f'{100 * step:.0f}' for step in steps)} points",
            AGREES if (np.diff(steps) > 0).all() else DISAGREES,
        ),
        Claim(
            "3-6",
            "Common Crawl and C4, of all its sources",
            f"{LLAMA['Common Crawl'] + LLAMA['C4']:g} %",
            AGREES if mixture == 100 else DISAGREES,
        ),
        *(
            Claim(
                "1-8",
                f"rising loop, {name}: level ÷ early²", said["acceleration"],
                verdicts.rises(said["acceleration"]),
            )
            for name, said in told.items()
        ),
        Claim(
            "2-2",
            "rising loop, stock: perplexity ÷ with human text alone",
            told["stock"]["level"], verdicts.rises(told["stock"]["level"]),
        ),
    ]  # fmt: skip
