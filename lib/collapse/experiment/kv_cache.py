"""Keys and values while a batch of prompts is continued: a prompt's once, its beams' as a tree."""

import math

import torch
from torch import Tensor

from collapse.experiment import network
from collapse.experiment.protocol import Protocol


class Memory:
    """Keys and values of some prompts and of all that is written after them.

    Slots 0 to prompt - 1 of a row hold its prompt, the next ones what was written, `width` a step.
    The rows are dealt with in parts; `open` says which is next. With beam search, beams see what
    they descend from alone, and `sweep` drops what no beam descends from.
    """

    def __init__(
        self, net: network.Network, parts: list[slice], prompt: int, new_tokens: int,
        protocol: Protocol,
    ) -> None:  # fmt: skip
        self.net, self.parts, self.prompt = net, parts, prompt
        rows, largest = parts[-1].stop, max(part.stop - part.start for part in parts)
        beam = protocol.decoding == "beam"
        self.width = protocol.width
        self.slots = prompt + self.width * new_tokens
        dtype = torch.bfloat16 if protocol.precision == "bf16" else torch.float32
        device = net.embedding.device
        shape = (2, rows, net.kv_heads, self.slots, net.head_dim)
        buffers = len(net.layers) + beam  # one to spare for `sweep`
        self.layers = [torch.empty(shape, dtype=dtype, device=device) for _ in range(buffers)]
        # Used again at each step: fresh pages cost more than the product.
        scratch = (largest * self.width, len(net.head))
        self.scratch = torch.empty(scratch, dtype=torch.float32, device=device)
        self.visible: Tensor | None = None  # (rows, width, slots): 0 or -inf, added to the scores
        if beam:
            self.visible = torch.full((rows, self.width, self.slots), -math.inf, device=device)
            self.visible[:, :, :prompt] = 0.0

    def open(self, rows: slice, end: int) -> None:
        """The next steps concern these rows, of whose slots `end` are in use."""
        self.rows, self.end = rows, end

    def logits(self, tokens: Tensor) -> Tensor:
        """Logits after the tokens so far, (rows, width, t), of which all but the last are known.

        They are float32, (rows, width, vocabulary), and overwritten at the next step; after the
        prompts, which a row's beams share, (rows, 1, vocabulary).
        """
        place = tokens.shape[2]
        if place == self.prompt:
            places = torch.arange(place, device=tokens.device)
            last = network.hidden(self.net, tokens[:, 0], places, self._read_prompt)[:, -1:]
        else:
            if self.visible is not None:  # a token sees itself
                fresh = self.visible[self.rows, :, self.end : self.end + self.width]
                fresh.diagonal(dim1=1, dim2=2).zero_()
            self.end += self.width
            places = torch.full((self.width,), place - 1, device=tokens.device)
            last = network.hidden(self.net, tokens[:, :, -1], places, self._step)
        found = network.logits_of(self.net.head, last.flatten(0, 1), self.scratch)
        return found.view(*last.shape[:2], -1)

    def follow(self, source: Tensor) -> None:
        """Let beam i of each row continue beam source[i], (rows, width)."""
        assert self.visible is not None
        seen = self.visible[self.rows, :, : self.end]
        seen[:] = taken(seen, source)

    def _read_prompt(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Causal attention within the prompts, which are remembered."""
        stored = self.layers[layer][:, self.rows, :, : self.prompt]
        stored[0], stored[1] = keys, values
        return network.causal(layer, queries, keys, values)

    def _step(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attention of one new token of each beam to what its beam can see."""
        (rows, heads, width, size), kv_heads, end = queries.shape, keys.shape[1], self.end
        stored = self.layers[layer][:, self.rows, :, :end]
        stored[0, :, :, end - width :], stored[1, :, :, end - width :] = keys, values
        # The heads that share keys become further queries of those keys.
        asked = (queries * self.net.head_dim**-0.5).reshape(rows, kv_heads, -1, size)
        scores = asked @ stored[0].transpose(-1, -2)
        if self.visible is not None:
            by_beam = scores.view(rows, kv_heads, -1, width, end)
            by_beam += self.visible[self.rows, None, None, :, :end]
        mixed = torch.softmax(scores, -1).to(stored.dtype) @ stored[1]
        return mixed.view(rows, heads, width, size)

    def sweep(self) -> tuple[Tensor, list[int]]:
        """Drop the nodes that no beam descends from, so that attention has less to look at.

        Prompts differ in how many are left, so rows are sorted by that number: each part then has
        the slots that its last row needs. Returns the order (new row i is the old row order[i]),
        and the slots in use of each part.
        """
        assert self.visible is not None
        prompt, heads, size = self.prompt, self.net.kv_heads, self.net.head_dim
        alive = (self.visible[:, :, prompt:] == 0).any(1)  # (rows, nodes)
        left, order = alive.sum(1).sort()
        nodes = alive[order].to(torch.uint8).argsort(dim=1, descending=True, stable=True) + prompt
        before = torch.arange(prompt, device=nodes.device).expand(len(nodes), -1)
        slots = torch.cat([before, nodes], 1)  # of the old row, in their new order
        visible = torch.full_like(self.visible, -math.inf)
        ends = [prompt + int(left[rows][-1]) for rows in self.parts]
        moves = []
        for rows, end in zip(self.parts, ends, strict=True):
            old, kept = order[rows], slots[rows, :end]
            index = kept[:, None].expand(-1, self.width, -1)
            visible[rows, :, :end] = self.visible[old].gather(2, index)
            # A dead slot may never have been written, and 0 times a NaN is no 0: copy another.
            kept = kept.where(visible[rows, :, :end].amax(1) == 0, 0)
            first = (old[:, None] * heads + torch.arange(heads, device=old.device)) * self.slots
            moves.append((rows, end, (first[:, :, None] + kept[:, None]).flatten()))
        self.visible = visible
        for number in range(len(self.layers) - 1):
            layer, spare = self.layers[number], self.layers[-1]
            for old, new in zip(layer.view(2, -1, size), spare, strict=True):  # keys, values
                for rows, end, index in moves:
                    new[rows, :, :end] = old[index].view(-1, heads, end, size)
            self.layers[number], self.layers[-1] = spare, layer
        return order, ends


def taken(values: Tensor, source: Tensor) -> Tensor:
    """Row by row, what beam source[i] has, for beam i: (rows, beams, n)."""
    return values.gather(1, source[:, :, None].expand(*source.shape, values.shape[2]))
