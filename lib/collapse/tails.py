"""What the chapter on vanishing tails computes and draws. The laws themselves are in `theory`."""

import collections
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy import stats

from collapse import corpus, digits, figures, mixture, theory

CLASSES = ((1, 1), (2, 3), (4, 9), (10, 99), (100, None))  # counts of a word in the human text
SHOWN = (0, 1, 10, 100)  # generations


def _panels(**data: pd.DataFrame) -> pd.DataFrame:
    """The data of a figure's panels in one table, with a column that names the panel."""
    return pd.concat([rows.assign(panel=panel) for panel, rows in data.items()])


# -- words -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Vocabulary:
    """The words of a text and their counts, resampled.

    words, counts: (words,), the most frequent first.
    chains: counts, (seeds, generations + 1, words).
    """

    words: np.ndarray
    counts: np.ndarray
    chains: np.ndarray

    @property
    def draws(self) -> int:
        """Words of the text, counted with repetition."""
        return int(self.counts.sum())


def vocabulary(name: str, generations: int, seeds: list[int]) -> Vocabulary:
    """Resample the words of a corpus's training text, as long as the text is."""
    lines = corpus.load_text(name).splits["train"]
    found = collections.Counter(word for line in lines for word in line.split())
    words, counts = map(np.array, zip(*found.most_common(), strict=True))
    draws, chains = int(counts.sum()), []
    for seed in seeds:
        shares = theory.resample(counts / draws, draws, generations, np.random.default_rng(seed))
        chains.append(np.rint(shares * draws).astype(np.int32))
    return Vocabulary(words, counts, np.stack(chains))


def class_name(low: int, high: int | None) -> str:
    """`once`, `2 to 3 times`, `100 times or more`."""
    if high is None:
        return f"{low} times or more"
    return "once" if high == 1 else f"{low} to {high} times"


def alive(found: Vocabulary) -> pd.DataFrame:
    """One row a class of frequency, generation and seed: the share of its words still there."""
    rows = []
    for low, high in CLASSES:
        members = (found.counts >= low) & (found.counts <= (high or found.draws))
        if not members.any():
            continue
        law = 1 - theory.lost_by(found.counts[members], found.chains.shape[1] - 1).mean(1)
        for seed, chain in enumerate(found.chains):
            shares = (chain[:, members] > 0).mean(1)
            rows += [
                {"class": class_name(low, high), "seed": seed, "generation": n, "alive": share,
                 "law": law[n]}
                for n, share in enumerate(shares)
            ]  # fmt: skip
    return pd.DataFrame(rows)


def half_lost(found: Vocabulary, most: int = 40) -> pd.DataFrame:
    """The generation by which half of the words with a count are lost, measured and by the law.

    Args:
        most: the largest count.
    """
    generations = found.chains.shape[1] - 1
    rows = []
    for count in range(1, most + 1):
        members = found.counts == count
        if not members.any():
            continue
        lost = (found.chains[:, :, members] == 0).mean((0, 2))
        law = theory.lost_by(count, generations)
        if lost[-1] < 0.5 or law[-1] < 0.5:
            break
        rows.append(
            {
                "count": count,
                "words": int(members.sum()),
                "measured": int(np.argmax(lost >= 0.5)),
                "law": int(np.argmax(law >= 0.5)),
            }
        )
    return pd.DataFrame(rows)


