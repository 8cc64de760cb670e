"""What a model is by its shape, and the operations and bytes that follow from it.

Of operations only those of matrix products are counted, a multiplication and an addition as two; a
backward pass takes twice those of a forward pass (Kaplan et al. 2020, arXiv 2001.08361, sec. 2.1).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from collapse.experiment import models

FLOAT = 4  # bytes of a number in float32, in which weights, gradients and facts are kept
# The models of the book that come from elsewhere, as their config.json has them.
ELSEWHERE: dict[str, dict[str, Any]] = {
    "facebook/opt-125m": {
        "model_type": "opt", "num_hidden_layers": 12, "hidden_size": 768, "ffn_dim": 3072,
        "num_attention_heads": 12, "vocab_size": 50272, "max_position_embeddings": 2048,
    },
    "smollm2-135m": {
        "model_type": "llama", "num_hidden_layers": 30, "hidden_size": 576,
        "intermediate_size": 1536, "num_attention_heads": 9, "num_key_value_heads": 3,
        "vocab_size": 49152, "tie_word_embeddings": True,
    },
}  # fmt: skip


class Shape(NamedTuple):
    """The numbers of a decoder-only transformer that decide what it costs."""

    body: int  # weights in the matrices of all layers
    head: int  # weights in the output head
    embeddings: int  # weights in tables of tokens and positions, and in a head that is not tied
    pair: int  # operations of attention for a token and one that it sees
    kv: int  # numbers in the keys and values of one token
    activations: int  # numbers kept of one token for the backward pass, roughly
    vocabulary: int


def shape(config: Mapping[str, Any]) -> Shape:
    """The shape of a model by its `config.json`; what is not of the OPT kind counts as Llama's.

    Raises:
        LookupError, TypeError, ArithmeticError: it is of another kind of model.
    """
    opt = config["model_type"] == "opt"
    layers, width, tokens, heads = (
        config[name]
        for name in ("num_hidden_layers", "hidden_size", "vocab_size", "num_attention_heads")
    )
    size = config.get("head_dim") or width // heads
    kv_heads = config.get("num_key_value_heads") or heads  # fewer where heads share them
    ffn, matrices = config["ffn_dim" if opt else "intermediate_size"], 2 if opt else 3
    rows = config["max_position_embeddings"] if opt else 0
    rows += tokens * (1 if config.get("tie_word_embeddings", opt) else 2)
    # Queries, keys, values and output; inputs and results of two norms and two sums; what is inside
    # of the MLP, and its gate; above the layers logits, their logarithms, and a gradient.
    attention = 2 * (heads + kv_heads) * size
    return Shape(
        body=layers * width * (attention + matrices * ffn),
        head=width * tokens,
        embeddings=width * rows,
        pair=4 * layers * heads * size,
        kv=2 * layers * kv_heads * size,
        activations=layers * (6 * width + attention + 2 * (matrices - 1) * ffn) + 3 * tokens,
        vocabulary=tokens,
    )


def shape_of(name: str) -> Shape | None:
    """The shape of the model of a name, without a download; None where it is not known."""
    folder = models.at_hand(name) or Path("/nowhere")
    try:
        return shape(ELSEWHERE.get(name) or json.loads((folder / "config.json").read_bytes()))
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError):
        return None  # not here, or of another kind; `models.load` will say so


def weight_bytes(model: Shape, size: int = FLOAT) -> int:
    """Bytes of all matrices and embeddings; biases and norms, less than a hundredth, left out."""
    return size * (model.body + model.embeddings)


def reading_operations(model: Shape, blocks: int, length: int) -> int:
    """Operations of a forward pass over blocks of `length` tokens; training on them takes thrice.

    Two a weight and token, and attention of each token to itself and those before it.
    """
    pairs = length * (length + 1) // 2
    return blocks * (2 * length * (model.body + model.head) + model.pair * pairs)


def writing_operations(
    model: Shape, prompts: int, prompt_length: int, new_tokens: int, beams: int = 1
) -> int:
    """Operations of continuing prompts token by token, keys and values remembered.

    A prompt is read once, with logits of its last token only: they give the first new token. Each
    further one takes, in each beam, two a weight, and attention to all before it.
    """
    steps = new_tokens - 1
    seen = steps * prompt_length + steps * (steps + 1) // 2
    beam = 2 * steps * (model.body + model.head) + model.pair * seen
    unread = 2 * (prompt_length - 1) * model.head
    return prompts * (reading_operations(model, 1, prompt_length) - unread + beams * beam)
