"""The page on speed: what `book bench` measured, as one figure, tables and words."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure
from scipy import stats

from collapse.bench.measured import OURS, RIVALS, in_words, ratios
from collapse.book import figures, numbers
from collapse.book.numbers import Number
from collapse.experiment.protocol import Protocol

ASKED = {"five beams": 4.0, "sampling": 1.5, "training": 1.3}  # times the rival, set beforehand
NOT_YET = "not run yet"
GROWING = {
    "tokens": "training tokens of a run",
    "generations": "generations of a run",
    "operations": "operations of training and writing, with models of four widths",
}
# Blocks of 64 of OPT's tokens in WikiText-2.
TRAIN, VALID, TEST = 37_000, 3_880, 4_360

_RIVALS = " or ".join(dict.fromkeys(RIVALS.values()))

Found = dict[str, Any]  # measurements, as `measured.read` gives them


def shares(found: Found, contest: str, rate: float) -> dict[str, float]:
    """The shares of the machine's `operations` and `bytes` a second that a rate takes at least.

    The first is what is called model-FLOP utilisation, against what a large product reaches here
    and not against the number of a data sheet. The larger of the two is the share of the floor.

    Args:
        rate: tokens a second.
    """
    needed, limits = found["needed"][contest], found["limits"]
    return {what: rate * needed[what] / limits[what] for what in ("operations", "bytes")}


def floor(found: Found, contest: str) -> float:
    """Tokens a second if nothing but products at full rate, or copies at full width, took time."""
    return 1 / max(shares(found, contest, 1.0).values())


def slope(points: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """Slope of log seconds on log size by least squares, and its 95 % interval.

    A cost that is proportional to something has slope 1.

    Args:
        points: (size, seconds), repeated ones too.
    """
    x, y = np.log(np.array(points)).T
    fit = stats.linregress(x, y)
    half = stats.t.ppf(0.975, len(x) - 2) * fit.stderr
    return fit.slope, fit.slope - half, fit.slope + half


# -- words -----------------------------------------------------------------------------------


def said(found: Found | None) -> dict[str, Number]:
    """Every number in the page's prose by its name there; `not run yet` where it was not measured.

    Named `KIND-CONTEST`: `times` is this book's rate over that of its rival; `floor` is its share
    of the floor.
    """
    where = origin(found) if found else ""

    def fact(value: float, what: str, how: str, **options: Any) -> Number:
        return numbers.one(value, what, how, origin=where, **options)

    told = {}
    for contest, rival in RIVALS.items():
        rates = _rates(found, contest, rival)
        told[f"times-{contest}"] = fact(
            statistics.median(rates) if rates else math.nan,
            f"{contest}, tokens a second, this book ÷ {rival}", "median of the rounds",
            text=in_words(rates) if rates else "", low=min(rates, default=math.nan),
            high=max(rates, default=math.nan), interval="slowest and fastest round",
        )  # fmt: skip
        used = {}
        if found:
            used = shares(found, contest, statistics.median(found["contests"][contest][OURS]))
        told[f"floor-{contest}"] = fact(
            100 * max(used.values(), default=math.nan), f"{contest}, share of the floor",
            "median of the rounds", unit="%",
        )  # fmt: skip
    same, rounds = (found["same_text"], found["rounds"]) if found else (math.nan, math.nan)
    told["same-text"] = fact(
        100 * same, "five-beam continuations that are those of `generate`, token for token",
        "a count", unit="%",
    )  # fmt: skip
    told["rounds"] = fact(rounds, "rounds of the benchmark", "a count")
    return told


def _rates(found: Found | None, contest: str, rival: str) -> list[float]:
    """This book's rate over that of a rival, round by round; none where it was not measured."""
    try:
        return list(ratios(found, contest, rival)) if found else []
    except KeyError:
        return []


def origin(found: Found) -> str:
    """One line that says where and when the measurements were made."""
    return (
        f"{found['model']}, {found['precision']}, blocks of {found['block_length']} tokens, on "
        f"{found['device']}; {found['rounds']} rounds, {found['date'][:10]}, commit "
        f"{(found['commit'] or 'unknown')[:8]}"
    )


# -- tables ----------------------------------------------------------------------------------


def contestants(found: Found | None, kind: str) -> HTML:
    """Every side of every contest: tokens a second, times the rival, share of the floor.

    Args:
        kind: of machine, for the sentence that stands in for a table that is missing.
    """
    if not found:
        return HTML(f"<p>On {kind}: {NOT_YET}.</p>")
    rows = []
    for contest, sides in found["contests"].items():
        rival = next(rates for name, rates in sides.items() if name.startswith(RIVALS[contest]))
        for side, rates in sides.items():
            median = statistics.median(rates)
            used = shares(found, contest, median)
            rows.append(
                {
                    "contest": contest,
                    "who": side,
                    "tokens a second": f"{median:,.0f} ({min(rates):,.0f} to {max(rates):,.0f})",
                    f"times {_RIVALS}": in_words(
                        [one / two for one, two in zip(rates, rival, strict=True)]
                    ),
                    "of the floor": f"{100 * max(used.values()):.0f} %",
                }
            )
    earlier = (
        "Measured on an earlier version, which also ran a plain training loop in the style of the "
        "paper's code."
    )
    return figures.table(
        rows, earlier if "profiles" in found else "", id=f"tab-speed-{kind.split()[-1].lower()}",
        caption=f"Who writes and trains how fast on {kind}; medians, with the slowest and the "
        "fastest round.",
    )  # fmt: skip


