"""A minority in human text, followed through generations: what is said of women.

In much human text women are spoken of less than men. The words that tell are few and common, so
that a small model's tokeniser has them whole, and the records' token counts are enough to follow
them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from collapse.book import figures
from collapse.experiment import corpus, models, sources
from collapse.experiment.arms import Run
from collapse.experiment.records import RecordError
from collapse.measure.per_seed import NOT_RUN, PerSeed, over_seeds

WOMEN = ("she", "her", "hers", "herself")
MEN = ("he", "him", "his", "himself")


@dataclass(frozen=True)
class Lens:
    """The tokens that tell, and which human test blocks have one of them.

    women, men: token numbers.
    words: the words of both that the tokeniser has whole, for the page.
    blocks: bool, (test blocks,): those with a token of `women`.
    others: bool, (test blocks,): those with a token of `men` and none of `women`.
    """

    women: np.ndarray
    men: np.ndarray
    words: tuple[str, ...]
    blocks: np.ndarray
    others: np.ndarray


def lens(runs: list[Run]) -> Lens:
    """For the corpus and the tokeniser of some runs of one model; blind where there are none.

    Raises:
        AssetError: one of them cannot be had.
        RecordError: the tokeniser is not that of the records.
    """
    none, nobody = np.zeros(0, int), np.zeros(0, bool)
    if not runs:
        return Lens(none, none, (), nobody, nobody)
    protocol = runs[0].record.protocol
    text = corpus.load_text(protocol.corpus)
    tokenizer = models.tokenizer(protocol.model)
    women, men = whole(tokenizer, WOMEN), whole(tokenizer, MEN)
    test = corpus.load_blocks(protocol, text, tokenizer).test
    arrays = runs[0].record.arrays
    if len(test) != arrays["test_nll"].shape[1] or len(tokenizer) > len(arrays["human_counts"]):
        raise RecordError(
            f"the tokeniser of {sources.label(protocol.model)} that is here is not the one that "
            f"record {runs[0].record.name} was made with; compute the run again"
        )
    of_women = np.isin(test, list(women.values())).any(1)
    of_men = np.isin(test, list(men.values())).any(1)
    return Lens(
        women=np.array(list(women.values()), int),
        men=np.array(list(men.values()), int),
        words=tuple(women) + tuple(men),
        blocks=of_women,
        others=of_men & ~of_women,
    )


def whole(tokenizer: Any, words: Sequence[str]) -> dict[str, int]:
    """Those of some words, in lower case and capitalised, that are a single token after a space."""
    found = {}
    for form in [form for word in words for form in (word, word.capitalize())]:
        ids = tokenizer(f" {form}", add_special_tokens=False)["input_ids"]
        if len(ids) == 1 and ids[0] != tokenizer.unk_token_id:
            found[form] = int(ids[0])
    return found


def table(arms: dict[str, list[Run]], seen: Lens) -> pd.DataFrame:
    """What each generation's text says of women and of men, and how well it reads of women.

    Columns: `arm`, `seed`, `generation`; `women`, `men`: tokens that tell; `per_thousand`: tokens
    of women in a thousand; `loss_women`, `loss_others`: nats a token on human blocks of each kind.
    """
    parts = []
    for arm, runs in arms.items():
        for run in runs:
            counts, nll = run.record.text_counts, run.record.arrays["test_nll"]
            women = counts[:, seen.women].sum(1)
            part = pd.DataFrame({"arm": arm, "seed": run.record.protocol.seed, "women": women})
            part.insert(2, "generation", np.arange(len(counts)))
            parts.append(
                part.assign(
                    men=counts[:, seen.men].sum(1),
                    per_thousand=1000 * women / counts.sum(1),
                    loss_women=_mean(nll, seen.blocks),
                    loss_others=_mean(nll, seen.others),
                )
            )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["arm"])


def _mean(nll: np.ndarray, picked: np.ndarray) -> Any:
    return nll[:, picked].mean(1, dtype=float) if picked.any() else math.nan


def human_rate(run: Run, seen: Lens) -> float:
    """Tokens of women in a thousand of what human authors wrote in the place of a run's text."""
    counts = run.record.arrays["human_counts"]
    return float(1000 * counts[seen.women].sum() / counts.sum())


