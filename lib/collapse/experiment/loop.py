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
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
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
)
from collapse.experiment.generations import Generation
from collapse.experiment.protocol import Arm, Protocol, ProtocolError, digest
from collapse.experiment.record import SAMPLES, Record
from collapse.experiment.training_text import mends, seed_of, starts_from_previous, training_blocks
from collapse.measure import gauges, metrics
from collapse.sweeps import fit, plan
from collapse.sweeps.progress import Clock, Limit

_MATERIAL_FIELDS = ("corpus", "model", "train_blocks", "eval_blocks", "block_length")


@dataclass(frozen=True)
class Run:
    """A record, and whether it was computed in this build or read from `records/`."""

    record: Record
    computed: bool


@dataclass
class _Chain:
    """What stays the same from generation to generation."""

    protocol: Protocol
    text: corpus.Text
    base: models.Base
    blocks: corpus.Blocks
    clock: Clock
    pretrained: dict[str, torch.Tensor]
    reference: dict[str, torch.Tensor] = field(default_factory=dict)  # weights of generation 0
    reference_text: np.ndarray | None = None  # what generation 0 wrote
    done: list[Generation] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)  # of these in the cache


def run(
    protocol: Protocol,
    scale: str = "paper",
    ended: Callable[[int, float | None, str], None] | None = None,
    limit: Limit | None = None,
) -> Record:
    """Compute a run, or what is missing of it, and leave its record in the build folder.

    Args:
        ended: called after each generation with its number, the seconds it took to compute, None
            where it was found finished, and its key in the cache.
        limit: the time by which the run stops, between two generations.

    Raises:
        OutOfTime: there is no time for the next generation.
        TrainingError: a training has diverged.
        BookError: an asset cannot be had, the run cannot fit into memory or onto the disk, or the
            disk is full all the same; finished generations are kept.
    """
    sources.check(protocol)
    fit.check(plan.jobs([protocol]))
    text, base, blocks, pretrained = _materials(groundwork(protocol))
    _check_model(protocol, base)
    _check_unseen(protocol, text, blocks)
    clock = Clock(protocol, limit)
    clock.announce()
    if decoding.falls_back(base.model):
        print(
            f"  {type(base.model).__name__} is not an architecture of this book's decoder; "
            "transformers' generate writes its text, several times slower",
            flush=True,
        )
    chain = _Chain(protocol, text, base, blocks, clock, pretrained)
    base.model.load_state_dict(pretrained)
    zero_shot = metrics.perplexity(scoring.score(base.model, blocks.test, protocol).nll)
    if not math.isfinite(zero_shot):
        raise ProtocolError(
            f"the perplexity of {base.name} on human text is {zero_shot} before any training; "
            "give another model"
        )
    for number in range(protocol.generations):
        key, seconds = _generation(chain, number)
        chain.reference_text = chain.done[0].tokens
        clock.generation_done(number, metrics.perplexity(chain.done[-1].arrays["test_nll"]))
        if ended is not None:
            ended(number, seconds, key)
    record = _record(chain, zero_shot, scale)
    if devices.rank() == 0:
        records.write(record, records.built())
    return record


def groundwork(protocol: Protocol) -> Protocol:
    """A protocol with all but what its text, base model and blocks depend on at the defaults."""
    return Protocol(**{name: getattr(protocol, name) for name in _MATERIAL_FIELDS})


def prepare(protocol: Protocol) -> None:
    """Have the text and the base model of a protocol at hand, and its tokens in the cache.

    Raises:
        AssetError: one of them cannot be had.
    """
    _materials(groundwork(protocol))


@functools.lru_cache(maxsize=1)  # the runs of a chapter share them
def _materials(
    what: Protocol,
) -> tuple[corpus.Text, models.Base, corpus.Blocks, dict[str, torch.Tensor]]:
    """Text, base model, blocks, and the base's weights, which training overwrites."""
    text = corpus.load_text(what.corpus)
    with devices.first_process_first():
        base = models.load(what.model)
    blocks = corpus.load_blocks(what, text, base.tokenizer)
    base.model.to(models.device())
    return text, base, blocks, copy.deepcopy(base.model.state_dict())


def missing(wanted: Arm) -> list[Protocol]:
    """The runs of an arm that have to be computed here, in the order of their seeds.

    Raises:
        RecordError: a record in `records/` is damaged.
    """
    if wanted.compute == "missing":
        return [p for p in wanted.runs() if records.find(p, records.published()) is None]
    if wanted.compute == "seed":
        return [wanted.protocol]
    return wanted.runs() if wanted.compute == "all" else []


def arm(wanted: Arm, scale: str = "paper") -> list[Run]:
    """The runs of one arm, one a seed, from `records/` or computed here.

    Raises:
        BookError: as `missing` and `run`.
    """
    to_compute = missing(wanted)
    runs = []
    for protocol in wanted.runs():
        if protocol in to_compute:
            runs.append(Run(run(protocol, scale), computed=True))
        elif stored := records.find(protocol, records.published()):
            runs.append(Run(stored, computed=False))
    return runs


