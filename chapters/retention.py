"""The two settings of the paper: the ranges that it gives, and what the pages say of their runs.

The paper's own two sets of numbers disagree: 34 in the text against "20 to 28".
"""

import math

import numpy as np
import pandas as pd

from collapse.book import chapter, numbers, ratios
from collapse.book.numbers import Number
from collapse.experiment import arms, corpus, models
from collapse.experiment.arms import Run
from collapse.experiment.protocol import Arm
from collapse.measure.per_seed import PerSeed
from collapse.measure.verdicts import Reference

# Shumailov et al. 2024, p. 757-758 and the axes of Fig. 1b and 1c, as ratios of the last model's
# perplexity to that of model 0; the arithmetic is ours.
FROM_20_TO_28 = Reference(1.40, 1.40, "the paper:\n20 → 28")  # 28 / 20
# (34 + 20) / 34 and (34 + 28) / 34
LOSING_20_TO_28 = Reference(1.59, 1.82, "the paper:\n34 + 20 … 28")
# 42 / 34; "minor degradation" claims no rise
MINOR_DEGRADATION = Reference(1.0, 1.24, "the paper: up to\nits axis's end", direction=0)
NOTHING_RETAINED = Reference(1.40, 1.82, "the paper,\ntwo readings")

# Chapter -> the range that the paper gives for its setting.
SETTINGS = {"no-retention": NOTHING_RETAINED, "ten-percent-retention": MINOR_DEGRADATION}

MEANS = {
    "test": ("test_perplexity", "perplexity on human test blocks"),
    "no_eos": (
        "test_perplexity_no_eos",
        "perplexity on human test blocks without the mark of lines",
    ),
}


def at_scale(scale: str) -> dict[str, list[Run]]:
    """The committed runs of both settings at a scale, by name; what was not run is left out.

    Written as the scale writes, and beside that drawn from the whole distribution.
    """
    found = {}
    for name in SETTINGS:
        runs = chapter.at_scale(name, scale)
        if runs:
            found[arms.label(runs[0].record.protocol)] = runs
        if drawn := whole(runs):
            found[f"{arms.label(drawn[0].record.protocol)}, T=1"] = drawn
    return found


def whole(runs: list[Run]) -> list[Run]:
    """The committed runs as given, but for a text drawn from the model's whole distribution."""
    if not runs:
        return []
    drawn = runs[0].record.protocol.replace(decoding="sample", temperature=1.0, top_p=1.0)
    return arms.committed(Arm(drawn, [run.record.protocol.seed for run in runs], "none"))


def summary(runs: list[Run], prefix: str = "") -> dict[str, Number | PerSeed]:
    """Numbers for the prose of a chapter, named `prefix` + what they are.

    Perplexities are means over seeds, in generation 0 (`first`) and in
    the last one (`last`); `learnt` is the factor by which fine-tuning on human text lowers it.
    """
    end = runs[0].record.protocol.generations - 1
    before = sum(float(run.record.base["zero_shot_perplexity"]) for run in runs) / len(runs)
    fitted = ratios.per_seed(
        runs,
        lambda run: run.record.base["zero_shot_perplexity"] / _in(run, "test_perplexity", 0),
        "perplexity on human test blocks, before fine-tuning ÷ generation 0",
    )
    setting = ratios.setting(runs)
    values: dict[str, Number | PerSeed] = {
        "seeds": numbers.one(len(runs), f"seeds: {setting}", "a count", runs=runs),
        "end": numbers.one(end, f"generations after the first: {setting}", "a setting", runs=runs),
        "zero_shot": numbers.one(
            before,
            f"perplexity on human test blocks before any fine-tuning: {setting}",
            "the base model's, the same for every seed",
            runs=runs,
        ),
        "ratio": ratios.ratio(runs),
        "learnt": numbers.of(fitted, digits=1, interval=False),
    }
    for name, (column, measure) in MEANS.items():
        for when, generation in (("first", 0), ("last", -1)):
            found = ratios.per_seed(
                runs, lambda run, c=column, g=generation: _in(run, c, g),
                f"{measure}, {'last generation' if generation else 'generation 0'}",
            )  # fmt: skip
            values[f"{name}_{when}"] = numbers.of(found, digits=1, interval=False)
    return {prefix + name: value for name, value in values.items()}