def words_figure(found: Vocabulary) -> tuple[Figure, pd.DataFrame]:
    """Words alive by class, and rank against frequency in four generations."""
    figures.style()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 4.2), layout="constrained")
    data = alive(found)
    for index, (name, rows) in enumerate(data.groupby("class", sort=False)):
        colour = figures.COLOURS[index % 4] if index < 4 else "black"
        law = rows[rows["seed"] == 0]
        left.plot(law["generation"] + 1, law["law"], color=colour, lw=1)
        some = rows[rows["generation"].isin([0, 1, 2, 4, 9, 19, 39, 69, 100])]
        left.plot(
            some["generation"] + 1, some["alive"], color=colour, ls="", mfc="white",
            marker="osD^v"[index], ms=5, label=name,
        )  # fmt: skip
    left.set_xscale("log")
    left.set_xticks([1, 2, 11, 101], ["0", "1", "10", "100"])
    left.minorticks_off()
    left.set(xlabel="generation", ylabel="share of words still there", ylim=(0, 1.03))
    left.legend(title="in the human text", fontsize=10, loc="lower left")
    ranked = []
    for index, number in enumerate(SHOWN):
        counts = np.sort(found.chains[0, number])[::-1]
        counts = counts[counts > 0]
        ranks = np.unique(np.geomspace(1, len(counts), 300).round().astype(int))
        shares = counts[ranks - 1] / found.draws
        ranked.append(pd.DataFrame({"generation": number, "rank": ranks, "share": shares}))
        right.loglog(
            ranks, shares, color=str(0.75 * index / 3),
            ls=figures.LINES[index], label=f"generation {number}: {len(counts):,} words",
        )  # fmt: skip
    right.set(xlabel="rank of the word", ylabel="share of the text")
    right.legend(fontsize=10, loc="lower left")
    return figure, _panels(left=data, right=pd.concat(ranked))


def loss_figure(found: Vocabulary) -> tuple[Figure, pd.DataFrame]:
    """Half-lives of words against their count, and how vocabulary grows with text."""
    figures.style()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 3.9), layout="constrained")
    data = half_lost(found)
    left.plot(data["count"], data["law"], "-", color="black", lw=1, label="branching law")
    left.plot(data["count"], data["measured"], "o", mfc="white", color=figures.COLOURS[0],
              label="measured")  # fmt: skip
    left.set(xlabel="count in the human text", ylabel="generations until half are lost")
    left.legend()
    lengths, grown = np.geomspace(100, found.draws, 40), []
    for index, number in enumerate(SHOWN):
        shares = found.chains[0, number] / found.draws
        shares = shares[shares > 0]
        distinct = [float(np.sum(-np.expm1(n * np.log1p(-shares)))) for n in lengths]
        grown.append(pd.DataFrame({"generation": number, "words": lengths, "distinct": distinct}))
        right.loglog(lengths, distinct, color=str(0.75 * index / 3), ls=figures.LINES[index],
                     label=f"generation {number}")  # fmt: skip
    right.set(xlabel="words of text read", ylabel="distinct words expected")
    right.legend(fontsize=10)
    return figure, _panels(left=data, right=pd.concat(grown))


# -- cats ------------------------------------------------------------------------------------


