"""The facts of a run: what its record keeps of human text, of predictions and of written text.

Gauges are computed from them, in `gauges`.
"""

from collections.abc import Mapping

import numpy as np

from collapse.experiment import corpus, models
from collapse.experiment.protocol import Protocol
from collapse.experiment.record import SAMPLES
from collapse.experiment.scoring import Scores
from collapse.measure import metrics


def vocabulary(base: models.Base) -> int:
    """How many different tokens a text of this model may have."""
    # A model may have more outputs than its tokeniser has tokens.
    return max(len(base.tokenizer), base.model.config.vocab_size)


def sample_rows(blocks: corpus.Blocks) -> np.ndarray:
    """The blocks whose continuations a record shows."""
    return np.linspace(0, len(blocks.train) - 1, SAMPLES).astype(int)


def human_blocks(train: np.ndarray, human: np.ndarray) -> int:
    """How many of the training blocks a human wrote."""
    written_by_human = {row.tobytes() for row in human}
    return sum(row.tobytes() in written_by_human for row in train)


def writable(tokens: np.ndarray, base: models.Base, protocol: Protocol) -> np.ndarray:
    """Which tokens generations may write, bool: all, or all but the end-of-text token."""
    return (tokens != base.tokenizer.eos_token_id) | (protocol.eos == "allow")


def human_text(blocks: corpus.Blocks, base: models.Base, protocol: Protocol) -> np.ndarray:
    """What human authors wrote where the generations write, shaped like a generation's text.

    Where generations may not write the end-of-text token it is left out here too, and what is
    missing at the end is filled up with prompts, so that human text has the same length.
    """
    human = np.concatenate([blocks.following, blocks.train])
    written = human[writable(human, base, protocol)]
    return written[: blocks.train.size].reshape(blocks.train.shape)


def of_human_text(
    blocks: corpus.Blocks, base: models.Base, protocol: Protocol
) -> dict[str, np.ndarray]:
    """The arrays of a record that are of human text, and the same for all generations.

    Tokens that generations may not write are in none of them but `test_bytes`.
    """
    size, targets = vocabulary(base), blocks.test[:, 1:]
    held_out = np.concatenate([blocks.valid, blocks.test])
    held_out = held_out[writable(held_out, base, protocol)]
    return {
        "sample_human": blocks.following[sample_rows(blocks)].ravel().astype(np.int32),
        "human_counts": metrics.counts(human_text(blocks, base, protocol), size),
        "held_out_counts": metrics.counts(held_out, size),
        "test_writable": writable(targets, base, protocol).sum(1, dtype=np.int32),
        "test_bytes": corpus.token_bytes(base.tokenizer)[targets].sum(1, dtype=np.int32),
    }


def of_generation(
    read: Mapping[str, Scores], writable: np.ndarray, rows: np.ndarray
) -> dict[str, np.ndarray]:
    """The arrays of a record that have a row a generation, but for the text itself.

    Args:
        read: the scores of `test`, of its `own` text, of the `reference`, which is generation 0's
            text, and of `sample_human`, all by itself; and of its `text` by generation 0.
        writable: which predicted test tokens generations may write, bool, (blocks, length - 1).
        rows: the blocks that are samples.
    """
    found = {f"{name}_nll": _means(read[name].nll) for name in ("test", "own", "reference", "text")}
    for name in ("test", "own", "reference"):
        found[f"{name}_entropy"] = _means(read[name].entropy)
    sums = np.where(writable, read["test"].nll, 0).sum(1, dtype=np.float64)
    return found | {
        "test_nll_writable": sums.astype(np.float32),
        "sample_nll": read["text"].nll[rows].astype(np.float32),
        "sample_human_nll": read["sample_human"].nll.astype(np.float32),
    }


def _means(values: np.ndarray) -> np.ndarray:
    """Over the tokens of each block."""
    return values.mean(1, dtype=np.float64).astype(np.float32)
