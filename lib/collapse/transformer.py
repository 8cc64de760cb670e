"""The forward pass of OPT and Llama-style models when all rows have one length.

`transformers` runs any architecture, with padding, masks and caches of any shape. Blocks of one
length need none of that, so this file has the same arithmetic without it, over the very weights of
the `transformers` model: what trains here trains that model. Checked against `transformers` in
`tests/test_transformer.py`; architectures that differ anywhere are left to it.

Sources: OPT, Zhang et al. 2022 (arXiv 2205.01068); Llama, Touvron et al. 2023 (arXiv 2302.13971);
grouped-query attention, Ainslie et al. 2023 (arXiv 2305.13245).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# Attention of one layer: its number, queries (rows, heads, t, d), keys and values (rows, kv heads,
# t, d) to (rows, heads, t, d). Training, reading a prompt and writing a token differ only in this.
Attention = Callable[[int, Tensor, Tensor, Tensor], Tensor]
Linear = tuple[Tensor, Tensor | None]  # weight (out, in), bias (out,)


@dataclass(frozen=True)
class Layer:
    """The weights of one layer; matrices that read the same input are stacked."""

    attention_norm: Linear
    qkv: Linear
    out: Linear
    mlp_norm: Linear
    up: Linear  # Llama: the gate on top of the up-projection
    down: Linear


@dataclass(frozen=True)
class Network:
    """A model's weights in the order in which they are used."""

    embedding: Tensor  # (vocabulary, width)
    positions: Tensor | None  # OPT: (positions, width)
    rotary: Any  # Llama: the model's own module, which gives cosines and sines
    layers: list[Layer]
    norm: Linear
    head: Tensor  # (vocabulary, width)
    heads: int
    kv_heads: int
    head_dim: int
    epsilon: float
    dropout: float  # of the branches, in training
    padding: int | None  # a token whose embedding is not trained

    @property
    def is_opt(self) -> bool:
        """Layer norm, ReLU and learned positions; else RMS norm, SwiGLU and rotary ones."""
        return self.positions is not None


def supported(model: Any) -> bool:
    """Whether a `transformers` model has an architecture that this file knows in every detail."""
    kind, config = type(model).__name__, model.config
    if kind == "OPTForCausalLM":
        return (
            config.do_layer_norm_before
            and config.word_embed_proj_dim == config.hidden_size
            and config.activation_function == "relu"
            and config.enable_bias
            and config.layer_norm_elementwise_affine
            and not config._remove_final_layer_norm
            and config.attention_dropout == config.layerdrop == 0.0
        )
    if kind == "LlamaForCausalLM":
        rope = config.rope_parameters["rope_type"]
        return config.hidden_act == "silu" and config.attention_dropout == 0.0 and rope == "default"
    return False


def lay_out(model: Any, dtype: torch.dtype | None = None) -> Network:
    """The weights of a supported model, ready for `hidden`.

    Under autograd the stacked matrices are functions of the model's parameters, so gradients reach
    these; lay out again after each change of the weights.

    Args:
        dtype: of the matrices, where it is not the model's; norms and embeddings keep theirs.
    """

    def stack(*modules: Any) -> Linear:
        weights, biases = [m.weight for m in modules], [m.bias for m in modules]
        if len(modules) == 1:
            weight, bias = weights[0], biases[0]
        else:
            weight = torch.cat(weights)
            bias = None if biases[0] is None else torch.cat(biases)
        if dtype is None:
            return weight, bias
        return weight.to(dtype), None if bias is None else bias.to(dtype)

    def norm(module: Any) -> Linear:
        return module.weight, getattr(module, "bias", None)

    config = model.config
    head = model.lm_head.weight if dtype is None else model.lm_head.weight.to(dtype)
    if type(model).__name__ == "OPTForCausalLM":
        body = model.model.decoder
        layers = [
            Layer(
                norm(x.self_attn_layer_norm),
                stack(x.self_attn.q_proj, x.self_attn.k_proj, x.self_attn.v_proj),
                stack(x.self_attn.out_proj),
                norm(x.final_layer_norm),
                stack(x.fc1),
                stack(x.fc2),
            )
            for x in body.layers
        ]
        positions = body.embed_positions.weight[body.embed_positions.offset :]
        return Network(
            body.embed_tokens.weight, positions, None, layers, norm(body.final_layer_norm), head,
            config.num_attention_heads, config.num_attention_heads,
            config.hidden_size // config.num_attention_heads,
            body.final_layer_norm.eps, config.dropout, body.embed_tokens.padding_idx,
        )  # fmt: skip
    body = model.model
    layers = [
        Layer(
            norm(x.input_layernorm),
            stack(x.self_attn.q_proj, x.self_attn.k_proj, x.self_attn.v_proj),
            stack(x.self_attn.o_proj),
            norm(x.post_attention_layernorm),
            stack(x.mlp.gate_proj, x.mlp.up_proj),
            stack(x.mlp.down_proj),
        )
        for x in body.layers
    ]
    return Network(
        body.embed_tokens.weight, None, body.rotary_emb, layers, norm(body.norm), head,
        config.num_attention_heads, config.num_key_value_heads, config.head_dim,
        config.rms_norm_eps, 0.0, body.embed_tokens.padding_idx,
    )  # fmt: skip


