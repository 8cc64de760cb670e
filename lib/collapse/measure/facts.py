"""The facts of one generation, and what several gauges take from them: n-grams and their counts."""

import functools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from collapse.measure import metrics

GROUPS = 20  # of blocks: with 19 degrees of freedom t is 2.09, and an error known within a sixth
COMPARED = 64  # blocks that self-BLEU compares with each other


class Facts:
    """What is known of one generation.

    Args:
        arrays: those of a record, without the axis of the generations.
        training: `blocks` it was trained on, `human_blocks` among them, `history` of the epochs.
        selection: of the checkpoint, as the protocol has it.
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        training: Mapping[str, Any] | None = None,
        selection: str = "best",
    ) -> None:
        self._arrays, self.training, self._selection = arrays, training or {}, selection
        self._grams: dict[int, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        array = self._arrays[name]
        return array.astype(np.float64) if array.dtype.kind == "f" else array

    @property
    def selected(self) -> dict[str, float]:
        """The epoch whose checkpoint was selected."""
        history = self.training["history"]
        best = min(history, key=lambda epoch: epoch["valid_nll"])
        return best if self._selection == "best" else history[-1]

    @functools.cached_property
    def groups(self) -> list[np.ndarray]:
        """The blocks of each group that the jackknife leaves out."""
        blocks = len(self["text"])
        return np.array_split(np.arange(blocks), min(GROUPS, blocks))

    @functools.cached_property
    def incidence(self) -> np.ndarray:
        """In how many blocks of the text each token occurs, (vocabulary,)."""
        text, size = self["text"].astype(np.int64), len(self["held_out_counts"])
        pairs = np.unique(np.arange(len(text))[:, None] * size + text)
        return np.bincount(pairs % size, minlength=size)

    @functools.cached_property
    def rare(self) -> np.ndarray:
        """The tokens of the tail of human text."""
        return metrics.tail(self["held_out_counts"])

    @property
    def some_blocks(self) -> np.ndarray:
        """As many blocks of the text as self-BLEU compares, spread evenly."""
        text = self["text"]
        some = np.linspace(0, len(text) - 1, min(COMPARED, len(text))).round().astype(int)
        return text[some]

    def grams(self, order: int) -> np.ndarray:
        """A number for each n-gram of the text, as `metrics.ngrams` has them."""
        if order not in self._grams:
            self._grams[order] = metrics.ngrams(self["text"], order)
        return self._grams[order]

    def counts(self, order: int) -> Iterator[np.ndarray]:
        """How often each n-gram occurs in the text, then in the text without each group."""
        grams = self.grams(order)
        kinds = len(self["held_out_counts"]) if order == 1 else int(grams.max()) + 1
        return self._without(grams, kinds)

    def conditional_entropies(self, order: int) -> Iterable[float]:
        """Entropy of a token given the n - 1 before it, in the text and without each group."""
        if self["text"].shape[1] < order:
            return [math.nan]
        starts = self.grams(order - 1)[:, :-1]
        before = self._without(starts, int(starts.max()) + 1)
        return map(metrics.conditional_entropy, self.counts(order), before)

    def _without(self, numbers: np.ndarray, kinds: int) -> Iterator[np.ndarray]:
        whole = np.bincount(numbers.ravel(), minlength=kinds)
        yield whole
        for rows in self.groups if len(self.groups) > 1 else []:
            yield whole - np.bincount(numbers[rows].ravel(), minlength=kinds)
