"""What the chapter on entropy reads from the records and draws: settings, words, vocabulary."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from collapse.book import figures, numbers, ratios
from collapse.book.numbers import Number
from collapse.experiment import sources
from collapse.experiment.arms import Run
from collapse.experiment.protocol import Protocol
from collapse.measure import facts, gauges, metrics, verdicts
from collapse.measure.per_seed import NOT_RUN, PerSeed
from collapse.measure.verdicts import NOT_READ, Claim, Reference

GROUPS = ["measure", "setting", "generation"]  # of which figures draw the mean over seeds
SIZES = ("distinct in a length", "effective vocabulary")
HALF = Reference(0.5, 0.5, "claimed: half", -1)

Arms = figures.Arms
Found = dict[str, list[Run]]  # key, as `general` -> its runs


def way(protocol: Protocol) -> str:
    """How text is written, in the words of the colours for it."""
    if protocol.decoding == "greedy":
        return "greedy"
    if protocol.decoding == "beam":
        return "five beams" if protocol.beams == 5 else f"{protocol.beams} beams"
    cut = [f"top-p {protocol.top_p:g}"] if protocol.top_p < 1 else []
    heat = [f"temperature {protocol.temperature:g}"] if protocol.temperature != 1 else []
    return " and ".join(cut + heat) or "temperature 1"


def kept(protocol: Protocol) -> str:
    """How much human text is kept, in words."""
    words = {0.0: "nothing human", 0.1: "a tenth human", 0.5: "half human", 1.0: "all human"}
    return words.get(protocol.retained, f"{100 * protocol.retained:g} % human")


def named(found: Found, *keys: str) -> Arms:
    """Some of the page's settings by what figures call them."""
    protocol = found["general"][0].record.protocol
    text = sources.title(protocol.corpus)
    names = {
        "general": f"{text},\n{way(protocol)}",
        "domain": f"one domain,\n{way(protocol)}",
        "whole": f"{text},\ntemperature 1",
        "half": "half human",
        "quarter": "three quarters\nhuman",
    }
    return {names[key]: found[key] for key in keys}


def by_setting(runs: Sequence[Run]) -> Arms:
    """Runs of several settings by the share of human text kept and the way of writing."""
    arms: Arms = {}
    for run in runs:
        protocol = run.record.protocol
        arms.setdefault(f"{kept(protocol)},\n{way(protocol)}", []).append(run)
    return arms


def runs_in(arms: Arms) -> list[Run]:
    """The runs of all arms."""
    return [run for runs in arms.values() for run in runs]


def bits_of(runs: list[Run], column: str, generation: int) -> Number:
    """The mean over seeds of a column in one generation, in bits."""
    found = ratios.per_seed(
        runs, lambda run: float(run.record.generations[column].iloc[generation]),
        f"{gauges.GAUGES[column].label}, {'last generation' if generation else 'generation 0'}",
    )  # fmt: skip
    return numbers.of(found, unit="bits", interval=False)


def rows(arms: Arms) -> list[dict[str, str | Number]]:
    """A row a setting: what became of perplexity, entropy and over-confidence."""
    columns = {
        "perplexity on human text": "test_perplexity",
        "entropy on human text": "predictive_entropy",
        "entropy of its words": "unigram_entropy",
    }
    found = []
    for label, runs in arms.items():
        row: dict[str, str | Number] = {"setting": label.replace("\n", " ")}
        for title, column in columns.items():
            row[title] = numbers.of(ratios.ratio(runs, column), interval=len(runs) != 1)
        gap = [str(bits_of(runs, "overconfidence", generation)) for generation in (0, -1)]
        found.append(row | {"over-confidence, bits": " to ".join(gap) if runs else NOT_RUN})
    return found


def ends(arms: Arms, column: str = "predictive_entropy", length: int = 0) -> str:
    """The last generation over the first in each setting: a column, or the words in a length."""
    found = {
        name: vocabulary_ratio(runs, length) if length else ratios.ratio(runs, column)
        for name, runs in arms.items()
    }
    return "; ".join(f"{name} {ratio}".replace("\n", " ") for name, ratio in found.items())


def length(shown: Run) -> int:
    """Of the text whose vocabulary is counted: 10,000 tokens, or half of a shorter text."""
    size = int(shown.record.text_counts[0].sum())
    return 10_000 if size > 10_000 else size // 2


