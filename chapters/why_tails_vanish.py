"""Gaussians and mixtures of the chapter on vanishing tails; the laws are in `laws`."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from collapse.book import figures, numbers
from collapse.book.figures import percent
from collapse.book.numbers import Number
from collapse.laws import drift, gaussian_mixture
from why_tails_vanish_counts import PARAMETERS

# -- Gaussians -------------------------------------------------------------------------------


def gaussian_chains(draws: int, generations: int, chains: int, seed: int) -> pd.DataFrame:
    """Variance by mean and median, distance, and the mass of the tail, with their laws.

    The first thirty chains have a column each, `chain_1` and so on: their variances.
    """
    random = np.random.default_rng(seed)
    means, variances = drift.refit(draws, generations, chains, random)
    n = np.arange(generations + 1)
    spreads = np.sqrt(variances)
    beyond = stats.norm.sf((3 - means) / spreads) + stats.norm.sf((3 + means) / spreads)
    some = {f"chain_{k + 1}": variances[:, k] for k in range(min(30, chains))}
    return pd.DataFrame(
        {
            "generation": n,
            "mean_variance": variances.mean(1),
            "median_variance": np.median(variances, 1),
            "law_median": drift.median_variance(draws, n),
            "distance": drift.distance(means, variances).mean(1),
            "law_distance": drift.expected_distance(draws, n),
            "median_deviation": np.sqrt(np.median(variances, 1)),
            "tail_beyond_3": np.median(beyond, 1) / (2 * stats.norm.sf(3)),
            **some,
        }
    )


def gaussian_figure(data: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Variance of some chains, and mean and median of all; `data` as `gaussian_chains` gives it."""
    figure, axes = figures.canvas(height=3.6)
    n = data["generation"]
    shown = data.drop(columns=["median_deviation", "tail_beyond_3"])
    axes.plot(n, data.filter(like="chain_"), lw=0.6, color="#BBBBBB")
    axes.plot(n, data["mean_variance"], "--", lw=2, color=figures.COLOURS[1])
    axes.plot(n, data["median_variance"], lw=2, color=figures.COLOURS[0])
    axes.plot(n, data["law_median"], ":", lw=1.2, color=figures.INK)
    axes.set(xlabel="generation", ylabel="variance of the fitted Gaussian", yscale="log",
             ylim=(1e-2, 10))  # fmt: skip
    figures.plain_numbers(axes.yaxis)
    lowest = data.filter(like="chain_").iloc[-1].quantile(0.1)
    ends = [
        ("mean of all", data["mean_variance"].iloc[-1], figures.COLOURS[1]),
        ("median, and\nits law", data["median_variance"].iloc[-1], figures.COLOURS[0]),
        ("single chains", max(lowest, 0.012), figures.PAPER),
    ]
    figures.name_lines(axes, ends)
    return figure, shown


