"""What a GPU needs, tested without one: every tensor on the model's device, no wait for a value.

The model lies on PyTorch's `meta` device, which knows shapes and no values. Whatever is made on
another device, or asks for a value as the host would, is refused where it happens.
"""

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from collapse.experiment import decoding, network, scoring, training
from collapse.experiment.protocol import Protocol

META = torch.device("meta")
COPIES = {"aten._to_copy.default", "aten.copy_.default", "aten.lift_fresh.default"}
SHAPES = {
    "OPT": {"ffn_dim": 32, "word_embed_proj_dim": 16, "dropout": 0.1},
    "Llama": {"intermediate_size": 32, "num_key_value_heads": 1},
}


class OneDevice(TorchDispatchMode):
    """Refuses an operation that reads a tensor of another device than `meta`, but for a copy."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = tree_leaves((args, kwargs or {}))
        other = [x for x in given if isinstance(x, torch.Tensor) and x.device != META]
        if other and str(func) not in COPIES:
            raise AssertionError(f"{func} reads a tensor on {other[0].device}")
        return func(*args, **(kwargs or {}))


@pytest.fixture(params=list(SHAPES))
def model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    import transformers

    kind = request.param
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64, **SHAPES[kind],
    )  # fmt: skip
    monkeypatch.setitem(scoring.CHUNK, "meta", 32)
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind: False)
    monkeypatch.setattr(network, "autocast", lambda *given: nullcontext())
    # Looks at the values of the positions once a step of training, which no step of ours does.
    packed = "transformers.masking_utils.find_packed_sequence_indices"
    monkeypatch.setattr(packed, lambda positions: None)
    with META:
        return getattr(transformers, f"{kind}ForCausalLM")(config)


def test_the_test_refuses_another_device_and_a_wait() -> None:
    on_meta = torch.zeros(3, device=META)
    with OneDevice():
        with pytest.raises(AssertionError, match="on cpu"):
            on_meta[torch.zeros(2, dtype=torch.int64, device="cpu")]
        with pytest.raises((RuntimeError, NotImplementedError)):
            float(on_meta.sum())


def test_training_stays_on_the_device(model: Any) -> None:
    blocks = torch.zeros((6, 16), dtype=torch.int64, device=META)
    optimiser = torch.optim.AdamW(model.parameters(), fused=False)
    model.train()
    with OneDevice():
        loss = training.gradient(model, blocks, 4, "fp32")
    optimiser.step()
    assert loss.device == META
    assert all(p.grad is not None and p.grad.device == META for p in model.parameters())


def test_scoring_stays_on_the_device(model: Any) -> None:
    with OneDevice():
        nll, entropy = scoring._scored(model, np.zeros((6, 16), np.int32), Protocol(), True)
    assert nll.shape == entropy.shape == (6, 15) and nll.device == META


@pytest.mark.parametrize(
    "way",
    [
        {"decoding": "beam", "repetition_penalty": 2.0},
        {"decoding": "sample", "top_p": 0.9},
        {"decoding": "greedy"},
    ],
)
def test_writing_stays_on_the_device_and_waits_for_nothing(model: Any, way: dict[str, Any]) -> None:
    """Up to the sweep of beams, which is between steps and has to know how many are left."""
    protocol = Protocol(block_length=8, **way)
    prompts = torch.zeros((6, 4), dtype=torch.int64, device=META)
    net = network.lay_out(model)
    tokens = functional.pad(prompts, (0, 8))
    assert decoding.SWEEP >= 8
    with torch.inference_mode(), OneDevice():
        memory = decoding._memory(net, prompts, 8, protocol)
        if protocol.decoding == "beam":
            written = decoding._beams(memory, tokens, protocol, 3)
        else:
            chance = torch.zeros((6, 8), device=META)
            written = decoding._one_by_one(memory, tokens, protocol, 3, chance)
    assert written.shape == (6, 8) and written.device == META
