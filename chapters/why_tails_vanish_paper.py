"""What the paper says of its small experiments, run here: notebook, digits, and its statements."""

import math

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

import why_tails_vanish_autoencoder as autoencoder
from collapse.book import figures, ledger, numbers
from collapse.book.figures import percent
from collapse.book.numbers import Number
from collapse.laws import drift, gaussian_mixture
from collapse.measure import verdicts
from collapse.measure.per_seed import PerSeed, over_seeds

Digits = list[tuple[list[float], list[np.ndarray]]]  # of each seed: spreads, and some pictures
PAPER = "Shumailov et al. 2024"
PUBLISHED = autoencoder.PAPER[-1] / autoencoder.PAPER[0]  # of the spread, last to first generation

# -- the released notebook -------------------------------------------------------------------


def released(evolutions: int) -> tuple[list[dict[str, str]], dict[str, Number]]:
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
    last = blobs[-1].deviations[order]
    ends, printed = (
        " and ".join(f"{one:.4f}" for one in both) for both in (last, gaussian_mixture.PRINTED)
    )
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
    blob = f"of a component after {evolutions:,} generations"
    told = {
        "biased": numbers.one(
            drift.mean_variance(1000, 1000, biased=True),
            "mean variance after 1,000 generations of 1,000 draws, biased estimate, 1 at first",
            "a closed form", origin="the law of the mean variance", form=".2f",
        ),
        "range": numbers.one(
            math.nan, f"standard deviation {blob}, nine chains in ten", "simulated",
            origin="2,000 chains of one Gaussian, 500 draws, seed 0", low=low, high=high,
            text=f"{low:.4f} to {high:.4f}", interval="90 % of the simulated chains",
        ),
    }  # fmt: skip
    sources = {"ends": (last, "one simulated chain, seed 0"), "printed": (
        gaussian_mixture.PRINTED, f"{PAPER}, printed by the released notebook")}  # fmt: skip
    for name, (both, origin) in sources.items():
        for place, value in enumerate(both, start=1):
            how = "read in the source" if name == "printed" else "one chain"
            told[f"{name}-{place}"] = numbers.one(
                float(value), f"standard deviation {blob}", how, origin=origin, form=".4f"
            )
    return rows, told


# -- digits ----------------------------------------------------------------------------------


def digits_figure(runs: Digits, seeds: list[int]) -> tuple[Figure, pd.DataFrame]:
    """Pictures of each generation of the first run, and the spread of latents in all runs."""
    figure, (left, right) = figures.canvas(2, 3.2)
    pictures = runs[0][1]
    rows = [np.pad(np.hstack([np.pad(one, 1) for one in some[:8]]), 1) for some in pictures]
    left.imshow(np.vstack(rows), cmap="gray_r", vmin=0, vmax=1)
    height = rows[0].shape[0]
    left.set_yticks([height * (n + 0.5) for n in range(len(rows))], range(1, len(rows) + 1))
    left.set(xticks=[], ylabel="generation", xlabel="what it draws")
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
    right.plot(published, autoencoder.PAPER, "s--", mfc="white", color=figures.PAPER)
    right.set(xlabel="generation", ylabel="standard deviation of latents", ylim=(0, None))
    theirs = {"setting": "paper's notebook", "generation": published, "spread": autoencoder.PAPER}
    last = data[data["generation"] == len(runs[0][0])]["spread"].mean()
    figures.name_lines(
        right,
        [(f"here,\n{len(seeds)} seeds", last, figures.COLOURS[0]),
         ("paper's\nnotebook", autoencoder.PAPER[-1], figures.PAPER)],
    )  # fmt: skip
    rows = pd.concat([data.assign(setting="here").astype({"seed": "Int64"}), pd.DataFrame(theirs)])
    return figure, rows[["setting", "generation", "seed", "spread"]]


def shrinking(runs: Digits, seeds: list[int]) -> PerSeed:
    """The spread of the latents in the last generation as a multiple of the first one's."""
    ratios = {seed: one[-1] / one[0] for seed, (one, _) in zip(seeds, runs, strict=True)}
    return over_seeds(ratios, ratio=True)


def digits_numbers(shrunk: PerSeed, origin: str) -> dict[str, Number]:
    """What the text says of digits, by name.

    Args:
        origin: what was trained, in words.
    """
    what = "spread of latents, last generation ÷ first"
    return {
        "digits-ratio": numbers.of(shrunk, what, origin=origin),
        "digits-paper": numbers.one(
            PUBLISHED, what, "read in the source", origin=f"{PAPER}, released notebook", form=".2f"
        ),
    }


# -- statements ------------------------------------------------------------------------------


def claims(
    blue: int, cats: int, gaussians: pd.DataFrame, errors: dict[str, list], digits: PerSeed
) -> list[verdicts.Claim]:
    """The paper's statements on small learners, and what the laws and simulations here say.

    Args:
        gaussians: as `gaussian_chains` of this chapter gives them.
        errors: as its `errors` gives them.
    """

    def verdict(holds: bool) -> str:
        return verdicts.AGREES if holds else verdicts.DISAGREES

    end = drift.counts_law(blue, cats, 20 * cats)[-1, 0]
    expected = drift.lost_in_the_end(blue / cats)
    median = gaussians["median_variance"].to_numpy()
    far = gaussians["distance"].to_numpy()
    difference = gaussian_mixture.difference
    first, once, *_, last = errors["one Gaussian for two"]
    at_once, later = difference(once, first), difference(last, once)
    return [
        verdicts.Claim(
            "shumailov-lost",
            "in the long run, for samples of any size; in one draw of M it is (1 − q)ᴹ",
            f"{percent(end, 1)} (exact)",
            verdict(abs(end - expected) < 0.005),
        ),
        verdicts.Claim(
            "shumailov-variance",
            "in almost every chain; the mean over chains stays where it was",
            f"median {median[-1]:.2f} after {len(median) - 1} generations",
            verdict(median[-1] < median[0] / (1 + verdicts.MARGIN)),
        ),
        verdicts.Claim(
            "shumailov-distance",
            "by the law n/M + 2(1 − cⁿ), c the expected deviation of a sample of M",
            f"{far[-1]:.2f} after {len(far) - 1} generations",
            verdict(far[-1] > far[len(far) // 2] * (1 + verdicts.MARGIN)),
        ),
        verdicts.Claim(
            "shumailov-expressivity",
            "squared difference of densities, one Gaussian learning two",
            f"{at_once:.2f} at first, {later:.2f} more later",
            verdict(later < verdicts.MARGIN * at_once),
        ),
        verdicts.Claim(
            "shumailov-latents",
            "other digits, another network: the sizes are not comparable",
            f"×{digits}; the paper ×{PUBLISHED:.2f}",
            verdicts.beside(digits, verdicts.Reference(PUBLISHED, PUBLISHED, PAPER, -1)),
        ),
    ]  # fmt: skip


def statements(found: list[verdicts.Claim]) -> HTML:
    """The claims as a table."""
    return ledger.table(
        found,
        f"The last one is of the paper's notebook. The first four rows rest on exact laws or "
        f"on very many chains, so they need no interval. {verdicts.RULE}",
        id="tab-tails-claims",
        caption="What the paper says of small learners, and what is found here.",
    )