def tail_figure(data: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The tail goes before the spread does; `data` as `gaussian_chains` gives it."""
    figure, axes = figures.canvas(height=2.9)
    shown = data[["generation", "median_deviation", "tail_beyond_3"]]
    axes.plot(shown["generation"], shown["median_deviation"], lw=2, color=figures.COLOURS[0])
    axes.plot(shown["generation"], shown["tail_beyond_3"], "--", lw=2, color=figures.COLOURS[1])
    axes.set(xlabel="generation", ylabel="share of generation 0", ylim=(0, 1.08))
    ends = [
        ("standard\ndeviation", shown["median_deviation"].iloc[-1], figures.COLOURS[0]),
        ("mass beyond 3", shown["tail_beyond_3"].iloc[-1], figures.COLOURS[1]),
    ]
    figures.name_lines(axes, ends)
    return figure, shown


def gaussian_numbers(data: pd.DataFrame, draws: int, chains: int) -> dict[str, Number]:
    """What the text says of the chains, by name; `data` as `gaussian_chains` gives it."""
    last = data.iloc[-1]
    half = min(round(drift.half_life(draws)), len(data) - 1)
    simulated = {
        "how": "simulated", "origin": f"{chains:,} chains of Gaussians, {draws} draws each, seed 0"
    }  # fmt: skip
    end = f"of all chains after {len(data) - 1} generations, 1 at first"
    return {
        "chains": numbers.one(chains, "simulated chains", "a setting", origin=PARAMETERS),
        "mean-variance": numbers.one(
            last["mean_variance"], f"mean variance {end}", form=".2f", **simulated
        ),
        "median-variance": numbers.one(
            last["median_variance"], f"median variance {end}", form=".2f", **simulated
        ),
        "half-life": numbers.one(
            half, "generations in which the median variance halves", "a closed form",
            origin="the law of the median",
        ),
        "spread-left": numbers.share(
            data["median_deviation"][half],
            f"median standard deviation left after {half} generations", **simulated,
        ),
        "tail-left": numbers.share(
            data["tail_beyond_3"][half],
            f"median mass beyond 3 standard deviations left after {half} generations", **simulated,
        ),
    }  # fmt: skip


# -- keeping and choosing --------------------------------------------------------------------


def keeping_figure(
    draws: int, generations: int, chains: int, human: float, seed: int
) -> tuple[Figure, pd.DataFrame]:
    """Variance of the fitted mean where data are replaced, mixed or accumulated."""
    random = np.random.default_rng(seed)
    n = np.arange(1, generations + 1)
    ways = {
        "replaced": (
            drift.mix(0.0, draws, generations, chains, random),
            drift.mixed_variance(0.0, draws, n),
        ),
        f"{percent(human)} human": (
            drift.mix(human, draws, generations, chains, random),
            drift.mixed_variance(human, draws, n),
        ),
        "all kept": (
            drift.accumulate(draws, generations, chains, random),
            np.array([drift.accumulated_variance(draws, k) for k in n]),
        ),
    }
    figure, axes = figures.canvas(height=3.4)
    rows, ends = [], []
    some = np.unique(np.geomspace(1, generations, 14).astype(int))
    colours = (figures.human_share(0.0), figures.human_share(human), figures.COLOURS[2])
    for index, (name, (means, law)) in enumerate(ways.items()):
        measured, colour = means.var(1)[1:] * draws, colours[index]
        axes.loglog(n, law * draws, color=colour, lw=1.5, ls=figures.LINES[index])
        axes.loglog(some, measured[some - 1], figures.MARKERS[index], mfc="white", ms=4.5,
                    color=colour)  # fmt: skip
        ends.append(
            (
                f"{name}\n×{law[-1] * draws:,.{0 if law[-1] * draws > 99 else 1}f}",
                law[-1] * draws,
                colour,
            )
        )
        rows += [
            {"way": name, "generation": k, "measured": measured[k - 1], "law": law[k - 1] * draws}
            for k in n
        ]
    axes.set(xlabel="generation", ylabel="variance of the mean,\ntimes that of one human sample")
    figures.plain_numbers(axes.yaxis)
    figures.plain_numbers(axes.xaxis)
    figures.name_lines(axes, ends)
    return figure, pd.DataFrame(rows)


def keeping_numbers(data: pd.DataFrame, origin: str) -> dict[str, Number]:
    """What the text says of keeping data; `data` as `keeping_figure` gives it.

    Args:
        origin: what was simulated, in words.
    """
    names = (("replaced", ",.0f"), ("settled", ".1f"), ("added", ".2f"))
    ends = [(way, rows.iloc[-1]) for way, rows in data.groupby("way", sort=False)]
    return {
        name: numbers.one(
            row["measured"], f"variance of the fitted mean, times that of one human sample, {way}, "
            f"generation {row['generation']}", "simulated", origin=origin, form=form,
        )
        for (name, form), (way, row) in zip(names, ends, strict=True)
    }  # fmt: skip


def selection_figure(drawn: int, chains: int, seed: int) -> tuple[Figure, pd.DataFrame]:
    """What is left of the variance where each generation learns from the likeliest draws alone."""
    random, rounds = np.random.default_rng(seed), 5
    shown = {drawn: figures.INK, drawn - 1: figures.WRITING["top-p 0.9"],
             drawn // 2: figures.WRITING["five beams"]}  # fmt: skip
    rows = []
    for kept in range(1, drawn + 1):
        law = drift.selected_variance(kept, drawn)
        measured = drift.select(kept, drawn, rounds, chains, random).mean(1)
        rows += [
            {"kept": kept, "drawn": drawn, "generation": n, "measured": measured[n], "law": law**n}
            for n in range(rounds + 1)
        ]
    data = pd.DataFrame(rows)
    figure, (left, right) = figures.canvas(2, 3.1)
    x = np.linspace(-3.2, 3.2, 321)
    half = np.abs(x) <= stats.norm.isf(0.25)
    left.fill_between(x[half], stats.norm.pdf(x[half]), color=figures.WRITING["five beams"],
                      alpha=0.35, lw=0)  # fmt: skip
    left.plot(x, stats.norm.pdf(x), color=figures.INK, lw=1.5)
    deviation = np.sqrt(drift.selected_variance(drawn // 2, drawn))
    left.plot(x, stats.norm.pdf(x / deviation) / deviation, "--", lw=1.5,
              color=figures.WRITING["five beams"])  # fmt: skip
    left.text(-3.2, 0.97, "after\none\nround", va="top", color=figures.WRITING["five beams"],
              transform=left.get_xaxis_transform())  # fmt: skip
    left.text(1.25, 0.24, "before,\nkept half\nshaded")
    left.set(xlabel="value", ylabel="density", ylim=(0, None), yticks=[])
    ends = []
    for index, (kept, colour) in enumerate(shown.items()):
        one = data[data["kept"] == kept]
        right.plot(one["generation"], one["law"], color=colour, lw=1.5, ls=figures.LINES[index])
        right.plot(one["generation"], one["measured"], figures.MARKERS[index], color=colour, ms=4.5,
                   mfc="white")  # fmt: skip
        named = "all kept" if kept == drawn else f"{kept} of {drawn}"
        ends.append((named, one["law"].iloc[-1], colour))
    right.set(xlabel="rounds of choosing", ylabel="variance left", yscale="log")
    figures.plain_numbers(right.yaxis)
    figures.name_lines(right, ends)
    return figure, data


def selection_numbers(drawn: int) -> dict[str, Number]:
    """What the text says of choosing, by name."""
    found = {
        "drawn": numbers.one(
            drawn, "draws to choose from", "a setting", origin="this book's choice"
        )
    }
    for name, kept, rounds in (
        ("select-9", drawn - 1, 1), ("select-half", drawn // 2, 1), ("select-mild", drawn - 1, 5),
    ):  # fmt: skip
        found[name] = numbers.one(
            drift.selected_variance(kept, drawn) ** rounds,
            f"mean variance left, {kept} of {drawn} kept, rounds of choosing: {rounds}",
            "a closed form", origin="the law of the likeliest draws of a Gaussian", form=".2f",
        )  # fmt: skip
    return found


# -- mixtures --------------------------------------------------------------------------------


def errors(draws: int, generations: int, temperature: float, seed: int) -> dict[str, list]:
    """Chains of mixtures with one source of error each: name -> generations of mixtures."""
    random = np.random.default_rng(seed)
    steps = {
        "finite samples": lambda one: gaussian_mixture.fitted(one, draws, random),
        "one Gaussian for two": gaussian_mixture.one_gaussian,
        "a learner that sharpens": lambda one: gaussian_mixture.sharpened(one, temperature),
    }
    found = {}
    for name, step in steps.items():
        chain = [gaussian_mixture.TRUTH]
        for _ in range(generations):
            chain.append(step(chain[-1]))
        found[name] = chain
    return found


def errors_numbers(found: dict[str, list]) -> dict[str, Number]:
    """What the text says of three sources of error, by name; `found` as `errors` gives it."""
    difference = gaussian_mixture.difference
    first, once, *_, last = found["one Gaussian for two"]
    how = {"how": "computed from the fitted densities", "origin": "one Gaussian fitted to two"}
    what = "squared difference of densities, one Gaussian learning two"
    return {
        "once-only": numbers.one(
            difference(once, first), f"{what}, first fit", form=".3f", **how
        ),
        "once-after": numbers.one(
            difference(last, once), f"{what}, added later", form=".3f", **how
        ),
        "sharp-20": numbers.one(
            found["a learner that sharpens"][20].deviations[0],
            "standard deviation after 20 rounds of a learner that sharpens, 1 at first",
            "computed from the fitted densities", origin="a mixture sharpened in each round",
            form=".2f",
        ),
    }  # fmt: skip


def errors_figure(found: dict[str, list], shown: tuple[int, ...]) -> tuple[Figure, pd.DataFrame]:
    """The fitted densities: a row for a generation, a column for a source of error."""
    figure, axes = figures.canvas(height=3.6)
    x, drawn, rows = np.linspace(-5.5, 5.5, 441), [], []
    colours = (figures.COLOURS[1], figures.COLOURS[0], figures.WRITING["temperature 0.7"])
    for column, (name, chain) in enumerate(found.items()):
        middle = 12.5 * column
        for row, number in enumerate(shown):
            density = chain[number].density(x)
            drawn.append(
                pd.DataFrame({"error": name, "generation": number, "x": x, "density": density})
            )
            foot = len(shown) - 1 - row
            ridge = foot + 0.8 * density / density.max()
            axes.fill_between(middle + x, foot, ridge, color=colours[column], alpha=0.35, lw=0)
            axes.plot(middle + x, ridge, color=colours[column], lw=1.2)
        axes.text(middle, len(shown) + 0.05, textwrap.fill(name, 13), ha="center", va="bottom",
                  color=colours[column], linespacing=1.1)  # fmt: skip
        rows += [
            {"error": name, "generation": n, "variance": one.covariance()[0, 0],
             "squared_difference": gaussian_mixture.difference(one, gaussian_mixture.TRUTH)}
            for n, one in enumerate(chain)
        ]  # fmt: skip
    places = [12.5 * column + at for column in range(len(found)) for at in (-2, 2)]
    axes.set_xticks(places, ["−2", "2"] * len(found))
    axes.set_yticks(range(len(shown)), [str(number) for number in reversed(shown)])
    axes.set(xlabel="value", ylabel="generation", ylim=(-0.1, len(shown) + 0.75))
    axes.grid(visible=False, axis="y")
    return figure, figures.panels(densities=pd.concat(drawn), all_generations=pd.DataFrame(rows))
