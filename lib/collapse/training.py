"""Fine-tuning on blocks of one length.

It follows the released code of Shumailov et al. (`main.py`): AdamW with PyTorch's default betas and
weight decay, no warm-up, no clipping, a cosine learning rate stepped once an epoch, and the
checkpoint with the lowest loss on the original validation set.

Blocks have one length, so nothing is padded or masked. The logits of a step, by far its largest
array, are never whole in memory: head, loss and their gradients are made a chunk at a time.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from collapse import parallel, scoring, transformer
from collapse.progress import Progress
from collapse.protocol import BookError, Protocol
from collapse.weights import Weights

SHARED = 16_000_000  # parameters up to which each worker has gradients of its own


class TrainingError(BookError):
    """A training has diverged: a loss or a perplexity is not a finite number."""


def check_finite(value: float, what: str, protocol: Protocol) -> None:
    """Refuse a training that has diverged.

    Args:
        value: a loss or a perplexity.
        what: which one.

    Raises:
        TrainingError: it is not finite.
    """
    if not math.isfinite(value):
        remedy = " or precision=fp32" if protocol.precision != "fp32" else ""
        raise TrainingError(
            f"the {what} is {value}: the training has diverged, most likely because "
            f"lr={protocol.lr:g} is too high for this model; give a lower lr{remedy}"
        )


def fine_tune(
    model: Any,
    train: np.ndarray,
    valid: np.ndarray,
    protocol: Protocol,
    seed: int,
    progress: Progress | None = None,
    an_epoch: int | None = None,
    name: str = "a training",
) -> list[dict[str, float]]:
    """Fine-tune in place; the model ends as the checkpoint that the protocol selects.

    The gradient of a step is added up over parts of its batch: over what fits into memory at once,
    over workers that share the cores, and over processes that share the run.

    Args:
        train: tokens, (blocks, block_length).
        valid: human tokens, (blocks, block_length), for the selection.
        seed: of the order of the blocks and of dropout.
        an_epoch: blocks of an epoch, for fewer than all of `train`: an epoch then goes on in the
            random order where the last one ended.
        name: what it is called where it is refused.

    Returns:
        one row an epoch: `epoch` from 1, `train_nll` and `valid_nll` in nats a token.

    Raises:
        TrainingError: the loss of an epoch is not finite.
    """
    torch.manual_seed(seed + parallel.rank())  # of dropout: others in each process
    order = np.random.default_rng(seed)
    blocks = torch.from_numpy(train.astype(np.int64)).to(next(model.parameters()).device)
    tokens = blocks.shape[1] - 1  # predicted in a block
    an_epoch = an_epoch or len(blocks)
    steps = math.ceil(an_epoch / protocol.batch)
    at_once = scoring.blocks_at_once(model, blocks.shape[1])
    weights = weights_for(model, min(protocol.batch, an_epoch), at_once, tokens)
    optimiser = torch.optim.AdamW([weights.values], lr=protocol.lr, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimiser, T_max=protocol.epochs, eta_min=protocol.lr_end
    )
    history, best, kept = [], math.inf, None
    waiting = np.zeros(0, np.int64)  # rows of `train` in random order, for this epoch and the next
    with parallel.side_by_side(len(weights.gradients)) as each:
        for epoch in range(protocol.epochs):
            model.train()
            while len(waiting) < an_epoch:
                waiting = np.concatenate([waiting, order.permutation(len(blocks))])
            shuffled = torch.from_numpy(waiting[:an_epoch]).to(blocks.device)
            waiting = waiting[an_epoch:]
            total = torch.zeros((), device=blocks.device)
            for step in range(steps):
                picked = shuffled[step * protocol.batch : (step + 1) * protocol.batch]
                total += gradient(weights, blocks[picked], at_once, protocol.precision, each)
                optimiser.step()
                if progress:
                    progress("training", epoch * steps + step + 1, protocol.epochs * steps)
            schedule.step()
            parallel.add_up(total)
            train_nll = float(total) / (an_epoch * tokens)
            check_finite(train_nll, f"training loss in epoch {epoch + 1} of {name}", protocol)
            valid_nll = scoring.mean_nll(model, valid, protocol, weights.networks)
            check_finite(valid_nll, f"validation loss in epoch {epoch + 1} of {name}", protocol)
            history.append({"epoch": epoch + 1, "train_nll": train_nll, "valid_nll": valid_nll})
            if protocol.selection == "best" and valid_nll < best:
                best, kept = valid_nll, weights.values.detach().clone()
    if kept is not None:
        weights.values.data.copy_(kept)
    weights.restore()
    model.eval()
    return history


def weights_for(model: Any, batch: int, at_once: int, tokens: int) -> Weights:
    """The weights of a model, made ready for steps of so many blocks.

    Args:
        at_once: blocks whose activations are held at once.
        tokens: predicted in each block.
    """
    device = next(model.parameters()).device
    chunk = min(scoring.CHUNK[device.type], at_once * tokens)
    return Weights(model, _workers(model, batch, at_once), chunk)


def _workers(model: Any, batch: int, at_once: int) -> int:
    """How many workers share the cores in a step, each on its part of the batch.

    One where a model is so large that a product keeps all cores busy; one with dropout, whose
    random numbers must come in one order.
    """
    small = sum(p.numel() for p in model.parameters()) <= SHARED
    drops = getattr(model.config, "dropout", 0.0) != 0.0
    on_cpu = next(model.parameters()).device.type == "cpu"
    if not (on_cpu and small and transformer.supported(model)) or drops:
        return 1
    return min(torch.get_num_threads(), math.ceil(batch / at_once))


def gradient(
    weights: Weights, blocks: Tensor, at_once: int, precision: str, each: parallel.Map
) -> Tensor:
    """Make the gradient of the mean loss of a batch that of `weights.values`.

    Args:
        blocks: the batch of all processes, tokens, int64, (blocks, block_length).
        at_once: blocks whose activations are held at once.
        each: a map by as many workers as the weights have gradients.

    Returns:
        the loss summed over the tokens that fell to this process, in nats.
    """
    number = len(weights.gradients)
    mine = blocks[parallel.share(len(blocks))]
    weight = 1 / blocks[:, 1:].numel()

    def work(worker: int) -> Tensor:
        weights.gradients[worker].zero_()
        total = torch.zeros((), device=blocks.device)
        some = mine[parallel.shares(len(mine), number)[worker]]
        for start in range(0, len(some), at_once):
            total += _add_gradient(
                weights, worker, some[start : start + at_once], weight, precision
            )
        return total

    total = sum(each(work, range(number)))
    for other in weights.gradients[1:]:
        weights.gradients[0] += other
    parallel.add_up(weights.gradients[0])
    return total


def _add_gradient(
    weights: Weights, worker: int, ids: Tensor, weight: float, precision: str
) -> Tensor:
    """Add `weight` times the gradient of the summed loss of some blocks; return that sum."""
    model = weights.model
    with transformer.autocast(ids.device, precision):
        if weights.networks:
            return _backward(weights, worker, ids, weight)
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1].flatten(0, 1).float()
        loss = functional.cross_entropy(logits, ids[:, 1:].flatten(), reduction="sum")
    (weight * loss).backward()
    return loss.detach()


def _backward(weights: Weights, worker: int, ids: Tensor, weight: float) -> Tensor:
    """The same for a model that is laid out."""
    net, scratch = weights.networks[worker], weights.logits[worker]
    # The last token predicts nothing, so only those before it are read.
    hidden = transformer.blocks_hidden(net, ids[:, :-1], weights.model.training)
    read, targets = hidden.detach().flatten(0, 1), ids[:, 1:].flatten()
    total, by_hidden = _head(net.head, read, targets, weight, scratch)
    hidden.backward(by_hidden.view_as(hidden))
    return total


@torch.no_grad()
def _head(
    head: Tensor, hidden: Tensor, targets: Tensor, weight: float, scratch: Tensor
) -> tuple[Tensor, Tensor]:
    """The summed loss, and its weighted gradients: by `hidden` returned, by `head` added.

    With p the softmax of a token's logits, the gradient of its loss by them is p minus one at the
    target, so what softmax and cross-entropy keep for their backward passes is not needed.

    Args:
        hidden: what the head reads, (tokens, width).
        targets: the tokens to be predicted, (tokens,).
        scratch: room for the logits of a chunk of tokens, (tokens, vocabulary).
    """
    by_hidden, total = torch.empty_like(hidden), torch.zeros((), device=hidden.device)
    for start in range(0, len(hidden), len(scratch)):
        some = slice(start, start + len(scratch))
        read, wanted = hidden[some], targets[some, None]
        logits = transformer.logits_of(head, read, scratch)
        of_target, highest = logits.gather(1, wanted), logits.amax(1, keepdim=True)
        p = torch.softmax(logits, -1, out=logits)
        # The largest probability is one over the sum that softmax divides by.
        total += (highest - p.amax(1, keepdim=True).log() - of_target).sum()
        p.scatter_add_(1, wanted, torch.full_like(of_target, -1.0))
        if torch.is_autocast_enabled(p.device.type):
            by_hidden[some] = torch.mm(p, head)
            head.grad.add_(torch.mm(p.t(), read), alpha=weight)
        else:
            torch.mm(p, head, out=by_hidden[some])
            head.grad.addmm_(p.t(), read, alpha=weight)
    return total, by_hidden.mul_(weight)
