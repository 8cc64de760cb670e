"""Is a text another one? One test of all gauges together, with one promised rate of false alarms.

The unit is a batch, or several in a row where there are many, so that a text of either side gives
twenty to forty numbers a gauge. Each gauge is compared by Student's t. What the largest of them is
by chance is found by dealing the units anew between the two texts (the maxT test of Westfall and
Young 1993): exact for any distribution and any dependence of the gauges, where units are
exchangeable. So the alarm rings for nothing at most at the promised rate.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np

from collapse.errors import BookError
from collapse.measure import metrics
from collapse.watch import scores as held_out
from collapse.watch.batches import BUCKETS, GAUGES, Batch, Measured, measured, scaled
from collapse.watch.report import ALIKE, NOTE, Judged, Report
from collapse.watch.texts import Source, WatchError, documents

FEWEST = 20  # batches of a reference
RATE, BATCH = 0.01, 5000  # what is promised, and the words of a batch
DEALS = 9_999  # of the units, where there are more ways than that


class TooLittleText(BookError):
    """There is too little text to judge at the promised rate."""


def watch(
    reference: Source,
    new: Source,
    *,
    rate: float = RATE,
    batch: int = BATCH,
    field: str = "text",
    scores: str | None = None,
    margin: float = held_out.MARGIN,
    progress: bool = False,
) -> Report:
    """Compare a new text with a reference.

    Args:
        reference: file (.jsonl or .txt, also .gz), folder of such files, or iterable of strings.
        rate: of false alarms that is promised. With `scores`, half of it is for each.
        batch: words of a batch.
        field: of JSONL, that holds the text.
        scores: a file for `scores.judge`, with its `margin`.

    Raises:
        WatchError: something that was given cannot be read.
        TooLittleText: the reference has fewer than twenty batches, or both together have too few
            units for so small a rate.
    """
    if not 0 < rate < 1 or batch < 100 or margin < 0:
        raise WatchError(
            f"rate={rate:g}, batch={batch} and margin={margin:g} cannot be; give a rate between 0 "
            "and 1, a batch of 100 words or more, and a margin of 0 or more"
        )
    each = rate / 2 if scores else rate
    table = held_out.judge(scores, margin, each) if scores else None
    known, found = (measured(documents(text, field, progress), batch) for text in (reference, new))
    return _judged(known, found, rate, each, batch, table)


def _judged(
    known: Measured, new: Measured, rate: float, each: float, batch: int,
    table: held_out.Scores | None,
) -> Report:  # fmt: skip
    size = unit_size(len(known.batches), len(new.batches), each, batch)
    values = [unit_values(known, known, size), unit_values(new, known, size)]
    before, after = values
    z, p_own, p_all, limit = compare(before, after, each)
    gauges = []
    for at, (name, gauge) in enumerate(GAUGES.items()):
        means = [float(side[:, at].mean()) for side in (after, before)]
        value, baseline = map(math.exp, means) if gauge.logarithmic else means
        gauges.append(Judged(
            name, gauge.title, value, baseline, value / baseline if baseline else None,
            float(before[:, at].std(ddof=1)), float(z[at]), float(p_all[at]),
            evidence(float(p_own[at])), bool(p_all[at] <= each), bool(z[at] * gauge.collapse > 0),
        ))  # fmt: skip
    texts = {
        name: {"documents": of.documents, "words": of.words, "step": of.step,
               "batches": len(of.batches), "units": len(units)}
        for name, of, units in zip(("reference", "new"), (known, new), values, strict=True)
    }  # fmt: skip
    p_value = float(p_all.min())
    rings = p_value <= each or bool(table and table.alarm)
    notes = [NOTE, ALIKE] if alike_neighbours(before) else [NOTE]
    return Report(rings, rate, p_value, evidence(p_value), limit, batch, size, texts, gauges, table,
                  notes)  # fmt: skip


def unit_size(reference: int, new: int, rate: float, words: int) -> int:
    """How many batches make a unit, of so many batches of either text.

    As many as leave the reference twenty units and allow so small a rate: there must be 1 / rate
    ways or more of dealing the units between the texts.
    """
    if reference < FEWEST:
        raise TooLittleText(
            f"the reference gives {reference} batches of {words} words where {FEWEST} are needed "
            "to know its spread; give more or longer documents, or a smaller --batch"
        )
    for size in range(reference // FEWEST, 0, -1):
        if new >= size and math.comb(reference // size + new // size, new // size) * rate >= 1:
            return size
    enough = next(n for n in itertools.count(1) if math.comb(reference + n, n) * rate >= 1)
    raise TooLittleText(
        f"the new text gives {new} batches of {words} words where {enough} are needed beside "
        f"{reference} of the reference for a rate of {rate:g}; give more, a smaller --batch, or a "
        "larger --rate"
    )


def unit_values(of: Measured, reference: Measured, size: int) -> np.ndarray:
    """Each gauge's mean over the batches of each unit, (units, gauges), on the gauge's scale.

    The divergence is that from the reference without one of its units: its own, for one of these.
    """

    def units(batches: Sequence[Batch]) -> list[Sequence[Batch]]:
        return [batches[at : at + size] for at in range(0, len(batches) // size * size, size)]

    parts = [_histogram(unit) for unit in units(reference.batches)]
    whole = sum(parts[1:], parts[0])
    found = []
    for number, unit in enumerate(units(of.batches)):
        out = parts[number % len(parts)]
        from_rest = np.mean([scaled("divergence", _divergence(one, whole, out)) for one in unit])
        found.append([*np.mean([one.values for one in unit], axis=0), from_rest])
    return np.array(found)


def _histogram(unit: Sequence[Batch]) -> np.ndarray:
    found = np.zeros(BUCKETS, np.int64)
    for batch in unit:
        np.add.at(found, batch.buckets, batch.counts)
    return found


def _divergence(batch: Batch, whole: np.ndarray, out: np.ndarray) -> float:
    # All that the batch lacks counts as one word: that leaves the divergence as it is.
    shared = whole[batch.buckets] - out[batch.buckets]
    lacking = whole.sum() - out.sum() - shared.sum()
    return metrics.divergence(np.append(batch.counts, 0), np.append(shared, lacking))


def compare(
    before: np.ndarray, after: np.ndarray, rate: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Student's t of each column between two sets of units, and what is as large by chance.

    Units are dealt anew between the sets, in all ways or at random in `DEALS`, with what was found
    as one more. A column that does not vary has t = 0.

    Args:
        before, after: (units, columns).

    Returns:
        t, positive where `after` is larger; the p-value of each column by itself; that of the
        largest t of all columns being so large; and the limit that this largest exceeds with a
        chance of at most `rate`.
    """
    values, new, units = np.concatenate([after, before]), len(after), len(after) + len(before)
    centred = values - values.mean(0)
    length = np.sqrt((centred**2).sum(0))
    vary = length > 1e-9 * (np.abs(values).max(0) + 1e-9)
    centred = np.where(vary, centred / np.where(vary, length, 1), 0)

    def student(sums: np.ndarray) -> np.ndarray:
        """Student's t from the sum of the new units, as the total sum of squares is 1."""
        between = np.minimum(sums**2 * (1 / new + 1 / len(before)), 1 - 1e-12)
        return np.sign(sums) * np.sqrt((units - 2) * between / (1 - between))

    found = student(centred[:new].sum(0))
    if math.comb(units, new) <= DEALS:
        dealt = np.array(list(itertools.combinations(range(units), new)))
        chance = np.abs(student(centred[dealt].sum(1)))
    else:
        drawn, rng = [np.abs(found)[None]], np.random.default_rng(0)
        for deals in np.array_split(np.arange(DEALS), 20):
            keys = rng.random((len(deals), units))
            chosen = keys <= np.partition(keys, new - 1, axis=1)[:, new - 1 : new]
            drawn.append(np.abs(student(chosen @ centred)))
        chance = np.concatenate(drawn)
    largest = chance.max(1)
    least = np.abs(found) * (1 - 1e-9) - 1e-9
    limit = float(np.sort(largest)[::-1][int(rate * len(largest) + 1e-9)])
    return found, (chance >= least).mean(0), (largest[:, None] >= least).mean(0), limit


def evidence(p: float) -> float:
    """The e-value of a p-value: int_0^1 k p^(k - 1) dk (Vovk and Wang 2021)."""
    if p >= 1:
        return 0.5
    return (1 - p + p * math.log(p)) / (p * math.log(p) ** 2)


def alike_neighbours(units: np.ndarray) -> bool:
    """Whether a gauge of one unit tells that of the next: a correlation above three errors."""
    centred = units - units.mean(0)
    squares = (centred**2).sum(0)
    along = (centred[1:] * centred[:-1]).sum(0)
    return bool((along > 3 / math.sqrt(len(units)) * squares).any())
