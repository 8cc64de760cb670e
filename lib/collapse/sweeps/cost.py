"""What training and writing cost: floating-point operations and bytes, counted from shapes alone.

Only matrix products are counted, a multiplication and an addition as two operations; norms,
activations and the sampling of tokens are left out. A block is `length` tokens that are read
together. The accounting is that of Kaplan et al. 2020 (arXiv 2001.08361, sec. 2.1): a forward pass
takes two operations a weight and token, plus those of attention, and a backward pass twice as many
as a forward pass. Scoring is a forward pass.
"""

from dataclasses import dataclass
from typing import Any

FLOAT = 4  # bytes of a weight, a gradient, a moment: all are kept in float32


@dataclass(frozen=True)
class Shape:
    """The numbers of a decoder-only transformer that decide what it costs."""

    layers: int
    width: int
    heads: int
    kv_heads: int  # fewer than `heads` where several heads share keys and values
    head_dim: int
    ffn: int  # width of the MLP inside
    mlp_matrices: int  # OPT 2: up, down; Llama 3: gate, up, down
    vocabulary: int
    parameters: int  # all of them, tied ones once

    @property
    def layer_weights(self) -> int:
        """Weights in the matrices of one layer.

        Queries and output: width * heads * head_dim each; keys and values: width * kv_heads *
        head_dim each; MLP: width * ffn each.
        """
        attention = 2 * self.width * (self.heads + self.kv_heads) * self.head_dim
        return attention + self.mlp_matrices * self.width * self.ffn

    @property
    def body_weights(self) -> int:
        """Weights in the matrices of all layers: layers * layer_weights."""
        return self.layers * self.layer_weights

    @property
    def head_weights(self) -> int:
        """Weights in the output head: width * vocabulary."""
        return self.width * self.vocabulary


def shape(config: Any, parameters: int) -> Shape:
    """The shape of a model.

    Args:
        config: of `transformers`, of the OPT kind; anything else is taken for the Llama kind.
        parameters: all of them, tied ones once.
    """
    heads = config.num_attention_heads
    opt = config.model_type == "opt"
    return Shape(
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        heads=heads,
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
        ffn=(config.ffn_dim if opt else getattr(config, "intermediate_size", None))
        or 4 * config.hidden_size,
        mlp_matrices=2 if opt else 3,
        vocabulary=config.vocab_size,
        parameters=parameters,
    )


# -- operations ------------------------------------------------------------------------------


def forward(model: Shape, blocks: int, length: int) -> int:
    """Operations of a forward pass over some blocks, logits of all tokens included.

    blocks * (2 * length * (body_weights + head_weights) + attention), where attention is 4 * layers
    * heads * head_dim for each pair of a token and one that it sees: 2 for the score, 2 for the
    value. Causal attention needs length * (length + 1) / 2 pairs.
    """
    return _read(model, blocks, length) + 2 * blocks * length * model.head_weights


def training(model: Shape, blocks: int, length: int) -> int:
    """Operations of one pass of training over some blocks: three forward passes.

    The backward pass takes a product for the gradient of the weights and one for that of the input,
    wherever the forward pass takes one. AdamW's few operations a weight and step are left out.
    """
    return 3 * forward(model, blocks, length)


def writing(model: Shape, prompts: int, prompt_length: int, new_tokens: int, beams: int = 1) -> int:
    """Operations of continuing some prompts token by token, keys and values remembered.

    The prompt is read once, with logits of its last token only: they give the first new token. Each
    further token takes, in each beam, 2 * (body_weights + head_weights), and attention to the
    prompt and to what was written up to and including the token before.
    """
    steps = new_tokens - 1
    seen = steps * prompt_length + steps * (steps + 1) // 2
    one_beam = 2 * steps * (model.body_weights + model.head_weights) + _attention(model, seen)
    prompt = _read(model, 1, prompt_length) + 2 * model.head_weights
    return prompts * (prompt + beams * one_beam)


def _read(model: Shape, blocks: int, length: int) -> int:
    """A forward pass without the output head."""
    pairs = length * (length + 1) // 2
    return blocks * (2 * length * model.body_weights + _attention(model, pairs))


