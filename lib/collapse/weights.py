"""A model's weights while it is trained: all in one array, their gradients in another like it.

So the optimiser is one call, a sum over threads or processes is one addition, and the matrix
products of the backward pass add gradients right where they belong.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from collapse import transformer

_ALIGNED = 16  # floats: each array begins at a multiple of 64 bytes, a line of the cache


class Weights:
    """Trained copies of a model's parameters.

    Attributes:
        values: all of them, (n,), float32; an optimiser's parameter, whose gradient is that of the
            first worker.
        gradients: of each worker, (workers, n), to be set to zero before each step.
        networks: the same weights laid out for each worker, with gradients of its own; empty where
            `collapse.transformer` does not know the architecture. The model's own parameters are
            then views of `values`, until `restore`.
        logits: memory for those of a chunk of tokens, of each worker, (workers, tokens,
            vocabulary): fresh memory in each step would cost as much as the product that fills it.
    """

    def __init__(self, model: Any, workers: int, tokens: int) -> None:
        """Copy the parameters.

        Args:
            workers: that make gradients side by side.
            tokens: whose logits a worker holds at once.
        """
        self.model = model
        parameters = list(model.parameters())
        device = parameters[0].device
        size = sum(_padded(p) for p in parameters)
        self.values = torch.nn.Parameter(torch.zeros(size, device=device))
        self.gradients = torch.zeros((workers, size), device=device)
        self.values.grad = self.gradients[0]
        self._places: dict[int, int] = {}  # of a model's parameter, by identity
        self._end = 0
        self.networks: list[transformer.Network] = []
        with torch.no_grad():
            if transformer.supported(model):
                for worker in range(workers):
                    self.networks.append(transformer.lay_out(model, place=self._placer(worker)))
                vocabulary = len(self.networks[0].head)
                self.logits = torch.empty((workers, tokens, vocabulary), device=device)
                return
            for parameter in parameters:
                placed = self._place([parameter], 0)
                parameter.data, parameter.grad = placed.data, placed.grad

    def _placer(self, worker: int) -> transformer.Place:
        return lambda parts: self._place(parts, worker)

    def _place(self, parts: Sequence[Tensor], worker: int) -> Tensor:
        """A leaf of autograd that holds the parts, one below the other."""
        rows = sum(len(part) for part in parts)
        shape = (rows, *parts[0].shape[1:])
        if id(parts[0]) not in self._places:  # neither tied to another nor placed for a worker
            at = self._end
            for part in parts:
                self._places[id(part)] = at
                self.values.data[at : at + part.numel()] = part.flatten()
                at += part.numel()
            self._end += sum(_padded(part) for part in parts)
        start = self._places[id(parts[0])]
        some = slice(start, start + sum(part.numel() for part in parts))
        leaf = self.values.data[some].view(shape).requires_grad_()
        leaf.grad = self.gradients[worker, some].view(shape)
        return leaf

    @torch.no_grad()
    def restore(self) -> None:
        """Give the model parameters of its own again, with these values and without gradients."""
        for parameter in self.model.parameters():
            start = self._places[id(parameter)]
            value = self.values[start : start + parameter.numel()].view(parameter.shape)
            if self.networks:
                parameter.copy_(value)
            else:
                parameter.data, parameter.grad = value.clone(), None


def _padded(parameter: Tensor) -> int:
    return -(-parameter.numel() // _ALIGNED) * _ALIGNED
