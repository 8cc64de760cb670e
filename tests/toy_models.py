"""Toy models of the two architectures that the book knows in every detail, with random weights."""

from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, OPTConfig, OPTForCausalLM

VOCABULARY = 50


def opt(**changes: Any) -> Any:
    """An OPT; its weights are so large that predictions are neither flat nor certain."""
    torch.manual_seed(0)
    config = {
        "vocab_size": VOCABULARY, "hidden_size": 24, "word_embed_proj_dim": 24,
        "num_hidden_layers": 2, "num_attention_heads": 3, "ffn_dim": 40,
        "max_position_embeddings": 32, "init_std": 0.4,
    }  # fmt: skip
    return OPTForCausalLM(OPTConfig(**config | changes)).eval()


def llama(**changes: Any) -> Any:
    """A Llama whose heads share keys and values in pairs."""
    torch.manual_seed(0)
    config = {
        "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "initializer_range": 0.3, "max_position_embeddings": 32,
    }  # fmt: skip
    return LlamaForCausalLM(LlamaConfig(**config | changes)).eval()
