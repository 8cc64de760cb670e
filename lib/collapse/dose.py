"""Dose and response: the synthetic share of the training text, crossed with the generation.

An arm is compared with the one whose share is 0, seed by seed and generation by generation: that
one trains on the same human blocks again and again, so that what is left is the effect of the
share and not of another training.
"""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from collapse import figures, regression, results
from collapse.loop import Run
from collapse.results import Ratio

Doses = Mapping[float, list[Run]]  # synthetic share -> runs that differ by seed alone

MARGIN = 0.02  # a change of perplexity within this share of it counts as none
CERTAINTY = 0.90  # of the interval of an equivalence test at 5 %: two one-sided tests
COLUMNS = {
    "test_perplexity": "perplexity on human text",
    "distinct_tokens": "distinct tokens in its text",
    "tail_coverage": "rare human tokens still written",
    "moving_type_token_ratio": "moving type-token ratio",
}


def grid(doses: Doses) -> pd.DataFrame:
    """Each measure by share, seed and generation, divided by that of share 0.

    Columns: `share`, `seed`, `generation`, and of each of `COLUMNS` its value and, with `_change`,
    its ratio to the run with share 0, of the same seed and in the same generation.
    """
    base = {run.record.protocol.seed: run.record.generations for run in doses.get(0.0, [])}
    parts = []
    for share, runs in sorted(doses.items()):
        for run in runs:
            seed, rows = run.record.protocol.seed, run.record.generations
            if seed not in base:
                continue
            part = pd.DataFrame({"share": share, "seed": seed, "generation": rows["generation"]})
            for column in COLUMNS:
                part[column] = rows[column]
                part[f"{column}_change"] = rows[column] / base[seed][column]
            parts.append(part)
    columns = ["share", "seed", "generation", *COLUMNS, *(f"{name}_change" for name in COLUMNS)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def change(found: pd.DataFrame, share: float, generation: int, column: str) -> Ratio:
    """One cell of the grid: the ratio to share 0, over seeds."""
    rows = found[(found["share"] == share) & (found["generation"] == generation)]
    return results.over_seeds(dict(zip(rows["seed"], rows[f"{column}_change"], strict=True)))


def equivalence(found: pd.DataFrame, column: str = "test_perplexity") -> pd.DataFrame:
    """Two one-sided tests of each cell: is the change within `MARGIN` for certain, or beyond it?

    Schuirmann 1987: equivalent at 5 % where the 90 % interval of the mean log ratio, Student's over
    seeds, lies within plus and minus log(1 + `MARGIN`); beyond where it lies outside. Each cell is
    a test by itself.

    Columns: `share`, `generation`, `seeds`, `change` with `low` and `high`, in per cent; `verdict`:
    `within the margin`, `above the margin`, `below the margin`, `undecided` and why.
    """
    bound, rows = math.log1p(MARGIN), []
    for (share, generation), cell in found.groupby(["share", "generation"]):
        if share == 0 or generation == 0:
            continue
        logs = np.log(cell[f"{column}_change"].to_numpy())
        low = high = math.nan
        if len(logs) > 1:
            error = logs.std(ddof=1) / math.sqrt(len(logs))
            half = stats.t.ppf(0.5 + CERTAINTY / 2, len(logs) - 1) * error
            low, high = logs.mean() - half, logs.mean() + half
        rows.append(
            {
                "share": share,
                "generation": generation,
                "seeds": len(logs),
                "change": 100 * math.expm1(logs.mean()),
                "low": 100 * math.expm1(low),
                "high": 100 * math.expm1(high),
                "verdict": _verdict(low, high, bound),
            }
        )
    columns = ["share", "generation", "seeds", "change", "low", "high", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def _verdict(low: float, high: float, bound: float) -> str:
    if math.isnan(low):
        return "undecided: one seed gives no interval"
    if -bound <= low and high <= bound:
        return "within the margin"
    if low > bound:
        return "above the margin"
    return "below the margin" if high < -bound else "undecided"


def margin(tested: pd.DataFrame, share: float, generation: int) -> str:
    """The verdict on one cell."""
    rows = tested[(tested["share"] == share) & (tested["generation"] == generation)]
    return str(rows["verdict"].iloc[0]) if len(rows) else "not run yet"


def told(tested: pd.DataFrame, share: float, generation: int) -> str:
    """The change in one cell with its 90 % interval, in per cent."""
    rows = tested[(tested["share"] == share) & (tested["generation"] == generation)]
    if not len(rows):
        return "not run yet"
    row = rows.iloc[0]
    if math.isnan(row["low"]):
        return f"{row['change']:+.1f} % (one seed, no interval)"
    return f"{row['change']:+.1f} % [{row['low']:+.1f}, {row['high']:+.1f}]"


def where(tested: pd.DataFrame, generation: int) -> str:
    """In a sentence, up to which share a change is ruled out, and from which on it is shown."""
    up_to, start = certain_up_to(tested, generation), certain_from(tested, generation)
    limit = f"a rise of more than {100 * MARGIN:g} %"
    if not (tested["generation"] == generation).any():
        return "this is not run yet"
    first = f"{limit} is ruled out up to a share of {100 * up_to:g} %"
    if math.isnan(up_to):
        first = f"{limit} is ruled out at no share"
    last = "shown at none" if math.isnan(start) else f"shown from {100 * start:g} % on"
    any_ = certain_from(tested, generation, 0.0)
    smaller = "at none" if math.isnan(any_) else f"from {100 * any_:g} % on"
    return f"{first}, and {last}; a rise of whatever size is shown {smaller}"


def over(above: Ratio, below: Ratio) -> Ratio:
    """One summary over another, seed by seed."""
    both = [seed for seed in above.by_seed if seed in below.by_seed]
    return results.over_seeds({seed: above.by_seed[seed] / below.by_seed[seed] for seed in both})


def certain_from(tested: pd.DataFrame, generation: int, margin: float = MARGIN) -> float:
    """The least share from which on each has its interval above a margin; nan where none has."""
    found = math.nan
    rows = tested[tested["generation"] == generation]
    for _, row in rows.sort_values("share", ascending=False).iterrows():
        if not row["low"] > 100 * margin:
            break
        found = float(row["share"])
    return found


def certain_up_to(tested: pd.DataFrame, generation: int) -> float:
    """The largest share up to which every tested one is within the margin; nan where none is."""
    found = math.nan
    rows = tested[tested["generation"] == generation]
    for _, row in rows.sort_values("share").iterrows():
        if row["verdict"] != "within the margin":
            break
        found = float(row["share"])
    return found


def increments(runs: list[Run]) -> pd.DataFrame:
    """By how much a generation is worse on human test text than the one before.

    Columns: `seed`, `generation` from 1; `nats`, of loss a token; `points`, of perplexity divided
    by that of generation 0.
    """
    parts = []
    for run in runs:
        perplexity = run.record.generations["test_perplexity"].to_numpy()
        parts.append(
            pd.DataFrame(
                {
                    "seed": run.record.protocol.seed,
                    "generation": np.arange(1, len(perplexity)),
                    "nats": np.diff(np.log(perplexity)),
                    "points": np.diff(perplexity / perplexity[0]),
                }
            )
        )
    columns = ["seed", "generation", "nats", "points"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def acceleration(runs: list[Run], column: str = "nats") -> Ratio:
    """By how much increments grow in each generation, least squares: above 0 decay accelerates."""
    by_seed = {}
    for run in runs:
        steps = increments([run])[column].to_numpy()
        if len(steps) > 1:
            slope = np.polyfit(np.arange(len(steps)), steps, 1)[0]
            by_seed[run.record.protocol.seed] = float(slope)
    return results.over_seeds(by_seed)


def pace_in_words(measured: Ratio) -> str:
    """What an acceleration says."""
    if why := results.undecided(measured):
        return why
    if measured.low > 0:
        return "it accelerates"
    return "it slows" if measured.high < 0 else "undecided: the interval contains 0"


def best_human_share(doses: Doses) -> dict[int, float]:
    """By seed, the human share with the lowest perplexity in the last generation."""
    ends: dict[int, dict[float, float]] = {}
    for share, runs in doses.items():
        for run in runs:
            value = float(run.record.generations["test_perplexity"].iloc[-1])
            ends.setdefault(run.record.protocol.seed, {})[1 - share] = value
    return {seed: min(values, key=values.__getitem__) for seed, values in sorted(ends.items())}


# -- figures -----------------------------------------------------------------------------------


def grid_figure(doses: Doses) -> tuple[Figure, pd.DataFrame]:
    """Four measures by share, one line a generation; a dashed line changes both at once."""
    figures.style()
    made, panels = plt.subplots(2, 2, figsize=(10, 8.2), layout="constrained", sharex=True)
    found = grid(doses)
    shares = sorted(set(found["share"]))
    if len(found):
        last = int(found["generation"].max())
        shades = sns.color_palette("viridis", last + 1)
        path = _path(shares, last)
        for axes, (column, label) in zip(panels.flat, COLUMNS.items(), strict=True):
            _grid_panel(axes, found, column, shares, shades, path)
            axes.set_ylabel(f"{label}\n÷ that with share 0")
        panels[0, 0].legend(fontsize=9)
    for axes in panels[1]:
        axes.set_xticks(range(len(shares)), [f"{100 * share:g}" for share in shares])
        axes.set_xlabel("synthetic share of the training text (%)")
    figures.sign(made, [run for runs in doses.values() for run in runs])
    return made, found


def _path(shares: list[float], last: int) -> list[tuple[int, int]]:
    """Cells, as (place of the share, generation), that grow in both at once."""
    places = np.linspace(0, len(shares) - 1, last + 1).round().astype(int)
    return [(int(place), number) for number, place in enumerate(places)]


def _grid_panel(
    axes: Axes,
    found: pd.DataFrame,
    column: str,
    shares: list[float],
    shades: list[tuple[float, float, float]],
    path: list[tuple[int, int]],
) -> None:
    means = found.groupby(["generation", "share"])[f"{column}_change"].mean()
    for number, rows in found.groupby("generation"):
        if number == 0:
            continue
        shift = 0.08 * (int(number) - len(shades) / 2)
        places = np.array([shares.index(share) for share in rows["share"]])
        shape = {"color": shades[int(number)], "marker": "osD^v"[int(number) % 5]}
        axes.plot(
            places + shift, rows[f"{column}_change"], ls="", mfc="none", ms=4, alpha=0.8, **shape
        )  # fmt: skip
        line = means[number]
        axes.plot(
            [shares.index(share) for share in line.index], line, lw=2, ms=6,
            ls=figures.LINES[int(number) % 4], label=f"generation {number}", **shape,
        )  # fmt: skip
    walked = [means[number, shares[place]] for place, number in path[1:]]
    axes.plot([place for place, _ in path[1:]], walked, color="black", lw=1.3, ls=(0, (2, 2)),
              marker="x", ms=8, label="both at once")  # fmt: skip
    axes.axhline(1, color="#333333", lw=1)


def equivalence_figure(doses: Doses, generations: tuple[int, int]) -> tuple[Figure, pd.DataFrame]:
    """Change of perplexity against share 0 in two generations, with the margin as a band."""
    figures.style()
    found = grid(doses)
    tested = equivalence(found)
    shares = [share for share in sorted(doses) if share]
    made, panels = plt.subplots(
        1, 2, figsize=(10, 1.7 + 0.5 * len(shares)), layout="constrained", sharey=True
    )
    for axes, number in zip(panels, generations, strict=True):
        axes.axvspan(-100 * MARGIN, 100 * MARGIN, color=figures.BAND, alpha=0.25, lw=0, zorder=0)
        axes.axvline(0, color="#333333", lw=1)
        for _, row in tested[tested["generation"] == number].iterrows():
            place = shares.index(row["share"])
            known = {"within the margin": (2, "o"), "undecided": (3, "s")}
            index, marker = known.get(row["verdict"].partition(":")[0], (1, "D"))
            colour = figures.COLOURS[index]
            cell = found[(found["share"] == row["share"]) & (found["generation"] == number)]
            seeds = 100 * (cell["test_perplexity_change"] - 1)
            axes.plot(seeds, [place - 0.16] * len(seeds), "o", ms=5, mfc="none", color="#333333")
            axes.plot([row["low"], row["high"]], [place + 0.08] * 2, lw=2.4, color=colour)
            axes.plot(row["change"], place + 0.08, marker=marker, ms=9, color=colour)
        axes.set_xscale("symlog", linthresh=5)
        axes.set_xticks([-5, -2, 0, 2, 5, 20, 100], ["−5", "−2", "0", "2", "5", "20", "100"])
        axes.set(title=f"Generation {number}", xlabel="change of perplexity (%)")
    panels[0].set_yticks(range(len(shares)), [f"{100 * share:g} %" for share in shares])
    panels[0].set_ylim(max(len(shares), 1) - 0.5, -0.5)
    panels[0].set_ylabel("synthetic share")
    figures.sign(made, [run for runs in doses.values() for run in runs])
    return made, tested


def weight_figure(doses: Doses, chains: int, seed: int) -> tuple[Figure, pd.DataFrame]:
    """Error by the weight or the share of human data: in a law, and in the language model."""
    figures.style()
    made, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.6), layout="constrained")
    weights = np.linspace(0.05, 1, 96)
    laws = {
        "fresh human data in every generation": regression.settled(weights),
        "one generation, a perfect model before": regression.weighted(weights, 0.0),
    }
    parts = []
    for index, (label, values) in enumerate(laws.items()):
        left.plot(weights, values, color=figures.COLOURS[index], ls=figures.LINES[index], lw=2,
                  label=label)  # fmt: skip
        parts.append(pd.DataFrame({"law": label, "human": weights, "value": values}))
    random = np.random.default_rng(seed)
    for weight in (0.2, 0.4, 0.618, 0.8, 1.0):
        found = regression.simulate_weighted(weight, 4, 40, chains, random)
        error = 1.96 * found.std(ddof=1) / math.sqrt(chains)
        left.errorbar(weight, found.mean(), error, marker="o", color=figures.COLOURS[0], capsize=3)
        point = {
            "law": "simulated",
            "human": [weight],
            "value": found.mean(),
            "error": error / 1.96,
        }
        parts.append(pd.DataFrame(point))
    left.set(ylim=(0.4, 2.2), xlabel="weight of the human half of the data",
             ylabel="variance ÷ that of the human half", title="A mean, in a law")  # fmt: skip
    left.legend(fontsize=9, loc="upper right")
    found = grid(doses)
    if len(found):
        ends = found[found["generation"] == found["generation"].max()]
        human = 1 - ends["share"]
        right.plot(human, ends["test_perplexity_change"], "o", mfc="none", ms=5, color="#333333")
        mean = ends.groupby("share")["test_perplexity_change"].mean()
        right.plot(1 - mean.index, mean, color=figures.COLOURS[1], marker="s", ms=6, lw=2)
        parts.append(
            pd.DataFrame(
                {"law": "language model", "human": human, "seed": ends["seed"],
                 "value": ends["test_perplexity_change"]}
            )
        )  # fmt: skip
    right.set(xlabel="human share of the training text",
              ylabel="last perplexity ÷ that with human text alone",
              title="A language model, measured")  # fmt: skip
    for axes in (left, right):
        for place, label in ((0.5, "½"), (regression.GOLDEN, "0.618")):
            axes.axvline(place, color=figures.BAND, lw=1.4, ls=(0, (4, 2)), zorder=0)
            axes.annotate(label, (place, 0.01), xycoords=("data", "axes fraction"), va="bottom",
                          ha="right" if place == 0.5 else "left", fontsize=10)  # fmt: skip
    figures.sign(made, [run for runs in doses.values() for run in runs])
    return made, pd.concat(parts, ignore_index=True)


def pace_figure(arms: dict[str, list[Run]]) -> tuple[Figure, pd.DataFrame]:
    """Growth from each generation to the next, of loss and of perplexity, every seed drawn."""
    figures.style()
    made, panels = plt.subplots(1, 2, figsize=(9.6, 4.6), layout="constrained")
    parts = []
    for index, (label, runs) in enumerate(arms.items()):
        rows = increments(runs)
        if len(rows):
            parts.append(rows.assign(arm=label))
            for axes, column in zip(panels, ("nats", "points"), strict=True):
                figures.seeds_and_mean(axes, rows, column, (index, len(arms)), label)
    for axes in panels:
        axes.axhline(0, color="#333333", lw=1)
        axes.set_xlabel("generation")
        axes.xaxis.set_major_locator(plt.MaxNLocator(integer=True))
    panels[0].set(ylabel="growth since the generation before (nats)", title="Loss")
    panels[1].set(ylabel="growth ÷ perplexity of generation 0", title="Perplexity")
    if parts:
        panels[0].legend(fontsize=9)
    figures.sign(made, [run for runs in arms.values() for run in runs])
    return made, pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