def hidden(
    net: Network, ids: Tensor, positions: Tensor, attend: Attention, training: bool = False
) -> Tensor:
    """What the output head reads, after the last norm.

    Args:
        ids: tokens, (rows, t).
        positions: the place of each of the t tokens in its sequence, the same in all rows, (t,).
        attend: attention over these tokens and whatever came before them.
        training: apply the model's dropout.

    Returns:
        (rows, t, width).
    """
    x = functional.embedding(ids, net.embedding, net.padding)
    rotate = None
    if net.positions is not None:
        x = x + net.positions[positions]
    else:
        rotate = net.rotary(x, positions[None])  # cosines and sines, each (1, t, head_dim)
    for number, layer in enumerate(net.layers):
        x = x + _attention(net, layer, number, x, rotate, attend, training)
        x = x + _mlp(net, layer, x, training)
    return _norm(net, x, net.norm)


def _norm(net: Network, x: Tensor, weights: Linear) -> Tensor:
    if net.is_opt:
        return functional.layer_norm(x, x.shape[-1:], *weights, net.epsilon)
    return functional.rms_norm(x, x.shape[-1:], weights[0], net.epsilon)


def _attention(
    net: Network,
    layer: Layer,
    number: int,
    x: Tensor,
    rotate: tuple[Tensor, Tensor] | None,
    attend: Attention,
    training: bool,
) -> Tensor:
    rows, t, _ = x.shape
    turned = net.heads + net.kv_heads  # queries and keys, which carry positions
    qkv = functional.linear(_norm(net, x, layer.attention_norm), *layer.qkv)
    qkv = qkv.view(rows, t, turned + net.kv_heads, net.head_dim).transpose(1, 2)
    qk, values = qkv[:, :turned], qkv[:, turned:]
    if rotate is not None:
        cosine, sine = rotate
        left, right = qk.chunk(2, -1)
        qk = qk * cosine + torch.cat((-right, left), -1) * sine
    mixed = attend(number, qk[:, : net.heads], qk[:, net.heads :], values)
    out = functional.linear(mixed.transpose(1, 2).reshape(rows, t, -1), *layer.out)
    return functional.dropout(out, net.dropout, training) if net.dropout else out


def _mlp(net: Network, layer: Layer, x: Tensor, training: bool) -> Tensor:
    up = functional.linear(_norm(net, x, layer.mlp_norm), *layer.up)
    if net.is_opt:
        up = functional.relu(up, inplace=True)
    else:
        gate, up = up.chunk(2, -1)
        up = functional.silu(gate) * up
    out = functional.linear(up, *layer.down)
    return functional.dropout(out, net.dropout, training) if net.dropout else out


def causal(layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention of each token to itself and those before it in the same block."""
    grouped = queries.shape[1] != keys.shape[1]
    return functional.scaled_dot_product_attention(
        queries, keys, values, is_causal=True, enable_gqa=grouped
    )


def blocks_hidden(net: Network, ids: Tensor, training: bool = False) -> Tensor:
    """`hidden` of whole blocks that begin at position 0, (rows, t, width)."""
    places = torch.arange(ids.shape[1], device=ids.device)
    return hidden(net, ids, places, causal, training)
