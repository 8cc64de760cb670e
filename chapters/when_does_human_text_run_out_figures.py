"""When human text runs out: figures, the text's numbers, and the law to be played with.

`_static/runout.js` plays it; without a script it stays hidden, and the tables remain.
"""

import html
import math
from dataclasses import replace

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import when_does_human_text_run_out as runout
from collapse.book import columns, figures, numbers, widget
from collapse.book.numbers import Number

STOCK, DEMAND = "#0B3C8C", "#C4500F"  # as much human text there is, and how much is asked for
YEARS = np.arange(2024, 2041, 0.1)
SHORT = {
    "pages": "number of pages", "page_bytes": "bytes a page", "token_bytes": "bytes a token",
    "quality": "share worth reading", "repeats": "gain in rereading",
    "page_growth": "growth of a page", "web_growth": "growth in pages",
    "demand_growth": "growth of sets", "largest": f"largest set, {runout.START}",
}  # fmt: skip
# What each slider can be set to: tokens per parameter over the best, per cent, factor a year.
CHOICES = {
    "overtraining": ("tokens per parameter, times the best for the compute",
                     [1, 2, 3, 5, 7, 10, 20, 30, 50, 70, 100]),
    "quality": ("share of the text worth reading, in per cent",
                [2, 3, 5, 7, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100]),
    "growth": ("growth of training sets, times a year",
               [1.3, 1.5, 1.7, 1.9, 2.1, 2.4, 2.7, 3.0, 3.5, 4.0, 5.0]),
}  # fmt: skip


# -- figures ---------------------------------------------------------------------------------


def bands(inputs: runout.Inputs, found: pd.DataFrame) -> pd.DataFrame:
    """Median and middle 90 % of stock and demand, in tokens, by year."""
    growth = found["page_growth"] + found["web_growth"]
    root = math.log10(inputs.overtraining) / 2
    rows = []
    for at in np.arange(2024, 2034.1, 0.5):
        t = at - runout.START
        every = {
            "stock": np.log10(found["effective"]) + t * growth,
            "demand": found["largest"] + root + t * found["demand_growth"],
        }
        for line, logs in every.items():
            low, middle, high = 10 ** np.quantile(logs, (0.05, 0.5, 0.95))
            rows.append({"line": line, "year": at, "low": low, "median": middle, "high": high})
    return pd.DataFrame(rows)


def chances(inputs: runout.Inputs, draws: int, seed: int) -> pd.DataFrame:
    """The chance of full use by year: by past growth, by compute, and half of each."""
    past = runout.chance(inputs, YEARS)
    compute = runout.compute_chance(inputs, YEARS, draws, seed)
    return pd.DataFrame(
        {"year": YEARS, "past growth": past, "compute": compute, "half each": (past + compute) / 2}
    )


