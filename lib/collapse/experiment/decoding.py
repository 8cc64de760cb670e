"""Fixed-length batched generation: greedy, beam search, sampling.

Every prompt has the same length and every continuation the same number of tokens, so there is no
padding, no stopping and no length penalty. A prompt is read once; its keys and values are shared by
its beams. Beams are never copied: what they write hangs in a tree, a beam sees its ancestors, and
nodes without descendants are swept out from time to time.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from collapse.experiment import devices, network, scoring
from collapse.experiment.kv_cache import Memory, taken
from collapse.experiment.protocol import Protocol
from collapse.experiment.training import Progress

ROWS = 1280  # sequences in one batch on a CPU, beams counted
PART = 512  # of them that take a step together: a compromise between products and cache
SWEEP = 16  # beam steps between two sweeps of dead nodes


def rows_at_once(protocol: Protocol, model: Any, prompt_length: int) -> int:
    """Prompts in one batch, at most.

    A fixed number on a CPU, where the order of additions must not depend on the memory that
    happens to be free; on a GPU as many as half the free memory holds.
    """
    width, device = protocol.width, next(model.parameters()).device
    if device.type != "cuda":
        return max(1, ROWS // width)
    config = model.config
    heads = getattr(config, "num_key_value_heads", config.num_attention_heads)
    slots = prompt_length + width * protocol.block_length
    size = 2 if protocol.precision == "bf16" else 4
    cache = 2 * (config.num_hidden_layers + 1) * heads * slots * size
    cache *= config.hidden_size // config.num_attention_heads
    scores = 4 * 4 * width * config.vocab_size  # logits and what is made of them, float32
    return max(1, int(0.5 * scoring.free_memory(device) / (cache + scores)))


def generate(
    model: Any, prompts: np.ndarray, new_tokens: int, protocol: Protocol, eos_token_id: int | None,
    seed: int = 0, progress: Progress | None = None,
) -> np.ndarray:  # fmt: skip
    """Continue each prompt by `new_tokens` tokens with the protocol's decoding.

    The random numbers of a sampled continuation belong to its row, so batching changes nothing.

    Args:
        model: of `transformers`, one that `network` knows, on any device.
        prompts: tokens, (rows, prompt_length), at least one token each.
        eos_token_id: the token that `protocol.eos="suppress"` forbids.
        seed: of the sampling; unused by beam and greedy search.

    Returns:
        int32 tokens, (rows, new_tokens).
    """
    model.eval()
    uniforms = np.random.default_rng(seed).random((len(prompts), new_tokens), np.float32)
    mine = devices.shard(len(prompts))
    prompts, uniforms = prompts[mine], uniforms[mine]
    device = next(model.parameters()).device
    banned = eos_token_id if protocol.eos == "suppress" else None
    net = network.lay_out(model, torch.bfloat16 if protocol.precision == "bf16" else None)

    def write(rows: slice) -> np.ndarray:
        ids = torch.from_numpy(prompts[rows].astype(np.int64)).to(device)
        with torch.inference_mode(), network.autocast(device, protocol.precision):
            memory = _memory(net, ids, new_tokens, protocol)
            tokens = functional.pad(ids, (0, new_tokens))
            if protocol.decoding == "beam":
                new = _beams(memory, tokens, protocol, banned)
            else:
                chance = torch.from_numpy(uniforms[rows]).to(device)
                new = _one_by_one(memory, tokens, protocol, banned, chance)
        return new.to(torch.int32).cpu().numpy()

    threads = torch.get_num_threads() if device.type == "cpu" else 1
    batches = math.ceil(len(prompts) / rows_at_once(protocol, model, prompts.shape[1]))
    batches = min(len(prompts), math.ceil(batches / threads) * threads)
    done, ready = [np.empty((0, new_tokens), np.int32)], 0
    with devices.side_by_side(threads) as each:
        for new in each(write, devices.slices(len(prompts), batches)):
            done.append(new)
            ready += len(new)
            if progress:
                progress("writing", ready, len(prompts))
    return devices.all_gather(np.concatenate(done))


def _memory(net: network.Network, prompts: Tensor, new_tokens: int, protocol: Protocol) -> Memory:
    rows, length = prompts.shape
    parts = max(1, round(rows * protocol.width / PART)) if prompts.device.type == "cpu" else 4
    return Memory(net, devices.slices(rows, min(parts, rows)), length, new_tokens, protocol)


def _one_by_one(
    memory: Memory, tokens: Tensor, protocol: Protocol, banned: int | None, chance: Tensor
) -> Tensor:
    """Greedy search or sampling.

    Args:
        tokens: prompts and room for what is written, (rows, prompt and continuation).
        chance: a uniform number for each token to be written.
    """
    for rows in memory.parts:
        memory.open(rows, memory.prompt)
        part = tokens[rows]
        for place in range(memory.prompt, tokens.shape[1]):
            logits = memory.logits(part[:, None, :place])[:, 0]
            _adjust(logits, part[:, :place], protocol, banned)
            if protocol.decoding == "greedy":
                part[:, place] = logits.argmax(-1)
            else:
                logits /= protocol.temperature
                part[:, place] = _draw(logits, protocol.top_p, chance[rows, place - memory.prompt])
    return tokens[:, memory.prompt :]


def _adjust(scores: Tensor, tokens: Tensor, protocol: Protocol, banned: int | None) -> None:
    """Apply the repetition penalty and forbid a token, in place, over the last axis.

    Positive scores of tokens seen before are divided by the penalty, negative ones multiplied. As
    in Keskar et al. 2019 (arXiv 1909.05858, sec. 4.1) for negative scores corrected; prompt tokens
    count as seen, which is what `transformers` does and the released code ran with.
    """
    penalty = protocol.repetition_penalty
    if penalty != 1.0:
        seen = scores.gather(-1, tokens)
        scores.scatter_(-1, tokens, torch.where(seen < 0, seen * penalty, seen / penalty))
    if banned is not None:
        scores[..., banned] = -math.inf


def _draw(logits: Tensor, top_p: float, chance: Tensor) -> Tensor:
    """One token a row by inversion of the cumulative distribution, (rows,)."""
    probabilities = torch.softmax(logits, -1)
    if top_p < 1.0:
        # The smallest probability in the nucleus: below it lies no more than 1 - top_p. Tokens that
        # tie with it all stay, where `transformers` cuts among them by their number.
        if probabilities.device.type == "cpu":  # NumPy sorts values alone, PyTorch indices, too
            ordered = torch.from_numpy(np.sort(probabilities.numpy(), axis=-1))
        else:
            ordered = probabilities.sort(-1).values
        below = (ordered.cumsum(-1) <= 1 - top_p).sum(-1, keepdim=True)
        least = ordered.gather(-1, below.clamp_max(logits.shape[1] - 1))
        probabilities = torch.where(probabilities < least, 0.0, probabilities)
    cumulative = probabilities.cumsum(-1, dtype=torch.float64)
    target = chance.double()[:, None] * cumulative[:, -1:]
    drawn = torch.searchsorted(cumulative, target, right=True)[:, 0]
    return drawn.clamp_max(logits.shape[1] - 1)


def _beams(memory: Memory, tokens: Tensor, protocol: Protocol, banned: int | None) -> Tensor:
    """Beam search; what the likeliest beam of each row wrote.

    Args:
        tokens: prompts and room for what is written, (rows, prompt and continuation).
    """
    rows, length = tokens.shape
    tokens = tokens[:, None].repeat(1, protocol.beams, 1)
    totals = torch.zeros(tokens.shape[:2], device=tokens.device)  # log-probabilities
    origin = torch.arange(rows, device=tokens.device)  # where each row came from
    ends = [memory.prompt] * len(memory.parts)
    for begin in range(memory.prompt, length, SWEEP):
        places = range(begin, min(begin + SWEEP, length))
        for some, end in zip(memory.parts, ends, strict=True):
            memory.open(some, end)
            for place in places:
                _beam_step(memory, tokens[some], totals[some], place, protocol, banned)
        if places.stop < length:
            order, ends = memory.sweep()
            tokens, totals, origin = tokens[order], totals[order], origin[order]
    each = torch.arange(rows, device=tokens.device)
    written = tokens[each, totals.argmax(1), memory.prompt :]
    return written[origin.argsort()]


def _beam_step(
    memory: Memory, tokens: Tensor, totals: Tensor, place: int, protocol: Protocol,
    banned: int | None,
) -> None:  # fmt: skip
    """One more token in each beam of some rows, at `place`; tokens and totals change in place."""
    logits = memory.logits(tokens[:, :, :place])
    before = totals[:, : logits.shape[1]]  # after the prompt, all beams are one
    logp = torch.log_softmax(logits, -1, out=logits)
    _adjust(logp, tokens[:, : logits.shape[1], :place], protocol, banned)
    # The best of all continuations are among the best of each beam.
    best, chosen = logp.topk(protocol.beams, -1)
    totals[:], rank = (before[:, :, None] + best).flatten(1).topk(protocol.beams, -1)
    source = rank // protocol.beams
    tokens[:] = taken(tokens, source)
    tokens[:, :, place] = chosen.flatten(1).gather(1, rank)
    memory.follow(source)
