"""What the chapter on replacing and accumulating computes and draws of regression.

The laws themselves are in `regression`; the language model's runs are drawn by `figures`.
"""

import math

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from collapse import figures, regression
from collapse.regression import REGIMES, Task

SHARES = (0.0, 0.01, 0.1, 0.3, 1.0)  # synthetic labels, in the scan over the number of rows
ROWS = (300, 1000, 3000, 10_000, 30_000)
FEW = Task(np.ones(10), np.full(10, 0.5), rows=100, noise=1.0)  # whose fit makes these labels
LABELS = {
    "replace": "replaced",
    "accumulate": "accumulated",
    "accumulate-subsample": "accumulated, as many drawn",
}


def task(penalty: float = 0.0) -> Task:
    """Twenty coordinates, 1,000 rows; with a penalty, directions that are more and less certain."""
    eigenvalues = np.geomspace(4, 0.25, 20) if penalty else np.ones(20)
    return Task(eigenvalues, np.full(20, 0.5), rows=1000, noise=1.0, penalty=penalty)


def linear(problem: Task, generations: int, chains: int, seed: int) -> pd.DataFrame:
    """Law and simulation of each regime, in units of the risk of generation 0's least squares.

    Columns: `regime`, `generation`, `law`, `measured` and its standard `error` over chains.
    """
    parts = []
    for regime in REGIMES:
        random = np.random.default_rng(seed)
        found = regression.simulate(problem, regime, generations, chains, random) / problem.unit
        parts.append(
            pd.DataFrame(
                {
                    "regime": regime,
                    "generation": np.arange(generations + 1),
                    "law": regression.risk(problem, regime, generations) / problem.unit,
                    "measured": found.mean(0),
                    "error": found.std(0, ddof=1) / math.sqrt(chains),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def scan(chains: int, seed: int) -> pd.DataFrame:
    """Risk by the number of rows for several constant shares of synthetic labels.

    Columns: `share`, `rows`, `law`, `measured`, `error`; in units of the risk of the model that
    made the labels, which was fitted to the 100 human rows of `FEW`.
    """
    random, parts = np.random.default_rng(seed), []
    unit = float(regression.floor(0.0, FEW.rows, FEW))
    for share in SHARES:
        for rows in ROWS:
            found = regression.simulate_floor(share, rows, FEW, chains, random) / unit
            law = float(regression.floor(share, rows, FEW)) / unit
            error = found.std(ddof=1) / math.sqrt(chains)
            parts.append((share, rows, law, found.mean(), error))
    return pd.DataFrame(parts, columns=["share", "rows", "law", "measured", "error"])


def linear_figure(generations: int, chains: int, seed: int) -> tuple[Figure, pd.DataFrame]:
    """Risk by generation for least squares and for ridge; points are simulated, lines are laws."""
    figures.style()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4.6), layout="constrained")
    plain = linear(task(), generations, chains, seed)
    shrunk = linear(task(0.2), generations, chains, seed)
    _by_regime(left, plain, "Least squares")
    _by_regime(right, shrunk, "Ridge, penalty 0.2 a row")
    left.axhline(math.pi**2 / 6, color="black", lw=1.2, ls=":")
    left.annotate("π²/6", (0, math.pi**2 / 6), va="bottom", ha="center", fontsize=10)
    left.set_ylabel("risk ÷ that of one fit to human labels")
    right.legend(fontsize=9)
    return figure, figures.panels(left=plain, right=shrunk)


def scan_figure(chains: int, seed: int) -> tuple[Figure, pd.DataFrame]:
    """Risk by the number of rows, for several constant shares of synthetic labels."""
    figures.style()
    data = scan(chains, seed)
    unit = float(regression.floor(0.0, FEW.rows, FEW))
    figure, axes = plt.subplots(figsize=(7.6, 4.6), layout="constrained")
    for index, (share, rows) in enumerate(data.groupby("share")):
        colour, marker = figures.COLOURS[index % 4], "osD^v"[index]
        line = (*figures.LINES, (0, (1, 1)))[index]
        many = np.geomspace(rows["rows"].min(), 1e6, 60)
        law = regression.floor(float(share), many, FEW) / unit
        axes.plot(many, law, color=colour, ls=line, lw=2)
        axes.errorbar(
            rows["rows"], rows["measured"], 1.96 * rows["error"], color=colour, marker=marker,
            ms=7, ls="", capsize=3, label=f"{100 * float(share):g} % synthetic",
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="rows that are fitted",
             ylabel="risk ÷ that of the model that made the labels")  # fmt: skip
    axes.legend(fontsize=9)
    return figure, data


def _by_regime(axes: Axes, data: pd.DataFrame, title: str) -> None:
    for index, (regime, rows) in enumerate(data.groupby("regime", sort=False)):
        colour = figures.COLOURS[index]
        axes.plot(rows["generation"], rows["law"], color=colour, ls=figures.LINES[index], lw=2)
        axes.errorbar(
            rows["generation"], rows["measured"], 1.96 * rows["error"], color=colour,
            marker=figures.MARKERS[index], ls="", ms=5, capsize=2, label=LABELS[str(regime)],
        )  # fmt: skip
    axes.set(yscale="log", xlabel="generation (0 = fitted to human labels)", title=title)
    figures.plain_numbers(axes.yaxis)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