def meeting_figure(found: pd.DataFrame, by_year: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Stock and demand by year with reported training sets; and the chance that they have met.

    Args:
        found: as `bands` gives it.
        by_year: as `chances` gives it.
    """
    made, (left, right) = figures.canvas(2, 3.6)
    ends = []
    for line, colour in (("stock", STOCK), ("demand", DEMAND)):
        rows = found[found["line"] == line]
        left.fill_between(rows["year"], rows["low"], rows["high"], color=colour, alpha=0.18, lw=0)
        left.plot(rows["year"], rows["median"], color=colour, lw=2)
        ends.append((line, float(rows["median"].iloc[-1]), colour))
    _training_sets(left)
    left.set_yscale("log")
    left.set(xlabel="year", ylabel="tokens", title="stock and demand", ylim=(2e12, 4e16))
    left.set_xticks([2024, 2028, 2032])
    figures.name_lines(left, ends)
    lines = {"past growth": (DEMAND, "-", 2.2), "compute": (figures.PAPER, ":", 1.6),
             "half each": (figures.PAPER, "--", 1.6)}  # fmt: skip
    for name, (colour, line, wide) in lines.items():
        right.plot(by_year["year"], by_year[name], color=colour, ls=line, lw=wide)
    right.axvspan(*runout.PAPER, color=figures.BAND, alpha=0.25, lw=0, zorder=0)
    right.text(np.mean(runout.PAPER), 1.03, "the paper", ha="center", color=figures.PAPER)
    right.set(xlabel="year", ylabel="chance that they have met", title="when they meet",
              ylim=(0, 1.12), xlim=(2024, 2040))  # fmt: skip
    right.set_xticks([2024, 2028, 2032, 2036, 2040])
    figures.name_lines(
        right, [(name, float(by_year[name].iloc[-1]), lines[name][0]) for name in lines], 0.09
    )
    return made, columns.panels(bands=found, chances=by_year)


def _training_sets(axes: Axes) -> None:
    for name, at, tokens in runout.SINCE:
        axes.plot(at, tokens, "o", ms=5, mfc="white", mec=figures.INK, zorder=5)
        place = {"Llama 3.1": (0, -14), "Llama 4 Scout": (4, 6), "DeepSeek-V4": (7, -9)}.get(name)
        if place:  # the others lie beside these
            axes.annotate(name, (at, tokens), place, color=figures.INK, textcoords="offset points")


def assumptions_figure(found: pd.DataFrame, middle: float) -> tuple[Figure, pd.DataFrame]:
    """How far each assumption moves the year, from one end of its interval to the other.

    Args:
        found: as `runout.assumptions` gives it.
        middle: the median year.
    """
    made, axes = figures.canvas(height=3.6)
    axes.axvline(middle, color=figures.PAPER, lw=1, zorder=0)
    for row, one in enumerate(found.itertuples()):
        axes.plot([one.low, one.high], [row, row], color=STOCK, lw=5, solid_capstyle="butt")
        for end, word in ((one.low, "low"), (one.high, "high")):
            first = end == min(one.low, one.high)
            axes.annotate(word, (end, row), (-4 if first else 4, 0), textcoords="offset points",
                          va="center", ha="right" if first else "left")  # fmt: skip
    names = [f"{SHORT[one.input]}\n{_share(one.share)}" for one in found.itertuples()]
    axes.set_yticks(range(len(found)), names)
    axes.set(ylim=(len(found) - 0.4, -0.6), xlabel="year of full use")
    low, high = found[["low", "high"]].min().min(), found[["low", "high"]].max().max()
    axes.set_xlim(low - 1.5, high + 1.5)  # room for the words on a telephone
    axes.xaxis.set_major_locator(figures.MaxNLocator(5, integer=True))
    made.set_figheight(0.9 + 0.46 * len(found))
    return made, found


def _share(share: float) -> str:
    return f"{100 * share:.0f}\u00a0%" if share >= 0.005 else "under 1\u00a0%"


# -- numbers ---------------------------------------------------------------------------------


def grid_year(inputs: runout.Inputs) -> float:
    """The median year as the public code reads it: the last of its grid before half the chance."""
    grid = np.linspace(2015, 2039, 100)
    return float(grid[np.searchsorted(runout.chance(inputs, grid), 0.5) - 1])


def told(
    inputs: runout.Inputs, found: pd.DataFrame, hangs_on: pd.DataFrame, by_year: pd.DataFrame
) -> dict[str, Number]:
    """What the page's text says.

    Args:
        found: draws.
        hangs_on: as `runout.assumptions` gives it.
        by_year: as `chances` gives it.
    """
    middle, low, high = runout.four_fifths(inputs)
    two = hangs_on.set_index("input")["share"][["pages", "demand_growth"]].sum()
    sooner = middle - runout.quantile(replace(inputs, overtraining=100 * inputs.overtraining), 0.5)
    every = by_year["year"].to_numpy()

    def met(column: str) -> float:
        return runout.crossing(every, by_year[column].to_numpy())[0]

    def one(value: float, what: str, how: str, form: str = ".1f") -> Number:
        return numbers.one(value, what, how, origin=runout.ORIGIN, form=form)

    code = "as the public code has it"
    return {
        "draws": one(len(found), "draws of the model's inputs", "a setting", ",.0f"),
        "median": runout.a_year(middle, "as in the public code"),
        "fifths": runout.years(low, high, "as in the public code"),
        "two": numbers.share(two, "variance of that year with number of pages and growth of sets",
                             "squared correlations over draws", origin=runout.ORIGIN),
        "growth": one(10 ** inputs.law("demand_growth")[0], "growth of training sets, times a year",
                      "middle of the paper's interval"),
        "hundred": one(sooner, "years sooner with 100 times the tokens per parameter",
                       runout.BY_LAW),
        "compute": one(met("compute"), "median year, demand by compute", "over draws"),
        "both": one(met("half each"), "median year, half of demand by compute", "over draws"),
        "grid": one(grid_year(inputs), "last year of a grid before half the chance", code),
        "slip-used": one(runout.A_WORD, "factor from words to tokens", code),
        "slip-words": one(runout.LLAMA_2 * 1e-12, "words of Llama 2's training set, trillions",
                          code),
        "slip-tokens": one(runout.LLAMA_2 * runout.A_WORD * 1e-12,
                           "tokens of Llama 2's training set, trillions", code),
    }  # fmt: skip


# -- to be played with -----------------------------------------------------------------------


def data_of(inputs: runout.Inputs, nodes: int = 400) -> dict[str, object]:
    """What the page's script needs: the law's terms at this page's inputs, and the choices."""
    law = runout.terms(inputs, nodes)
    growth = inputs.law("page_growth")[0] + inputs.law("web_growth")[0]
    quality = 100 * 10 ** inputs.law("quality")[0]
    usual = {
        "overtraining": inputs.overtraining,
        "quality": quality,
        "growth": 10 ** inputs.law("demand_growth")[0],
    }
    return {
        "start": runout.START,
        "law": {name: round(float(law[name]), 6) for name in ("gap", "gap_sd", "pace", "pace_sd")},
        "nodes": [round(float(node), 5) for node in law["nodes"]],
        "largest": round(inputs.law("largest")[0] + math.log10(inputs.overtraining) / 2, 5),
        "stock_growth": round(growth, 6),
        "usual": {name: round(float(value), 4) for name, value in usual.items()},
        "choices": {name: _choices(name, usual[name]) for name in CHOICES},
        "colours": [STOCK, DEMAND],
    }


def play(inputs: runout.Inputs, id: str) -> HTML:
    """Three sliders and what the law says, as HTML with the data in it."""
    data = data_of(inputs)
    sliders = "".join(
        widget.slider(
            id, name, html.escape(label),
            f'min="0" max="{len(values) - 1}" value="{_nearest(values, data["usual"][name])}"',
        )
        for name, (label, values) in CHOICES.items()
    )  # fmt: skip
    title, label = (
        "Change three assumptions",
        "Stock and demand by year; the text says when they meet",
    )
    form = f"<strong>Play: change three assumptions</strong>{sliders}"
    return widget.frame("runout", id, title, form, label, 216, data)


def _choices(name: str, usual: float) -> list[float]:
    """A slider's values, among them the page's own in place of the one nearest to it."""
    values = list(CHOICES[name][1])
    values[_nearest(values, usual)] = round(usual, 2)
    return values


def _nearest(values: list[float], value: float) -> int:
    return int(np.argmin([abs(math.log(one / value)) for one in values]))