def _attention(model: Shape, pairs: int) -> int:
    return 4 * model.layers * model.heads * model.head_dim * pairs


# -- bytes moved -----------------------------------------------------------------------------


def bytes_moved(
    model: Shape, prompts: int, prompt_length: int, new_tokens: int, beams: int = 1, size: int = 4
) -> int:
    """The fewest bytes between memory and processor to continue one batch of prompts.

    new_tokens times the weights of all matrices, and for each prompt, in keys and values of one
    token (`kv_bytes`):

    - written once: prompt_length of the prompt, new_tokens - 1 in each beam;
    - read at each of the new_tokens - 1 steps after the first: prompt_length once for all beams,
      and in each beam those that it wrote at earlier steps, 0 + 1 + ... + (new_tokens - 2) in sum.

    Args:
        size: bytes of a weight, a key or a value: 4, or 2 in bfloat16.
    """
    steps = new_tokens - 1
    written = prompt_length + beams * steps
    read = steps * prompt_length + beams * steps * (steps - 1) // 2
    weights = size * (model.body_weights + model.head_weights)
    return new_tokens * weights + prompts * (written + read) * kv_bytes(model, size)


def kv_bytes(model: Shape, size: int = 4) -> int:
    """Bytes of the keys and values of one token: 2 * layers * kv_heads * head_dim * size."""
    return 2 * model.layers * model.kv_heads * model.head_dim * size


# -- bytes held ------------------------------------------------------------------------------


def weight_bytes(model: Shape) -> int:
    """Bytes of one copy of all parameters."""
    return FLOAT * model.parameters


def training_bytes(model: Shape, blocks: int, length: int, keep_best: bool = True) -> int:
    """Bytes held in a training step of some blocks, roughly.

    Copies of the parameters: the model's, gradients, AdamW's two moments, the pretrained weights
    and those of generation 0, and the best checkpoint so far; then `activation_bytes`.
    """
    copies = 4 + 2 + keep_best
    return copies * weight_bytes(model) + activation_bytes(model, blocks * length)


def activation_bytes(model: Shape, tokens: int) -> int:
    """Bytes kept of a forward pass for the backward pass, roughly.

    In each layer and for each token: inputs and results of the two norms and of the two sums, 6 *
    width; queries, keys, values and what attention makes of them, 2 * (heads + kv_heads) *
    head_dim; inside of the MLP 2 * ffn, with a gate 4 * ffn. Above the layers, 3 * vocabulary:
    logits, their logarithms, and a gradient.
    """
    inside = 2 * (model.mlp_matrices - 1) * model.ffn
    layer = 6 * model.width + 2 * (model.heads + model.kv_heads) * model.head_dim + inside
    return FLOAT * tokens * (model.layers * layer + 3 * model.vocabulary)


def scoring_bytes(model: Shape, blocks: int, length: int, keep_best: bool = True) -> int:
    """Bytes held while a batch of some blocks is scored after an epoch of training, roughly.

    The copies of the parameters that `training_bytes` counts; then 4 * vocabulary for each token:
    logits, their logarithms, and what entropy is made of.
    """
    resting = training_bytes(model, 0, length, keep_best)
    return resting + 4 * FLOAT * blocks * length * model.vocabulary


def writing_bytes(
    model: Shape, prompts: int, prompt_length: int, new_tokens: int, beams: int = 1, size: int = 4
) -> int:
    """Bytes held while one batch of prompts is continued, roughly.

    Copies of the parameters: weights, last gradients, the pretrained weights, those of generation
    0, and a rearrangement of the matrices; keys and values of the prompts and of each beam, for
    one more layer than there is, which is room to move them; 5 * vocabulary for the scores of each
    beam.
    """
    slots = prompts * (prompt_length + beams * new_tokens)
    keys_and_values = slots * kv_bytes(model, size) * (model.layers + 1) // model.layers
    scores = 5 * FLOAT * prompts * beams * model.vocabulary
    return 5 * weight_bytes(model) + keys_and_values + scores