def in_words(runs: list[Run], seen: Lens) -> str:
    """How many tokens of human text tell of women, and how many of men."""
    if not runs:
        return NOT_RUN
    counts = runs[0].record.arrays["human_counts"]
    women, men = (int(counts[tokens].sum()) for tokens in (seen.women, seen.men))
    return f"{women} tokens for women and {men} for men"


def kept(rows: pd.DataFrame) -> PerSeed:
    """Of one arm, tokens of women in a thousand in the last generation, over seeds."""
    picked = rows[rows["generation"] == rows["generation"].max()]
    found = over_seeds(dict(zip(picked["seed"], picked["per_thousand"], strict=True)))
    return replace(found, low=max(found.low, 0.0))  # Student's interval does not know of the 0


def lost_more(rows: pd.DataFrame) -> PerSeed:
    """Growth of perplexity on human blocks about women over that on blocks about men, by the end.

    Above 1 the model has unlearnt more of text about women.
    """
    losses = rows.sort_values("generation").groupby("seed")[["loss_women", "loss_others"]]
    growth = losses.last() - losses.first()
    ratio = np.exp(growth["loss_women"] - growth["loss_others"])
    return over_seeds(ratio.to_dict(), ratio=True)


def figure(arms: dict[str, list[Run]], seen: Lens) -> tuple[Figure, pd.DataFrame]:
    """By arm: tokens of women in the last generation's text, and what was unlearnt of such text."""
    figures.style()
    made, (left, right) = plt.subplots(
        1, 2, figsize=(10, 1.6 + 0.55 * len(arms)), layout="constrained", sharey=True
    )
    data = table(arms, seen)
    for index, (arm, runs) in enumerate(arms.items()):
        if not runs:
            continue
        rows = data[data["arm"] == arm]
        colour, marker = figures.COLOURS[index % 4], figures.MARKERS[index % 4]
        figures.seeds_and_interval(left, index, kept(rows), colour, marker)
        figures.seeds_and_interval(right, index, lost_more(rows), colour, marker)
    shown = [run for runs in arms.values() for run in runs]
    if shown:
        first = data[data["generation"] == 0]["per_thousand"].mean()
        for value, line, label in (
            (human_rate(shown[0], seen), ":", "human text"),
            (first, "--", "generation 0"),
        ):
            left.axvline(value, color="black", lw=1.2, ls=line, label=label)
        left.legend(fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    right.axvline(1, color="#333333", lw=1)
    left.set_xlim(left=-0.03 * left.get_xlim()[1])  # a rate is not below 0, whatever its interval
    left.set(xlabel="words for women in 1,000 tokens")
    right.set(xlabel="growth on text about women ÷ about men")
    left.set_yticks(range(len(arms)), list(arms))
    left.set_ylim(max(len(arms), 1) - 0.5, -0.5)
    return made, data


def by_arm(data: pd.DataFrame, number: Callable[[pd.DataFrame], PerSeed]) -> dict[str, PerSeed]:
    """A number of each arm; `data` as `figure` gives it."""
    return {str(arm): number(rows) for arm, rows in data.groupby("arm", sort=False)}


def numbers(runs: list[Run], seen: Lens, data: pd.DataFrame) -> dict[str, str]:
    """What the text says of words for women and for men, by name; `data` as `figure` gives it."""
    ends, unlearnt = by_arm(data, kept), by_arm(data, lost_more)
    names = {"nothing retained": "none", "accumulated, equal steps": "acc"}
    names |= {arm: arm.split()[-1] for arm in ends if arm.endswith(("fresh", "fixed"))}
    found = {
        "min-words": ", ".join(f"“{word}”" for word in seen.words)
        or "none, as the tokeniser has none whole",
        "min-blocks": f"{int(seen.blocks.sum())}",
        "min-others": f"{int(seen.others.sum())} of {len(seen.others)}",
        "min-human": f"{human_rate(runs[0], seen):.2f}" if runs else NOT_RUN,
        "min-ratio": in_words(runs, seen),
    }
    for name in ("none", "acc", "fresh", "fixed"):
        arm = next((arm for arm, short in names.items() if short == name), "")
        found[f"min-{name}"] = str(ends.get(arm, NOT_RUN))
        found[f"min-{name}-loss"] = str(unlearnt.get(arm, NOT_RUN))
    return found
