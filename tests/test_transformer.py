"""The forward pass: the logits, losses and gradients of `transformers`, for what is supported."""

from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from collapse import transformer
from toy_models import VOCABULARY, llama, opt

MODELS = {
    "opt": opt,
    "llama": llama,
    "llama, biases": lambda: llama(attention_bias=True),
    "llama, one key for all heads": lambda: llama(num_key_value_heads=1),
    "llama, tied": lambda: llama(tie_word_embeddings=True),
}


def logits(model: Any, ids: torch.Tensor, training: bool = False) -> torch.Tensor:
    net = transformer.lay_out(model)
    return transformer.blocks_hidden(net, ids, training) @ net.head.t()


@pytest.mark.parametrize("kind", MODELS)
def test_logits_and_gradients_are_those_of_transformers(kind: str) -> None:
    model, ids = MODELS[kind](), torch.randint(0, VOCABULARY, (3, 11))
    assert transformer.supported(model)
    found, expected = logits(model, ids), model(input_ids=ids).logits
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    pull = torch.randn_like(expected)  # a gradient for every logit
    names = [name for name, _ in model.named_parameters()]
    ours, theirs = (
        torch.autograd.grad((values * pull).sum(), list(model.parameters()))
        for values in (found, expected)
    )
    for name, one, two in zip(names, ours, theirs, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3, msg=name)


def test_dropout_is_that_of_transformers() -> None:
    model, ids = opt(dropout=0.3).train(), torch.randint(0, VOCABULARY, (3, 11))
    torch.manual_seed(5)
    found = logits(model, ids, training=True)
    torch.manual_seed(5)
    torch.testing.assert_close(found, model(input_ids=ids).logits, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found, logits(model, ids))


def test_what_differs_in_any_detail_is_not_supported() -> None:
    assert not transformer.supported(opt(do_layer_norm_before=False))
    assert not transformer.supported(opt(activation_function="gelu"))
    assert not transformer.supported(opt(word_embed_proj_dim=12))
    assert not transformer.supported(opt(attention_dropout=0.1))
    assert not transformer.supported(llama(hidden_act="gelu"))
    small = GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=VOCABULARY, n_positions=32)
    assert not transformer.supported(GPT2LMHeadModel(small))
