"""What a comparison found, as data and as a readable table."""

import textwrap
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from collapse.watch.scores import Scores

WIDTH = 64  # of the readable report, characters
NOTE = (
    "The alarm tells that the texts differ, not why: another subject, language, length of "
    "documents or way of writing rings it too. Its rate holds where each document could as well "
    "stand in the other text."
)
ALIKE = (
    "Neighbouring stretches of the reference are alike, as if it were sorted or its documents were "
    "parts of longer ones; give whole documents in random order, or the rate is not kept."
)


@dataclass(frozen=True)
class Judged:
    """One gauge of the new text beside the reference."""

    gauge: str
    title: str
    value: float  # of the new text: the mean of its units, geometric for most gauges
    baseline: float  # of the reference, likewise
    ratio: float | None  # of the two; none where the reference has nothing of it
    sd_baseline: float  # over the reference's units, of the logarithm for most gauges
    z: float  # Student's t of the difference
    p_value: float  # that the largest t of all gauges is so large by chance
    e_value: float  # from the gauge's own p-value
    alarm: bool
    as_in_collapse: bool  # it went that way


@dataclass(frozen=True)
class Report:
    """What `watch` found; `str` makes it readable, `to_dict` makes it JSON."""

    alarm: bool
    rate: float  # of false alarms, at most
    p_value: float
    e_value: float  # of several comparisons they may be multiplied
    limit: float  # of the size of z, above which it rings
    batch_words: int
    unit_batches: int
    texts: dict[str, dict[str, int]]  # of `reference` and `new`: documents, words, batches, units
    gauges: list[Judged]
    scores: Scores | None
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain lists and dictionaries."""
        return asdict(self)

    @property
    def sentence(self) -> str:
        """What it comes to."""
        promise = f"at most one false alarm in {1 / self.rate:.3g} comparisons"
        changed = [one for one in self.gauges if one.alarm]
        ways = {
            "as in a collapse": [one.title for one in changed if one.as_in_collapse],
            "the other way": [one.title for one in changed if not one.as_in_collapse],
        }
        told = [f"{way}: {', '.join(titles)}" for way, titles in ways.items() if titles]
        if self.scores and self.scores.alarm:
            told.append("the new model is worse on held-out text")
        if not told:
            return f"Quiet: nothing changed by more than chance does, with {promise}."
        return f"ALARM, with {promise}. Changed {'; '.join(told)}."

    def __str__(self) -> str:
        rows = [
            {
                "": one.title, "reference": f"{one.baseline:.4g}", "new": f"{one.value:.4g}",
                "ratio": "" if one.ratio is None else f"{one.ratio:.3f}",
                "change": f"{one.z:+.1f}", "p": f"{one.p_value:.4f}", " ": "rings" * one.alarm,
            }
            for one in self.gauges
        ]  # fmt: skip
        sizes = " and ".join(
            f"{of['batches']} in {of['units']} units from {of['documents']:,} documents ({name})"
            for name, of in self.texts.items()
        )
        lines = [
            f"p-value {self.p_value:.4f}, e-value {self.e_value:.3g}. Change is in standard errors "
            f"and rings beyond {self.limit:.1f}. Batches of {self.batch_words:,} words: {sizes}."
        ]
        if self.scores:
            found = self.scores
            lines.append(
                f"Held-out text: {found.worse} of {found.blocks} blocks are worse by more than "
                f"{100 * found.margin:g} %, perplexity ×{found.perplexity_ratio:.3f}, e-value "
                f"{found.e_value:.3g}."
            )
        table = pd.DataFrame(rows).to_string(index=False)
        told = [textwrap.fill(line, WIDTH) for line in (self.sentence, *lines, *self.notes)]
        return "\n\n".join([told[0], table, *told[1:]])