def _in(run: Run, column: str, generation: int) -> float:
    return float(run.record.generations[column].iloc[generation])


def epochs_chosen(runs: list[Run]) -> Number:
    """The range of the epochs whose checkpoints were taken after generation 0."""
    chosen = ratios.table(runs).query("generation >= 1")["best_epoch"]
    low, high = chosen.min(), chosen.max()
    return numbers.one(
        math.nan, "epochs whose checkpoints were chosen, after generation 0, in both settings",
        "least and greatest of all runs", runs=runs, text=f"{low:.0f} to {high:.0f}",
        unit="epochs", low=low, high=high,
    )  # fmt: skip


def tail_share(runs: list[Run], side: str) -> Number:
    """The last generation's blocks in a tail, `below` or `above`, with 1 % of generation 0's.

    In per cent, a share a seed, with Student's interval over seeds, which does not go below 0.
    """
    likely = {"below": "more", "above": "less"}[side]
    last = ratios.per_seed(
        runs,
        lambda run: outside(run.record.arrays["text_nll"], side),
        f"the last generation's blocks that are {likely} likely under generation 0 than 99 % of "
        "its own",
    )
    return numbers.of(last, unit="%", digits=1, times=100, least=0.0)


def outside(nll: np.ndarray, side: str) -> float:
    """The share of the last generation's blocks in a tail, with 1 % of generation 0's.

    `nll` is of each block under generation 0, nats a token, (generations, blocks).
    """
    first, last = nll[[0, -1]].astype(np.float64)
    low, high = np.quantile(first, [0.01, 0.99])
    return float((last < low if side == "below" else last > high).mean())


def copies(run: Run, length: int = 4) -> pd.DataFrame:
    """How much of each generation's text is taken from its prompt, and how much repeats itself.

    Columns: `text`, which is `human` for what follows the same prompts there, or the number of a
    generation; `copied`, the share of the runs of `length` tokens in a block that stand in its
    human prompt, nan where there is none; `repeated`, of those that stood in the block before.
    Means over blocks.

    Raises:
        AssetError: text or tokeniser cannot be had.
    """
    protocol = run.record.protocol
    blocks = corpus.load_blocks(
        protocol, corpus.load_text(protocol.corpus), models.tokenizer(protocol.model)
    )
    texts = {"human": blocks.following, **dict(enumerate(run.record.arrays["text"]))}
    rows = []
    for name, text in texts.items():
        pairs = zip(text.tolist(), blocks.train.tolist(), strict=True)
        shares = [_shares(own, prompt, length) for own, prompt in pairs]
        rows.append((str(name), *np.mean(shares, axis=0)))
    found = pd.DataFrame(rows, columns=["text", "copied", "repeated"])
    return found if protocol.prompts == "human" else found.assign(copied=math.nan)


def copied(share: float | None, who: str, runs: list[Run]) -> Number:
    """A share of `copies`, as the page tells it.

    Args:
        runs: the one that it is of; none where there is none.
    """
    what = f"runs of four tokens that stand in the prompt, {who}: {ratios.setting(runs)}"
    return numbers.share(share if runs else None, what, "one seed, mean over blocks", runs=runs)


def _shares(text: list[int], prompt: list[int], length: int) -> tuple[float, float]:
    runs, given = (
        [tuple(tokens[at : at + length]) for at in range(len(tokens) - length + 1)]
        for tokens in (text, prompt)
    )
    known = set(given)
    return sum(run in known for run in runs) / len(runs), 1 - len(set(runs)) / len(runs)
