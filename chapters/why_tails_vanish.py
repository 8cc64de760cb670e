"""Gaussians, mixtures and digits of the chapter on vanishing tails; the laws are in `laws`."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy import stats

from collapse.book import figures
from collapse.laws import autoencoder, drift, gaussian_mixture

# -- Gaussians -------------------------------------------------------------------------------


def gaussian_figure(
    draws: int, generations: int, chains: int, seed: int
) -> tuple[Figure, pd.DataFrame]:
    """Variance by mean and median, distance, and the mass of the tail, with their laws."""
    figures.style()
    random = np.random.default_rng(seed)
    means, variances = drift.refit(draws, generations, chains, random)
    n = np.arange(generations + 1)
    spreads = np.sqrt(variances)
    beyond = stats.norm.sf((3 - means) / spreads) + stats.norm.sf((3 + means) / spreads)
    tail = np.median(beyond, 1) / (2 * stats.norm.sf(3))
    data = pd.DataFrame(
        {
            "generation": n,
            "mean_variance": variances.mean(1),
            "median_variance": np.median(variances, 1),
            "law_median": drift.median_variance(draws, n),
            "low": np.quantile(variances, 0.05, 1),
            "high": np.quantile(variances, 0.95, 1),
            "distance": drift.distance(means, variances).mean(1),
            "law_distance": drift.expected_distance(draws, n),
            "median_deviation": np.sqrt(np.median(variances, 1)),
            "tail_beyond_3": tail,
        }
    )
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained")
    left.fill_between(n, data["low"], data["high"], color=figures.BAND, alpha=0.3, lw=0,
                      label="9 chains in 10")  # fmt: skip
    left.plot(n, data["mean_variance"], "--", color=figures.COLOURS[1], label="mean")
    left.plot(n, data["median_variance"], color=figures.COLOURS[0], label="median")
    left.plot(n, data["law_median"], ":", color="black", label=r"$e^{-n/(M-1)}$")
    left.set(xlabel="generation", ylabel="variance", yscale="log", ylim=(1e-2, 20))
    left.legend(fontsize=9, loc="lower left")
    middle.plot(n, data["distance"], color=figures.COLOURS[0], label="measured")
    middle.plot(n, data["law_distance"], ":", color="black", label="exact law")
    middle.set(xlabel="generation", ylabel="mean squared distance")
    middle.legend()
    right.plot(n, data["median_deviation"], color=figures.COLOURS[0], label="standard deviation")
    right.plot(n, data["tail_beyond_3"], "--", color=figures.COLOURS[1], label="mass beyond 3")
    right.set(xlabel="generation", ylabel="share of generation 0", ylim=(0, 1.03))
    right.legend(fontsize=10)
    return figure, data


def gaussian_numbers(data: pd.DataFrame, draws: int) -> dict[str, str]:
    """What the text says of the chains, by name; `data` as `gaussian_figure` gives it."""
    first, last = data.iloc[10], data.iloc[-1]
    half = min(round(drift.half_life(draws)), len(data) - 1)
    return {
        "mean-variance": f"{last['mean_variance']:.2f}",
        "median-variance": f"{last['median_variance']:.4f}",
        "law-median": f"{last['law_median']:.4f}",
        "half-life": str(half),
        "median-half": f"{data['median_variance'][half]:.3f}",
        "distance-10": f"{first['distance']:.4f} (exact: {first['law_distance']:.4f})",
        "distance-200": f"{last['distance']:.2f} (exact: {last['law_distance']:.2f})",
        "rare": f"{1e6 * stats.norm.sf(np.sqrt(2 * 1000 / (draws - 1))):.0f}",
        "spread-left": f"{data['median_deviation'][half]:.0%}",
        "tail-left": f"{data['tail_beyond_3'][half]:.0%}",
    }


def released(evolutions: int) -> tuple[list[dict[str, str]], dict[str, str]]:
    """The settings of the released notebook, run here: a table, and what the text says, by name.

    They are 1,000 generations with the biased standard deviation, and a mixture of two components
    that share 1,000 draws for 2,050 generations.
    """
    random = np.random.default_rng(0)
    rows = []
    for size in (100, 500, 1000, 10000):
        means, variances = drift.refit(size, 1000, 2000, random, biased=True)
        deviations = np.sqrt(variances[-1])
        low, high = np.quantile(deviations, [0.05, 0.95])
        rows.append(
            {
                "draws": f"{size:,}",
                "generations": "1,000",
                "median standard deviation": f"{np.median(deviations):.3f}",
                "nine chains in ten": f"{low:.3f} to {high:.3f}",
                "median |mean|": f"{np.median(np.abs(means[-1])):.3f}",
                "printed by the released notebook": "",
            }
        )
    blobs = gaussian_mixture.shared_blob(1000, evolutions, 0)
    order = np.argsort(blobs[-1].deviations)
    ends = " and ".join(f"{one:.4f}" for one in blobs[-1].deviations[order])
    printed = " and ".join(f"{one:.4f}" for one in gaussian_mixture.PRINTED)
    _, variances = drift.refit(500, evolutions, 2000, random, biased=True)
    low, high = np.quantile(blobs[0].deviations.mean() * np.sqrt(variances[-1]), [0.05, 0.95])
    rows.append(
        {
            "draws": "1,000, for two components in the plane",
            "generations": f"{evolutions:,}",
            "median standard deviation": f"one chain: {ends}",
            "nine chains in ten": f"{low:.4f} to {high:.4f} (one Gaussian, 500 draws)",
            "median |mean|": "",
            "printed by the released notebook": printed,
        }
    )
    return rows, {
        "biased": f"{drift.mean_variance(1000, 1000, biased=True):.2f}",
        "ends": ends,
        "held": " and ".join(f"{one:.1%}" for one in blobs[-1].weights[order]),
        "evolutions": f"{evolutions:,}",
        "printed": printed,
        "range": f"{low:.4f} to {high:.4f}",
        "far": f"{gaussian_mixture.difference(blobs[-1], blobs[0]):,.0f}",
        "far-printed": f"{gaussian_mixture.PRINTED_DIFFERENCE:,.0f}",
    }


def keeping_figure(
    draws: int, generations: int, chains: int, human: float, seed: int
) -> tuple[Figure, pd.DataFrame]:
    """Variance of the fitted mean where data are replaced, mixed or accumulated."""
    figures.style()
    random = np.random.default_rng(seed)
    n = np.arange(1, generations + 1)
    ways = {
        "replaced": (
            drift.mix(0.0, draws, generations, chains, random),
            drift.mixed_variance(0.0, draws, n),
        ),
        f"{human:.0%} human, drawn afresh": (
            drift.mix(human, draws, generations, chains, random),
            drift.mixed_variance(human, draws, n),
        ),
        "accumulated": (
            drift.accumulate(draws, generations, chains, random),
            np.array([drift.accumulated_variance(draws, k) for k in n]),
        ),
    }
    figure, axis = plt.subplots(figsize=(7.6, 4.2), layout="constrained")
    rows = []
    some = np.unique(np.geomspace(1, generations, 14).astype(int))
    for index, (name, (means, law)) in enumerate(ways.items()):
        measured = means.var(1)[1:] * draws
        axis.loglog(n, law * draws, color=figures.COLOURS[index], lw=1, ls=figures.LINES[index])
        axis.loglog(some, measured[some - 1], figures.MARKERS[index], mfc="white",
                    color=figures.COLOURS[index], label=name)  # fmt: skip
        rows += [
            {"way": name, "generation": k, "measured": measured[k - 1], "law": law[k - 1] * draws}
            for k in n
        ]
    axis.axhline(np.pi**2 / 6, color="#666666", ls=":", label=r"$\pi^2/6$")
    axis.set(xlabel="generation", ylabel="variance of the mean")
    axis.legend()
    return figure, pd.DataFrame(rows)


def keeping_numbers(data: pd.DataFrame, draws: int, chains: int) -> dict[str, str]:
    """What the text says of keeping data and of choosing; `data` as `keeping_figure` gives it."""
    ends = [rows["measured"].iloc[-1] for _, rows in data.groupby("way", sort=False)]
    replaced, settled, added = ends
    chosen = (drift.select(k, 10, 1, chains, np.random.default_rng(0))[1].mean() for k in (9, 5))
    return {
        "replaced": f"{replaced:.0f}",
        "settled": f"{settled:.2f}",
        "settled-law": f"{drift.mixed_variance(0.1, draws) * draws:.2f}",
        "added": f"{added:.3f}",
        "added-law": f"{drift.accumulated_variance(draws, 1000) * draws:.3f}",
        "select-9": f"{drift.selected_variance(9, 10):.2f}",
        "select-half": f"{drift.selected_variance(5, 10):.2f}",
        "selected": " and ".join(f"{one:.2f}" for one in chosen),
    }


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


def errors_numbers(found: dict[str, list]) -> dict[str, str]:
    """What the text says of three sources of error, by name; `found` as `errors` gives it."""
    difference = gaussian_mixture.difference
    first, once, *_, last = found["one Gaussian for two"]
    return {
        "once-only": f"{difference(once, first):.4f}",
        "once-after": f"{difference(last, once):.4f}",
        "sharp-20": f"{found['a learner that sharpens'][20].deviations[0]:.2f}",
        "finite": f"{difference(found['finite samples'][-1], gaussian_mixture.TRUTH):.4f}",
    }


def errors_figure(found: dict[str, list], shown: tuple[int, ...]) -> tuple[Figure, pd.DataFrame]:
    """The fitted densities of some generations, one panel a source of error."""
    figures.style()
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained", sharex=True)
    x, drawn, rows = np.linspace(-5.5, 5.5, 441), [], []
    for axis, (name, chain) in zip(axes, found.items(), strict=True):
        for index, number in enumerate(shown):
            density = chain[number].density(x)
            drawn.append(
                pd.DataFrame({"error": name, "generation": number, "x": x, "density": density})
            )
            axis.plot(x, np.minimum(density, 0.9), color=str(0.7 * index / (len(shown) - 1)),
                      ls=figures.LINES[index], label=f"generation {number}")  # fmt: skip
        axis.set_title(name, fontsize=12)
        axis.set(xlabel="x", ylim=(0, 0.85))
        rows += [
            {"error": name, "generation": n, "variance": one.covariance()[0, 0],
             "squared_difference": gaussian_mixture.difference(one, gaussian_mixture.TRUTH)}
            for n, one in enumerate(chain)
        ]  # fmt: skip
    axes[0].set_ylabel("density")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center",
                  ncols=len(shown))  # fmt: skip
    return figure, figures.panels(densities=pd.concat(drawn), all_generations=pd.DataFrame(rows))


# -- digits ----------------------------------------------------------------------------------


def digits_figure(
    runs: list[tuple[list[float], list[np.ndarray]]], seeds: list[int]
) -> tuple[Figure, pd.DataFrame]:
    """Pictures of each generation of the first run, and the spread of latents in all runs."""
    figures.style()
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9.2, 4.2), layout="constrained", gridspec_kw={"width_ratios": [1.5, 1]}
    )
    pictures = runs[0][1]
    rows = [np.pad(np.hstack([np.pad(one, 1) for one in some]), 1) for some in pictures]
    left.imshow(np.vstack(rows), cmap="gray_r", vmin=0, vmax=1)
    height = rows[0].shape[0]
    left.set_yticks([height * (n + 0.5) for n in range(len(rows))], range(1, len(rows) + 1))
    left.set(xticks=[], ylabel="generation")
    left.grid(visible=False)
    data = pd.DataFrame(
        [
            {"seed": seed, "generation": n + 1, "spread": value}
            for seed, (spreads, _) in zip(seeds, runs, strict=True)
            for n, value in enumerate(spreads)
        ]
    )
    for _, rows_of_seed in data.groupby("seed"):
        right.plot(rows_of_seed["generation"], rows_of_seed["spread"], color=figures.COLOURS[0],
                   lw=1, marker="o", mfc="white", ms=4)  # fmt: skip
    published = range(1, len(autoencoder.PAPER) + 1)
    right.plot(published, autoencoder.PAPER, "s--", mfc="white", color="#666666",
               label="paper's notebook")  # fmt: skip
    right.set(xlabel="generation", ylabel="standard deviation of latents", ylim=(0, None))
    right.legend(loc="lower left")
    return figure, data
