"""What is measured of one generation: a row of its record's `generations.csv`."""

import numpy as np

from collapse import corpus, gauges, metrics, model
from collapse.protocol import Protocol
from collapse.scoring import Scores

PerBlock = tuple[np.ndarray, np.ndarray]  # mean nats a token: negative log-likelihood, entropy


def per_block(scores: Scores) -> PerBlock:
    """The means over the tokens of each block, two arrays (blocks,)."""
    return scores.nll.mean(1), scores.entropy.mean(1)


def vocabulary(base: model.Base) -> int:
    """How many different tokens a text of this model may have."""
    # A model may have more outputs than its tokeniser has tokens.
    return max(len(base.tokenizer), base.model.config.vocab_size)


def held_out(blocks: corpus.Blocks, base: model.Base, protocol: Protocol) -> np.ndarray:
    """How often human text that is never trained on uses each token, (vocabulary,).

    Without the end-of-text token where generations may not write it.
    """
    human = _writable(np.concatenate([blocks.valid, blocks.test]), base, protocol)
    return metrics.counts(human, vocabulary(base))


def human_text(blocks: corpus.Blocks, base: model.Base, protocol: Protocol) -> np.ndarray:
    """What human authors wrote where the generations write, shaped like a generation's text.

    Where generations may not write the end-of-text token it is left out here too, and what is
    missing at the end is filled up with prompts, so that human text has the same length.
    """
    human = _writable(np.concatenate([blocks.following, blocks.train]), base, protocol)
    return human[: blocks.train.size].reshape(blocks.train.shape)


def _writable(human: np.ndarray, base: model.Base, protocol: Protocol) -> np.ndarray:
    allowed = protocol.eos == "allow" or human != base.tokenizer.eos_token_id
    return human[np.broadcast_to(allowed, human.shape)]


def human_share(train: np.ndarray, human: np.ndarray) -> float:
    """The share of training blocks that a human wrote."""
    written_by_human = {row.tobytes() for row in human}
    return sum(row.tobytes() in written_by_human for row in train) / len(train)


def fitted(
    train: np.ndarray, blocks: corpus.Blocks, history: list[dict[str, float]], protocol: Protocol
) -> dict[str, float]:
    """What a generation was trained on, and the checkpoint that was selected.

    Args:
        history: epoch and validation loss of each epoch, as `training.fine_tune` returns it.
    """
    best = min(history, key=lambda epoch: epoch["valid_nll"])
    selected = best if protocol.selection == "best" else history[-1]
    return {
        "human_share": human_share(train, np.concatenate([blocks.train, blocks.unseen])),
        "best_epoch": int(selected["epoch"]),
        "valid_perplexity": metrics.perplexity(np.array(selected["valid_nll"])),
    }


def on_human_text(
    test: Scores, blocks: corpus.Blocks, base: model.Base, protocol: Protocol
) -> dict[str, float]:
    """How well a generation predicts human test text."""
    targets, tokenizer = blocks.test[:, 1:], base.tokenizer
    writable = targets != tokenizer.eos_token_id if protocol.eos == "suppress" else targets >= 0
    low, high = metrics.perplexity_interval(test.nll.mean(1))
    return {
        "test_perplexity": metrics.perplexity(test.nll),
        "test_perplexity_low": low,
        "test_perplexity_high": high,
        "test_perplexity_no_eos": metrics.perplexity(test.nll[writable]),
        "bits_per_byte": metrics.bits_per_byte(test.nll, targets, corpus.token_bytes(tokenizer)),
    }


def on_its_text(
    tokens: np.ndarray,
    text_nll: np.ndarray,
    held_out_counts: np.ndarray,
    on_human: PerBlock,
    on_own: PerBlock,
    on_reference: PerBlock,
) -> dict[str, float]:
    """The gauges of a generation's predictions and text, with their intervals.

    Args:
        tokens: the text it wrote, (blocks, block_length).
        text_nll: the text under generation 0, mean nats a token of each block.
    """
    return {
        "text_perplexity_median": float(np.exp(np.median(text_nll.astype(np.float64)))),
        **gauges.of_predictions(on_human, on_own, on_reference),
        **gauges.of_text(tokens, held_out_counts),
    }