def cats_figure(
    blue: int, draws: int, generations: int, chains: int, seed: int
) -> tuple[Figure, pd.DataFrame]:
    """A few herds, and the share of very many herds without a blue cat, beside the exact law."""
    figures.style()
    shares = theory.resample_one(
        blue / draws, draws, generations, chains, np.random.default_rng(seed)
    )
    law = theory.counts_law(blue, draws, generations)
    data = pd.DataFrame(
        {
            "generation": np.arange(generations + 1),
            "no_blue": (shares == 0).mean(1),
            "law_no_blue": law[:, 0],
            "all_blue": (shares == 1).mean(1),
            "law_all_blue": law[:, -1],
            "mean_share": shares.mean(1),
        }
    )
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.2, 3.9), layout="constrained")
    left.plot(100 * shares[:, :25], lw=0.8, color=figures.COLOURS[0], alpha=0.6)
    left.plot(100 * data["mean_share"], lw=2.5, color="black", ls="--", label="mean of all herds")
    left.set(xlabel="generation", ylabel="blue cats in a hundred", ylim=(-2, 102))
    left.legend(loc="upper left")
    paths = pd.DataFrame(shares[:, :25]).rename_axis("generation").reset_index()
    paths = paths.melt("generation", var_name="herd", value_name="blue_share")
    every = slice(0, None, max(1, generations // 20))
    for column, label, colour, marker in (
        ("no_blue", "no blue cat", figures.COLOURS[0], "o"),
        ("all_blue", "only blue cats", figures.COLOURS[1], "s"),
    ):
        right.plot(data["generation"], data[f"law_{column}"], color=colour, lw=1)
        right.plot(data["generation"][every], data[column][every], marker, mfc="white",
                   color=colour, label=label)  # fmt: skip
    for level in (1 - blue / draws, blue / draws):
        right.axhline(level, color="#666666", ls=":")
    right.set(xlabel="generation", ylabel="share of the herds", ylim=(0, 1))
    right.legend(loc="center right")
    return figure, _panels(left=paths, right=data)


# -- Gaussians -------------------------------------------------------------------------------


def gaussian_figure(
    draws: int, generations: int, chains: int, seed: int
) -> tuple[Figure, pd.DataFrame]:
    """Variance by mean and median, distance, and the mass of the tail, with their laws."""
    figures.style()
    random = np.random.default_rng(seed)
    means, variances = theory.refit(draws, generations, chains, random)
    n = np.arange(generations + 1)
    spreads = np.sqrt(variances)
    beyond = stats.norm.sf((3 - means) / spreads) + stats.norm.sf((3 + means) / spreads)
    tail = np.median(beyond, 1) / (2 * stats.norm.sf(3))
    data = pd.DataFrame(
        {
            "generation": n,
            "mean_variance": variances.mean(1),
            "median_variance": np.median(variances, 1),
            "law_median": theory.median_variance(draws, n),
            "low": np.quantile(variances, 0.05, 1),
            "high": np.quantile(variances, 0.95, 1),
            "distance": theory.distance(means, variances).mean(1),
            "law_distance": theory.expected_distance(draws, n),
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


def keeping_figure(
    draws: int, generations: int, chains: int, human: float, seed: int
) -> tuple[Figure, pd.DataFrame]:
    """Variance of the fitted mean where data are replaced, mixed or accumulated."""
    figures.style()
    random = np.random.default_rng(seed)
    n = np.arange(1, generations + 1)
    ways = {
        "replaced": (
            theory.mix(0.0, draws, generations, chains, random),
            theory.mixed_variance(0.0, draws, n),
        ),
        f"{human:.0%} human, drawn afresh": (
            theory.mix(human, draws, generations, chains, random),
            theory.mixed_variance(human, draws, n),
        ),
        "accumulated": (
            theory.accumulate(draws, generations, chains, random),
            np.array([theory.accumulated_variance(draws, k) for k in n]),
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


# -- mixtures --------------------------------------------------------------------------------


def errors(draws: int, generations: int, temperature: float, seed: int) -> dict[str, list]:
    """Chains of mixtures with one source of error each: name -> generations of mixtures."""
    random = np.random.default_rng(seed)
    steps = {
        "finite samples": lambda one: mixture.fitted(one, draws, random),
        "one Gaussian for two": mixture.one_gaussian,
        "a learner that sharpens": lambda one: mixture.sharpened(one, temperature),
    }
    found = {}
    for name, step in steps.items():
        chain = [mixture.TRUTH]
        for _ in range(generations):
            chain.append(step(chain[-1]))
        found[name] = chain
    return found


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
            {"error": name, "generation": n, "variance": one.variance(),
             "squared_difference": mixture.difference(one, mixture.TRUTH)}
            for n, one in enumerate(chain)
        ]  # fmt: skip
    axes[0].set_ylabel("density")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center",
                  ncols=len(shown))  # fmt: skip
    return figure, _panels(densities=pd.concat(drawn), all_generations=pd.DataFrame(rows))


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
    right.plot(range(1, len(digits.PAPER) + 1), digits.PAPER, "s--", mfc="white", color="#666666",
               label="paper's notebook")  # fmt: skip
    right.set(xlabel="generation", ylabel="standard deviation of latents", ylim=(0, None))
    right.legend(loc="lower left")
    return figure, data
