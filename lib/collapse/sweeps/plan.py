"""A plan before the spend: what the runs of some protocols take together, and for how long.

Nothing is fetched or written for it. Finished generations are not deducted, so a plan
says "at most". Speed depends neither on weights nor on tokens: the trials take random ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from collapse.experiment import assets, bases, checkpoint, corpus, decoding, models, training_text
from collapse.experiment.protocol import Protocol
from collapse.experiment.provenance import device_name
from collapse.sweeps import cost, estimate, work
from collapse.sweeps.estimate import Speed
from collapse.sweeps.progress import in_words
from collapse.sweeps.units import in_bytes, in_operations, in_tokens
from collapse.sweeps.work import Job

SAMPLED_LINES = 2000  # of a text are tokenised, to know how many blocks it makes
# Bytes of each split of WikiText-2, for a plan that is made before the text is here.
_WIKITEXT2 = {"train": 10_940_747, "valid": 1_146_846, "test": 1_290_590}
# Where the tokeniser is not here. Those of this book take more: blocks are counted high, not low.
_BYTES_A_TOKEN = {"tiny": 2.5, "mini": 2.0}
_BYTES_A_TOKEN_OF_OTHERS = 4.0
_SPEED = (
    "model", "train_blocks", "block_length", "batch", "precision", "prompts", "decoding", "beams",
    "temperature", "top_p", "repetition_penalty", "eos",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What some runs take together: work in tokens, memory and disk in bytes.

    operations: None where the shape of a model is not known.
    seconds: None there, too, or where no speed was measured.
    """

    runs: int
    generations: int
    trained: int
    scored: int
    written: int
    operations: int | None
    memory: int
    disk: int
    seconds: float | None


def draw_up(jobs: Sequence[Job], speeds: dict[Protocol, Speed] | None = None) -> Plan:
    """The plan of one or more runs.

    Args:
        speeds: as `calibrate` gives them; without them the plan says nothing of time.
    """
    speeds = speeds or {}
    todo = [(job.protocol.block_length, work.work(job)) for job in jobs]
    counts = [work.operations(job) for job in jobs]
    timed = [(job, speeds.get(_alike(job.protocol))) for job in jobs]
    times = [work.seconds(job, speed) for job, speed in timed if speed is not None]
    return Plan(
        runs=len(jobs),
        generations=sum(job.protocol.generations for job in jobs),
        trained=sum(length * blocks.trained for length, blocks in todo),
        scored=sum(length * blocks.scored for length, blocks in todo),
        written=sum(length * blocks.written for length, blocks in todo),
        operations=None if None in counts else sum(counts),  # type: ignore[arg-type]
        memory=max(work.memory(job) for job in jobs),
        disk=sum(work.cached_bytes(job) + work.recorded_bytes(job) for job in jobs),
        seconds=sum(times) if len(times) == len(jobs) else None,
    )


def table(plan: Plan) -> list[tuple[str, str]]:
    """The plan in words: what, and how much of it."""
    unknown = "not known before the base is here"
    time = unknown if plan.operations is None else "not measured; --time does it"
    if plan.seconds is not None:
        time = f"{in_words(plan.seconds)} on {device_name()}"
    return [
        ("runs", f"{plan.runs} ({plan.generations} generations)"),
        ("trained on", f"{in_tokens(plan.trained)} tokens"),
        ("scored", f"{in_tokens(plan.scored)} tokens"),
        ("written", f"{in_tokens(plan.written)} tokens"),
        ("operations", unknown if plan.operations is None else in_operations(plan.operations)),
        ("memory", unknown if plan.operations is None else in_bytes(plan.memory)),
        ("disk", in_bytes(plan.disk)),
        ("time", time),
    ]


# -- what there is to plan with --------------------------------------------------------------


def jobs(protocols: Sequence[Protocol]) -> list[Job]:
    """What corpus and model make of each protocol, without a download.

    Raises:
        BookError: a corpus that is a file is not here, a text is too short, or the share of
            human text is less than a block.
    """
    grounds: dict[tuple, tuple] = {}  # runs share corpus and model
    found = []
    for protocol in protocols:
        p = protocol
        key = (p.corpus, p.model, p.train_blocks, p.eval_blocks, p.block_length)
        if key not in grounds:
            grounds[key] = (_shape(protocol.model), *_counts(protocol))
        training_text.kept(grounds[key][1], protocol)
        found.append(Job(protocol, *grounds[key]))
    return found


def absent(protocol: Protocol) -> list[str]:
    """What a run has first to fetch, a phrase each with its size."""
    said, name = [], protocol.model
    if not corpus.at_hand(protocol.corpus):
        said.append(f"the text has first to be fetched ({assets.WIKITEXT_WHEEL.megabytes} MB)")
    if models.at_hand(name) is not None:
        return said
    if name == "smollm2-135m":
        said.append(
            f"the base {name} has first to be fetched ({assets.SMOLLM2_WHEEL.megabytes} MB)"
        )
    else:
        shape = _shape(name)
        large = f"at most {cost.weight_bytes(shape) / 1e6:.3g} MB" if shape else "of unknown size"
        said.append(f"the base {name} has first to be fetched from the model hub ({large})")
    return said


