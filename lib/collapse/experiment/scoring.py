"""What a model makes of a text: the likelihood of each token, and the entropy of its prediction."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from collapse.experiment import devices, network
from collapse.experiment.protocol import Protocol

PART = 1024  # tokens read at once on a CPU
CHUNK = {"cpu": 1024, "cuda": 16_384}  # tokens whose logits are in memory at once


@dataclass(frozen=True)
class Scores:
    """What a model makes of some blocks, in nats; both (blocks, block_length - 1)."""

    nll: np.ndarray  # negative log-likelihood of each token given those before it in the block
    entropy: np.ndarray  # of the prediction of each token


def blocks_at_once(model: Any, length: int) -> int:
    """Blocks whose activations are held at once, in training as in scoring.

    A fixed number on a CPU, where the order of additions must not depend on the memory that
    happens to be free; on a GPU as many as half the free memory holds.
    """
    device = next(model.parameters()).device
    if device.type != "cuda":
        return max(1, PART // length)
    config = model.config
    ffn = getattr(config, "ffn_dim", None) or getattr(config, "intermediate_size", None)
    # Roughly, float32: in a layer norms, sums, queries, keys and values, and a gated MLP's inside;
    # above the layers logits, their logarithms, and a gradient.
    layer = 10 * config.hidden_size + 4 * (ffn or 4 * config.hidden_size)
    each = 4 * length * (config.num_hidden_layers * layer + 3 * config.vocab_size)
    return max(1, int(free_memory(device) / 2 / each))


def free_memory(device: torch.device | None = None) -> int:
    """Bytes of a GPU that nothing occupies, with what PyTorch holds back for its next arrays."""
    held_back = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + held_back


def score(model: Any, blocks: np.ndarray, protocol: Protocol) -> Scores:
    """Score each token of blocks, (blocks, block_length), given those before it in its block."""
    mine = blocks[devices.shard(len(blocks))]
    found = _scored(model, mine, protocol, entropies=True)
    return Scores(*(devices.all_gather(array.cpu().numpy()) for array in found))


def mean_nll(model: Any, blocks: np.ndarray, protocol: Protocol) -> float:
    """Mean over all predicted tokens, in nats: what `score` gives, without the arrays."""
    mine = blocks[devices.shard(len(blocks))]
    nll, _ = _scored(model, mine, protocol, entropies=False)
    total = nll.sum(dtype=torch.float64)
    devices.all_reduce(total)
    return float(total) / blocks[:, 1:].size


def _scored(
    model: Any, blocks: np.ndarray, protocol: Protocol, entropies: bool
) -> tuple[Tensor, Tensor]:
    """The arrays of `Scores` on the model's device; the second one empty if it is not wanted."""
    model.eval()
    net = network.lay_out(model)
    device = next(model.parameters()).device
    ids = torch.from_numpy(blocks.astype(np.int64)).to(device)
    nll = torch.empty((len(ids), ids.shape[1] - 1), device=device)
    entropy = torch.empty_like(nll if entropies else nll[:0])

    def read(some: slice) -> None:
        targets = ids[some, 1:].flatten()
        with torch.inference_mode(), network.autocast(device, protocol.precision):
            for chunk, logits in _logits(net, ids[some]):
                logp = torch.log_softmax(logits, -1, out=logits)
                nll[some].view(-1)[chunk] = -logp.gather(1, targets[chunk, None])[:, 0]
                if entropies:
                    entropy[some].view(-1)[chunk] = -(logp.exp() * logp).sum(1)

    size = blocks_at_once(model, ids.shape[1])
    parts = [slice(start, start + size) for start in range(0, len(ids), size)]
    workers = max(1, min(torch.get_num_threads(), len(parts))) if device.type == "cpu" else 1
    with devices.side_by_side(workers) as each:
        for _ in each(read, parts):
            pass
    return nll, entropy


def _logits(net: network.Network, ids: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Logits after all tokens but the last, float32, a chunk of tokens at a time.

    They are overwritten by those of the next chunk.
    """
    size = CHUNK[ids.device.type]
    hidden = network.blocks_hidden(net, ids[:, :-1]).flatten(0, 1)
    scratch = hidden.new_empty((min(size, len(hidden)), len(net.head)), dtype=torch.float32)
    for start in range(0, len(hidden), size):
        chunk = slice(start, start + size)
        yield chunk, network.logits_of(net.head, hidden[chunk], scratch)
