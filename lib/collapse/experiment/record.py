"""What a run leaves behind, in memory. `records` has it on disk."""

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from collapse.errors import BookError
from collapse.experiment import packing
from collapse.experiment.protocol import Protocol, digest, percent
from collapse.measure import gauges
from collapse.measure.facts import Facts

SCHEMA = 3
SAMPLES = 6  # prompts whose continuations a record keeps
# Arrays: name -> (number of axes, dtype). Of several axes the first is the generation; losses and
# entropies are in nats, and means over the tokens of a block where nothing else is said.
ARRAYS = {
    "text": (3, "uint16 or uint32"),  # (generations, blocks, block_length): the tokens it wrote
    "test_nll": (2, "float32"),  # (generations, test blocks): its loss on human test text
    "test_entropy": (2, "float32"),  # the same of the entropy of its predictions
    "test_nll_writable": (2, "float32"),  # the sum over tokens that generations may write
    "own_nll": (2, "float32"),  # (generations, blocks): its loss on the text it wrote
    "own_entropy": (2, "float32"),
    "reference_nll": (2, "float32"),  # (generations, blocks): on generation 0's text
    "reference_entropy": (2, "float32"),
    "text_nll": (2, "float32"),  # (generations, blocks): the loss of generation 0 on its text
    "sample_nll": (3, "float32"),  # (generations, samples, block_length - 1): a value a token
    "sample_human_nll": (3, "float32"),  # as many: its loss on what human authors wrote there
    "sample_human": (1, "int32"),  # (samples * block_length,): the tokens of that
    "human_counts": (1, "int32"),  # (vocabulary,): tokens human authors wrote in the text's place
    "held_out_counts": (1, "int32"),  # (vocabulary,): of human validation and test text
    "test_writable": (1, "int32"),  # (test blocks,): tokens in `test_nll_writable`
    "test_bytes": (1, "int32"),  # (test blocks,): UTF-8 bytes of the predicted tokens
}
# What a run with a recovery has besides.
RECOVERY_ARRAYS = {
    "recovery_nll": (1, "float32"),  # (epochs,): on validation text after each epoch of it
}


class RecordError(BookError):
    """A record is missing, incomplete, or not what its fingerprint says."""


@dataclass(frozen=True)
class Record:
    """What a run leaves behind."""

    protocol: Protocol
    arrays: Mapping[str, np.ndarray]  # as in `ARRAYS`
    # Of each generation `blocks`, `human_blocks` among them, and `history`, an epoch each.
    training: list[dict[str, Any]]
    # `row` of the block, prompt, human continuation and that of each generation, decoded.
    samples: list[dict[str, Any]]
    # Name, parameters, identity (hashes) and zero-shot test perplexity of the base model.
    base: dict[str, Any]
    # SHA-256 of the text and number of blocks, by split; the text's gauges for human text.
    corpus: dict[str, Any]
    # Versions, commit, device, threads, date, scale, seconds of each generation; and `places`,
    # commit and device of each, where one was computed elsewhere or earlier.
    provenance: dict[str, Any]
    table: pd.DataFrame | None = None  # gauges as they are stored; some columns may be missing

    @property
    def name(self) -> str:
        """The folder's name: what a reader wants to know first, then the protocol's hash."""
        return run_name(self.protocol) + self.protocol.hash

    @functools.cached_property
    def contents(self) -> dict[str, list[Any]]:
        """Type, shape and SHA-256 of each array, as `packing.contents` has them."""
        return packing.contents(self.arrays)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that the protocol determines: all but provenance and gauges."""
        parts = [self.base, self.corpus, self.training, self.samples, self.contents]
        return digest([self.protocol.defining(), *parts])

    @functools.cached_property
    def generations(self) -> pd.DataFrame:
        """The gauges, a row a generation, a column each of `gauges.COLUMNS`; stored or computed."""
        stored = pd.DataFrame() if self.table is None else self.table
        lacking = {name: gauge for name, gauge in gauges.GAUGES.items() if name not in stored}
        if not lacking:
            return stored
        table = pd.DataFrame([gauges.measure(facts, lacking) for facts in self.facts()])
        table = stored.assign(generation=range(len(table)), **table)
        return table[[name for name in gauges.COLUMNS if name in table]]

    def facts(self) -> list[Facts]:
        """The facts of each generation."""
        shared = ("held_out_counts", "test_writable", "test_bytes")
        each = [name for name, array in self.arrays.items() if array.ndim > 1]
        return [
            Facts(
                {name: self.arrays[name] for name in shared}
                | {name: self.arrays[name][number] for name in each},
                training,
                self.protocol.selection,
            )
            for number, training in enumerate(self.training)
        ]

    @property
    def text(self) -> np.ndarray:
        """The tokens that the generations wrote, (generations, blocks, block_length)."""
        return self.arrays["text"]

    @functools.cached_property
    def text_counts(self) -> np.ndarray:
        """How often each token occurs in the text, int64, (generations, vocabulary)."""
        size = len(self.arrays["human_counts"])
        return np.stack([np.bincount(one.ravel(), minlength=size) for one in self.text])

    def truncated(self, generations: int) -> "Record":
        """The record of the same run stopped earlier: a chain's beginning is a chain.

        But not that of one that ends with a recovery, which is refused.
        """
        if generations == self.protocol.generations:
            return self
        if self.protocol.recovery:
            raise RecordError(
                f"record {self.name} ends with a recovery, which {generations} of its generations "
                "would not have; take the whole of it"
            )
        return dataclasses.replace(
            self,
            protocol=self.protocol.replace(generations=generations),
            arrays={
                name: array[:generations] if array.ndim > 1 else array
                for name, array in self.arrays.items()
            },
            training=self.training[:generations],
            samples=[{**s, "generations": s["generations"][:generations]} for s in self.samples],
            provenance={
                name: value[:generations] if name in ("seconds", "places") else value
                for name, value in self.provenance.items()
            },
            table=self.generations.iloc[:generations].reset_index(drop=True),
        )


def run_name(p: Protocol) -> str:
    """How the name of a run's record begins, up to the hash: text, model, what is unusual, seed."""
    sampled, beam = p.decoding == "sample", p.decoding == "beam"
    parts = (
        (Path(p.corpus).stem, True),
        (Path(p.model).name, True),
        (p.decoding + (f"{p.beams}" if beam else ""), True),
        (f"t{p.temperature:g}", sampled and p.temperature != 1),
        (f"p{p.top_p:g}", sampled and p.top_p != 1),
        (f"penalty{p.repetition_penalty:g}", p.repetition_penalty != 1),
        ("eos", p.eos != "suppress"),
        (f"{p.epochs}ep", True),
        (p.regime if p.regime != "replace" else f"{percent(p.share(1))}pct", True),
        (f"to-{percent((p.schedule or (0,))[-1])}pct", len(set(p.schedule)) > 1),
        (p.retains, p.retains != "redrawn"),
        (p.replaced_by, p.replaced_by != "written"),
        (f"equal-{p.budget}", p.budget != "epochs"),
        (f"mended-{p.recovery}", p.recovery != 0),
        (f"s{p.seed}-", True),
    )
    return "-".join(text for text, told in parts if told)