def _counts(protocol: Protocol) -> tuple[int, int, int]:
    """Blocks of train, valid and test; where all are asked for, roughly."""
    p = protocol
    if p.train_blocks and p.eval_blocks:
        return p.train_blocks, p.eval_blocks, p.eval_blocks
    text = corpus.load_text(p.corpus) if corpus.at_hand(p.corpus) else None
    tokenizer = _tokenizer(models.at_hand(p.model))
    every = {}
    for split in corpus.SPLITS:
        lines = text.splits[split] if text else None
        if lines is not None and tokenizer:
            every[split] = _sampled(lines, tokenizer, p.block_length)
        else:
            count = (
                sum(len(line.encode()) for line in lines)
                if lines is not None
                else _WIKITEXT2[split]
            )
            a_token = _BYTES_A_TOKEN.get(p.model, _BYTES_A_TOKEN_OF_OTHERS)
            every[split] = int(count / a_token / p.block_length)
    corpus.check_length(p.corpus, p.block_length, *every.values())
    evaluated = (p.eval_blocks or every[split] for split in ("valid", "test"))
    # The last training block continues the one before and prompts nothing.
    return p.train_blocks or every["train"] - 1, *evaluated


def _sampled(lines: list[str], tokenizer: Any, block_length: int) -> int:
    """Blocks that lines make, from the tokens of some, taken evenly."""
    step = -(-len(lines) // SAMPLED_LINES)
    if step <= 1:
        return len(corpus.tokenise(lines, tokenizer, block_length))
    tokens = sum(len(ids) for ids in tokenizer(lines[::step])["input_ids"])
    return int(tokens * len(lines) / len(lines[::step]) / block_length)


def _tokenizer(folder: Any) -> Any:
    try:
        return checkpoint.read_tokenizer(folder, folder.name) if folder else None
    except assets.AssetError:  # a GGUF, which takes seconds, or what `load` refuses
        return None


def _config(name: str) -> Any:
    """The configuration of a model of `transformers`; None where it is not here."""
    from transformers import AutoConfig, LlamaConfig, OPTConfig

    if name == "smollm2-135m":
        return LlamaConfig(
            vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30,
            num_attention_heads=9, num_key_value_heads=3, max_position_embeddings=8192,
            tie_word_embeddings=True,
        )  # fmt: skip
    if folder := models.at_hand(name):
        try:
            return AutoConfig.from_pretrained(folder)
        except Exception:  # `load` will say so
            return None
    return OPTConfig() if name == "facebook/opt-125m" else None  # its sizes are the defaults


def _shape(name: str) -> cost.Shape | None:
    from transformers import AutoModelForCausalLM

    if (config := _config(name)) is None:
        return None
    try:
        with torch.device("meta"):  # no memory, no time
            net = AutoModelForCausalLM.from_config(config)
        return cost.shape(net.config, sum(p.numel() for p in net.parameters()))
    except Exception:  # an architecture of another kind, or none at all: `load` will say so
        return None


# -- how long it takes -----------------------------------------------------------------------


def _alike(protocol: Protocol) -> Protocol:
    """A protocol that stands for all that run as fast."""
    return Protocol(**{name: getattr(protocol, name) for name in _SPEED})


def calibrate(jobs: Sequence[Job]) -> dict[Protocol, Speed]:
    """How fast this machine is at each kind of run, from trials of some ten seconds each.

    A model whose shape is not known, or that cannot be run, is left out.
    """
    kinds = {_alike(job.protocol): job for job in jobs if job.shape is not None}
    nets: dict[str, Any] = {}
    speeds = {}
    for kind, job in kinds.items():
        if kind.model not in nets:
            nets = {kind.model: _random_model(kind.model)}
        try:
            speeds[kind] = estimate.speed(nets[kind.model], _random_blocks(job), kind)
        except Exception:
            if kind.model in bases.NAMES:
                raise
            continue  # an architecture of another kind: `load` will say so
    return speeds


def _random_model(name: str) -> Any:
    from transformers import AutoModelForCausalLM

    net = AutoModelForCausalLM.from_config(_config(name), dtype=torch.float32)
    net.config.use_cache = False
    return net.to(models.device())


def _random_blocks(job: Job) -> np.ndarray:
    """Tokens, int32, (blocks, block_length), as many as a trial can want."""
    p = job.protocol
    wanted = max(p.batch, estimate.SCORED, decoding.rows_at_once(p))
    size = (min(job.train, wanted), p.block_length)
    return np.random.default_rng(0).integers(0, job.shape.vocabulary, size, dtype=np.int32)
