"""What is counted and drawn again, generation after generation: blue cats, and a text's words.

The herd on the page is to be played with: no kernel, no network, and a still picture in print.
"""

import collections
import html
import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from collapse.book import figures
from collapse.experiment import corpus
from collapse.laws import drift

BLUE, YELLOW = "#0072B2", "#F0E442"
ACROSS = 10  # cats in a row
DRAWN = 4000  # herds that those on the page are taken from

CLASSES = ((1, 1), (2, 3), (4, 9), (10, 99), (100, None))  # counts of a word in the human text
SHOWN = (0, 1, 10, 100)  # generations

# What the page itself does: colour as many cats as there are blue ones, and say it in words.
_SCRIPT = """
(() => {
  const box = document.getElementById("ID");
  const data = JSON.parse(box.querySelector("script[type='application/json']").textContent);
  const cats = [...box.querySelectorAll("circle")];
  const time = box.querySelector("input[type=range]");
  const herd = box.querySelector("select");
  const shown = box.querySelector("output");
  const said = box.querySelector("p");
  const share = (x) => (100 * x).toFixed(x > 0.1 && x < 0.9 ? 0 : 1) + " %";
  function draw() {
    const n = Number(time.value), k = Number(herd.value), blue = data.herds[k][n];
    cats.forEach((cat, i) => cat.setAttribute("class", i < blue ? "blue" : "yellow"));
    shown.textContent = n;
    time.setAttribute("aria-valuetext", "generation " + n + ", " + blue + " blue cats");
    said.textContent = "Herd " + (k + 1) + ", generation " + n + ": " + blue +
      " of " + data.cats + " cats are blue. Of all herds, " + share(data.none[n]) +
      " have no blue cat left and " + share(data.all[n]) + " have only blue ones.";
  }
  time.addEventListener("input", draw);
  herd.addEventListener("change", draw);
  box.querySelector("form").hidden = false;
  draw();
})();
"""


# -- cats ------------------------------------------------------------------------------------


def cats_figure(
    blue: int, draws: int, generations: int, chains: int, seed: int
) -> tuple[Figure, pd.DataFrame]:
    """A few herds, and the share of very many herds without a blue cat, beside the exact law."""
    figures.style()
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
    return figure, figures.panels(left=paths, right=data)


def cats_numbers(data: pd.DataFrame, blue: int, cats: int, herds: int) -> dict[str, str]:
    """What the text says of the herds, by name; `data` as `cats_figure` gives it."""
    rows = data[data["panel"] == "right"]
    last = rows.iloc[-1]
    return {
        "cats-once": f"{100 * drift.lost_at_once(blue / cats, cats):.4f}%",
        "cats-first": f"{100 * rows['no_blue'][1]:.4f}%",
        "cats-end": f"{drift.lost_in_the_end(blue / cats):.0%}",
        "cats-last": f"{last['no_blue']:.1%}",
        "cats-law": f"{last['law_no_blue']:.1%}",
        "cats-all": f"{last['all_blue']:.1%}",
        "cats-mean": f"{100 * last['mean_share']:.2f}",
        "herds": f"{herds:,}",
        "cats-time": f"{drift.loss_times(cats)[blue]:.0f}",
        "cats-limit": f"{drift.loss_time_limit(blue / cats, cats):.0f}",
    }


