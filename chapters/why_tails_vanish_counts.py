"""What is counted and drawn again, generation after generation: blue cats, and a text's words."""

import collections
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from collapse.book import figures, numbers
from collapse.book.figures import percent
from collapse.book.numbers import Number
from collapse.experiment import corpus
from collapse.laws import drift
from collapse.measure.per_seed import over_seeds

CLASSES = ((1, 1), (2, 3), (4, 9), (10, 99), (100, None))  # counts of a word in the human text
SHOWN = (0, 1, 10, 100)  # generations
PARAMETERS = "parameters of the page"
RAMP = ("#A6611A", "#D55E00", "#009E73", "#0072B2", "#222222")  # of the classes, rare to common


# -- cats ------------------------------------------------------------------------------------


def cats_figure(
    blue: int, draws: int, generations: int, chains: int, seed: int
) -> tuple[Figure, pd.DataFrame]:
    """A few herds, and the share of very many herds without a blue cat, beside the exact law."""
    shares = drift.resample_one(
        blue / draws, draws, generations, chains, np.random.default_rng(seed)
    )
    law = drift.counts_law(blue, draws, generations)
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
    some = shares[:, :25]
    figure, (left, right) = figures.canvas(2, 3.1)
    left.plot(100 * some, lw=0.7, color="#BBBBBB")
    lost, highest = _typical_loss(some), int(np.argmax(some[-1] + some.mean(0)))
    left.plot(100 * some[:, highest], lw=1.6, color=figures.COLOURS[0])
    left.plot(100 * some[:, lost], lw=1.6, color=figures.COLOURS[1])
    left.plot(100 * data["mean_share"], lw=2, color=figures.INK, ls="--")
    left.set(xlabel="generation", ylabel="blue cats in a hundred", ylim=(-2, 103))
    figures.name_lines(
        left,
        [
            ("one that\ngains", 100 * some[-1, highest], figures.COLOURS[0]),
            ("mean of\nall herds", 100 * data["mean_share"].iloc[-1], figures.INK),
            ("one that\nloses them", 100 * some[-1, lost], figures.COLOURS[1]),
        ],
        0.07,
    )
    every = slice(0, None, max(1, generations // 12))
    ends = []
    for column, label, colour, marker in (
        ("no_blue", "no blue\ncat", figures.COLOURS[1], "o"),
        ("all_blue", "only\nblue", figures.COLOURS[0], "s"),
    ):
        right.plot(data["generation"], data[f"law_{column}"], color=colour, lw=1.4)
        right.plot(data["generation"][every], data[column][every], marker, mfc="white",
                   color=colour, ms=4)  # fmt: skip
        last = data[f"law_{column}"].iloc[-1]
        ends.append((f"{label}\n{percent(last)}", last, colour))
    for level in (1 - blue / draws, blue / draws):
        right.axhline(level, color=figures.PAPER, ls=":")
        right.text(0.02, level + 0.015, f"in the end {percent(level)}", color=figures.PAPER,
                   transform=right.get_yaxis_transform())  # fmt: skip
    right.set(xlabel="generation", ylabel="share of all herds", ylim=(0, 1))
    figures.name_lines(right, ends, 0.07)
    paths = pd.DataFrame(some).rename_axis("generation").reset_index()
    paths = paths.melt("generation", var_name="herd", value_name="blue_share")
    return figure, figures.panels(left=paths, right=data)


def _typical_loss(shares: np.ndarray) -> int:
    """Of the herds that lose their blue cats, the one in the middle of their order; or any."""
    lived = np.where(shares[-1] == 0, (shares > 0).sum(0), -1)
    order = np.argsort(lived, kind="stable")[np.count_nonzero(lived < 0) :]
    return int(order[len(order) // 2]) if len(order) else 0


def cats_numbers(data: pd.DataFrame, blue: int, cats: int, herds: int) -> dict[str, Number]:
    """What the text says of the herds, by name; `data` as `cats_figure` gives it."""
    last = data[data["panel"] == "right"].iloc[-1]
    rounds = int(last["generation"])
    chosen = {"how": "a setting", "origin": PARAMETERS}
    law = {"how": "a closed form", "origin": "the binomial law of a redrawn herd"}
    lost = f"chance that {blue} blue cats in {cats} are lost"
    return {
        "blue": numbers.one(blue, "blue cats at the start", **chosen),
        "cats": numbers.one(cats, "cats in a herd", **chosen),
        "cats-generations": numbers.one(rounds, "redraws of a herd", **chosen),
        "herds": numbers.one(herds, "simulated herds", **chosen),
        "cats-once": numbers.share(
            drift.lost_at_once(blue / cats, cats), f"{lost} in the next draw", digits=4, **law
        ),
        "cats-end": numbers.share(
            drift.lost_in_the_end(blue / cats), f"{lost} sooner or later", **law
        ),
        "cats-law": numbers.share(
            last["law_no_blue"], f"{lost} after {rounds} redraws", digits=1, **law
        ),
    }


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
        shares = drift.resample(counts / draws, draws, generations, np.random.default_rng(seed))
        chains.append(np.rint(shares * draws).astype(np.int32))
    return Vocabulary(words, counts, np.stack(chains))


def class_name(low: int, high: int | None) -> str:
    """`once`, `2–3 times`, `100 or more`."""
    if high is None:
        return f"{low} or more"
    return "once" if high == 1 else f"{low}–{high} times"


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
    return pd.DataFrame(rows, columns=["count", "words", "measured", "law"])


def words_figure(found: Vocabulary) -> tuple[Figure, pd.DataFrame]:
    """Words alive by class, and rank against frequency in three generations."""
    figure, (left, right) = figures.canvas(2, 3.2)
    data, ends = alive(found), []
    for index, (name, rows) in enumerate(data.groupby("class", sort=False)):
        law = rows[rows["seed"] == 0]
        left.plot(law["generation"] + 1, law["law"], color=RAMP[index], lw=1.2)
        some = rows[rows["generation"].isin([0, 1, 2, 4, 9, 19, 39, 69, 100])]
        left.plot(some["generation"] + 1, some["alive"], color=RAMP[index], ls="", mfc="white",
                  marker="osD^v"[index], ms=4)  # fmt: skip
        ends.append((str(name), law["law"].iloc[-1], RAMP[index]))
    left.set_xscale("log")
    left.set_xticks([1, 2, 11, 101], ["0", "1", "10", "100"])
    left.xaxis.set_minor_locator(NullLocator())
    left.set(xlabel="generation", ylabel="share of words still there", ylim=(0, 1.03))
    figures.name_lines(left, ends)
    ranked = []
    for index, number in enumerate(SHOWN):
        counts = np.sort(found.chains[0, number])[::-1]
        counts = counts[counts > 0]
        ranks = np.unique(np.geomspace(1, len(counts), 300).round().astype(int))
        shares = counts[ranks - 1] / found.draws
        ranked.append(pd.DataFrame({"generation": number, "rank": ranks, "share": shares}))
        if number == 1:  # hardly to be told from generation 0
            continue
        right.loglog(ranks, 1e6 * shares, color=_shade(index), ls=figures.LINES[index], lw=1.5)
        right.text(len(counts), 0.55 * shares[-1] * 1e6, str(number), color=_shade(index),
                   ha="center", va="top")  # fmt: skip
    low = max(1, min(1000, len(found.words) // 30))
    top = 1e6 * np.sort(found.counts)[-low] / found.draws
    right.set(xlabel="rank of the word", ylabel="times in a million words")
    right.set(xlim=(low, None), ylim=(0.12e6 / found.draws, top))
    right.text(0.97, 0.06, "generation", ha="right", transform=right.transAxes)
    return figure, figures.panels(left=data, right=pd.concat(ranked))


def _shade(index: int) -> str:
    """Of a generation in `SHOWN`: black for human text, paler the later."""
    return str(0.5 * index / (len(SHOWN) - 1))


def loss_figure(found: Vocabulary) -> tuple[Figure, pd.DataFrame]:
    """Half-lives of words against their count, and how vocabulary grows with text."""
    figure, (left, right) = figures.canvas(2, 3.1)
    data = half_lost(found)
    left.plot(data["count"], data["law"], "-", color=figures.INK, lw=1.2)
    left.plot(data["count"], data["measured"], "o", mfc="white", ms=4, color=figures.COLOURS[0])
    left.set(xlabel="times in the human text", ylabel="generations until half are lost")
    if len(data) > 1:
        left.text(0.05, 0.93, f"{slope(data):.1f} generations\nfor each copy", va="top",
                  transform=left.transAxes)  # fmt: skip
    lengths, grown, ends = np.geomspace(100, found.draws, 40), [], []
    for index, number in enumerate(SHOWN):
        shares = found.chains[0, number] / found.draws
        shares = shares[shares > 0]
        distinct = [float(np.sum(-np.expm1(n * np.log1p(-shares)))) for n in lengths]
        grown.append(pd.DataFrame({"generation": number, "words": lengths, "distinct": distinct}))
        right.loglog(lengths, distinct, color=_shade(index), ls=figures.LINES[index], lw=1.5)
        ends.append((str(number) if number else "human\ntext", distinct[-1], _shade(index)))
    right.set(xlabel="words read", ylabel="different words met")
    right.xaxis.set_minor_locator(NullLocator())
    figures.name_lines(right, ends, 0.07)
    return figure, figures.panels(left=data, right=pd.concat(grown))


def slope(halves: pd.DataFrame) -> float:
    """Generations until half are lost, by the law, for each further copy."""
    if len(halves) < 2:
        return float("nan")
    return float(np.polyfit(halves["count"], halves["law"], 1)[0])


def went_first(found: Vocabulary, number: int = 5) -> list[str]:
    """Some words of the first chain that occur once and are gone after one generation."""
    first = np.flatnonzero((found.counts == 1) & (found.chains[0, 1] == 0))
    chosen = np.random.default_rng(0).choice(first, min(number, len(first)), replace=False)
    return [str(found.words[one]) for one in chosen]


def words_numbers(found: Vocabulary, seeds: list[int], text: str) -> dict[str, Number]:
    """What the text says of words that are resampled a hundred times, by name.

    Args:
        text: whose words they are.
    """
    origin = f"{found.draws:,} words of {text}, resampled"
    gone = (found.chains == 0).mean(2)
    top = np.abs(found.chains[:, 100, :20] / found.counts[:20] - 1).mean(1)

    def told(shares: np.ndarray, what: str, digits: int, interval: bool = True) -> Number:
        spread = over_seeds(dict(zip(seeds, map(float, shares), strict=True)), what=what)
        return numbers.of(
            spread, origin=origin, unit="%", times=100, digits=digits, interval=interval
        )

    return {
        "gone-1": told(gone[:, 1], "different words gone after one redraw", 0, interval=False),
        "gone-10": told(gone[:, 10], "different words gone after ten redraws", 1),
        "top": told(
            top, "mean change of the twenty commonest words' counts after a hundred redraws", 0,
            interval=False,
        ),
        "slope": numbers.one(
            slope(half_lost(found)), "generations until half are lost, for each further copy",
            "least squares through the law's points", origin="the law of Galton and Watson",
            form=".1f",
        ),
    }  # fmt: skip