def one_of(runs: list[Run], seed: int) -> Run:
    """The run of a seed, or the first there is.

    Raises:
        RecordError: there is none.
    """
    if not runs:
        raise records.RecordError(
            "there is no run to show: none of this setting is in records/, and none is computed "
            "here; give compute=missing"
        )
    return next((run for run in runs if run.record.protocol.seed == seed), runs[0])


def _key(chain: _Chain, train: np.ndarray, number: int, previous_key: str) -> str:
    """The hash of everything that determines a generation's weights, facts and text."""
    p, blocks = chain.protocol, chain.blocks
    start = previous_key if starts_from_previous(p, number) else chain.base.identity
    writing: list[Any] = [p.decoding, p.prompts, p.repetition_penalty, p.eos]
    writing += {"beam": [p.beams], "sample": [p.temperature, p.top_p], "greedy": []}[p.decoding]
    return digest(
        [
            [_sha256(array) for array in (train, blocks.train, blocks.valid, blocks.test)],
            [start, p.epochs, p.lr, p.lr_end, p.batch, p.precision, p.selection],
            _an_epoch(chain, train),
            [p.seed, number, writing],
            [records.SCHEMA, provenance.numerics()],
        ]
    )[:24]


def _sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()


def _generation(chain: _Chain, number: int) -> tuple[str, float | None]:
    """Find or compute the next generation; return its key and the seconds, None if it was found."""
    p = chain.protocol
    train = training_blocks(chain.blocks, [g.tokens for g in chain.done], p)
    key = _key(chain, train, number, chain.keys[-1] if chain.keys else "")
    with _alone(key, number):
        found = devices.broadcast(
            generations.find(generations.folder(key)) if devices.rank() == 0 else None
        )
        made = found or _store(chain, train, number, key)
    chain.done.append(made)
    chain.keys.append(key)
    return key, None if found else made.seconds


def _alone(key: str, number: int) -> AbstractContextManager[None]:
    """Keep a generation from other runs; the processes that share this one are one."""
    return generations.locked(key, number) if devices.rank() == 0 else nullcontext()


def _store(chain: _Chain, train: np.ndarray, number: int, key: str) -> Generation:
    """Compute a generation and store it; return it.

    The weights that it starts from are made again first, where they were not kept or came here
    without.
    """
    if starts_from_previous(chain.protocol, number):
        before = chain.keys[number - 1]
        with _alone(before, number - 1):
            if not devices.broadcast(generations.has_weights(before)):
                texts = [g.tokens for g in chain.done[: number - 1]]
                its_train = training_blocks(chain.blocks, texts, chain.protocol)
                _store(chain, its_train, number - 1, before)
    chain.clock.limit.reserve()
    _compute(chain, train, number, key)
    chain.clock.stored()
    devices.broadcast(None)  # not before the first process has stored it
    return generations.read(generations.folder(key))


def _compute(chain: _Chain, train: np.ndarray, number: int, key: str) -> None:
    """Train, evaluate and write one generation, then store it in one step."""
    p, net, clock, blocks = chain.protocol, chain.base.model, chain.clock, chain.blocks
    started = time.perf_counter()
    clock.start(number)
    chained = starts_from_previous(p, number)
    net.load_state_dict(
        generations.weights(chain.keys[number - 1], models.device())
        if chained
        else chain.pretrained
    )
    seed = seed_of(p, number, "training")
    an_epoch = _an_epoch(chain, train)
    name = f"generation {number}"
    history = training.fine_tune(net, train, blocks.valid, p, seed, clock.tell, an_epoch, name)
    test = scoring.score(net, blocks.test, p)
    eos = chain.base.tokenizer.eos_token_id
    prompts = {
        "human": blocks.train,
        "synthetic": blocks.train if mends(p, number) else train[-len(blocks.train) :],
        "bos": np.full((len(blocks.train), 1), chain.base.tokenizer.bos_token_id or 0),
    }[p.prompts]
    tokens = decoding.generate(
        net, prompts, p.block_length, p, eos, seed_of(p, number, "writing"), clock.tell
    )
    own = reference = under_reference = scoring.score(net, tokens, p)
    rows = _sample_rows(blocks)
    on_samples = scoring.score(net, blocks.following[rows], p)
    if chain.reference_text is not None:
        reference = scoring.score(net, chain.reference_text, p)
    keeps_weights = number == 0 or _passes_on(p, number)
    state = copy.deepcopy(net.state_dict()) if keeps_weights else None
    if number == 0:
        chain.reference = state or {}
    else:
        net.load_state_dict(_reference_weights(chain))
        under_reference = scoring.score(net, tokens, p)
    arrays = {
        **observation.of_predictions(
            test, own, reference, observation.writable(blocks, chain.base, p)
        ),
        **observation.of_text(under_reference, rows),
        "sample_human_nll": on_samples.nll.astype(np.float32),
    }
    for array, words in (("test_nll", "test perplexity"), ("text_nll", "perplexity of the text")):
        training.check_finite(metrics.perplexity(arrays[array]), f"{words} of {name}", p)
    if devices.rank() > 0:
        return
    of_training = observation.of_training(train, blocks, history)
    seconds = time.perf_counter() - started
    made = Generation(tokens, of_training, arrays, seconds, provenance.place())
    generations.write(generations.folder(key), made, state)


