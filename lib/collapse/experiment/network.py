"""The forward pass of OPT and Llama-style models when all rows have one length.

`transformers` runs and trains any architecture, with padding, masks and caches of any shape. Blocks
of one length that are scored or continued need none of that, so this file has the same arithmetic
without it, over the weights of the `transformers` model. Checked against `transformers` in
`tests/experiment/test_network.py`; models that differ anywhere are refused when they are loaded.

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
# t, d) to (rows, heads, t, d). Scoring, reading a prompt and writing a token differ only in this.
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


# What `transformers` calls the parts of a layer, in the order of `Layer`.
_OPT = (
    "self_attn_layer_norm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    ("self_attn.out_proj",), "final_layer_norm", ("fc1",), ("fc2",),
)  # fmt: skip
_LLAMA = (
    "input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    ("self_attn.o_proj",), "post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj"),
    ("mlp.down_proj",),
)  # fmt: skip


@dataclass(frozen=True)
class Network:
    """A model's weights in the order in which they are used."""

    embedding: Tensor  # (vocabulary, width)
    positions: Tensor | None  # OPT: (positions, width)
    offset: int  # OPT: the row of position 0
    # Llama: the model's own module, which gives cosines and sines. Without it, a model has layer
    # norms and ReLU, as OPT; with it, RMS norms and SwiGLU.
    rotary: Any
    layers: list[Layer]
    norm: Linear
    head: Tensor  # (vocabulary, width)
    heads: int
    kv_heads: int
    head_dim: int
    epsilon: float


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


@torch.inference_mode()
def lay_out(model: Any, dtype: torch.dtype | None = None) -> Network:
    """The weights of a supported model, ready for `hidden`; after each change of them, again.

    Args:
        dtype: of the matrices, where it is not the model's; norms and embeddings keep theirs.
    """

    def stacked(parts: list[Tensor | None]) -> Tensor | None:
        whole = [part for part in parts if part is not None]  # of biases, all or none
        if not whole:
            return None
        return (torch.cat(whole) if len(whole) > 1 else whole[0]).to(dtype or whole[0].dtype)

    def part(layer: Any, names: str | tuple[str, ...]) -> Linear:
        if isinstance(names, str):
            return norm(layer.get_submodule(names))
        modules = [layer.get_submodule(name) for name in names]
        biases = [getattr(module, "bias", None) for module in modules]
        return stacked([module.weight for module in modules]), stacked(biases)

    def norm(module: Any) -> Linear:
        return module.weight, getattr(module, "bias", None)

    config, opt = model.config, type(model).__name__ == "OPTForCausalLM"
    body = model.model.decoder if opt else model.model
    heads, last = config.num_attention_heads, body.final_layer_norm if opt else body.norm
    return Network(
        embedding=body.embed_tokens.weight,
        positions=body.embed_positions.weight if opt else None,
        offset=body.embed_positions.offset if opt else 0,
        rotary=None if opt else body.rotary_emb,
        layers=[
            Layer(*(part(layer, names) for names in (_OPT if opt else _LLAMA)))
            for layer in body.layers
        ],
        norm=norm(last),
        head=stacked([model.lm_head.weight]),
        heads=heads,
        kv_heads=heads if opt else config.num_key_value_heads,
        head_dim=config.hidden_size // heads if opt else config.head_dim,
        epsilon=last.eps if opt else config.rms_norm_eps,
    )


def hidden(net: Network, ids: Tensor, positions: Tensor, attend: Attention) -> Tensor:
    """What the output head reads, after the last norm, (rows, t, width).

    Args:
        ids: tokens, (rows, t).
        positions: the place of each of the t tokens in its sequence, the same in all rows, (t,).
        attend: attention over these tokens and whatever came before them.
    """
    x = functional.embedding(ids, net.embedding)
    if net.positions is not None:
        x = x + functional.embedding(positions + net.offset, net.positions)
    rotate = net.rotary and net.rotary(x, positions[None])  # each (1, t, head_dim)
    for number, layer in enumerate(net.layers):
        mixed = attend(number, *_queries_keys_values(net, layer, x, rotate))
        x = x + functional.linear(mixed.transpose(1, 2).flatten(2), *layer.out)
        x = x + _mlp(net, layer, x)
    return _norm(net, x, net.norm)


def _norm(net: Network, x: Tensor, weights: Linear) -> Tensor:
    if net.rotary is None:
        return functional.layer_norm(x, x.shape[-1:], *weights, net.epsilon)
    return functional.rms_norm(x, x.shape[-1:], weights[0], net.epsilon)


def _queries_keys_values(
    net: Network, layer: Layer, x: Tensor, rotate: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, ...]:
    """Each (rows, its heads, t, head_dim)."""
    turned = net.heads + net.kv_heads  # queries and keys, which carry positions
    qkv = functional.linear(_norm(net, x, layer.attention_norm), *layer.qkv)
    qkv = qkv.unflatten(2, (turned + net.kv_heads, net.head_dim)).transpose(1, 2)
    if rotate is None:
        return qkv.split((net.heads, net.kv_heads, net.kv_heads), 1)
    qk, values = qkv.split((turned, net.kv_heads), 1)
    cosine, sine = rotate
    left, right = qk.chunk(2, -1)
    qk = qk * cosine + torch.cat((-right, left), -1) * sine
    return *qk.split((net.heads, net.kv_heads), 1), values


def _mlp(net: Network, layer: Layer, x: Tensor) -> Tensor:
    up = functional.linear(_norm(net, x, layer.mlp_norm), *layer.up)
    if net.rotary is None:
        return functional.linear(functional.relu_(up), *layer.down)
    gate, up = up.chunk(2, -1)
    return functional.linear(functional.silu(gate) * up, *layer.down)


def causal(layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention of each token to itself and those before it in the same block."""
    grouped = queries.shape[1] != keys.shape[1]
    return functional.scaled_dot_product_attention(
        queries, keys, values, is_causal=True, enable_gqa=grouped
    )


def blocks_hidden(net: Network, ids: Tensor) -> Tensor:
    """`hidden` of whole blocks that begin at position 0, (rows, t, width)."""
    return hidden(net, ids, torch.arange(ids.shape[1], device=ids.device), causal)


def logits_of(head: Tensor, read: Tensor, scratch: Tensor) -> Tensor:
    """Logits of what the head reads, (tokens, width), in memory that is used again.

    `scratch` is float32, (at least so many tokens, vocabulary).
    """
    logits = scratch[: len(read)]
    if torch.is_autocast_enabled(read.device.type) or read.dtype != torch.float32:
        return logits.copy_(functional.linear(read, head))
    return torch.mm(read, head.t(), out=logits)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Products in a protocol's precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
