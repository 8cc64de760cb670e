"""A rerun beside the published runs of the nearest protocol: does it agree within their spread?

Published runs of one arm differ by seed alone, so they say how much chance does. Three seeds say
little of a spread, so what published arms with the same text, model, size and way of writing say
of theirs counts as one seed more. A rerun agrees if each of its measures lies in the 95 %
prediction interval for one more seed of the nearest arm, at a level that allows for the number of
measures (Bonferroni).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from collapse.errors import Exit
from collapse.experiment import records, sources
from collapse.experiment.assets import atomic, build_dir
from collapse.experiment.protocol import Protocol
from collapse.experiment.record import Record
from collapse.measure import per_seed

STATUS = {"agrees": Exit.DONE, "differs": Exit.DIFFERS, "not comparable": Exit.OPEN}
SEEDS = 3  # published ones that it takes to speak of a spread
# What must be equal for numbers to be of the same quantity.
_SAME_QUANTITY = ("corpus", "model", "block_length", "train_blocks", "eval_blocks", "eos")
_SAME_WRITING = ("decoding", "beams", "temperature", "top_p", "repetition_penalty")
_SCALE_FREE = ("seed", "generations")  # another seed or a shorter chain is still the same arm
# Label -> column of the record, and generation: the first one or the last that both have.
MEASURES = {
    "test perplexity, generation 0": ("test_perplexity", 0),
    "test perplexity, last ÷ first": ("test_perplexity", None),
    "entropy on human text, last": ("predictive_entropy", -1),
    "over-confidence gap, last": ("overconfidence", -1),
    "unigram entropy, last": ("unigram_entropy", -1),
    "distinct tokens, last": ("distinct_tokens", -1),
}


@dataclass(frozen=True)
class Line:
    """One measure of the rerun beside the published seeds; no interval where they are too few."""

    measure: str
    mine: float
    published: list[float]
    low: float
    high: float

    @property
    def inside(self) -> bool:
        """Whether the rerun is where one more seed would be."""
        published = [value for value in self.published if not math.isnan(value)]
        if math.isnan(self.mine) or not published:
            return math.isnan(self.mine) and not published
        return self.low <= self.mine <= self.high


@dataclass(frozen=True)
class Comparison:
    """What differs in the parameters and in the numbers, and what follows.

    differing: field -> its value in the rerun and in the published protocol.
    verdict: a key of `STATUS`.
    """

    mine: Record
    published: list[Record]
    differing: dict[str, tuple[Any, Any]]
    lines: list[Line]
    verdict: str
    why: str

    @property
    def sentence(self) -> str:
        """The verdict line."""
        within = " within the spread" if self.verdict == "agrees" else ""
        return f"{self.verdict}{within}: {self.why}"


def arms(folder: Path) -> list[list[Record]]:
    """The runs in a folder, arm by arm.

    Raises:
        RecordError: a record is damaged.
    """
    found: dict[str, list[Record]] = {}
    for path in records.list_records(folder):
        record = records.read(path)
        found.setdefault(record.protocol.arm_hash, []).append(record)
    return list(found.values())


def nearest(protocol: Protocol, published: list[list[Record]]) -> list[Record]:
    """The runs of the arm whose protocol has the fewest fields other than this one's.

    Of these the one whose numbers are nearest, then that with more runs, then the first by name.

    Args:
        published: runs, arm by arm.
    """

    def distance(runs: list[Record]) -> tuple[int, int, float, int, str]:
        found = _differing(protocol, runs[0].protocol)
        fields = set(found)
        pairs = [found[name] for name in fields if isinstance(found[name][0], int | float)]
        far = sum(abs(a - b) / (abs(a) + abs(b)) for a, b in pairs)
        return len(fields & set(_SAME_QUANTITY)), len(fields), far, -len(runs), runs[0].name

    return min(published, key=distance, default=[])


def alike(run: Record, published: list[list[Record]]) -> list[list[Record]]:
    """The arms whose spread is that of a run's: same text, model, size and way of writing."""
    same = {*_SAME_QUANTITY, *_SAME_WRITING}
    return [
        runs for runs in published if not same & set(_differing(run.protocol, runs[0].protocol))
    ]


def compare(
    mine: Record, published: list[Record], others: Sequence[list[Record]] = ()
) -> Comparison:
    """The rerun against published runs that differ by seed alone.

    Args:
        others: arms that the spread is estimated from besides `published`, as `alike` gives them.
    """
    if not published:
        return Comparison(mine, [], {}, [], "not comparable", "there is no published run")
    differing = _differing(mine.protocol, published[0].protocol)
    if other := [name for name in differing if name in _SAME_QUANTITY]:
        why = f"{_told(other, differing)}, so the numbers are of different quantities"
        return Comparison(mine, published, differing, [], "not comparable", why)
    length = min(run.protocol.generations for run in [mine, *published])
    lines = [_line(name, mine, published, others, length) for name in MEASURES]
    outside = [line.measure for line in lines if not line.inside]
    changes = [f"parameters differ in {_told(differing, differing)}"] if differing else []
    if any(run.base["identity"] != mine.base["identity"] for run in published):
        changes.append("the base model has other weights")

    def is_same(run: Record) -> bool:
        bits = (one.truncated(length).fingerprint for one in (run, mine))
        return not differing and len(set(bits)) == 1

    if twin := next(filter(is_same, published), None):
        verdict, why = "agrees", f"bit for bit the published run {twin.name}"
    elif len(published) < SEEDS:
        verdict = "not comparable"
        why = f"{len(published)} published run(s) do not say how much chance does; {SEEDS} would"
    elif outside:
        verdict = "differs"
        why = f"outside the spread of {len(published)} published seeds: {'; '.join(outside)}"
        why += f"; {'; '.join(changes) or 'no parameter differs'}"
    else:
        verdict = "agrees"
        why = f"{len(lines)} measures lie where one more of {len(published)} seeds would"
        why += f", although {'; '.join(changes)}" if changes else ""
    return Comparison(mine, published, differing, lines, verdict, why)


