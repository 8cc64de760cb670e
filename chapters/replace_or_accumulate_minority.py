"""A minority in human text, followed through generations: what is said of women.

In much human text women are spoken of less than men. The words that tell are few and common, so
that a small model's tokeniser has them whole, and the records' token counts are enough to follow
them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from collapse.book import figures, numbers, ratios
from collapse.book.numbers import Number
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

    Columns: `arm`, `seed`, `generation`; `women`, `men`: tokens that tell, of `tokens` in all;
    `loss_women`, `loss_others`: nats a token on human blocks of each kind.
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
                    tokens=counts.sum(1),
                    loss_women=_mean(nll, seen.blocks),
                    loss_others=_mean(nll, seen.others),
                )
            )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["arm"])


def _mean(nll: np.ndarray, picked: np.ndarray) -> Any:
    return nll[:, picked].mean(1, dtype=float) if picked.any() else math.nan


def lost_more(rows: pd.DataFrame, runs: Sequence[Run] = ()) -> PerSeed:
    """Growth of perplexity on human blocks about women over that on blocks about men, by the end.

    Above 1 the model has unlearnt more of text about women.

    Args:
        runs: which the rows are of.
    """
    losses = rows.sort_values("generation").groupby("seed")[["loss_women", "loss_others"]]
    growth = losses.last() - losses.first()
    ratio = np.exp(growth["loss_women"] - growth["loss_others"])
    what = "growth of perplexity on human blocks about women ÷ that on blocks about men"
    arm = list(runs)
    return over_seeds(
        ratio.to_dict(), True,
        what=f"{what}: {ratios.setting(arm)}", records=ratios.names(arm),
    )  # fmt: skip


# -- as dots ---------------------------------------------------------------------------------

_ROWS = 16  # of dots, in the fullest cell
_NAME, _COUNT = 5.5, 5.5  # room for a strip's name and for its counts, in rows of dots


def figure(arms: dict[str, list[Run]], seen: Lens) -> tuple[Figure, pd.DataFrame]:
    """A strip for each arm: a dot for each word for women, by generation and seed."""
    shown = {arm: runs for arm, runs in arms.items() if runs}
    data, strip = table(shown, seen), _ROWS + _NAME + _COUNT
    made, axes = figures.canvas(height=0.6 + 0.036 * strip * max(len(shown), 2))
    last = int(data["generation"].max()) if len(data) else 1
    wide = -(-int(data["women"].max()) // _ROWS) if len(data) else 1
    for place, (arm, rows) in enumerate(data.groupby("arm", sort=False)):
        ground = -strip * (place + 1) + _COUNT
        axes.text(-0.46, ground + _ROWS + 0.8, str(arm), weight="bold", va="bottom")
        for number, cell in rows.groupby("generation"):
            _dots(axes, (float(number), ground), cell["women"].tolist(), max(wide, 1))
            axes.text(
                float(number), ground - 0.8, f"{cell['women'].sum():,}", ha="center", va="top"
            )
    axes.set(xlim=(-0.5, last + 0.5), ylim=(-strip * max(len(shown), 1), 0))
    axes.set(xlabel="generation (0 = trained on human text)", ylabel="words for women")
    axes.set_xticks(range(last + 1))
    axes.set_yticks([])
    axes.grid(False)
    return made, data


def _dots(axes: Axes, place: tuple[float, float], counts: list[int], wide: int) -> None:
    """Counts as dots, a block for each seed, side by side."""
    pitch = 0.9 / (len(counts) * (wide + 1.5) - 1.5)
    for block, count in enumerate(counts):
        at = np.arange(count)
        x = place[0] - 0.45 + pitch * (0.5 + block * (wide + 1.5) + at % wide)
        axes.scatter(x, place[1] + 0.5 + at // wide, s=2.4, lw=0, color=figures.INK)


# -- as numbers ------------------------------------------------------------------------------


def rows_of(arms: dict[str, list[Run]], seen: Lens) -> list[dict[str, str | Number | PerSeed]]:
    """Counts of words for women and for men, all seeds together, and what was unlearnt of them."""
    found = []
    for arm, runs in arms.items():
        if not runs:
            continue
        rows = table({arm: runs}, seen)
        ends = {n: rows[rows["generation"] == n].sum() for n in (0, rows["generation"].max())}
        (first, last) = ends.values()
        row: dict[str, str | Number | PerSeed] = {"setting": arm}
        for kind in ("women", "men"):
            row[f"words for {kind}, first → last"] = f"{int(first[kind]):,} → {int(last[kind]):,}"
            row[f"{kind}, last, in 1,000 tokens"] = numbers.one(
                1000 * last[kind] / last["tokens"],
                f"words for {kind} in 1,000 tokens, last generation: {ratios.setting(runs)}",
                "a count, all seeds together", runs=runs, form=".2f",
            )  # fmt: skip
        found.append(row | {"unlearnt": lost_more(rows, runs)})
    return found


def told(
    arms: dict[str, list[Run]], seen: Lens, human: Sequence[Run]
) -> dict[str, Number | PerSeed | str]:
    """Counts in the first and the last generation, all seeds together, by name.

    Args:
        arms: by the short name that they have in the names of the numbers.
        human: the runs whose prompts and test blocks are looked at.
    """

    def count(value: float | None, what: str, runs: Sequence[Run]) -> Number:
        how = "a count, all seeds together" if len(runs) > 1 else "a count"
        return numbers.one(math.nan if value is None else value, what, how, runs=runs)

    one = human[:1]
    after = "in the human text that continues the prompts"
    found: dict[str, Number | PerSeed | str] = {
        "min-blocks": count(seen.blocks.sum(), "human test blocks with a word for women", one),
        "min-others": count(
            seen.others.sum(), "human test blocks with a word for men and none for women", one
        ),
    }
    for kind, tokens in (("women", seen.women), ("men", seen.men)):
        counted = int(one[0].record.arrays["human_counts"][tokens].sum()) if one else None
        found[f"min-human-{kind}"] = count(counted, f"words for {kind} {after}", one)
    for name, runs in arms.items():
        rows = table({name: runs}, seen)
        for when, generation in (("first", 0), ("last", rows["generation"].max() if runs else 0)):
            sums = rows[rows["generation"] == generation].sum() if runs else {}
            for kind in ("women", "men", "tokens"):
                which = "tokens" if kind == "tokens" else f"words for {kind}"
                what = f"{which} in the {when} generation: {ratios.setting(runs)}"
                value = int(sums[kind]) if runs else None
                found[f"min-{name}-{kind}-{when}"] = count(value, what, runs)
        found[f"min-{name}-loss"] = lost_more(rows, runs) if runs else NOT_RUN
    return found


def words_seen(seen: Lens) -> str:
    """The words that the tokeniser has whole."""
    quoted = ", ".join(f"“{word}”" for word in seen.words)
    return quoted or "none, as the tokeniser has none whole"
