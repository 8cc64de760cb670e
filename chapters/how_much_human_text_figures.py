"""The figures of dose, response and recovery, and the numbers in the text between them.

Both come from `how_much_human_text`; the numbers are by the name that the text has for them.
"""

import math

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import how_much_human_text as dose
from collapse.book import figures, ratios
from collapse.experiment.arms import Run
from collapse.laws import drift
from collapse.measure.per_seed import NOT_RUN, PerSeed, over_seeds


def grid_figure(doses: dose.Doses) -> tuple[Figure, pd.DataFrame]:
    """Four measures by share, one line a generation; a dashed line changes both at once."""
    figures.style()
    made, panels = plt.subplots(2, 2, figsize=(10, 8.2), layout="constrained", sharex=True)
    found = dose.grid(doses)
    shares = sorted(set(found["share"]))
    if len(found):
        last = int(found["generation"].max())
        shades = sns.color_palette("viridis", last + 1)
        path = _path(shares, last)
        for axes, (column, label) in zip(panels.flat, dose.COLUMNS.items(), strict=True):
            _grid_panel(axes, found, column, shares, shades, path)
            axes.set_ylabel(f"{label}\n÷ that with share 0")
        panels[0, 0].legend(fontsize=9)
    for axes in panels[1]:
        axes.set_xticks(range(len(shares)), [f"{100 * share:g}" for share in shares])
        axes.set_xlabel("synthetic share of the training text (%)")
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
    logs = np.log(found[f"{column}_change"])
    means = np.exp(logs.groupby([found["generation"], found["share"]]).mean())
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


def equivalence_figure(
    doses: dose.Doses, generations: tuple[int, int]
) -> tuple[Figure, pd.DataFrame]:
    """Change of perplexity against share 0 in two generations, with the margin as a band."""
    figures.style()
    found = dose.grid(doses)
    tested = dose.equivalence(found)
    shares = [share for share in sorted(doses) if share]
    made, panels = plt.subplots(
        1, 2, figsize=(10, 1.7 + 0.5 * len(shares)), layout="constrained", sharey=True
    )
    for axes, number in zip(panels, generations, strict=True):
        margin = 100 * dose.MARGIN
        axes.axvspan(-margin, margin, color=figures.BAND, alpha=0.25, lw=0, zorder=0)
        axes.axvline(0, color="#333333", lw=1)
        for _, row in tested[tested["generation"] == number].iterrows():
            known = {dose.WITHIN: (2, "o"), "undecided": (3, "s")}
            index, marker = known.get(row["verdict"].partition(",")[0], (1, "D"))
            cell = found[(found["share"] == row["share"]) & (found["generation"] == number)]
            seeds = 100 * (cell["test_perplexity_change"] - 1)
            measured = PerSeed(seeds.to_dict(), row["change"], row["low"], row["high"])
            place, colour = shares.index(row["share"]), figures.COLOURS[index]
            figures.seeds_and_interval(axes, place, measured, colour, marker)
        axes.set_xscale("symlog", linthresh=5)
        axes.set_xticks([-5, -2, 0, 2, 5, 20, 100], ["−5", "−2", "0", "2", "5", "20", "100"])
        axes.set(title=f"Generation {number}", xlabel="change of perplexity (%)")
    panels[0].set_yticks(range(len(shares)), [f"{100 * share:g} %" for share in shares])
    panels[0].set_ylim(max(len(shares), 1) - 0.5, -0.5)
    panels[0].set_ylabel("synthetic share")
    return made, tested


