"""What the runs of an arm say: ratios with intervals, beside what the paper printed.

The paper's absolute perplexities cannot be compared with those of another model, corpus size or
tokeniser, and its own two sets of numbers disagree (34 in the text against "20 to 28"). What can
be compared is the ratio of a later generation's perplexity to that of generation 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from collapse.experiment import sources
from collapse.experiment.protocol import Protocol
from collapse.measure import metrics, per_seed
from collapse.measure.per_seed import PerSeed

if TYPE_CHECKING:  # or torch would be loaded
    from collapse.experiment.loop import Run


@dataclass(frozen=True)
class Reference:
    """A range that the paper gives for perplexity of the last model / perplexity of model 0."""

    low: float
    high: float
    label: str
    direction: int = 1  # of the change that the source claims: 1 = up, -1 = down, 0 = none


# Shumailov et al. 2024, p. 757-758 and the axes of Fig. 1b and 1c; the arithmetic is ours.
FROM_20_TO_28 = Reference(1.40, 1.40, "paper: 20 → 28")  # 28 / 20
# (34 + 20) / 34 and (34 + 28) / 34
LOSING_20_TO_28 = Reference(1.59, 1.82, "paper: 34 + 20 … 34 + 28")
# 42 / 34; "minor degradation" claims no rise
MINOR_DEGRADATION = Reference(1.0, 1.24, "paper: up to the axis end of Fig. 1c", direction=0)
NOTHING_RETAINED = Reference(1.40, 1.82, "two readings of the paper")


def table(runs: list[Run]) -> pd.DataFrame:
    """The rows of several runs under each other, with columns `seed` and `ratio` added."""
    parts = []
    for run in runs:
        part = run.record.generations.copy()
        part.insert(0, "seed", run.record.protocol.seed)
        part["ratio"] = part["test_perplexity"] / part["test_perplexity"].iloc[0]
        parts.append(part)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def ratio(runs: list[Run], column: str = "test_perplexity", generation: int = -1) -> PerSeed:
    """A column's value in a generation, by default the last, over that in generation 0."""
    by_seed = {}
    for run in runs:
        values = run.record.generations[column]
        first, later = float(values.iloc[0]), float(values.iloc[generation])
        by_seed[run.record.protocol.seed] = later / first if first else math.nan
    return per_seed.ratios(by_seed)


def paired(above: list[Run], below: list[Run], column: str = "test_perplexity") -> PerSeed:
    """Growth factor of one arm over that of another, seed by seed: above 1 = it grew more."""
    return ratio(above, column) / ratio(below, column)


def last_step(runs: list[Run], column: str = "test_perplexity") -> PerSeed:
    """A column's value in the last generation over that in the one before."""
    by_seed = {}
    for run in runs:
        values = run.record.generations[column].to_numpy()
        if len(values) > 1:
            by_seed[run.record.protocol.seed] = float(values[-1] / values[-2])
    return per_seed.ratios(by_seed)


def verdict(measured: PerSeed, reference: Reference) -> str:
    """The verdicts on what a source says of a ratio: on its direction, if it has one, and size.

    A size that is claimed without a direction is an upper bound.
    """
    if why := per_seed.unknown(measured):
        return why
    if not reference.direction:
        told = per_seed.size(measured, 0, reference.high)
        return told + ", it is more" * (told == per_seed.NOT_REPRODUCED)
    direction = per_seed.rises(measured) if reference.direction > 0 else per_seed.falls(measured)
    size = per_seed.size(measured, reference.low, reference.high)
    if size == per_seed.NOT_REPRODUCED:
        size += ", it is more" if measured.low > reference.high else ", it is less"
    return f"direction: {direction}; size: {size}"


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

    A share a seed, with Student's interval over seeds; a share is not below 0, whatever that says.
    """
    tables = {run.record.protocol.seed: tails(run)[side] for run in runs}
    first = per_seed.values({seed: float(share.iloc[0]) for seed, share in tables.items()})
    last = per_seed.values({seed: float(share.iloc[-1]) for seed, share in tables.items()})
    if not runs:
        return per_seed.NOT_RUN
    by_seed = ", ".join(f"{100 * share:.1f}" for share in last.by_seed.values())
    if per_seed.unknown(last):
        return f"holds {by_seed} % (one seed, no interval)"
    word = "has not measurably changed"
    if last.low > first.mean:
        word = "has grown"
    elif last.high < first.mean:
        word = "has shrunk"
    ends = f"[{100 * max(last.low, 0):.1f}, {100 * last.high:.1f}]"
    return f"{word} and holds {100 * last.mean:.1f} % {ends} (by seed: {by_seed})"


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


def epochs_chosen(runs: list[Run]) -> str:
    """The range of the epochs whose checkpoints were taken after generation 0."""
    chosen = table(runs).query("generation >= 1")["best_epoch"]
    return f"{chosen.min():.0f} to {chosen.max():.0f}" if len(chosen) else "not run yet"


def mass_in_words(runs: list[Run]) -> str:
    """Where the text's median perplexity under generation 0 goes, over seeds."""
    moved = ratio(runs, "text_perplexity_median")
    seen = per_seed.UNDECIDED if per_seed.unknown(moved) else per_seed.change(moved.low, moved.high)
    words = {"falls": "moves to the left", "rises": "moves to the right", "stays": "stays"}
    return f"{words.get(seen, 'does not clearly move')} (last ÷ first median: {moved})"


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