def said(found: Found, shown: Run) -> dict[str, Number | PerSeed | str]:
    """Every number in the page's prose by its name there, but for those of its small figures.

    Args:
        found: the runs of `general`, `domain`, `half`, `quarter` and `whole`.
        shown: the run whose sizes are told.
    """
    record, general, size = shown.record, found["general"], length(shown)
    human, blocks = record.corpus["human_text"], record.corpus["blocks"]

    def fact(value: float, what: str, how: str = "a count", **options: Any) -> Number:
        return numbers.one(value, what, how, runs=[shown], **options)

    chosen = {"how": "a setting", "origin": "this book's choice"}
    told: dict[str, Number | PerSeed | str] = {
        "models": fact(len(record.generations), "models in a chain", "a setting"),
        "seeds": numbers.one(len(general), "seeds a setting", "a count", runs=general),
        "length": fact(size, "tokens in which different ones are counted", "a choice"),
        "size": fact(record.base["parameters"] / 1e6, "parameters of the small model",
                     unit="million", form=".2g"),
        "minutes": ratios.minutes(runs_in(found)),
        "claimed": numbers.one(
            2 ** (4.2 - 2.5), "effective vocabulary, before ÷ after a fall from 4.2 to 2.5 bits",
            "a closed form, two to the difference", origin="Keisha et al. 2025, from summaries",
            form=".1f",
        ),
        "compared": numbers.one(facts.COMPARED, "blocks of self-BLEU", **chosen),
        "groups": numbers.one(facts.GROUPS, "groups of the jackknife", **chosen),
        "words": ratios.ratio(general, "unigram_entropy"),
        "kept": vocabulary_ratio(general, size),
        "tri-human": fact(human["trigram_entropy"], "entropy of a token given two, human text",
                          "counted in the text that continues the prompts", unit="bits",
                          form=".2f"),
        "tail-human": numbers.share(
            human["tail_coverage"], "rare human tokens that as much human text uses",
            "counted in the text that continues the prompts", runs=[shown],
        ),
        "blocks-test": fact(blocks["test"], "human test blocks"),
        "blocks-text": fact(blocks["train"], "blocks of a generation's text"),
        "whole-human": ratios.ratio(found["whole"], "predictive_entropy"),
        "whole-test": ratios.ratio(found["whole"]),
        "tail-last": ratios.share_in(general, "tail_coverage"),
        "tail-first": ratios.share_in(general, "tail_coverage", 0),
    }  # fmt: skip
    for name, generation in (("first", 0), ("last", -1)):
        told[f"gap-{name}"] = bits_of(found["whole"], "overconfidence", generation)
        told[f"tri-{name}"] = bits_of(general, "trigram_entropy", generation)
    return {f"ent-{name}": value for name, value in told.items()}


def claims(found: Found, length: int) -> list[Claim]:
    """What is claimed of entropy, and what these runs say of it."""
    on_human = "predictions on human text, last ÷ first"
    human = {key: ratios.ratio(runs, "predictive_entropy") for key, runs in found.items()}
    mixed = human["general"] / human["half"]
    words = vocabulary_ratio(found["general"], length)
    drawn = way(found["general"][0].record.protocol)
    return [
        Claim("0-12", f"{on_human}; {drawn}",
              human["general"], verdicts.falls(human["general"])),
        Claim("0-12", f"{on_human}; temperature 1",
              human["whole"], verdicts.falls(human["whole"])),
        Claim("0-12b", f"{on_human}; half human",
              human["half"], verdicts.size(human["half"], 3.3 / 3.5, 3.5 / 3.3)),
        Claim("0-12c", "entropy, nothing human ÷ half human", mixed, verdicts.falls(mixed)),
        Claim("0-13", f"distinct tokens in {length:,}, last ÷ first; {drawn}", words,
              verdicts.beside(words, HALF)),
        Claim("keisha-domain", "entropy, general ÷ one domain",
              human["general"] / human["domain"], NOT_READ),
    ]  # fmt: skip


# -- figures ---------------------------------------------------------------------------------


def by_arm(arms: Arms, column: str) -> pd.DataFrame:
    """A column by setting, seed and generation: its `ratio` to the first; `measure` names it."""
    parts = []
    for label, runs in arms.items():
        for run in runs:
            rows = run.record.generations
            part = rows[["generation"]].assign(measure=column, setting=label)
            ratio = rows[column] / rows[column].iloc[0]
            parts.append(part.assign(seed=run.record.protocol.seed, ratio=ratio))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def falls_figure(arms: Arms, shares: bool = False) -> tuple[Figure, pd.DataFrame]:
    """Entropy of predictions on human text, and perplexity on it, as multiples of generation 0's.

    Thin lines are seeds, thick ones their means.

    Args:
        shares: the arms differ in how much is human, and are coloured by it.
    """
    figure, (left, right) = figures.canvas(2, 3.2)
    entropy, perplexity = (by_arm(arms, name) for name in ("predictive_entropy", "test_perplexity"))
    for axes, table, title in (
        (left, entropy, "Entropy on human text"),
        (right, perplexity, "Perplexity on human text"),
    ):
        if len(table) and table["ratio"].max() > 2:
            axes.set_yscale("log")
        ends = _by_generation(axes, table, arms, "ratio", shares)
        if axes.get_yscale() == "log":
            figures.plain_numbers(axes.yaxis)
        axes.set(title=title, ylabel="times that of generation 0")
        figures.name_lines(
            axes, [(f"{name}\n×{end:.2f}", end, colour) for name, end, colour in ends]
        )
    return figure, ratios.drawn(pd.concat([entropy, perplexity]), "ratio", GROUPS)


