"""The two settings of the paper: the ranges that it gives, and what the pages say of their runs.

The paper's own two sets of numbers disagree: 34 in the text against "20 to 28".
"""

import math

import numpy as np
import pandas as pd

from collapse.book import chapter, ratios
from collapse.experiment import arms, corpus, models
from collapse.experiment.arms import Run
from collapse.experiment.protocol import Arm
from collapse.measure import metrics
from collapse.measure.per_seed import NOT_RUN, over_seeds
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
    "test": "test_perplexity", "no_eos": "test_perplexity_no_eos",
}  # fmt: skip


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


def summary(runs: list[Run], prefix: str = "") -> dict[str, float | str]:
    """Numbers for the prose of a chapter, named `prefix` + what they are.

    Perplexities are means over seeds, in generation 0 (`first`) and in
    the last one (`last`); `learnt` is the factor by which fine-tuning on human text lowers it.
    """
    rows = ratios.table(runs)
    end = int(rows["generation"].max())
    values: dict[str, float | str] = {
        "seeds": len(runs),
        "end": end,
        "zero_shot": sum(run.record.base["zero_shot_perplexity"] for run in runs) / len(runs),
        "ratio": str(ratios.ratio(runs)),
    }
    means = rows.groupby("generation")[list(MEANS.values())].mean()
    for name, column in MEANS.items():
        values[f"{name}_first"], values[f"{name}_last"] = map(float, means[column].loc[[0, end]])
    values["learnt"] = values["zero_shot"] / values["test_first"]
    return {prefix + name: value for name, value in values.items()}


def epochs_chosen(runs: list[Run]) -> str:
    """The range of the epochs whose checkpoints were taken after generation 0."""
    chosen = ratios.table(runs).query("generation >= 1")["best_epoch"]
    return f"{chosen.min():.0f} to {chosen.max():.0f}" if len(chosen) else NOT_RUN


def tail_share(runs: list[Run], side: str) -> str:
    """The last generation's blocks in a tail, `below` or `above`, with 1 % of generation 0's.

    In per cent, a share a seed, with Student's interval over seeds, which does not go below 0.
    """
    shares = ratios.by_seed(runs, lambda run: metrics.tails(run.record.arrays["text_nll"])[side])
    last = over_seeds({seed: 100 * float(share.iloc[-1]) for seed, share in shares.items()})
    if math.isnan(last.low) or last.low == last.high:  # one seed, or the same count in each
        return f"{last.mean:.1f} %" if runs else NOT_RUN
    return f"{last.mean:.1f} % [{max(last.low, 0):.1f}, {last.high:.1f}]"


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


def _shares(text: list[int], prompt: list[int], length: int) -> tuple[float, float]:
    runs, given = (
        [tuple(tokens[at : at + length]) for at in range(len(tokens) - length + 1)]
        for tokens in (text, prompt)
    )
    known = set(given)
    return sum(run in known for run in runs) / len(runs), 1 - len(set(runs)) / len(runs)
