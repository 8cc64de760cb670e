"""Generation after generation: train on the previous generation's text, evaluate, write the next.

A finished generation lies in the cache under the hash of everything that determined it, so a
killed run goes on after its last finished generation, and runs that begin alike share their
beginning. Between generations only the synthetic tokens travel.
"""

import copy
import functools
import hashlib
import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from collapse.experiment import (
    corpus,
    decoding,
    devices,
    generations,
    models,
    observation,
    packing,
    provenance,
    records,
    scoring,
    sources,
    training,
    training_text,
)
from collapse.experiment.arms import Run, missing
from collapse.experiment.generations import Generation
from collapse.experiment.protocol import Arm, Protocol, ProtocolError, digest
from collapse.experiment.record import Record
from collapse.experiment.training_text import mends, seed_of, starts_from_previous
from collapse.measure import gauges, metrics


class Observer:
    """Is told how far a run is. To be overridden: nothing is done with it here."""

    def before_run(self, protocol: Protocol) -> None:
        """A run begins; nothing is loaded yet. What is raised here refuses it."""

    def before_generation(self, number: int) -> None:
        """A generation is not there, and is computed now. What is raised here stops the run."""

    def during_generation(self, what: str, done: int, total: int) -> None:
        """So much of its `training` or its `writing` is done, of so much in all."""

    def after_generation(
        self, number: int, seconds: float | None, key: str, perplexity: float
    ) -> None:
        """A generation is finished, after `seconds`, None where it was found in the cache.

        Its `key` is that in the cache, its `perplexity` that on human test text.
        """


@dataclass
class _Chain:
    """What stays the same from generation to generation, and the generations so far."""

    protocol: Protocol
    text: corpus.Text
    base: models.Base
    blocks: corpus.Blocks
    pretrained: dict[str, torch.Tensor]
    observer: Observer
    done: list[Generation] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)  # of these in the cache


def run(protocol: Protocol, scale: str = "paper", observer: Observer | None = None) -> Record:
    """Compute a run, or what is missing of it, and leave its record in the build folder.

    Raises:
        BookError: a training has diverged, the base model cannot do what is asked for, an asset
            cannot be had, the observer refuses, or the disk is full; what is finished is kept.
    """
    observer = observer or Observer()
    for what, named in (("corpus", sources.name_text), ("model", sources.name_model)):
        if (given := getattr(protocol, what)) != named(given):
            raise ProtocolError(
                f"{what}={given!r} is a path, which says nothing of content; give "
                f"sources.{named.__name__} of it"
            )
    observer.before_run(protocol)
    text, base, blocks, pretrained = prepare(protocol)
    _check(protocol, text, base, blocks)
    chain = _Chain(protocol, text, base, blocks, pretrained, observer)
    base.model.load_state_dict(pretrained)
    zero_shot = metrics.perplexity(scoring.score(base.model, blocks.test, protocol).nll)
    if not math.isfinite(zero_shot):
        raise ProtocolError(
            f"the perplexity of {base.name} on human text is {zero_shot} before any training; "
            "give another model"
        )
    for number in range(protocol.generations):
        _generation(chain, number)
    record = _record(chain, zero_shot, scale)
    if devices.rank() == 0:
        records.write(record, records.built())
    return record


def arm(wanted: Arm, scale: str = "paper", observer: Observer | None = None) -> list[Run]:
    """The runs of one arm, one a seed, from `records/` or computed here."""
    to_compute, runs = missing(wanted), []
    for protocol in wanted.runs():
        if protocol in to_compute:
            runs.append(Run(run(protocol, scale, observer), computed=True))
        elif stored := records.find(protocol, records.published()):
            runs.append(Run(stored, computed=False))
    return runs


Materials = tuple[corpus.Text, models.Base, corpus.Blocks, dict[str, torch.Tensor]]


def prepare(protocol: Protocol) -> Materials:
    """Text, base model, blocks, and the base's weights, which training overwrites."""
    needed = ("corpus", "model", "train_blocks", "eval_blocks", "block_length", "replaced_by")
    return _materials(Protocol(**{name: getattr(protocol, name) for name in needed}))


@functools.lru_cache(maxsize=1)  # the runs of a chapter share them
def _materials(what: Protocol) -> Materials:
    text = corpus.load_text(what.corpus)
    with devices.first_process_first():
        base = models.load(what.model)
    blocks = corpus.load_blocks(what, text, base.tokenizer)
    base.model.to(models.device())
    return text, base, blocks, copy.deepcopy(base.model.state_dict())


