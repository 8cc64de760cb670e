"""What sample size does to estimators of entropy and diversity, on a law that is known."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy import stats

from collapse.book import figures
from collapse.measure import metrics

ENTROPIES = {
    "plug-in": metrics.unigram_entropy,
    "Miller–Madow": metrics.miller_madow,
    "Chao–Shen": metrics.chao_shen,
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


def figure(data: pd.DataFrame, types: int) -> tuple[Figure, pd.DataFrame]:
    """Three estimators of entropy, and three measures of vocabulary, against sample size."""
    figures.style()
    drawn, (left, right) = plt.subplots(1, 2, figsize=(9.2, 4.2), layout="constrained")
    exact = truth(types)
    left.axhline(exact, color="black", lw=1.2)
    left.annotate(
        f"the truth, {exact:.2f} bits", (0.02, exact), xycoords=("axes fraction", "data"),
        ha="left", va="bottom", fontsize=9,
    )  # fmt: skip
    others = [name for name in data["measure"].unique() if name not in ENTROPIES]
    for axes, names in ((left, list(ENTROPIES)), (right, others)):
        for index, name in enumerate(names):
            rows = data[data["measure"] == name].groupby("length")["value"]
            mean, low, high = rows.mean(), rows.min(), rows.max()
            colour = figures.COLOURS[index]
            axes.fill_between(mean.index, low, high, color=colour, alpha=0.2, lw=0)
            axes.plot(
                mean.index, mean, color=colour, marker=figures.MARKERS[index],
                ls=figures.LINES[index], mfc="white", label=name,
            )  # fmt: skip
        axes.set(xscale="log", xlabel="tokens in the sample")
    left.set(ylabel="estimate of the entropy (bits)", title="Entropy")
    left.legend(loc="lower right")
    right.set(ylabel="types ÷ tokens", ylim=(0, 1), title="Vocabulary")
    right.legend(loc="lower left", fontsize=9)
    return drawn, data
