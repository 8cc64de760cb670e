"""What the chapter on replacing and keeping computes of regression; its laws are in `laws`."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from scipy import stats

from collapse.book import columns, figures, numbers
from collapse.book.numbers import Number
from collapse.laws import regression
from collapse.laws.regression import REGIMES, Task
from collapse.measure import verdicts
from collapse.measure.per_seed import PerSeed
from collapse.measure.verdicts import AGREES, DISAGREES, Claim, Phrases

SHARES = (0.0, 0.01, 0.1, 0.3, 1.0)  # synthetic labels, in the scan over the number of rows
ROWS = (300, 1000, 3000, 10_000, 30_000)
FEW = Task(np.ones(10), np.full(10, 0.5), rows=100, noise=1.0)  # whose fit makes these labels
LABELS = {
    "replace": "replaced",
    "accumulate": "all kept",
    "accumulate-subsample": "all kept, as many drawn",
}

PLAIN = Task(np.ones(20), np.full(20, 0.5), rows=1000, noise=1.0)
RIDGE = Task(np.geomspace(4, 0.25, 20), np.full(20, 0.5), rows=1000, noise=1.0, penalty=0.2)
STILL = replace(RIDGE, fixed=True)  # the same with a total penalty that does not grow
NOTHING = float((RIDGE.eigenvalues * RIDGE.truth**2).sum()) / RIDGE.unit  # predicts zero


def linear(
    problems: dict[str, tuple[Task, str]], generations: int, chains: int, seed: int
) -> pd.DataFrame:
    """Law and simulation of some regimes, in units of the risk of generation 0's least squares.

    Args:
        problems: label -> task and regime.

    Columns: `setting`, `generation`, `law`, `measured`, its `standard_error` over chains, and
    `low` and `high`, as `_simulated` has them.
    """
    parts = []
    for label, (problem, regime) in problems.items():
        random = np.random.default_rng(seed)
        found = regression.simulate(problem, regime, generations, chains, random) / problem.unit
        parts.append(
            pd.DataFrame(
                {
                    "setting": label,
                    "generation": np.arange(generations + 1),
                    "law": regression.risk(problem, regime, generations) / problem.unit,
                    **_simulated(found),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _simulated(found: np.ndarray) -> dict[str, Any]:
    """The mean over chains, its standard error, and its 95 % interval, by the normal law."""
    mean, error = found.mean(0), found.std(0, ddof=1) / math.sqrt(len(found))
    ends = {"low": mean - 1.96 * error, "high": mean + 1.96 * error}
    return {"measured": mean, "standard_error": error, **ends}


def scan(chains: int, seed: int) -> pd.DataFrame:
    """Risk by the number of rows for several constant shares of synthetic labels.

    Columns: `synthetic_share`, `rows`, `law`, and those of `_simulated`; in units of the risk of
    the model that made the labels, which was fitted to the 100 human rows of `FEW`.
    """
    parts = []
    unit = float(regression.floor(0.0, FEW.rows, FEW))
    for share in SHARES:
        for rows in ROWS:
            random = np.random.default_rng([seed, rows])  # all shares see the same data
            found = regression.simulate_floor(share, rows, FEW, chains, random) / unit
            law = float(regression.floor(share, rows, FEW)) / unit
            named = {"synthetic_share": share, "rows": rows, "law": law}
            parts.append(named | _simulated(found))
    return pd.DataFrame(parts)


def linear_figure(generations: int, chains: int, seed: int) -> tuple[Figure, pd.DataFrame]:
    """Risk by generation for least squares and for ridge; points are simulated, lines are laws."""
    made, panels = figures.canvas(2, 3.6)
    plain = {LABELS[regime]: (PLAIN, regime) for regime in REGIMES}
    shrunk = {LABELS[regime]: (RIDGE, regime) for regime in REGIMES}
    shrunk["all kept, total penalty fixed"] = (STILL, "accumulate")
    parts = {
        panel: linear(problems, generations, chains, seed)
        for panel, problems in (("first", plain), ("second", shrunk))
    }
    panels[0].axhline(math.pi**2 / 6, color=figures.PAPER, lw=1.2, ls=":")
    _by_regime(panels[0], parts["first"], "Least squares", {"π²/6": math.pi**2 / 6})
    _by_regime(panels[1], parts["second"], "Ridge", {})
    panels[0].set_ylabel("risk ÷ that of one fit to human labels")
    panels[1].set_ylabel("in the same unit")
    return made, columns.panels(**parts)


def linear_numbers(data: pd.DataFrame, origin: str) -> dict[str, Number]:
    """What the text says of the regressions, by name; `data` as `linear_figure` gives it.

    Args:
        origin: what was simulated, in words.
    """
    rounds = data["generation"].max()
    ends = data[data["generation"] == rounds].set_index(["panel", "setting"])
    names = {
        "reg-rep": ("first", "replaced"), "reg-acc": ("first", "all kept"),
        "reg-sub": ("first", "all kept, as many drawn"), "ridge-rep": ("second", "replaced"),
        "ridge-acc": ("second", "all kept"),
        "ridge-still": ("second", "all kept, total penalty fixed"),
    }  # fmt: skip
    found = {
        "ridge-zero": numbers.one(
            NOTHING, "risk of a model that predicts nothing, in units of least squares' first",
            "a closed form", origin="the coefficients of the simulated task",
        )
    }  # fmt: skip
    for name, (panel, regime) in names.items():
        fit, row = {"first": "least squares", "second": "ridge"}[panel], ends.loc[panel, regime]
        form = ".2f" if panel == "first" else ".1f" if name == "ridge-still" else ".0f"
        found[name] = numbers.one(
            row["measured"],
            f"risk of {fit} after {rounds} rounds, labels {regime}; least squares' first is 1",
            "mean over simulated chains", origin=origin, form=form,
            low=row["low"], high=row["high"],
            interval="95 %, normal, over simulated chains",
        )  # fmt: skip
    return found


def obeyed(data: pd.DataFrame) -> bool:
    """Whether no simulated point is farther from its law than chance allows, at 5 % over all."""
    far = ((data["measured"] - data["law"]).abs() / data["standard_error"]).max()
    return bool(far < stats.norm.isf(0.025 / len(data)))


def scan_figure(chains: int, seed: int) -> tuple[Figure, pd.DataFrame]:
    """Risk by the number of rows, for several constant shares of synthetic labels."""
    data = scan(chains, seed)
    unit = float(regression.floor(0.0, FEW.rows, FEW))
    made, axes = figures.canvas(height=3.6)
    ends = []
    for index, (share, rows) in enumerate(data.groupby("synthetic_share")):
        colour, line = figures.human_share(1 - share), (*figures.LINES, (0, (1, 1)))[index]
        many = np.geomspace(rows["rows"].min(), 1e6, 60)
        law = regression.floor(float(share), many, FEW) / unit
        axes.plot(many, law, color=colour, ls=line, lw=2)
        axes.errorbar(rows["rows"], rows["measured"], 1.96 * rows["standard_error"], color=colour,
                      marker="osD^v"[index], ms=5, ls="", capsize=3)  # fmt: skip
        name = f"{100 * float(share):g} % synthetic" if share else "all human"
        ends.append((name, float(law[-1]), colour))
    axes.set(xscale="log", yscale="log", xlabel="rows that are fitted",
             ylabel="risk ÷ that of the model\nthat made the labels")  # fmt: skip
    axes.set_xticks([1e3, 1e5], ["1,000", "100,000"])
    axes.xaxis.set_minor_formatter(NullFormatter())
    figures.plain_numbers(axes.yaxis)
    figures.name_lines(axes, ends)
    return made, data


def _by_regime(axes: Axes, data: pd.DataFrame, title: str, lines: dict[str, float]) -> None:
    ends = [(name, height, figures.PAPER) for name, height in lines.items()]
    for index, (regime, rows) in enumerate(data.groupby("setting", sort=False)):
        colour, marker = figures.COLOURS[index], figures.MARKERS[index]
        axes.plot(rows["generation"], rows["law"], color=colour, ls=figures.LINES[index], lw=2)
        reach = 1.96 * rows["standard_error"]
        axes.errorbar(rows["generation"], rows["measured"], reach, color=colour,
                      marker=marker, ls="", ms=4, capsize=2)  # fmt: skip
        ends.append((str(regime).replace(", ", ",\n"), float(rows["law"].iloc[-1]), colour))
    axes.set(yscale="log", xlabel="generation", title=title)
    figures.plain_numbers(axes.yaxis)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    figures.name_lines(axes, ends)


# -- claims ----------------------------------------------------------------------------------


def law_claim(laws: pd.DataFrame, regime: str, id: str) -> Claim:
    """A claim on one of the regimes of least squares."""
    rows = laws[laws["setting"] == regime]
    last = rows.iloc[-1]
    return Claim(
        id, f"a regression, {int(last['generation'])} rounds",
        f"{last['measured']:.2f} ± {last['high'] - last['measured']:.2f}, "
        f"by the law {last['law']:.2f}",
        AGREES if obeyed(rows) else DISAGREES,
    )  # fmt: skip


def floor_claim(risks: pd.DataFrame) -> Claim:
    """Risk with the most rows over that with a third of them: 1/3 where scaling goes on."""
    share = 0.3
    rows = risks[risks["synthetic_share"] == share].set_index("rows")
    most, fewer = sorted(rows.index)[-1], sorted(rows.index)[-2]
    value = rows["measured"][most] / rows["measured"][fewer]
    relative = rows["standard_error"] / rows["measured"]
    error = value * math.hypot(*relative[[most, fewer]])
    measured = PerSeed({0: value}, value, value - 1.96 * error, value + 1.96 * error)
    phrases = Phrases(DISAGREES, DISAGREES, AGREES)
    return Claim(
        "dohmatob-floor",
        f"risk with {most:,} rows ÷ with {fewer:,}, {100 * share:g} % synthetic; "
        f"{fewer / most:.2f} if scaling went on",
        f"{value:.2f} ± {1.96 * error:.2f}",
        verdicts.size(measured, fewer / most, fewer / most, phrases),
    )  # fmt: skip
