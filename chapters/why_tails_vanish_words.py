"""The words of a text, drawn again generation after generation: which are lost, and when."""

import collections
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from collapse.book import figures
from collapse.experiment import corpus
from collapse.laws import drift

CLASSES = ((1, 1), (2, 3), (4, 9), (10, 99), (100, None))  # counts of a word in the human text
SHOWN = (0, 1, 10, 100)  # generations


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
        shares = drift.resample(counts / draws, draws, generations, np.random.default_rng(seed))
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
        law = 1 - drift.lost_by(found.counts[members], found.chains.shape[1] - 1).mean(1)
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
        law = drift.lost_by(count, generations)
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
    return figure, figures.panels(left=data, right=pd.concat(ranked))


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
    return figure, figures.panels(left=data, right=pd.concat(grown))