def weight_figure(doses: dose.Doses, chains: int, seed: int) -> tuple[Figure, pd.DataFrame]:
    """Error by the weight or the share of human data: in a law, and in the language model."""
    figures.style()
    made, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.6), layout="constrained")
    weights = np.linspace(0.05, 1, 96)
    laws = {
        "fresh human data in every generation": drift.weighed_variance(weights),
        "one generation, a perfect model before": drift.weighed_variance(weights, 0.0),
    }
    parts = []
    for index, (label, values) in enumerate(laws.items()):
        left.plot(weights, values, color=figures.COLOURS[index], ls=figures.LINES[index], lw=2,
                  label=label)  # fmt: skip
        parts.append(pd.DataFrame({"law": label, "human": weights, "value": values}))
    random = np.random.default_rng(seed)
    for weight in (0.2, 0.4, 0.618, 0.8, 1.0):
        found = 4 * drift.weigh(weight, 4, 40, chains, random) ** 2
        mean, reach = found.mean(), 1.96 * found.std(ddof=1) / math.sqrt(chains)
        left.errorbar(weight, mean, reach, marker="o", color=figures.COLOURS[0], capsize=3)
        point = {"law": "simulated", "human": [weight], "value": mean, "error": reach / 1.96}
        parts.append(pd.DataFrame(point))
    left.set(ylim=(0.3, 2.2), xlabel="weight of the human half of the data",
             ylabel="variance ÷ that of the human half", title="A mean, in a law")  # fmt: skip
    left.legend(fontsize=9, loc="upper right")
    found = dose.grid(doses)
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
              ylabel="perplexity ÷ that with human text",
              title="A language model, measured")  # fmt: skip
    for axes in (left, right):
        for place, label in ((0.5, "½"), (drift.GOLDEN, "0.618")):
            axes.axvline(place, color=figures.BAND, lw=1.4, ls=(0, (4, 2)), zorder=0)
            axes.annotate(label, (place, 0.01), xycoords=("data", "axes fraction"), va="bottom",
                          ha="right" if place == 0.5 else "left", fontsize=10)  # fmt: skip
    return made, pd.concat(parts, ignore_index=True)


def pace_figure(arms: dict[str, list[Run]]) -> tuple[Figure, pd.DataFrame]:
    """Growth from each generation to the next, of loss and of perplexity, every seed drawn."""
    figures.style()
    made, panels = plt.subplots(1, 2, figsize=(9.6, 4.6), layout="constrained")
    parts = []
    for index, (label, runs) in enumerate(arms.items()):
        rows = dose.increments(runs)
        if len(rows):
            parts.append(rows.assign(arm=label))
            for axes, column in zip(panels, ("nats", "points"), strict=True):
                figures.seeds_and_mean(axes, rows, column, (index, len(arms)), label)
    for axes in panels:
        axes.axhline(0, color="#333333", lw=1)
        axes.set_xlabel("generation")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].set(ylabel="growth since the generation before (nats)", title="Loss")
    panels[1].set(ylabel="growth ÷ perplexity of generation 0", title="Perplexity")
    if parts:
        panels[0].legend(fontsize=9)
    return made, pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def recovery_figure(mended: dose.Mended) -> tuple[Figure, pd.DataFrame]:
    """Perplexity by epoch of the recovery, a panel for each number of rounds before it."""
    figures.style()
    rounds = sorted({before for before, _ in mended})
    amounts = sorted({blocks for _, blocks in mended})
    made, panels = plt.subplots(
        1, max(len(rounds), 1), figsize=(10, 4.8), layout="constrained", sharey=True, squeeze=False
    )
    parts = []
    for axes, before in zip(panels[0], rounds, strict=False):
        originals: list[float] = []
        for index, blocks in enumerate(amounts):
            runs = mended.get((before, blocks), [])
            place = (index, len(amounts))
            rows = [dose.curve(run).assign(seed=run.record.protocol.seed) for run in runs]
            if not rows:
                continue
            data = pd.concat(rows, ignore_index=True)
            label = f"{blocks:,} blocks"
            figures.seeds_and_mean(axes, data, "perplexity", place, label, by="epoch")
            parts.append(data.assign(rounds=before, blocks=blocks))
            originals += [float(r.record.generations["valid_perplexity"].iloc[0]) for r in runs]
        if originals:
            axes.axhline(np.mean(originals), color="black", lw=1.2, ls=":", label="generation 0")
        words = "before any collapse" if before == 0 else f"after {before} rounds of collapse"
        axes.set(title=f"Human text {words}", xlabel="epochs on human text")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0, 0].set_ylabel("perplexity on human validation text")
    if parts:
        panels[0, -1].legend(fontsize=9)
    return made, pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


# -- numbers in the text ---------------------------------------------------------------------


