"""Batches and their gauges: against closed forms, other libraries and brute force."""

import itertools
import random
import weakref
import zlib

import nltk
import numpy as np
import pytest

from collapse.measure import metrics
from collapse.watch import batches
from collapse.watch.batches import GAUGES, cut, measure, measured, near_duplicates

NAMES = list(GAUGES)


def some_words(seed: int, count: int, kinds: int = 60) -> list[str]:
    rng = random.Random(seed)
    return [f"w{int(kinds * rng.random() ** 2)}" for _ in range(count)]


def value(batch: list[list[str]], name: str) -> float:
    found = float(measure(batch).values[NAMES.index(name)])
    return float(np.exp(found)) if GAUGES[name].logarithmic else found


BATCH = [some_words(1, 300), some_words(2, 3), some_words(3, 1), some_words(4, 200)]


def test_batches_are_equally_long_and_share_no_document() -> None:
    sizes = [7, 0, 25, 3, 3, 3, 10, 4, 9]
    texts = [[f"{number}"] * size for number, size in enumerate(sizes)]
    found = list(cut(texts, 10))
    assert [sum(map(len, batch)) for batch in found] == [10] * len(found)
    owners = [{word for part in batch for word in part} for batch in found]
    assert owners == [{"0", "2"}, {"3", "4", "5", "6"}, {"7", "8"}]  # what does not fit is left out


def test_words_and_pairs_are_counted_as_nltk_does() -> None:
    flat = [word for part in BATCH for word in part]
    assert value(BATCH, "distinct_words") == pytest.approx(len(nltk.FreqDist(flat)))
    pairs = {pair for part in BATCH for pair in nltk.bigrams(part)}
    assert value(BATCH, "distinct_pairs") == pytest.approx(len(pairs))
    fours = [run for part in BATCH for run in nltk.ngrams(part, 4)]
    assert value(BATCH, "repeated_fours") == pytest.approx(1 - len(set(fours)) / len(fours))
    counts = np.array(list(nltk.FreqDist(flat).values()))
    assert value(BATCH, "word_entropy") == pytest.approx(metrics.chao_shen(counts))


def test_compression_is_that_of_the_words() -> None:
    text = "\n".join(" ".join(part) for part in BATCH).encode()
    assert value(BATCH, "compressed") == pytest.approx(len(zlib.compress(text)) / len(text))
    assert value([["a"] * 500], "compressed") < 0.05


def test_near_duplicates_are_those_of_brute_force() -> None:
    rng = random.Random(5)
    texts = [some_words(number, rng.randint(1, 40), 500) for number in range(40)]
    for number in range(0, 30, 3):  # one or several words changed
        texts[number + 1] = list(texts[number])
        for _ in range(rng.randint(0, 4)):
            texts[number + 1][rng.randrange(len(texts[number]))] = "changed"
    runs = [set(zip(text, text[1:], text[2:], strict=False)) for text in texts]
    alike = {
        place
        for pair in itertools.combinations(range(len(texts)), 2)
        for place in pair
        if runs[pair[0]] | runs[pair[1]]
        and 2 * len(runs[pair[0]] & runs[pair[1]]) >= len(runs[pair[0]] | runs[pair[1]])
    }
    assert 5 < len(alike) < 25
    assert value(texts, "near_duplicates") == pytest.approx(len(alike) / len(texts))


def test_a_text_without_runs_has_no_repeats() -> None:
    single = [[word] for word in some_words(1, 100)]
    assert value(single, "repeated_fours") == value(single, "near_duplicates") == 0
    assert near_duplicates(np.zeros(6, np.int64), np.array([3, 6])) == 1  # the same text twice


def test_a_long_text_is_thinned_evenly_and_few_batches_are_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "KEPT", 16)
    made: list[weakref.ref[batches.Batch]] = []
    held: list[int] = []

    def counted(batch: list[list[str]]) -> batches.Batch:
        found = measure(batch)
        made.append(weakref.ref(found))
        held.append(sum(one() is not None for one in made))
        return found

    monkeypatch.setattr(batches, "measure", counted)
    found = measured((f"word{number} " * 100 for number in range(1000)), 100)
    assert max(held) == 17 and len(made) < 100  # of a thousand; few are measured at all
    assert (found.documents, found.words, found.step) == (1000, 100_000, 64)
    kept = [zlib.crc32(f"word{number}".encode()) % batches.BUCKETS for number in range(0, 1000, 64)]
    assert [int(batch.buckets[0]) for batch in found.batches] == kept