def play(
    blue: int, cats: int, generations: int, herds: int, seed: int, id: str = "play-herd"
) -> HTML:
    """A slider over the generations of some herds; the shares of all herds follow the exact law.

    Args:
        blue: blue cats at the start, of `cats`; the others are yellow.
        herds: to choose from, as `typical` picks them.
        id: of the element on the page, its permanent address there.
    """
    counts = typical(blue, cats, generations, herds, seed)
    law = drift.counts_law(blue, cats, generations)
    data = {
        "cats": cats,
        "herds": counts.T.tolist(),
        "none": np.round(law[:, 0], 4).tolist(),
        "all": np.round(law[:, -1], 4).tolist(),
    }
    choices = "".join(f'<option value="{k}">{k + 1}</option>' for k in range(herds))
    still = (
        f"Herd 1, generation 0: {blue} of {cats} cats are blue. After {generations} generations "
        f"{law[-1, 0]:.0%} of all herds have no blue cat left."
    )
    return HTML(
        f'<div class="herd" id="{id}" role="group" aria-label="A herd to play with">'
        f"{_picture(blue, cats)}"
        f'<form hidden onsubmit="return false"><label>generation <output>0</output>'
        f'<input type="range" min="0" max="{generations}" value="0" step="1"></label> '
        f"<label>herd <select>{choices}</select></label></form>"
        f'<p aria-live="polite">{html.escape(still)}</p>'
        f'<script type="application/json">{json.dumps(data, separators=(",", ":"))}</script>'
        f"<script>{_SCRIPT.replace('ID', id)}</script></div>"
    )


def typical(blue: int, cats: int, generations: int, herds: int, seed: int) -> np.ndarray:
    """Blue cats in some herds that stand for all: int, (generations + 1, herds).

    Many herds are drawn and put in the order of what becomes of them, from those that lose their
    blue cats first to those that lose their yellow cats first. Taken are those in the middles of
    as many equal parts of that order, the one at its middle first.
    """
    random = np.random.default_rng(seed)
    shares = drift.resample_one(blue / cats, cats, generations, DRAWN, random)
    counts = np.rint(shares * cats).astype(int)
    alive, mixed = (counts > 0).sum(0), (counts < cats).sum(0)
    order = np.lexsort((-mixed, counts[-1], alive))  # by `alive`, then by the two others
    places = ((np.arange(herds) + 0.5) / herds * DRAWN).astype(int)
    return counts[:, order[np.roll(places, -(herds // 2))]]


def _picture(blue: int, cats: int) -> str:
    dots = "".join(
        f'<circle cx="{12 + 22 * (i % ACROSS)}" cy="{12 + 22 * (i // ACROSS)}" r="9" '
        f'class="{"blue" if i < blue else "yellow"}"/>'
        for i in range(cats)
    )
    width, height = 22 * ACROSS + 2, 22 * -(-cats // ACROSS) + 2
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="A herd of {cats} cats as '
        f'dots, dark ones blue, light ones yellow; the text below says how many.">'
        f"<style>.herd .blue{{fill:{BLUE}}} .herd .yellow{{fill:{YELLOW}}} "
        f".herd circle{{stroke:#333;stroke-width:1}}</style>{dots}</svg>"
    )


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


def words_numbers(found: Vocabulary) -> dict[str, str]:
    """What the text says of words that are resampled a hundred times, by name."""
    kinds, shares = len(found.words), found.counts / found.draws
    gone = (found.chains == 0).mean((0, 2))
    first = np.flatnonzero((found.counts == 1) & (found.chains[0, 1] == 0))
    picked = np.random.default_rng(0).choice(found.words[first], min(5, len(first)), replace=False)
    top = np.abs(found.chains[:, 100, :20] / found.counts[:20] - 1).mean()
    late, halves = found.draws * np.log(2), half_lost(found)
    return {
        "words": f"{found.draws:,}",
        "types": f"{kinds:,}",
        "once": f"{(found.counts == 1).sum() / kinds:.0%}",
        **{f"gone-{n}": f"{gone[n]:.0%}" for n in (1, 10, 100)},
        "first": ", ".join(f"“{word}”" for word in picked),
        "late": f"{late / 1e6:.1f} million" if late > 1e6 else f"{late:,.0f}",
        "top": f"{top:.1%}",
        "diversity": f"{1 - np.square(found.chains[0, 100] / found.draws).sum():.4f}",
        "diversity-law": f"{drift.diversity(shares, found.draws, 100):.4f}",
        "diversity-0": f"{1 - np.square(shares).sum():.4f}",
        "slope": f"{np.polyfit(halves['count'], halves['law'], 1)[0]:.1f}",
        "largest": str(int(halves["count"].max())),
    }
