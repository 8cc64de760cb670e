"""Costs counted from shapes, against PyTorch's count of what real models do."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM, OPTConfig, OPTForCausalLM

from collapse.sweeps import cost
from collapse.sweeps.cost import Shape

BLOCKS, LENGTH = 3, 12


def make_opt() -> Any:
    """Without dropout, so that no mask of it is kept."""
    config = OPTConfig(
        vocab_size=90, hidden_size=24, word_embed_proj_dim=24, num_hidden_layers=3,
        num_attention_heads=4, ffn_dim=40, max_position_embeddings=64, dropout=0.0,
    )  # fmt: skip
    config._attn_implementation = "eager"
    return OPTForCausalLM(config)


def make_llama(kv_heads: int, head_dim: int) -> Any:
    config = LlamaConfig(
        vocab_size=70, hidden_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=kv_heads, head_dim=head_dim, intermediate_size=44,
        tie_word_embeddings=kv_heads == 2,
    )  # fmt: skip
    config._attn_implementation = "eager"
    return LlamaForCausalLM(config)


MODELS = {
    "opt": make_opt,
    "llama": lambda: make_llama(4, 6),
    "llama, shared keys": lambda: make_llama(2, 6),
    "llama, wide heads": lambda: make_llama(1, 10),
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    return MODELS[request.param]().eval()


def shape_of(model: Any) -> Shape:
    return cost.shape(model.config, sum(p.numel() for p in model.parameters()))


def counted(action: Callable[[], Any]) -> dict[str, int]:
    """Operations of linear layers and of attention's own products, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter:
        action()
    by_name = {op.__name__: n for op, n in counter.get_flop_counts()["Global"].items()}
    linear = sum(n for name, n in by_name.items() if name.startswith(("mm", "addmm")))
    return {"linear": linear, "batched": sum(by_name.values()) - linear}


def tokens(model: Any, *size: int) -> torch.Tensor:
    return torch.randint(0, model.config.vocab_size, size)


def attention(shape: Shape, pairs: int) -> int:
    return 4 * shape.layers * shape.heads * shape.head_dim * pairs


def test_a_forward_pass_takes_what_pytorch_counts_less_what_no_token_may_see(model: Any) -> None:
    shape, ids = shape_of(model), tokens(model, BLOCKS, LENGTH)
    found = counted(lambda: model(input_ids=ids, use_cache=False))
    square, triangle = BLOCKS * LENGTH**2, BLOCKS * LENGTH * (LENGTH + 1) // 2
    assert found["batched"] == attention(shape, square)
    expected = found["linear"] + attention(shape, triangle)
    assert cost.forward(shape, BLOCKS, LENGTH) == expected


def test_training_takes_three_times_the_products_of_a_forward_pass(model: Any) -> None:
    shape, ids = shape_of(model), tokens(model, BLOCKS, LENGTH)
    found = counted(lambda: model(input_ids=ids, use_cache=False).logits.sum().backward())
    unseen = attention(shape, BLOCKS * LENGTH * (LENGTH - 1) // 2)
    expected = found["linear"] + found["batched"] - 3 * unseen
    assert cost.training(shape, BLOCKS, LENGTH) == expected


@pytest.mark.parametrize(("prompt", "new", "beams"), [(7, 5, 1), (7, 5, 3), (1, 4, 2), (6, 1, 3)])
def test_writing_takes_what_pytorch_counts_with_remembered_keys(
    model: Any, prompt: int, new: int, beams: int
) -> None:
    shape, ids = shape_of(model), tokens(model, BLOCKS, prompt)

    @torch.no_grad()
    def write() -> None:
        past = model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
        past.batch_repeat_interleave(beams)
        for _ in range(new - 1):
            model(input_ids=tokens(model, BLOCKS * beams, 1), past_key_values=past, use_cache=True)

    found = counted(write)
    unseen = attention(shape, BLOCKS * prompt * (prompt - 1) // 2)
    expected = found["linear"] + found["batched"] - unseen
    assert cost.writing(shape, BLOCKS, prompt, new, beams) == expected


def test_bytes_are_those_of_the_parameters_and_of_the_remembered_keys(model: Any) -> None:
    shape = shape_of(model)
    assert cost.weight_bytes(shape) == sum(p.nbytes for p in model.parameters())
    past = model(input_ids=tokens(model, BLOCKS, LENGTH), use_cache=True).past_key_values
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in past.layers)
    assert BLOCKS * LENGTH * cost.kv_bytes(shape) == held
    matrices = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
    weights = sum(m.weight.numel() for m in matrices)
    assert shape.body_weights + shape.head_weights == weights


def test_bytes_moved_are_those_of_writing_step_by_step(model: Any) -> None:
    shape, prompt, new, beams = shape_of(model), 7, 5, 3
    token, moved = cost.kv_bytes(shape, 2), 0
    weights = 2 * (shape.body_weights + shape.head_weights)
    for step in range(new):
        moved += weights
        if step == 0:
            moved += BLOCKS * prompt * token  # the prompt's are written
            continue
        earlier = step - 1
        moved += BLOCKS * token * (prompt + beams * (earlier + 1))  # read; the newest is written
    assert cost.bytes_moved(shape, BLOCKS, prompt, new, beams, size=2) == moved


def test_activations_are_about_what_autograd_keeps(model: Any) -> None:
    blocks, length, kept = 8, 32, {}
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    model.set_attn_implementation("sdpa")
    ids = tokens(model, blocks, length)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(input_ids=ids, labels=ids, use_cache=False)
    estimate = cost.activation_bytes(shape_of(model), blocks * length)
    assert 0.5 < estimate / sum(kept.values()) < 2
    assert cost.activation_bytes(shape_of(model), 2 * blocks * length) == 2 * estimate


def test_training_and_writing_hold_more_than_their_weights(model: Any) -> None:
    shape = shape_of(model)
    copy = cost.weight_bytes(shape)
    best = cost.training_bytes(shape, BLOCKS, LENGTH)
    assert best - cost.training_bytes(shape, BLOCKS, LENGTH, keep_best=False) == copy
    assert best > 7 * copy
    # Validation follows training, whose copies are still there; logits are the least it adds.
    logits = cost.FLOAT * BLOCKS * LENGTH * shape.vocabulary
    assert cost.scoring_bytes(shape, BLOCKS, LENGTH) >= 7 * copy + logits
    one, two = (cost.writing_bytes(shape, n, LENGTH, LENGTH, beams=4) for n in (1, 2))
    assert two - one > (LENGTH + 4 * LENGTH) * cost.kv_bytes(shape)
    assert one > 5 * copy
