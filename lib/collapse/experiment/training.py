"""Fine-tuning on blocks of one length.

It follows the released code of Shumailov et al. (`main.py`): AdamW with PyTorch's default betas and
weight decay, no warm-up, no clipping, a cosine learning rate stepped once an epoch, and the
checkpoint with the lowest loss on the original validation set.

Blocks have one length, so nothing is padded or masked. The logits of a step, by far its largest
array, are never whole in memory: head, loss and their gradients are made a chunk at a time.
"""

import copy
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from collapse.errors import BookError
from collapse.experiment import devices, network, scoring
from collapse.experiment.protocol import Protocol

Progress = Callable[[str, int, int], None]  # told what is done, how much of it, of how much


class TrainingError(BookError):
    """A training has diverged: a loss or a perplexity is not a finite number."""


def check_finite(value: float, what: str, protocol: Protocol) -> None:
    """Refuse a training that has diverged: `value`, which `what` names, is not finite."""
    if not math.isfinite(value):
        remedy = " or precision=fp32" if protocol.precision != "fp32" else ""
        raise TrainingError(
            f"the {what} is {value}: the training has diverged, most likely because "
            f"lr={protocol.lr:g} is too high for this model; give a lower lr{remedy}"
        )


def fine_tune(
    model: Any, train: np.ndarray, valid: np.ndarray, protocol: Protocol, seed: int,
    progress: Progress | None = None, an_epoch: int | None = None, name: str = "a training",
) -> list[dict[str, float]]:  # fmt: skip
    """Fine-tune in place; the model ends as the checkpoint that the protocol selects.

    Args:
        train, valid: tokens, (blocks, block_length); `valid`, which are human, for the selection.
        seed: of the order of the blocks and of dropout.
        an_epoch: blocks of an epoch, for fewer than all of `train`: an epoch then goes on in the
            random order where the last one ended.
        name: what it is called where it is refused.

    Returns:
        one row an epoch: `epoch` from 1, `train_nll` and `valid_nll` in nats a token.
    """
    torch.manual_seed(seed + devices.rank())  # of dropout: others in each process
    order = np.random.default_rng(seed)
    blocks = torch.from_numpy(train.astype(np.int64)).to(next(model.parameters()).device)
    tokens = blocks.shape[1] - 1  # predicted in a block
    an_epoch = an_epoch or len(blocks)
    steps = math.ceil(an_epoch / protocol.batch)
    at_once = scoring.blocks_at_once(model, blocks.shape[1])
    optimiser = torch.optim.AdamW(model.parameters(), lr=protocol.lr, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimiser, T_max=protocol.epochs, eta_min=protocol.lr_end
    )
    history, best, kept = [], math.inf, None
    waiting = np.zeros(0, np.int64)  # rows of `train` in random order, for this epoch and the next
    for epoch in range(protocol.epochs):
        model.train()
        while len(waiting) < an_epoch:
            waiting = np.concatenate([waiting, order.permutation(len(blocks))])
        shuffled = torch.from_numpy(waiting[:an_epoch]).to(blocks.device)
        waiting = waiting[an_epoch:]
        total = torch.zeros((), device=blocks.device)
        for step in range(steps):
            picked = shuffled[step * protocol.batch : (step + 1) * protocol.batch]
            total += gradient(model, blocks[picked], at_once, protocol.precision)
            optimiser.step()
            if progress:
                progress("training", epoch * steps + step + 1, protocol.epochs * steps)
        schedule.step()
        devices.all_reduce(total)
        train_nll = float(total) / (an_epoch * tokens)
        check_finite(train_nll, f"training loss in epoch {epoch + 1} of {name}", protocol)
        valid_nll = scoring.mean_nll(model, valid, protocol)
        check_finite(valid_nll, f"validation loss in epoch {epoch + 1} of {name}", protocol)
        history.append({"epoch": epoch + 1, "train_nll": train_nll, "valid_nll": valid_nll})
        if protocol.selection == "best" and valid_nll < best:
            best, kept = valid_nll, copy.deepcopy(model.state_dict())
    if kept is not None:
        model.load_state_dict(kept)
    model.zero_grad()
    model.eval()
    return history


def gradient(model: Any, blocks: Tensor, at_once: int, precision: str) -> Tensor:
    """Make the gradient of the mean loss of a batch that of the model's parameters.

    It is added up over the parts of the batch that fit into memory, `at_once` blocks each, and over
    the processes that share the run.

    Args:
        blocks: the batch of all processes, tokens, int64, (blocks, block_length).

    Returns:
        the loss summed over the tokens that fell to this process, in nats.
    """
    model.zero_grad()
    weight = 1 / blocks[:, 1:].numel()
    total = torch.zeros((), device=blocks.device)
    mine = blocks[devices.shard(len(blocks))]
    for some in mine.split(at_once):
        if len(some):
            total += _add_gradient(model, some, weight, precision)
    if devices.processes() > 1:
        for parameter in model.parameters():
            if parameter.grad is None:  # a process without a share of the batch takes part, too
                parameter.grad = torch.zeros_like(parameter)
            devices.all_reduce(parameter.grad)
    return total


def _add_gradient(model: Any, ids: Tensor, weight: float, precision: str) -> Tensor:
    """Add `weight` times the gradient of the summed loss of some blocks; return that sum."""
    # The last token predicts nothing, so only those before it are read.
    read, targets = ids[:, :-1], ids[:, 1:].flatten()
    with network.autocast(ids.device, precision), _attention(ids.device):
        hidden = model.base_model(input_ids=read, use_cache=False).last_hidden_state
        return _backward(hidden.flatten(0, 1), model.lm_head, targets, weight)


def _attention(device: torch.device) -> AbstractContextManager[None]:
    """On a CPU attention is written out: blocks are short, and fused it is slow to go back."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def _backward(hidden: Tensor, head: Any, targets: Tensor, weight: float) -> Tensor:
    """The same from what the head reads, (tokens, width), on, a chunk of tokens at a time.

    A chunk's logits are gone before the next chunk's are made: its backward pass ends at a copy of
    `hidden` that knows nothing of the body, whose own backward pass follows once at the end.
    """
    size = scoring.CHUNK[hidden.device.type]
    total, by_hidden = torch.zeros((), device=hidden.device), []
    for some, wanted in zip(hidden.split(size), targets.split(size), strict=True):
        leaf = some.detach().requires_grad_()
        loss = functional.cross_entropy(head(leaf).float(), wanted, reduction="sum")
        (weight * loss).backward()
        total += loss.detach()
        by_hidden.append(leaf.grad)
    hidden.backward(torch.cat(by_hidden))
    return total