def _by_generation(
    axes: Axes, table: pd.DataFrame, arms: Arms, column: str, shares: bool = False
) -> list[tuple[str, float, Any]]:
    """Draw a column by arm, with a line at 1, and say where each arm ends, and its colour."""
    ends = []
    axes.axhline(1, color=figures.BAND, lw=1)
    for index, (label, runs) in enumerate(arms.items()):
        if runs:
            rows = table[table["setting"] == label]
            colour = _colour(runs, next(iter(arms.values())), shares)
            last = figures.seeds_and_mean(axes, rows, column, (index, len(arms)), colour)
            ends.append((label, last, colour))
    axes.set_xlabel("generation")
    return ends


def _colour(runs: list[Run], first: list[Run], shares: bool) -> Any:
    """By the share of human text, or the way of writing; grey for another text than the first's."""
    protocol = runs[0].record.protocol
    if shares or protocol.retained:
        return figures.human_share(protocol.retained)
    if first and protocol.corpus != first[0].record.protocol.corpus:
        return figures.PAPER
    return figures.WRITING.get(way(protocol), figures.INK)


# -- vocabulary --------------------------------------------------------------------------------


def vocabulary(run: Run, length: int, generation: int = -1) -> float:
    """Distinct tokens expected in `length` tokens of a generation's text."""
    return metrics.rarefied_vocabulary(run.record.text_counts[generation], length)


def human_vocabulary(run: Run, length: int) -> float:
    """The same of human text that continues the same prompts."""
    return metrics.rarefied_vocabulary(run.record.arrays["human_counts"], length)


def vocabulary_ratio(runs: list[Run], length: int) -> PerSeed:
    """Vocabulary at a length in the last generation over that in generation 0."""
    return ratios.per_seed(
        runs, lambda run: vocabulary(run, length, -1) / vocabulary(run, length, 0),
        f"distinct tokens in {length:,}, last generation ÷ generation 0", ratio=True,
    )  # fmt: skip


def effective_vocabulary(bits: Any) -> Any:
    """2^H: how many equally frequent words would have this entropy (Hill 1973, order 1)."""
    return 2.0**bits


def vocabularies(arms: Arms, length: int) -> pd.DataFrame:
    """Two sizes of vocabulary by setting, seed and generation, as multiples of human text's.

    Human text is that which continues the same prompts. `SIZES` are the distinct tokens expected in
    a text of a length, and 2^H by Miller and Madow.
    """
    parts = []
    for label, runs in arms.items():
        for run in runs:
            record = run.record
            number = record.generations["generation"].to_numpy()
            sizes = {
                SIZES[0]: (np.array([vocabulary(run, length, n) for n in number]),
                           human_vocabulary(run, length)),
                SIZES[1]: (effective_vocabulary(record.generations["miller_madow"].to_numpy()),
                           effective_vocabulary(record.corpus["human_text"]["miller_madow"])),
            }  # fmt: skip
            for measure, (tokens, human) in sizes.items():
                part = pd.DataFrame({"generation": number, "of_human_text": tokens / human})
                seed = record.protocol.seed
                parts.append(part.assign(measure=measure, setting=label, seed=seed))
    return pd.concat(parts, ignore_index=True)


def vocabulary_figure(arms: Arms, length: int) -> tuple[Figure, pd.DataFrame]:
    """Vocabulary by generation, as shares of human text's. Thin lines are seeds."""
    data = vocabularies(arms, length)
    figure, grid = figures.canvas(2, 3.2)
    titles = (f"Distinct in {length:,} tokens", "Effective vocabulary")
    for axes, measure, title in zip(grid, SIZES, titles, strict=True):
        ends = _by_generation(axes, data[data["measure"] == measure], arms, "of_human_text")
        axes.set(ylabel="share of human text's", title=title)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        figures.name_lines(
            axes, [(f"{n}\n{100 * end:.0f} %", end, colour) for n, end, colour in ends]
        )
    return figure, ratios.drawn(data, "of_human_text", GROUPS)
