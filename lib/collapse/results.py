"""What the runs of an arm say: ratios with intervals, beside what the paper printed.

The paper's absolute perplexities cannot be compared with those of another model, corpus size or
tokeniser, and its own two sets of numbers disagree (34 in the text against "20 to 28"). What can
be compared is the ratio of a later generation's perplexity to that of generation 0.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from collapse import metrics, sources
from collapse.loop import Run
from collapse.protocol import Protocol


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
NOTHING_RETAINED = Reference(
    1.40, 1.82, "two readings of the paper", "28 / 20, or (34 + 20) / 34 to (34 + 28) / 34"
)


@dataclass(frozen=True)
class Ratio:
    """A number a seed, most often a ratio, with their mean and its 95 % interval over seeds."""

    by_seed: dict[int, float]
    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        if not self.by_seed:
            return "not run yet"
        if math.isnan(self.mean):
            return "undefined, as it starts at 0"
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
    by_seed = {}
    for run in runs:
        values = run.record.generations[column]
        first, later = float(values.iloc[0]), float(values.iloc[generation])
        by_seed[run.record.protocol.seed] = later / first if first else math.nan
    return over_seeds(by_seed)


def paired(above: list[Run], below: list[Run], column: str = "test_perplexity") -> Ratio:
    """Growth factor of one arm over that of another, seed by seed: above 1 = it grew more."""
    first, second = ratio(above, column).by_seed, ratio(below, column).by_seed
    return over_seeds({seed: first[seed] / second[seed] for seed in first if seed in second})


def last_step(runs: list[Run], column: str = "test_perplexity") -> Ratio:
    """A column's value in the last generation over that in the one before."""
    by_seed = {}
    for run in runs:
        values = run.record.generations[column].to_numpy()
        if len(values) > 1:
            by_seed[run.record.protocol.seed] = float(values[-1] / values[-2])
    return over_seeds(by_seed)


def over_seeds(by_seed: dict[int, float]) -> Ratio:
    """Mean and interval of one number a seed."""
    values = np.array(list(by_seed.values()))
    low, high = metrics.seed_interval(values)
    return Ratio(by_seed, float(values.mean()) if len(values) else math.nan, low, high)


def undecided(measured: Ratio) -> str:
    """Why nothing can be said of a ratio, or nothing at all where something can."""
    if not measured.by_seed:
        return "not run yet"
    if math.isnan(measured.low):
        return "undecided: one seed gives no interval"
    return ""


def verdict(measured: Ratio, reference: Reference) -> str:
    """Whether the measured ratio bears out what the paper says, in words that say why.

    Direction comes first: the paper says that perplexity rises. Only an interval that lies inside
    the reference reproduces its size; one that only touches it is compatible with it.
    """
    if why := undecided(measured):
        return why
    if reference is MINOR_DEGRADATION:
        if measured.high <= reference.high:
            return "reproduced: no more than minor degradation"
        if measured.low > reference.high:
            return "not reproduced in size: more than minor degradation"
        return "compatible: the interval reaches into minor degradation"
    if measured.high < 1:
        return "not reproduced: perplexity falls"
    if measured.low <= 1:
        return "undecided: the interval contains no change"
    if measured.low > reference.high:
        return "direction reproduced, size not: it rises more"
    if measured.high < reference.low:
        return "direction reproduced, size not: it rises less"
    if reference.low <= measured.low and measured.high <= reference.high:
        return "reproduced: inside the range read from the paper"
    return "compatible: the interval overlaps the range read from the paper"


def contrast_verdict(measured: Ratio) -> str:
    """Whether the first arm of `paired` decays more than the second, as the paper says."""
    if why := undecided(measured):
        return why
    if measured.low > 1:
        return "reproduced: retained human text slows the decay"
    if measured.high < 1:
        return "not reproduced: retained human text speeds the decay"
    return "undecided: the interval contains no difference"


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


def tail_in_words(runs: list[Run], side: str) -> str:
    """What became of a tail, `below` or `above`, that holds 1 % of generation 0's blocks.

    Fisher's exact test compares the blocks in the tail in the last generation with those in
    generation 0, all seeds together, at 5 %: the tail's threshold is itself an estimate.
    """
    first = last = total = 0
    for run in runs:
        shares, blocks = tails(run), run.record.arrays["text_nll"].shape[1]
        first += round(shares[side].iloc[0] * blocks)
        last += round(shares[side].iloc[-1] * blocks)
        total += blocks
    test = stats.fisher_exact([[first, total - first], [last, total - last]])
    word = "has not measurably changed"
    if test.pvalue < 0.05:
        word = "has grown" if last > first else "has shrunk"
    low, high = metrics.share_interval(last / total, total)
    return f"{word} and stands at {100 * last / total:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


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
    return {prefix + name: value for name, value in values.items()}


