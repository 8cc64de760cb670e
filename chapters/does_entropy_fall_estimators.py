"""What sample size does to estimators of entropy and diversity, on a law that is known."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from collapse.book import figures, numbers
from collapse.book.numbers import Number
from collapse.measure import metrics

ENTROPIES = {
    "plug-in": metrics.unigram_entropy,
    "Miller–Madow": metrics.miller_madow,
    "Chao–Shen": metrics.chao_shen,
}
VOCABULARIES = ("type-token ratio", "types in 500 tokens", "moving type-token ratio")
SHORT = {
    "Miller–Madow": "Miller–\nMadow",
    "Chao–Shen": "Chao–\nShen",
    "type-token ratio": "type-token\nratio",
    "types in 500 tokens": "types in\n500 tokens",
    "moving type-token ratio": "moving\nratio",
}


def zipf(types: int) -> np.ndarray:
    """Shares in proportion to 1 / rank, (types,)."""
    shares = 1 / np.arange(1, types + 1)
    return shares / shares.sum()


def trial(types: int, lengths: list[int], samples: int, seed: int) -> pd.DataFrame:
    """Measures of independent samples from Zipf's law.

    Returns:
        one row a length, sample and measure, with `value`; the entropies in bits. Lengths are at
        least 500.
    """
    shares, rows = zipf(types), []
    for length in lengths:
        for sample in range(samples):
            random = np.random.default_rng([seed, length, sample])
            tokens = random.choice(types, length, p=shares)
            found = metrics.counts(tokens, types)
            values = {name: estimate(found) for name, estimate in ENTROPIES.items()}
            values |= {
                "type-token ratio": np.count_nonzero(found) / length,
                "types in 500 tokens": metrics.rarefied_vocabulary(found, 500) / 500,
                "moving type-token ratio": metrics.moving_type_token_ratios(
                    tokens[: length // 500 * 500].reshape(-1, 500)
                ).mean(),
            }
            rows += [
                {"length": length, "sample": sample, "measure": name, "value": value}
                for name, value in values.items()
            ]
    return pd.DataFrame(rows)


def truth(types: int) -> float:
    """The entropy of Zipf's law, in bits."""
    return float(stats.entropy(zipf(types), base=2))


def page() -> tuple[Figure, pd.DataFrame, dict[str, Number], str]:
    """The figure and its data, a number for the prose by its name there, and the alt text."""
    types, lengths = 20_000, [500, 2000, 8000, 32_000, 128_000]
    found = trial(types, lengths, samples=8, seed=0)
    mean = found.groupby(["measure", "length"])["value"].mean()
    rise = mean["plug-in", 32_000] - mean["plug-in", 2000]
    alt = (
        "Left, three curves rise towards the true entropy as the sample grows; from 500 tokens the "
        f"plug-in estimate is {mean['plug-in', 500]:.1f} bits, from 128,000 Chao and Shen's is "
        f"{mean['Chao–Shen', 128_000]:.2f}, above the truth. Right, the type-token ratio falls "
        f"with length, to {mean['type-token ratio', 128_000]:.2f}; two other measures stay level."
    )
    number = numbers.one(
        rise, "rise of the plug-in entropy from 2,000 to 32,000 tokens of one law",
        "mean over samples", origin=f"8 samples of a Zipf law with {types:,} types, seed 0",
        unit="bits", form=".2f",
    )  # fmt: skip
    return *figure(found, types), {"ent-rise": number}, alt


def figure(data: pd.DataFrame, types: int) -> tuple[Figure, pd.DataFrame]:
    """Three estimators of entropy, and three measures of vocabulary, against sample size."""
    drawn, (left, right) = figures.canvas(2, 3.2)
    exact = truth(types)
    left.axhline(exact, color=figures.INK, lw=1.2)
    left.annotate(
        f"truth, {exact:.2f} bits", (0.02, exact), xycoords=("axes fraction", "data"),
        ha="left", va="bottom",
    )  # fmt: skip
    for axes, names in ((left, list(ENTROPIES)), (right, list(VOCABULARIES))):
        ends = []
        for index, name in enumerate(names):
            rows = data[data["measure"] == name].groupby("length")["value"]
            mean, low, high = rows.mean(), rows.min(), rows.max()
            colour = figures.COLOURS[index]
            axes.fill_between(mean.index, low, high, color=colour, alpha=0.2, lw=0)
            axes.plot(
                mean.index, mean, color=colour, marker=figures.MARKERS[index],
                ls=figures.LINES[index], mfc="white",
            )  # fmt: skip
            ends.append((SHORT.get(name, name), mean.iloc[-1], colour))
        axes.set(xscale="log", xlabel="tokens in the sample")
        figures.plain_numbers(axes.xaxis)
        if axes is right:
            axes.set_ylim(0, 1)
        figures.name_lines(axes, ends)
    left.set(ylabel="estimate of the entropy (bits)", title="Entropy")
    right.set(ylabel="types ÷ tokens", title="Vocabulary")
    return drawn, data