def marks(found: Found | None) -> HTML:
    """How many times as fast as its rival each contest was to be, and whether the median is."""
    rows, told = [], said(found)
    for contest in RIVALS:
        row = {"contest": contest, f"asked: times {_RIVALS}": f"{ASKED[contest]:g}"}
        row |= {"measured": told[f"times-{contest}"], "mark": NOT_YET}
        if found:
            reached = statistics.median(ratios(found, contest)) >= ASKED[contest]
            row["mark"] = "reached" if reached else "not reached"
        rows.append(row)
    return figures.table(
        rows, id="tab-speed-marks", caption="What was asked for before anything was measured, and "
        "what was reached.",
    )  # fmt: skip


def growth(found: Found | None) -> HTML:
    """How the seconds grow with the size: sizes and medians at both ends, and the slope."""
    if not found or not found["growth"]:
        return HTML(f"<p>Growth of the cost: {NOT_YET}.</p>")
    rows = []
    for name, label in GROWING.items():
        points = found["growth"][name]
        sizes = sorted({size for size, _ in points})
        least, most = (
            statistics.median(seconds for size, seconds in points if size == end)
            for end in (sizes[0], sizes[-1])
        )
        value, low, high = slope(points)
        rows.append(
            {
                "what grows": label,
                "from, to": ", ".join(
                    f"{end:,.0f}" if end < 1e6 else f"{end / 1e9:,.3g} billion"
                    for end in (sizes[0], sizes[-1])
                ),
                "times as much": f"{sizes[-1] / sizes[0]:.3g}",
                "seconds": f"{least:.1f}, {most:.1f}",
                "times as long": f"{most / least:.1f}",
                "slope": f"{value:.2f} [{low:.2f}, {high:.2f}]",
            }
        )
    return figures.table(
        rows, id="tab-speed-growth", caption="How the seconds grow with the size of the work."
    )


def whole_runs(
    found: Found | None, settings: Sequence[Protocol], kind: str = "a processor"
) -> HTML:
    """What runs on all of WikiText-2 take at the measured rates, and what they would at the floor.

    Scored are the validation blocks after each epoch, the test blocks, and what was written, by
    the model that wrote it, by generation 0 and as generation 0's. Scoring was not measured: it
    counts as a third of training, as its operations do.
    """
    if not found:
        return HTML(f"<p>Whole runs: {NOT_YET}.</p>")
    rows, length = [], found["block_length"]
    ways = {
        "here": {name: statistics.median(found["contests"][name][OURS]) for name in RIVALS},
        "floor": {name: floor(found, name) for name in RIVALS},
    }
    for setting in settings:
        written = setting.generations * TRAIN
        trained = setting.epochs * written
        scored = setting.generations * (setting.epochs * VALID + TEST) + 3 * written
        hours = {
            way: length
            * ((trained + scored / 3) / rate["training"] + written / rate["five beams"])
            / 3600
            for way, rate in ways.items()
        }
        rows.append(
            {
                "a run of": f"{setting.epochs} epochs, {setting.mixture}",
                "models": str(setting.generations),
                "hours of the machine": f"{hours['here']:,.2f}",
                "at the floor": f"{hours['floor']:,.2f}",
                "share of the floor": f"{100 * hours['floor'] / hours['here']:.0f} %",
            }
        )
    return figures.table(
        rows, id=f"tab-whole-runs-{kind.split()[-1].lower()}",
        caption=f"What whole runs would take on {kind}, by the measured rates.",
    )  # fmt: skip


# -- figure ----------------------------------------------------------------------------------


def contests(found: Found) -> tuple[Figure, pd.DataFrame]:
    """Each side's share of the floor, every round a dot, medians as bars with tokens a second.

    Returns:
        the figure and its data: one row a contest, side and round.
    """
    figure, axes = figures.canvas(1, 4.4)
    row, data, names = 0.0, [], {}
    for contest, sides in found["contests"].items():
        axes.text(0, row, contest, weight="bold", va="center", color=figures.INK)
        limit = floor(found, contest)
        for side, rates in sorted(sides.items(), key=lambda one: -statistics.median(one[1])):
            row += 1
            names[row] = side.partition(", batches")[0].partition(":")[0]
            middle = statistics.median(rates)
            colour = figures.COLOURS[0] if side == OURS else "#BBBBBB"
            axes.barh(row, 100 * middle / limit, 0.62, color=colour)
            shown = [100 * rate / limit for rate in rates]
            axes.plot(shown, [row] * len(rates), "o", mfc="white", mec=figures.INK, ms=4)
            axes.annotate(f"{middle:,.0f}", (max(shown), row), xytext=(6, 0), va="center",
                          textcoords="offset points", color=figures.INK)  # fmt: skip
            measured = {"round": range(len(rates)), "tokens_per_second": rates, "floor": limit}
            data.append(pd.DataFrame({"contest": contest, "side": side, **measured}))
        row += 1.5
    axes.axvline(100, color=figures.COLOURS[1], ls="--")
    axes.annotate(
        "the floor", (100, 1), xycoords=("data", "axes fraction"), ha="right", va="bottom",
        color=figures.COLOURS[1],
    )  # fmt: skip
    axes.set_yticks(list(names), list(names.values()))
    axes.set(xlim=(0, 104), ylim=(row - 0.8, -0.7), xlabel="share of what the machine allows (%)")
    axes.grid(axis="y", visible=False)
    return figure, pd.concat(data, ignore_index=True)