def mass_in_words(runs: list[Run]) -> str:
    """Where the text's median perplexity under generation 0 goes, over all seeds."""
    moved = ratio(runs, "text_perplexity_median")
    if math.isnan(moved.low) or moved.low <= 1 <= moved.high:
        return f"does not clearly move (last ÷ first median: {moved})"
    return f"moves to the {'left' if moved.high < 1 else 'right'} (last ÷ first median: {moved})"


def why_sampled(runs: list[Run], beam: list[Run]) -> str:
    """Why a page samples where the paper searches with beams, from a run of each."""
    if runs and runs[0].record.protocol.decoding == "beam":
        return "They are written by beam search, as in the paper."
    if not beam:
        return (
            "They are not written by beam search as in the paper; how that does with this model "
            "is not run yet."
        )
    counts = [
        " and ".join(
            f"{n:.0f}" for n in table(arm).groupby("generation").distinct_tokens.mean()[:2]
        )
        for arm in (runs, beam)
    ]
    return (
        "They are sampled, not searched with beams, for a measured reason. Sampling writes "
        f"{counts[0]} different tokens in generations 0 and 1; five beams write {counts[1]} with "
        "the same model, which leaves little to learn from. What is sampled is cut to the most "
        "likely tokens that together carry the probability top-p, so each generation loses its "
        "tail, as it does with beam search, which looks for likely text."
    )


def minutes(runs: list[Run]) -> str:
    """The shortest and the longest time that one of the runs took, in minutes."""
    times = [sum(run.record.provenance["seconds"]) / 60 for run in runs]
    return f"{min(times):.0f} to {max(times):.0f}"


def kept_share(run: Run) -> float:
    """The share of human blocks among the training blocks of the last generation."""
    return float(run.record.generations["human_share"].iloc[-1])


def describe(runs: list[Run]) -> str:
    """From the records: scale, model, corpus, decoding, and the seeds of each arm and their origin.

    Runs that share a base model by name but not by its hash are told apart in words.
    """
    if not runs:
        return "not run yet"
    first = runs[0].record
    protocols = [run.record.protocol for run in runs]
    decoding = "; ".join(dict.fromkeys(_decoding(p) for p in protocols))
    texts = sources.labels(p.corpus for p in protocols)
    scales = sorted({run.record.provenance["scale"] for run in runs})
    ways = len({_decoding(p) for p in protocols}) > 1
    arms: dict[str, list[Run]] = {}
    for run in runs:
        p = run.record.protocol
        name = label(p) + (f", {texts[p.corpus]}" if len(texts) > 1 else "")
        arms.setdefault(name + (f", {_decoding(p)}" if ways else ""), []).append(run)
    told = [_origins(members) for members in arms.values()]
    if len(set(told)) == 1:
        origins = told[0]
    else:
        pairs = zip(arms, told, strict=True)
        origins = "; ".join(f"{name}: {seeds}" for name, seeds in pairs)
    bases = {str(run.record.base["identity"]) for run in runs}
    mixed = "; the base models are not bit-identical" if len(bases) > 1 else ""
    if len({run.record.base["identity"].get("pretrained on") for run in runs}) > 1:
        mixed = "; their base models were pretrained on different texts"
    return (
        f"{' and '.join(scales)} scale, {first.base['name']} on {' and '.join(texts.values())}, "
        f"{first.corpus['blocks']['train']:,} training blocks, {decoding}; {origins}{mixed}"
    )


def label(protocol: Protocol) -> str:
    """The name of an arm in figures and tables."""
    return f"{protocol.epochs} epochs, {protocol.mixture}"


def _decoding(protocol: Protocol) -> str:
    return {
        "beam": f"beam search with {protocol.beams} beams",
        "sample": f"sampling at T={protocol.temperature:g}, top-p {protocol.top_p:g}",
        "greedy": "greedy decoding",
    }[protocol.decoding]


def _origins(runs: list[Run]) -> str:
    parts = []
    for computed, words in ((True, "computed in this build"), (False, "from committed records")):
        seeds = sorted({r.record.protocol.seed for r in runs if r.computed is computed})
        if seeds:
            noun = "seed" if len(seeds) == 1 else "seeds"
            parts.append(f"{noun} {', '.join(map(str, seeds))} {words}")
    return ", ".join(parts)