def _check(protocol: Protocol, text: corpus.Text, base: models.Base, blocks: corpus.Blocks) -> None:
    """Refuse before any compute what text and base model do not allow."""
    if protocol.prompts == "bos" and base.tokenizer.bos_token_id is None:
        raise ProtocolError(
            f"prompts='bos' needs a start token, which {base.name} lacks; use prompts='human'"
        )
    longest = getattr(base.model.config, "max_position_embeddings", None)
    if longest and 2 * protocol.block_length > longest:
        raise ProtocolError(
            f"block_length={protocol.block_length} makes a prompt and its continuation longer "
            f"than the {longest} tokens of {base.name}; give at most {longest // 2}"
        )
    if protocol.unseen > len(blocks.unseen):
        raise ProtocolError(
            f"this run takes {protocol.unseen} human blocks that generation 0 is not trained on, "
            f"and {text.name} has {len(blocks.unseen)} besides its {len(blocks.train)}; lower "
            "train_blocks, retained, generations or recovery"
        )
    training_text.check_shares(len(blocks.train), protocol)
    if protocol.replaced_by == "other-subject":
        needed = (protocol.generations - 1) * len(blocks.train)
        if needed > len(blocks.other):
            raise ProtocolError(
                f"this run takes {needed} human blocks on another subject, and there are "
                f"{len(blocks.other)}; lower train_blocks or generations"
            )


def _generation(chain: _Chain, number: int) -> None:
    """Find or compute the next generation."""
    train = _training_blocks(chain, number)
    key = _key(chain, train, number)
    with generations.locked(key, number):
        path = generations.folder(key)
        found = devices.broadcast(generations.find(path) if devices.rank() == 0 else None)
        if found is None:
            _compute(chain, train, number, key)
        made = found or generations.read(path)
    chain.done.append(made)
    chain.keys.append(key)
    perplexity = metrics.perplexity(made.arrays["test_nll"])
    chain.observer.after_generation(number, None if found else made.seconds, key, perplexity)


def _training_blocks(chain: _Chain, number: int) -> np.ndarray:
    written = [generation.arrays["text"] for generation in chain.done[:number]]
    return training_text.training_blocks(chain.blocks, written, chain.protocol)


def _key(chain: _Chain, train: np.ndarray, number: int) -> str:
    """The hash of everything that determines a generation's weights, facts and text."""
    p, blocks = chain.protocol, chain.blocks
    start = chain.keys[number - 1] if starts_from_previous(p, number) else chain.base.identity
    writing: list[Any] = [p.decoding, p.prompts, p.repetition_penalty, p.eos]
    own: dict[str, list[Any]] = {"beam": [p.beams], "sample": [p.temperature, p.top_p]}
    writing += own.get(p.decoding, [])
    arrays = (train, blocks.train, blocks.following, blocks.valid, blocks.test)
    return digest(
        [
            [hashlib.sha256(array.tobytes()).hexdigest() for array in arrays],
            [start, p.epochs, p.lr, p.lr_end, p.batch, p.precision, p.selection],
            _an_epoch(chain, train),
            [p.seed, number, writing],
            [records.SCHEMA, provenance.numerics()],
        ]
    )[:24]


def _weights(chain: _Chain, number: int) -> dict[str, torch.Tensor]:
    """What an earlier generation's training ended with; trained again where it was not kept."""
    key, net = chain.keys[number], chain.base.model
    path = generations.folder(key)
    with generations.locked(key, number):
        state = generations.weights(path, models.device())
        if devices.broadcast(state is None):
            _train(chain, _training_blocks(chain, number), number)
            state = copy.deepcopy(net.state_dict())
            if devices.rank() == 0:
                generations.write(path, chain.done[number], state)
            devices.broadcast(None)  # not before the first process has stored it
    assert state is not None
    return state


def _train(chain: _Chain, train: np.ndarray, number: int) -> list[dict[str, float]]:
    """Train the network as a generation is trained; return the history of the epochs."""
    p, net, valid = chain.protocol, chain.base.model, chain.blocks.valid
    start = _weights(chain, number - 1) if starts_from_previous(p, number) else chain.pretrained
    net.load_state_dict(start)
    seed, tell = seed_of(p, number, "training"), chain.observer.during_generation
    an_epoch, name = _an_epoch(chain, train), f"generation {number}"
    return training.fine_tune(net, train, valid, p, seed, tell, an_epoch, name)


