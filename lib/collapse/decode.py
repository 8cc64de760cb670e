"""Fixed-length batched generation: greedy, beam search, sampling.

Every prompt has the same length and every continuation the same number of tokens, so there is no
padding, no stopping and no length penalty. Keys and values go into buffers allocated once.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from collapse.protocol import Protocol

ROWS = 256  # sequences decoded at once, beams counted


class _Buffer(DynamicLayer):
    """One layer's keys and values, in buffers of their final size."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length, self.filled = length, 0

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.dtype, self.device = key_states.dtype, key_states.device
            rows, heads, _, width = key_states.shape
            self.keys = key_states.new_empty((rows, heads, self.length, width))
            self.values = value_states.new_empty((rows, heads, self.length, width))
            self.is_initialized = True
        end = self.filled + key_states.shape[2]
        self.keys[:, :, self.filled : end] = key_states
        self.values[:, :, self.filled : end] = value_states
        self.filled = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def get_seq_length(self) -> int:
        return self.filled

    def take(self, rows: torch.Tensor) -> None:
        """Let row i continue row rows[i]; there may be more rows afterwards than before."""
        size = (len(rows), *self.keys.shape[1:])
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = old.new_empty(size)
            new[:, :, : self.filled] = old[rows, :, : self.filled]
            setattr(self, name, new)


def rows_at_once(protocol: Protocol) -> int:
    """Prompts that are continued together."""
    return max(1, ROWS // (protocol.beams if protocol.decoding == "beam" else 1))


@torch.inference_mode()
def generate(
    model: Any,
    prompts: np.ndarray,
    new_tokens: int,
    protocol: Protocol,
    eos_token_id: int | None,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> np.ndarray:
    """Continue each prompt by `new_tokens` tokens with the protocol's decoding.

    The random numbers of a sampled continuation belong to its row, so batching changes nothing.

    Args:
        model: causal language model of `transformers`, on any device.
        prompts: tokens, (rows, prompt_length), at least one token each.
        eos_token_id: the token that `protocol.eos="suppress"` forbids.
        seed: of the sampling; unused by beam and greedy search.

    Returns:
        int32 tokens, (rows, new_tokens).
    """
    model.eval()
    at_once = rows_at_once(protocol)
    uniforms = np.random.default_rng(seed).random((len(prompts), new_tokens), np.float32)
    device = next(model.parameters()).device
    banned = eos_token_id if protocol.eos == "suppress" else None
    done = []
    for start in range(0, len(prompts), at_once):
        rows = slice(start, start + at_once)
        ids = torch.from_numpy(prompts[rows].astype(np.int64)).to(device)
        chance = torch.from_numpy(uniforms[rows]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=protocol.precision == "bf16"):
            if protocol.decoding == "beam":
                new = _beam(model, ids, new_tokens, protocol, banned)
            else:
                new = _one_by_one(model, ids, new_tokens, protocol, banned, chance)
        done.append(new.to(torch.int32).cpu().numpy())
        if progress:
            progress("writing", min(start + at_once, len(prompts)), len(prompts))
    return np.concatenate(done)


def _cache(model: Any, length: int) -> DynamicCache:
    cache = DynamicCache()
    cache.layers = [_Buffer(length) for _ in range(model.config.num_hidden_layers)]
    return cache


def _forward(model: Any, ids: torch.Tensor, cache: DynamicCache) -> torch.Tensor:
    """Logits after the last of the given tokens, float32, (rows, vocabulary)."""
    out = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return out.logits[:, -1].float()


def _one_by_one(
    model: Any,
    prompts: torch.Tensor,
    new_tokens: int,
    protocol: Protocol,
    banned: int | None,
    chance: torch.Tensor,
) -> torch.Tensor:
    cache = _cache(model, prompts.shape[1] + new_tokens)
    tokens, step_input = prompts, prompts
    for step in range(new_tokens):
        logits = _forward(model, step_input, cache)
        logits = _penalise(logits, tokens, protocol.repetition_penalty)
        if banned is not None:
            logits[:, banned] = -math.inf
        if protocol.decoding == "greedy":
            step_input = logits.argmax(-1, keepdim=True)
        else:
            step_input = _draw(logits / protocol.temperature, protocol.top_p, chance[:, step])
        tokens = torch.cat([tokens, step_input], 1)
    return tokens[:, prompts.shape[1] :]


def _penalise(scores: torch.Tensor, tokens: torch.Tensor, penalty: float) -> torch.Tensor:
    """Divide positive scores of tokens seen before by the penalty, multiply negative ones.

    As in Keskar et al. 2019 (arXiv 1909.05858, sec. 4.1) for negative scores corrected; prompt
    tokens count as seen, which is what `transformers` does and the released code ran with.
    """
    if penalty == 1.0:
        return scores
    seen = scores.gather(1, tokens)
    seen = torch.where(seen < 0, seen * penalty, seen / penalty)
    return scores.scatter(1, tokens, seen)


def _draw(logits: torch.Tensor, top_p: float, chance: torch.Tensor) -> torch.Tensor:
    """One token a row by inversion of the cumulative distribution; (rows, 1)."""
    probabilities = torch.softmax(logits, -1)
    if top_p < 1.0:
        ordered, index = probabilities.sort(-1, descending=True)
        # Keep the tokens before which less than top_p has gathered: the first one always stays.
        ordered = ordered * (ordered.cumsum(-1) - ordered < top_p)
        probabilities = torch.zeros_like(ordered).scatter(-1, index, ordered)
    heap = probabilities.double().cumsum(-1)
    target = chance.double()[:, None] * heap[:, -1:]
    return torch.searchsorted(heap, target, right=True).clamp_max(logits.shape[1] - 1)


def _beam(
    model: Any, prompts: torch.Tensor, new_tokens: int, protocol: Protocol, banned: int | None
) -> torch.Tensor:
    beams, (rows, length) = protocol.beams, prompts.shape
    cache = _cache(model, length + new_tokens)
    offset = torch.arange(rows, device=prompts.device)[:, None]
    tokens, totals = prompts, torch.zeros((rows, 1), device=prompts.device)
    step_input = prompts
    for _ in range(new_tokens):
        width = totals.shape[1]  # 1 at the first step, `beams` from then on
        logp = torch.log_softmax(_forward(model, step_input, cache), -1)
        logp = _penalise(logp, tokens, protocol.repetition_penalty)
        if banned is not None:
            logp[:, banned] = -math.inf
        vocabulary = logp.shape[1]
        candidates = (totals.reshape(-1, 1) + logp).view(rows, width * vocabulary)
        totals, flat = candidates.topk(beams, dim=1)
        source = (offset * width + flat // vocabulary).view(-1)
        step_input = (flat % vocabulary).view(-1, 1)
        tokens = torch.cat([tokens[source], step_input], 1)
        for layer in cache.layers:
            layer.take(source)
    best = totals.argmax(1)
    return tokens.view(rows, beams, -1)[offset[:, 0], best, length:]
