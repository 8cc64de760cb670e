"""Stretches of equal length, each measured by itself; of a long text, some from all over it."""

import math
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from collapse.measure import metrics
from collapse.watch.texts import words

BUCKETS = 2**18  # into which words are hashed for the distribution of a whole text
KEPT = 2000  # batches of a text, at most
ALIKE, RUN = 0.5, 3  # near-duplicates share half of their runs of three words


class Gauge(NamedTuple):
    """A number of a batch: how it is called, which way it goes in a collapse, and on what scale."""

    title: str
    collapse: int  # 1 up, -1 down
    logarithmic: bool = True  # how values are averaged and differences taken


GAUGES = {
    "distinct_words": Gauge("distinct words", -1),
    "word_entropy": Gauge("word entropy (bits)", -1, False),
    "distinct_pairs": Gauge("distinct pairs", -1),
    "repeated_fours": Gauge("repeated runs of four", 1, False),
    "compressed": Gauge("compressed size", -1),
    "near_duplicates": Gauge("near-duplicates", 1, False),
    "divergence": Gauge("divergence (bits)", 1),
}


@dataclass(frozen=True)
class Batch:
    """What is kept of a stretch of text."""

    values: np.ndarray  # of all gauges but the last, on their scale, float64, (gauges - 1,)
    buckets: np.ndarray  # that its words are hashed to, int32, (buckets,)
    counts: np.ndarray  # how many of its words are in each, int32, (buckets,)


@dataclass
class Measured:
    """The batches of a text, and how much it has."""

    batches: list[Batch]
    documents: int = 0
    words: int = 0
    step: int = 1  # every how many-th batch is among them


def cut(documents: Iterable[list[str]], size: int) -> Iterator[list[list[str]]]:
    """Batches of `size` words, filled with one document after another.

    What no longer fits of a document is left out, and what is left over at the end too. So no two
    batches share a document: batches of documents in any order are in any order themselves.
    """
    batch: list[list[str]] = []
    room = size
    for document in documents:
        if document:
            batch.append(document[:room])
            room -= len(batch[-1])
        if not room:
            yield batch
            batch, room = [], size


def measured(documents: Iterable[str], size: int) -> Measured:
    """Read a text and measure its batches of `size` words.

    Where there are more than `KEPT`, every second one is dropped, and so on, so memory is bounded.
    """
    found = Measured([])

    def counted() -> Iterator[list[str]]:
        for text in documents:
            document = words(text)
            found.documents += 1
            found.words += len(document)
            yield document

    for number, batch in enumerate(cut(counted(), size)):
        if number % found.step == 0:
            found.batches.append(measure(batch))
        if len(found.batches) > KEPT:
            found.batches, found.step = found.batches[::2], found.step * 2
    return found


def measure(batch: list[list[str]]) -> Batch:
    """The gauges of a batch, a list of words for each document."""
    numbers: dict[str, int] = {}
    tokens = np.array([numbers.setdefault(word, len(numbers)) for part in batch for word in part])
    counts = np.bincount(tokens)
    ends = np.cumsum([len(part) for part in batch])
    pairs, fours = (_runs(tokens, ends, length) for length in (2, 4))
    plain = "\n".join(" ".join(part) for part in batch).encode()
    values = {
        "distinct_words": len(counts),
        "word_entropy": metrics.chao_shen(counts),
        "distinct_pairs": len(np.unique(pairs)),
        "repeated_fours": 1 - len(np.unique(fours)) / len(fours) if len(fours) else 0,
        "compressed": len(zlib.compress(plain)) / len(plain),
        "near_duplicates": near_duplicates(tokens, ends),
    }
    hashed = np.array([zlib.crc32(word.encode()) % BUCKETS for word in numbers], np.int32)
    buckets, place = np.unique(hashed, return_inverse=True)
    return Batch(
        np.array([scaled(name, value) for name, value in values.items()]),
        buckets,
        np.bincount(place, counts).astype(np.int32),
    )


def scaled(name: str, value: float) -> float:
    """The value of a gauge on its scale."""
    return math.log(max(value, 1e-9)) if GAUGES[name].logarithmic else value


def _runs(tokens: np.ndarray, ends: np.ndarray, length: int) -> np.ndarray:
    """A number for each run of words within a document, equal for equal ones."""
    if len(tokens) < length:
        return np.zeros(0, np.int64)
    document = np.searchsorted(ends, np.arange(len(tokens)), "right")
    within = document[: len(tokens) - length + 1] == document[length - 1 :]
    return metrics.ngrams(tokens[None], length)[0][within]


def near_duplicates(tokens: np.ndarray, ends: np.ndarray) -> float:
    """The share of documents that have a near-duplicate in the same batch.

    Two are one where the sets of their runs of three words have a Jaccard index of one half or
    more, computed exactly: within a batch, MinHash is not needed. A document of fewer than three
    words has no runs and no duplicate.
    """
    starts = np.arange(len(tokens) - RUN + 1)
    document = np.searchsorted(ends, starts, "right")
    within = document == np.searchsorted(ends, starts + RUN - 1, "right")
    kinds = metrics.ngrams(tokens[None], RUN)[0][within]
    has = sparse.csr_array(
        (np.ones(len(kinds), np.int64), (document[within], kinds)), (len(ends), len(tokens))
    )
    has.data[:] = 1  # a set; what occurs twice was summed
    size = has.sum(axis=1)
    shared = (has @ has.T).tocoo()
    other = shared.row != shared.col
    row, column, both = shared.row[other], shared.col[other], shared.data[other]
    alike = both >= ALIKE * (size[row] + size[column] - both)
    return len(np.unique(row[alike])) / len(ends)
