"""What the runs of an arm say: ratios with intervals, beside what the paper printed.

The paper's absolute perplexities cannot be compared with those of another model, corpus size or
tokeniser, and its own two sets of numbers disagree (34 in the text against "20 to 28"). What can
be compared is the ratio of a later generation's perplexity to that of generation 0.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from collapse import metrics
from collapse.loop import Run


@dataclass(frozen=True)
class Reference:
    """A range that the paper gives for perplexity of the last model / perplexity of model 0."""

    low: float
    high: float
    label: str
    derivation: str


# Shumailov et al. 2024, p. 757-758 and the axes of Fig. 1b and 1c; the arithmetic is ours.
FROM_20_TO_28 = Reference(1.40, 1.40, "paper: 20 → 28", "28 / 20")
LOSING_20_TO_28 = Reference(
    1.59, 1.82, "paper: 34 + 20 … 34 + 28", "(34 + 20) / 34, (34 + 28) / 34"
)
MINOR_DEGRADATION = Reference(1.0, 1.24, "paper: up to the axis end of Fig. 1c", "42 / 34")
NOTHING_RETAINED = Reference(1.40, 1.82, "both readings of the paper", "28 / 20 to (34 + 28) / 34")
PAPER_ZERO_SHOT, PAPER_FINE_TUNED = 115.0, 34.0  # mean test perplexity, p. 758


@dataclass(frozen=True)
class Ratio:
    """Last perplexity over first, by seed, with the mean and its 95 % interval over seeds."""

    by_seed: dict[int, float]
    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        if not self.by_seed:
            return "not run yet"
        if math.isnan(self.low):
            return f"{self.mean:.2f} (one seed, no interval)"
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


def table(runs: list[Run]) -> pd.DataFrame:
    """The rows of several runs under each other, with columns `seed` and `ratio` added."""
    parts = []
    for run in runs:
        part = run.record.generations.copy()
        part.insert(0, "seed", run.record.protocol.seed)
        part["ratio"] = part["test_perplexity"] / part["test_perplexity"].iloc[0]
        parts.append(part)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def ratio(runs: list[Run], column: str = "test_perplexity", generation: int = -1) -> Ratio:
    """A column's value in a generation, by default the last, over that in generation 0."""
    by_seed = {
        run.record.protocol.seed: float(
            run.record.generations[column].iloc[generation] / run.record.generations[column].iloc[0]
        )
        for run in runs
    }
    return _over_seeds(by_seed)


def paired(above: list[Run], below: list[Run]) -> Ratio:
    """Last-generation ratio of one arm over that of another, seed by seed: above 1 = it grew more.

    The same seed shuffles, samples and starts alike in both arms, so pairing removes its noise.
    """
    first, second = ratio(above).by_seed, ratio(below).by_seed
    return _over_seeds({seed: first[seed] / second[seed] for seed in first if seed in second})


def _over_seeds(by_seed: dict[int, float]) -> Ratio:
    values = np.array(list(by_seed.values()))
    low, high = metrics.seed_interval(values)
    return Ratio(by_seed, float(values.mean()) if len(values) else math.nan, low, high)


def verdict(measured: Ratio, reference: Reference) -> str:
    """Reproduced, partly, not reproduced, or undecided, in words that say why."""
    if not measured.by_seed:
        return "not run yet"
    if math.isnan(measured.low):
        return "undecided: one seed gives no interval"
    if measured.low <= 1 <= measured.high:
        return "undecided: the interval contains no change"
    if measured.high < 1:
        return "not reproduced: perplexity falls"
    if measured.low > reference.high:
        return "partly: it rises, and more than in the paper"
    if measured.high < reference.low:
        return "partly: it rises, but less than in the paper"
    return "reproduced: it rises, by as much as in the paper"


def tails(run: Run) -> pd.DataFrame:
    """Both tails of the text's perplexity under generation 0, by generation.

    Columns: `generation`; `below` and `above`, the shares of blocks outside the central 98 % of
    generation 0's own text, each with its 95 % interval `_low`, `_high`; `median`.
    """
    nll = run.record.arrays["text_nll"].astype(np.float64)
    low, high = np.quantile(nll[0], [0.01, 0.99])
    shares = {
        "below": [metrics.share_below(row, low) for row in nll],
        "above": [metrics.share_above(row, high) for row in nll],
    }
    table = pd.DataFrame({"generation": np.arange(len(nll)), **shares})
    for name, values in shares.items():
        ends = [metrics.share_interval(value, nll.shape[1]) for value in values]
        table[[f"{name}_low", f"{name}_high"]] = ends
    return table.assign(median=np.exp(np.median(nll, axis=1)))


def tail_in_words(run: Run, side: str) -> str:
    """What became of a tail, `below` or `above`, that holds 1 % of generation 0's blocks."""
    last = tails(run).iloc[-1]
    if last[f"{side}_low"] > 0.01:
        word = "has grown"
    elif last[f"{side}_high"] < 0.01:
        word = "has shrunk"
    else:
        word = "has not measurably changed"
    ends = f"[{last[f'{side}_low']:.1%}, {last[f'{side}_high']:.1%}]"
    return f"{word}, to {last[side]:.1%} {ends} of the blocks".replace("%", " %")


def summary(runs: list[Run], prefix: str = "") -> dict[str, float | str]:
    """Numbers for the prose of a chapter, named `prefix` + what they are.

    Perplexities, entropies and token counts are means over seeds, in generation 0 (`first`) and in
    the last one (`last`).
    """
    rows = table(runs)
    end = int(rows["generation"].max())
    values: dict[str, float | str] = {
        "seeds": len(runs),
        "end": end,
        "zero_shot": float(np.mean([r.record.base["zero_shot_perplexity"] for r in runs])),
        "ratio": str(ratio(runs)),
    }
    columns = {
        "test": "test_perplexity", "no_eos": "test_perplexity_no_eos", "bpb": "bits_per_byte",
        "distinct": "distinct_tokens", "unigram": "unigram_entropy",
        "predictive": "predictive_entropy", "text": "text_perplexity_median",
    }  # fmt: skip
    for name, column in columns.items():
        for when, generation in (("first", 0), ("last", end)):
            picked = rows.loc[rows["generation"] == generation, column]
            values[f"{name}_{when}"] = float(picked.mean())
        values[f"{name}_change"] = values[f"{name}_last"] / values[f"{name}_first"]  # type: ignore[operator]
    return {prefix + name: value for name, value in values.items()}


def kept_share(run: Run) -> float:
    """The share of human blocks among the training blocks of the last generation."""
    return float(run.record.generations["human_share"].iloc[-1])


def describe(runs: list[Run]) -> str:
    """One line from the records: scale, model, corpus, decoding, and where each seed comes from."""
    if not runs:
        return "not run yet"
    first = runs[0].record
    p = first.protocol
    decoding = {
        "beam": f"beam search with {p.beams} beams",
        "sample": f"sampling at T={p.temperature:g}, top-p {p.top_p:g}",
        "greedy": "greedy decoding",
    }[p.decoding]
    scales = sorted({run.record.provenance["scale"] for run in runs})
    origins = []
    for computed, words in ((True, "computed in this build"), (False, "from committed records")):
        seeds = sorted({r.record.protocol.seed for r in runs if r.computed is computed})
        if seeds:
            noun = "seed" if len(seeds) == 1 else "seeds"
            origins.append(f"{noun} {', '.join(map(str, seeds))} {words}")
    return (
        f"{' and '.join(scales)} scale, {first.base['name']} on {p.corpus}, "
        f"{first.corpus['blocks']['train']:,} training blocks, {decoding}; {'; '.join(origins)}"
    )