def _compute(chain: _Chain, train: np.ndarray, number: int, key: str) -> None:
    """Train, evaluate and write one generation, then store it in one step."""
    p, net, blocks, observer = chain.protocol, chain.base.model, chain.blocks, chain.observer
    observer.before_generation(number)
    started = time.perf_counter()
    first = _weights(chain, 0) if number else None
    history = _train(chain, train, number)
    prompts = {
        "human": blocks.train,
        "synthetic": blocks.train if mends(p, number) else train[-len(blocks.train) :],
        "bos": np.full((len(blocks.train), 1), chain.base.tokenizer.bos_token_id or 0),
    }[p.prompts]
    eos, seed = chain.base.tokenizer.eos_token_id, seed_of(p, number, "writing")
    tell = observer.during_generation
    text = decoding.generate(net, prompts, p.block_length, p, eos, seed, tell)
    rows = observation.sample_rows(blocks)
    read = {"test": blocks.test, "own": text, "sample_human": blocks.following[rows]}
    if number:
        read["reference"] = chain.done[0].arrays["text"]
    scores = {what: scoring.score(net, tokens, p) for what, tokens in read.items()}
    passed_on = number == 0 or starts_from_previous(p, number + 1)
    state = copy.deepcopy(net.state_dict()) if passed_on else None
    if first is None:
        scores["reference"] = scores["text"] = scores["own"]
    else:
        net.load_state_dict(first)
        scores["text"] = scoring.score(net, text, p)
    allowed = observation.writable(blocks.test[:, 1:], chain.base, p)
    arrays = {"text": text, **observation.of_generation(scores, allowed, rows)}
    for what, words in (("test", "test perplexity"), ("text", "perplexity of the text")):
        value = metrics.perplexity(scores[what].nll)
        training.check_finite(value, f"{words} of generation {number}", p)
    if devices.rank() == 0:
        human = observation.human_blocks(
            train, np.concatenate([blocks.train, blocks.unseen, blocks.other])
        )
        facts = {"blocks": len(train), "human_blocks": human, "history": history}
        seconds = time.perf_counter() - started
        made = Generation(arrays, facts, seconds, provenance.place())
        generations.write(generations.folder(key), made, state)
    devices.broadcast(None)  # not before the first process has stored it


def _an_epoch(chain: _Chain, train: np.ndarray) -> int:
    """Blocks of an epoch: where steps are held equal, at most as many as generation 0 has."""
    most = len(chain.blocks.train) if chain.protocol.budget == "steps" else len(train)
    return min(len(train), most)


def _record(chain: _Chain, zero_shot: float, scale: str) -> Record:
    p, base, blocks, done = chain.protocol, chain.base, chain.blocks, chain.done
    arrays = {name: np.stack([g.arrays[name] for g in done]) for name in done[0].arrays}
    arrays["text"] = packing.tokens(arrays["text"], observation.vocabulary(base))
    arrays |= observation.of_human_text(blocks, base, p)
    if p.recovery:
        by_epoch = [epoch["valid_nll"] for epoch in done[-1].training["history"]]
        arrays["recovery_nll"] = np.array(by_epoch, np.float32)
    human = observation.human_text(blocks, base, p)
    of_human = gauges.of_text(human, arrays["held_out_counts"])
    told = [name for name in gauges.TEXT if not math.isnan(of_human[name])]  # JSON has no word
    seconds, spelt = [round(g.seconds, 2) for g in done], base.tokenizer.decode
    samples = [
        {
            "row": int(row),
            "prompt": spelt(blocks.train[row]),
            "human": spelt(blocks.following[row]),
            "generations": [spelt(g.arrays["text"][row]) for g in done],
        }
        for row in observation.sample_rows(blocks)
    ]
    return Record(
        protocol=p,
        arrays=arrays,
        training=[g.training for g in done],
        samples=samples,
        base={
            "name": base.name,
            "parameters": base.parameters,
            "identity": base.identity,
            "zero_shot_perplexity": zero_shot,
        },
        corpus={
            "sha256": chain.text.sha256,
            "blocks": {name: len(getattr(blocks, name)) for name in corpus.SPLITS},
            # A fact here: the human text itself is not the book's to keep.
            "human_text": {name: of_human[name] for name in told},
        },
        provenance=provenance.describe(scale, seconds, [g.place for g in done]),
    )
