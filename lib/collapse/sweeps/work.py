"""What a run takes: the blocks it works on, operations, memory, disk. From its protocol alone."""

import dataclasses
from dataclasses import dataclass

import torch

from collapse.experiment import decoding, models, scoring
from collapse.experiment.protocol import Protocol
from collapse.experiment.record import SAMPLES
from collapse.sweeps import cost
from collapse.sweeps.cost import Shape
from collapse.sweeps.estimate import Speed

_SAMPLE_BYTES = 8  # of a decoded token, at most, roughly
_HEADERS = 8 * 2**10  # bytes of a layer in a file of weights besides these, at most, roughly
_FACTS = 8 * 2**10  # bytes of a generation's or a record's remaining facts, at most, roughly

_ROW = 2 * 2**10  # bytes of a row of `gauges.csv`, at most, roughly


@dataclass(frozen=True)
class Job:
    """One run to be planned: its protocol, and what its corpus and model make of it.

    shape: of the model; None where it is not known, as for a model that is not here yet.
    train, valid, test: blocks.
    """

    protocol: Protocol
    shape: Shape | None
    train: int
    valid: int
    test: int

    def lowered(self, name: str, value: int) -> "Job":
        """The job with a setting lowered to a value, or as it is where it lies below."""
        if name == "train_blocks":
            return dataclasses.replace(self, train=min(value, self.train))
        lower = min(value, getattr(self.protocol, name))
        return dataclasses.replace(self, protocol=self.protocol.replace(**{name: lower}))

    def setting(self, name: str) -> int:
        """The value of a setting that `lowered` lowers, 0 for all blocks made plain."""
        return self.train if name == "train_blocks" else getattr(self.protocol, name)

    @property
    def prompt(self) -> int:
        """Tokens of a prompt."""
        return 1 if self.protocol.prompts == "bos" else self.protocol.block_length

    @property
    def beams(self) -> int:
        """Sequences that are written for each prompt."""
        return self.protocol.beams if self.protocol.decoding == "beam" else 1

    @property
    def pool(self) -> int:
        """Blocks that the generation with the most of them is trained on."""
        grows, p = self.protocol.regime == "accumulate", self.protocol
        last = p.generations - 1 if p.recovery else p.generations
        return max(self.train * (last if grows else 1), p.recovery)


@dataclass(frozen=True)
class Work:
    """Blocks that are trained on, counted once an epoch, scored and written."""

    trained: int
    scored: int
    written: int


def work(job: Job) -> Work:
    """What a run computes.

    Scored are the validation blocks after each epoch, the test blocks, the human continuations of
    the samples, what was written, by the model that wrote it and by generation 0, and generation
    0's text by each later one; the test blocks once more before generation 0.
    """
    p = job.protocol
    grows = p.regime == "accumulate" and p.budget == "epochs"
    an_epoch = [job.train * (number + 1 if grows else 1) for number in range(p.generations)]
    if p.recovery:
        an_epoch[-1] = p.recovery
    a_generation = p.epochs * job.valid + job.test + SAMPLES + 3 * job.train
    return Work(
        trained=p.epochs * sum(an_epoch),
        # What generation 0 wrote it reads once: as its own text, as a text under generation 0, and
        # as the text of generation 0.
        scored=p.generations * a_generation + job.test - 2 * job.train,
        written=p.generations * job.train,
    )


def seconds(job: Job, speed: Speed) -> float:
    """How long a run takes."""
    todo = work(job)
    spent = todo.trained * speed.trained + todo.scored * speed.scored
    return spent + todo.written * speed.written


def operations(job: Job) -> int | None:
    """Floating-point operations of a run; None where the model's shape is not known."""
    if job.shape is None:
        return None
    todo, length = work(job), job.protocol.block_length
    blocks = cost.training(job.shape, todo.trained, length)
    blocks += cost.forward(job.shape, todo.scored, length)
    return blocks + cost.writing(job.shape, todo.written, job.prompt, length, job.beams)


def model_memory(job: Job) -> int:
    """Bytes that model and batches hold at most, on the device; 0 where the shape is not known."""
    if job.shape is None:
        return 0
    p, size = job.protocol, 2 if job.protocol.precision == "bf16" else cost.FLOAT
    # A GPU is given as many prompts at once as fit; on a CPU each thread has a batch.
    side_by_side = decoding.rows_at_once(p) * torch.get_num_threads()
    prompts = 1 if models.device().type == "cuda" else min(side_by_side, job.train)
    # So are blocks; a worker's part of a batch is a few blocks.
    at_once = 1 if models.device().type == "cuda" else _at_once(job)
    trained = min(p.batch, job.pool, at_once)
    scored = min(at_once, max(job.train, job.valid, job.test))
    best = p.selection == "best"
    return max(
        cost.training_bytes(job.shape, trained, p.block_length, best),
        cost.scoring_bytes(job.shape, scored, p.block_length, best),
        cost.writing_bytes(job.shape, prompts, job.prompt, p.block_length, job.beams, size),
    )


def _at_once(job: Job) -> int:
    """Blocks whose activations are held at once on a CPU, by all threads."""
    return scoring.part(job.protocol.block_length) * torch.get_num_threads()


def token_memory(job: Job) -> int:
    """Bytes of tokens and scores that the loop holds at most, in main memory.

    The human blocks and what follows each, the text of all generations, 4 bytes a token; what the
    last generation is trained on, 4 and again 8; two scores of each token written, 4 bytes, by two
    models, one of them just being put together.
    """
    every = 4 * (2 + job.protocol.generations) * job.train + 12 * job.pool + 24 * job.train
    return every * job.protocol.block_length


def memory(job: Job) -> int:
    """Bytes that a run holds at most, on the device and in main memory."""
    return model_memory(job) + token_memory(job)


def cached_bytes(job: Job) -> int:
    """Bytes that the finished generations of a run leave in the cache, at most.

    Of each its tokens and its facts; the weights of generation 0, or of all where each starts from
    its predecessor's; of the one that a recovery mends.
    """
    p = job.protocol
    text = 4 * job.train * p.block_length + _facts(job)
    kept = p.generations if p.init == "previous" else 1 + (p.recovery > 0)
    weights = cost.weight_bytes(job.shape) + job.shape.layers * _HEADERS if job.shape else 0
    return p.generations * text + kept * weights


def recorded_bytes(job: Job) -> int:
    """Bytes of a run's record in the build folder, at most; it is compressed."""
    p = job.protocol
    vocabulary = job.shape.vocabulary if job.shape else 0
    token = 2 if vocabulary <= 2**16 else 4
    arrays = p.generations * (token * job.train * p.block_length + _facts(job))
    arrays += 8 * vocabulary + 8 * job.test  # counts of human tokens; bytes of test blocks
    samples = SAMPLES * (2 + p.generations) * p.block_length * _SAMPLE_BYTES
    return arrays + samples + p.generations * _ROW


def _facts(job: Job) -> int:
    """Bytes of a generation's facts but its tokens: 4 a number.

    Three are kept of each test block, five of each block that is written; of the samples, two of
    each token.
    """
    of_samples = 2 * SAMPLES * (job.protocol.block_length - 1)
    return 4 * (3 * job.test + 5 * job.train + of_samples) + _FACTS
