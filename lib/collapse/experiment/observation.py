"""The facts of a generation: what its record keeps of its training, predictions and text.

Gauges are computed from them, in `gauges`.
"""

from typing import Any

import numpy as np

from collapse.experiment import corpus, models
from collapse.experiment.protocol import Protocol
from collapse.experiment.scoring import Scores
from collapse.measure import metrics


def vocabulary(base: models.Base) -> int:
    """How many different tokens a text of this model may have."""
    # A model may have more outputs than its tokeniser has tokens.
    return max(len(base.tokenizer), base.model.config.vocab_size)


def of_human_text(
    blocks: corpus.Blocks, base: models.Base, protocol: Protocol
) -> dict[str, np.ndarray]:
    """The arrays of a record that are of human text, and the same for all generations.

    `human_counts`, `held_out_counts`: how often each token occurs in what human authors wrote where
    the generations write, and in what is never trained on, (vocabulary,), without the end-of-text
    token where generations may not write it. `test_writable`, `test_bytes`: of each test block, the
    predicted tokens that generations may write, and the bytes of all predicted tokens.
    """
    held_out = _writable(np.concatenate([blocks.valid, blocks.test]), base, protocol)
    targets, size = blocks.test[:, 1:], vocabulary(base)
    return {
        "human_counts": metrics.counts(human_text(blocks, base, protocol), size),
        "held_out_counts": metrics.counts(held_out, size),
        "test_writable": _allowed(targets, base, protocol).sum(1, dtype=np.int32),
        "test_bytes": corpus.token_bytes(base.tokenizer)[targets].sum(1, dtype=np.int32),
    }


def human_text(blocks: corpus.Blocks, base: models.Base, protocol: Protocol) -> np.ndarray:
    """What human authors wrote where the generations write, shaped like a generation's text.

    Where generations may not write the end-of-text token it is left out here too, and what is
    missing at the end is filled up with prompts, so that human text has the same length.
    """
    human = _writable(np.concatenate([blocks.following, blocks.train]), base, protocol)
    return human[: blocks.train.size].reshape(blocks.train.shape)


def _writable(human: np.ndarray, base: models.Base, protocol: Protocol) -> np.ndarray:
    return human[_allowed(human, base, protocol)]


def _allowed(human: np.ndarray, base: models.Base, protocol: Protocol) -> np.ndarray:
    if protocol.eos == "allow":
        return np.ones(human.shape, bool)
    return human != base.tokenizer.eos_token_id


def human_blocks(train: np.ndarray, human: np.ndarray) -> int:
    """How many of the training blocks a human wrote."""
    written_by_human = {row.tobytes() for row in human}
    return sum(row.tobytes() in written_by_human for row in train)


def of_training(
    train: np.ndarray, blocks: corpus.Blocks, history: list[dict[str, float]]
) -> dict[str, Any]:
    """What a generation was trained on, and what each epoch came to.

    Args:
        history: as `training.fine_tune` returns it.
    """
    human = np.concatenate([blocks.train, blocks.unseen])
    return {
        "blocks": len(train),
        "human_blocks": human_blocks(train, human),
        "history": history,
    }


def of_predictions(
    test: Scores, own: Scores, reference: Scores, writable: np.ndarray
) -> dict[str, np.ndarray]:
    """Means over the tokens of each block, in nats, float32, (blocks,).

    Of human test blocks, of the text that it wrote, and of generation 0's; and, in
    `test_nll_writable`, the sum over those test tokens that generations may write.

    Args:
        writable: which predicted test tokens these are, bool, as `test.nll`.
    """
    found = {}
    for name, scores in (("test", test), ("own", own), ("reference", reference)):
        found[f"{name}_nll"] = scores.nll.mean(1, dtype=np.float64).astype(np.float32)
        found[f"{name}_entropy"] = scores.entropy.mean(1, dtype=np.float64).astype(np.float32)
    sums = np.where(writable, test.nll, 0).sum(1, dtype=np.float64)
    return found | {"test_nll_writable": sums.astype(np.float32)}


def of_text(under_reference: Scores, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Its text's loss under generation 0: means of blocks, and that of each token of the samples.

    Args:
        rows: the blocks that are samples.
    """
    nll = under_reference.nll
    return {
        "text_nll": nll.mean(1, dtype=np.float64).astype(np.float32),
        "sample_nll": nll[rows].astype(np.float32),
    }


def writable(blocks: corpus.Blocks, base: models.Base, protocol: Protocol) -> np.ndarray:
    """Which predicted tokens of the test blocks generations may write: bool, (blocks, length-1)."""
    return _allowed(blocks.test[:, 1:], base, protocol)