def dose_numbers(doses: dose.Doses, end: int) -> dict[str, str]:
    """By share and by generation, `end` being the last: all synthetic, and the middle share."""
    found, middle = dose.grid(doses), dose.middle(doses)

    def cell(share: float, generation: int, column: str = "test_perplexity") -> PerSeed:
        return dose.change(found, share, generation, column)

    lasting = {share: cell(share, end) / cell(share, 1) for share in sorted(doses) if share}
    numbers = {
        "dose-by-share": str(cell(1.0, 1) / cell(middle, 1)),
        "dose-lasting": "; ".join(f"{100 * share:g} %: {one}" for share, one in lasting.items()),
    }
    for name, share in (("all", 1.0), ("half", middle)):
        numbers |= {
            f"dose-{name}-share": f"{100 * share:g} %",
            f"dose-{name}-first": str(cell(share, 1)),
            f"dose-{name}-last": str(cell(share, end)),
            f"dose-{name}-distinct": str(cell(share, end, "distinct_tokens")),
            f"dose-{name}-tail": str(cell(share, end, "tail_coverage")),
            f"dose-{name}-ratio": str(cell(share, end, "moving_type_token_ratio")),
        }
    return numbers


def equivalence_numbers(found: pd.DataFrame, tested: pd.DataFrame, end: int) -> dict[str, str]:
    """Where a change is certain, and what two per cent do; `found` as `dose.grid` gives it."""
    columns = {"distinct_tokens": "distinct", "moving_type_token_ratio": "ratio"}
    return {
        "eq-first": dose.where(tested, 1),
        "eq-last": dose.where(tested, end),
        "eq-two": dose.told(tested, 0.02, end),
        **{
            f"eq-two-{short}": dose.told(dose.equivalence(found, column), 0.02, end)
            for column, short in columns.items()
        },
    }


def weight_numbers(
    data: pd.DataFrame, doses: dose.Doses, tested: pd.DataFrame, end: int
) -> dict[str, str]:
    """The best weight and the best share; `data` as `weight_figure` gives it."""
    simulated = data[data["law"] == "simulated"].set_index("human")["value"]
    best = dose.best_human_share(doses)
    shares = ", ".join(f"{100 * share:g} % for seed {seed}" for seed, share in best.items())
    return {
        "mix-golden": f"{simulated[0.618]:.3f}",
        "mix-one": f"{simulated[1.0]:.3f}",
        "mix-law": f"{drift.weighed_variance(drift.GOLDEN):.3f}",
        "mix-best": shares or NOT_RUN,
        "mix-half": dose.told(tested, 0.5, end),
        "mix-verdict": dose.best_mixture(doses, tested, end),
    }


def pace_numbers(shown: dict[str, list[Run]], end: int) -> dict[str, str]:
    """How steps grow: with synthetic text alone, which is shown first, and with some human text."""
    alone, *mixtures = shown
    steps, numbers = dose.increments(shown[alone]), {}
    for column in ("nats", "points"):
        pace = dose.acceleration(shown[alone], column)
        numbers |= {f"pace-{column}": str(pace), f"pace-{column}-word": dose.pace_in_words(pace)}
        for name, generation in (("first", 1), ("last", end)):
            rows = steps[steps["generation"] == generation]
            value = over_seeds(dict(zip(rows["seed"], rows[column], strict=True)))
            numbers[f"pace-{column}-{name}"] = str(value)
    others = {label: dose.acceleration(shown[label]) for label in mixtures}
    words = [f"{label}: {dose.pace_in_words(one)}, by {one} nats" for label, one in others.items()]
    return numbers | {"pace-others": "; ".join(words) or NOT_RUN}


def recovery_numbers(mended: dose.Mended, rounds: int, amounts: list[int]) -> dict[str, str]:
    """What is regained after the most rounds of collapse, by the number of human blocks."""
    most = mended[rounds, amounts[-1]]
    back = {n: dose.regained(mended[rounds, n]) for n in amounts}
    scar = {n: dose.beside(mended[rounds, n], mended[0, n]) for n in amounts}
    enough, epochs = dose.enough(mended, rounds), dose.epochs_back(most)
    runs = [run for runs in mended.values() for run in runs]
    return {
        "mend-back": "; ".join(f"{n:,} blocks: {value}" for n, value in back.items()),
        "mend-scar": "; ".join(f"{n:,} blocks: {value}" for n, value in scar.items()),
        "mend-enough": "none of those tried" if enough is None else f"{enough:,} blocks",
        "mend-epochs": ", ".join("never" if n is None else str(n) for n in epochs.values())
        or NOT_RUN,
        "mend-large": f"{amounts[-1]:,}",
        "mend-ratio": str(ratios.ratio(most)),
        "mend-rounds": str(rounds),
        "mend-first": f"{runs[0].record.corpus['blocks']['train']:,}" if runs else NOT_RUN,
    }
