"""The forward pass: the logits of `transformers`, for what is supported."""

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from collapse.experiment import network
from toy_models import VOCABULARY, llama, opt

MODELS = {
    "opt": opt,
    "llama": llama,
    "llama, biases": lambda: llama(attention_bias=True),
    "llama, one key for all heads": lambda: llama(num_key_value_heads=1),
    "llama, tied": lambda: llama(tie_word_embeddings=True),
}


@pytest.mark.parametrize("kind", MODELS)
def test_logits_are_those_of_transformers(kind: str) -> None:
    model, ids = MODELS[kind](), torch.randint(0, VOCABULARY, (3, 11))
    assert network.supported(model)
    with torch.inference_mode():
        net = network.lay_out(model)
        found = network.blocks_hidden(net, ids) @ net.head.t()
        expected = model.eval()(input_ids=ids).logits
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_what_differs_in_any_detail_is_not_supported() -> None:
    assert not network.supported(opt(do_layer_norm_before=False))
    assert not network.supported(opt(activation_function="gelu"))
    assert not network.supported(opt(word_embed_proj_dim=12))
    assert not network.supported(opt(attention_dropout=0.1))
    assert not network.supported(llama(hidden_act="gelu"))
    small = GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=VOCABULARY, n_positions=32)
    assert not network.supported(GPT2LMHeadModel(small))