def _an_epoch(chain: _Chain, train: np.ndarray) -> int:
    """Blocks of an epoch: where steps are held equal, at most as many as generation 0 has."""
    return (
        min(len(train), len(chain.blocks.train)) if chain.protocol.budget == "steps" else len(train)
    )


def _passes_on(protocol: Protocol, number: int) -> bool:
    """Whether the generation after this one starts from its weights."""
    if protocol.init == "previous":
        return True  # of the last generation, too: the chain may be made longer
    return number + 1 < protocol.generations and starts_from_previous(protocol, number + 1)


def _reference_weights(chain: _Chain) -> dict[str, torch.Tensor]:
    """Generation 0's weights; trained again where the cache came from elsewhere without them."""
    if not chain.reference:
        key = _key(chain, chain.blocks.train, 0, "")
        with _alone(key, 0):
            kept = devices.broadcast(generations.has_weights(key))
            if kept:
                chain.reference = generations.weights(key, models.device())
        if not kept:
            p, net = chain.protocol, chain.base.model
            net.load_state_dict(chain.pretrained)
            seed = seed_of(p, 0, "training")
            training.fine_tune(
                net, chain.blocks.train, chain.blocks.valid, p, seed, chain.clock.tell
            )
            chain.reference = copy.deepcopy(net.state_dict())
    return chain.reference


def _sample_rows(blocks: corpus.Blocks) -> np.ndarray:
    """The blocks whose continuations a record shows."""
    return np.linspace(0, len(blocks.train) - 1, SAMPLES).astype(int)


def _record(chain: _Chain, zero_shot: float, scale: str) -> Record:
    blocks, tokenizer, done = chain.blocks, chain.base.tokenizer, chain.done
    size = observation.vocabulary(chain.base)
    human = observation.human_text(blocks, chain.base, chain.protocol)
    of_human = observation.of_human_text(blocks, chain.base, chain.protocol)
    recovery = {}
    if chain.protocol.recovery:
        by_epoch = [epoch["valid_nll"] for epoch in done[-1].training["history"]]
        recovery["recovery_nll"] = np.array(by_epoch, np.float32)
    return Record(
        protocol=chain.protocol,
        arrays={
            "text": packing.tokens(np.stack([g.tokens for g in done]), size),
            **{name: np.stack([g.arrays[name] for g in done]) for name in done[0].arrays},
            "sample_human": blocks.following[_sample_rows(blocks)].ravel().astype(np.int32),
            **of_human,
            **recovery,
        },
        training=[g.training for g in done],
        samples=[
            {
                "row": int(row),
                "prompt": tokenizer.decode(blocks.train[row]),
                "human": tokenizer.decode(blocks.following[row]),
                "generations": [tokenizer.decode(g.tokens[row]) for g in done],
            }
            for row in _sample_rows(blocks)
        ],
        base={
            "name": chain.base.name,
            "parameters": chain.base.parameters,
            "identity": chain.base.identity,
            "zero_shot_perplexity": zero_shot,
        },
        corpus={
            "sha256": chain.text.sha256,
            "blocks": {name: len(getattr(blocks, name)) for name in corpus.SPLITS},
            # A fact here: the human text itself is not the book's to keep. JSON has no word for
            # what is not a number.
            "human_text": {
                name: value
                for name, value in gauges.of_text(human, of_human["held_out_counts"]).items()
                if name in gauges.TEXT and not math.isnan(value)
            },
        },
        provenance=provenance.describe(
            scale, [round(g.seconds, 2) for g in done], [g.place for g in done]
        ),
    )


def _check_unseen(protocol: Protocol, text: corpus.Text, blocks: corpus.Blocks) -> None:
    if protocol.unseen > len(blocks.unseen):
        raise ProtocolError(
            f"this run takes {protocol.unseen} human blocks that generation 0 is not trained on, "
            f"and {text.name} has {len(blocks.unseen)} besides its {len(blocks.train)}; lower "
            "train_blocks, retained, generations or recovery"
        )


def _check_model(protocol: Protocol, base: models.Base) -> None:
    """Refuse before any compute what the base model cannot do."""
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