def _differing(mine: Protocol, theirs: Protocol) -> dict[str, tuple[Any, Any]]:
    """The fields that make another arm of a run; with a recovery the chain's length does, too."""
    free = ("seed",) if mine.recovery or theirs.recovery else _SCALE_FREE
    found = {k: v for k, v in mine.differences(theirs).items() if k not in free}
    for name in ("corpus", "model"):  # the same content under another name is the same
        if name in found and sources.same(*found[name]):
            del found[name]
    return found


def _told(names: Iterable[str], differing: dict[str, tuple[Any, Any]]) -> str:
    return ", ".join(f"{n}={differing[n][0]} (published: {differing[n][1]})" for n in names)


def _line(
    name: str, mine: Record, published: list[Record], pool: Sequence[list[Record]], length: int
) -> Line:
    values = [_value(run, name, length) for run in published]
    groups = [np.array(values)]
    for runs in pool:
        long = [run for run in runs if run.protocol.generations >= length]
        if long and long[0].protocol.arm_hash != published[0].protocol.arm_hash:
            groups.append(np.array([_value(run, name, length) for run in long]))
    groups = [group[np.isfinite(group)] for group in groups]
    # The larger a measure, the larger its spread, unless it may be zero.
    logarithmic = all((group > 0).all() for group in groups)
    centre, *others = [np.log(group) for group in groups] if logarithmic else groups
    ends = per_seed.prediction_interval(centre, others, 1 - 0.05 / len(MEASURES))
    low, high = np.exp(ends) if logarithmic else ends
    return Line(name, _value(mine, name, length), values, float(low), float(high))


def _value(record: Record, name: str, length: int) -> float:
    column, generation = MEASURES[name]
    values = record.generations[column].iloc[:length].to_numpy(float)
    if generation is None:
        return float(values[-1] / values[0])
    return float(values[generation])


def told(found: Comparison) -> str:
    """The comparison for a terminal."""
    seeds = ", ".join(str(run.protocol.seed) for run in found.published)
    parts = [f"rerun:     {found.mine.name}"]
    if found.published:
        parts.append(f"published: {found.published[0].name}\n           and its arm, seeds {seeds}")
    for name, (mine, theirs) in found.differing.items():
        parts.append(f"  {name} = {mine} (published: {theirs})")
    if found.lines:
        rows = pd.DataFrame([_row(line) for line in found.lines])
        parts.append(rows.to_string(index=False))
    return "\n".join([*parts, found.sentence])


def _row(line: Line) -> dict[str, str]:
    known = not math.isnan(line.low)
    return {
        "measure": line.measure,
        "rerun": f"{line.mine:,.4g}",
        "mean": f"{np.mean(line.published):,.4g}",
        "one more seed": f"{line.low:,.4g} to {line.high:,.4g}" if known else "?",
        "inside": ("yes" if line.inside else "no") if known else "unknown",
    }


def page(found: Comparison) -> Path:
    """Write the comparison, with both curves, as a page of its own; return its path.

    Raises:
        AssetError: the disk is full or cannot be written.
    """
    from collapse.book import cards, figures
    from collapse.experiment.arms import Run

    theirs = [Run(run, computed=False) for run in found.published]
    mine = {"rerun": [Run(found.mine, computed=True)]}
    drawn, _ = figures.perplexity(mine, background={"published": theirs} if theirs else None)
    picture = figures.rendered(drawn, "svg").decode()
    figures.plt.close(drawn)
    path = build_dir() / "comparisons" / f"{found.mine.name}.html"
    words = {"name": found.mine.name, "told": told(found)}
    text = cards.rendered("comparison.html", **words, picture=picture[picture.index("<svg") :])
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def with_published(mine: Record) -> Comparison:
    """A run against the nearest arm in `records/`.

    Raises:
        RecordError: a record there is damaged.
    """
    published = arms(records.published())
    near = nearest(mine.protocol, published)
    return compare(mine, near, alike(near[0], published) if near else ())


def of_chapter(protocols: list[Protocol]) -> list[Comparison]:
    """Runs of this checkout, where there are any, against the published ones nearest to them."""
    found = (records.find(protocol, records.built()) for protocol in protocols)
    return [with_published(record) for record in found if record is not None]
