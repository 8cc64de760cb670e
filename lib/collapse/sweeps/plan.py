"""A plan before the spend: what runs take, and a refusal of those that cannot fit.

Nothing is fetched, tried or written for it. Finished generations are not deducted, so a plan says
"at most". Of operations only those of matrix products are counted, a multiplication and an addition
as two; a backward pass takes twice those of a forward pass (Kaplan et al. 2020, arXiv 2001.08361,
sec. 2.1).
"""

import functools
import json
import os
import shutil
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from tqdm import tqdm

from collapse.errors import BookError
from collapse.experiment import assets, corpus, models, records, training_text
from collapse.experiment.protocol import Protocol
from collapse.experiment.record import SAMPLES

FLOAT = 4  # bytes of a number in float32, in which weights, gradients and facts are kept
MARGIN = 1.2  # times the memory that is counted, for what is not
SPARE = 200 * 2**20  # bytes of disk that are to stay free
SMALL = 16 * 2**10  # bytes of a generation's facts besides its arrays of tokens and blocks, at most
TOKENS = 1024  # that a thread trains on at once, as in `scoring.PART`
BYTES_A_TOKEN = 4  # of English, roughly
WIKITEXT2_BYTES = (10_940_747, 1_146_846, 1_290_590)  # train, valid, test
# The models of the book that come from elsewhere, as their config.json has them.
ELSEWHERE: dict[str, dict[str, Any]] = {
    "facebook/opt-125m": {
        "model_type": "opt", "num_hidden_layers": 12, "hidden_size": 768, "ffn_dim": 3072,
        "num_attention_heads": 12, "vocab_size": 50272, "max_position_embeddings": 2048,
    },
    models.SMOLLM2: {
        "model_type": "llama", "num_hidden_layers": 30, "hidden_size": 576,
        "intermediate_size": 1536, "num_attention_heads": 9, "num_key_value_heads": 3,
        "vocab_size": 49152, "tie_word_embeddings": True,
    },
}  # fmt: skip


class FitError(BookError):
    """What is asked for does not fit into the memory or onto the disk of this machine."""


# -- a model ---------------------------------------------------------------------------------


class Shape(NamedTuple):
    """The numbers of a decoder-only transformer that decide what it costs."""

    body: int  # weights in the matrices of all layers
    head: int  # weights in the output head
    embeddings: int  # weights in tables of tokens and positions, and in a head that is not tied
    pair: int  # operations of attention for a token and one that it sees
    kv: int  # numbers in the keys and values of one token
    activations: int  # numbers kept of one token for the backward pass, roughly
    vocabulary: int


def shape(config: Mapping[str, Any]) -> Shape:
    """The shape of a model by its `config.json`; what is not of the OPT kind counts as Llama's."""
    opt = config["model_type"] == "opt"
    layers, width = config["num_hidden_layers"], config["hidden_size"]
    tokens, heads = config["vocab_size"], config["num_attention_heads"]
    size = config.get("head_dim") or width // heads
    kv_heads = config.get("num_key_value_heads") or heads  # fewer where heads share them
    ffn, matrices = config["ffn_dim" if opt else "intermediate_size"], 2 if opt else 3
    rows = config["max_position_embeddings"] if opt else 0
    rows += tokens * (1 if config.get("tie_word_embeddings", opt) else 2)
    attention = 2 * (heads + kv_heads) * size  # queries, keys, values and output
    return Shape(
        body=layers * width * (attention + matrices * ffn),
        head=width * tokens,
        embeddings=width * rows,
        pair=4 * layers * heads * size,
        kv=2 * layers * kv_heads * size,
        # Of two norms and two sums, attention, and the MLP with its gate; and above the layers
        # logits, their logarithms, and a gradient.
        activations=layers * (6 * width + attention + 2 * (matrices - 1) * ffn) + 3 * tokens,
        vocabulary=tokens,
    )


def shape_of(name: str) -> Shape | None:
    """The shape of the model of a name, without a download; None where it is not known."""
    folder = models.source(name).folder or Path("/nowhere")
    try:
        return shape(ELSEWHERE.get(name) or json.loads((folder / "config.json").read_bytes()))
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError):
        return None  # not here, or of another kind; `models.load` will say so


def weight_bytes(model: Shape) -> int:
    """Bytes of all matrices and embeddings; biases and norms, less than a hundredth, left out."""
    return FLOAT * (model.body + model.embeddings)


def reading_operations(model: Shape, blocks: int, length: int) -> int:
    """Operations of a forward pass over blocks of `length` tokens; training on them takes thrice.

    Two a weight and token, and attention of each token to itself and those before it.
    """
    pairs = length * (length + 1) // 2
    return blocks * (2 * length * (model.body + model.head) + model.pair * pairs)


def writing_operations(
    model: Shape, prompts: int, prompt_length: int, new_tokens: int, beams: int = 1
) -> int:
    """Operations of continuing prompts token by token, keys and values remembered.

    A prompt is read once, with logits of its last token only: they give the first new token. Each
    further one takes, in each beam, two a weight, and attention to all before it.
    """
    steps = new_tokens - 1
    seen = steps * prompt_length + steps * (steps + 1) // 2
    beam = 2 * steps * (model.body + model.head) + model.pair * seen
    unread = 2 * (prompt_length - 1) * model.head
    return prompts * (reading_operations(model, 1, prompt_length) - unread + beams * beam)


# -- a run -----------------------------------------------------------------------------------


class Job(NamedTuple):
    """One run to be planned, and its blocks."""

    protocol: Protocol
    shape: Shape | None  # of its model; None where it is not known
    train: int
    valid: int
    test: int


class Work(NamedTuple):
    """Blocks of a run."""

    trained: int  # on, counted once an epoch
    scored: int
    written: int


def jobs(protocols: Iterable[Protocol]) -> list[Job]:
    """What corpus and model make of each protocol, without a download.

    Refused where a text is not here or too short, or the share of human text less than a block.
    """
    found = [Job(p, shape_of(p.model), *_blocks(p)) for p in protocols]
    for job in found:
        training_text.check_shares(job.train, job.protocol)
    return found


def _blocks(p: Protocol) -> tuple[int, int, int]:
    """Blocks of train, valid and test; where all are asked for, by the size of the text."""
    if p.train_blocks and p.eval_blocks:
        return p.train_blocks, p.eval_blocks, p.eval_blocks
    sizes = WIKITEXT2_BYTES if p.corpus == "wikitext2" else _bytes(p.corpus)
    train, valid, test = (size // (BYTES_A_TOKEN * p.block_length) for size in sizes)
    corpus.check_length(p.corpus, p.block_length, train, valid, test)
    # The last training block continues the one before and prompts nothing.
    return p.train_blocks or train - 1, p.eval_blocks or valid, p.eval_blocks or test


@functools.cache
def _bytes(name: str) -> list[int]:
    splits = corpus.load_text(name).splits
    return [sum(len(line.encode()) for line in splits[split]) for split in corpus.SPLITS]


def work(job: Job) -> Work:
    """What a run computes.

    Scored are validation blocks after each epoch, test blocks, the human continuations of samples,
    what was written, by the model that wrote it and by generation 0, and generation 0's text by
    each later one; the test blocks once more before generation 0.
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
    return read + writing_operations(job.shape, todo.written, prompt, p.block_length, p.width)


def memory(job: Job) -> int:
    """Bytes of main memory that a run holds at most; on a GPU the model's part is there instead.

    Seven copies of the weights are the model's, gradients, AdamW's two moments, the pretrained
    ones, generation 0's and the best so far; beside them each thread's activations. Tokens and
    scores are those of all text and of what is trained on, twice.
    """
    p, held = job.protocol, 0
    if job.shape is not None:
        each = FLOAT * TOKENS * job.shape.activations
        held = int(MARGIN * (7 * weight_bytes(job.shape) + _threads() * each))
    pool = job.train * (p.generations if p.regime == "accumulate" else 1) + p.recovery
    return held + 2 * FLOAT * p.block_length * (job.train * (p.generations + 4) + 2 * pool)


def disk(job: Job) -> int:
    """Bytes that a run leaves at most, in the cache and in the build folder together.

    Both hold tokens and facts of each generation; the cache also weights: of generation 0 and of
    the one that a recovery mends, or of all where each starts from its predecessor's.
    """
    p, model = job.protocol, job.shape
    arrays = job.train * (p.block_length + 5) + 3 * job.test
    facts = 2 * p.generations * (FLOAT * arrays + SMALL)
    if model is None:
        return facts
    kept = p.generations if p.init == "previous" else 1 + (p.recovery > 0)
    return facts + kept * (int(1.05 * weight_bytes(model)) + SMALL) + 2 * FLOAT * model.vocabulary


def seconds(job: Job) -> tuple[float, str] | None:
    """How long a run takes, by the committed runs of its model and decoding, and on what machine.

    None where there are none, or the model's shape is not known.
    """
    count, pace = operations(job), _paces(records.published()).get(_kind(job.protocol))
    return (count * pace[0], pace[1]) if count and pace else None


def _kind(p: Protocol) -> tuple[Any, ...]:
    return p.model, p.decoding, p.width, p.precision


@functools.cache
def _paces(folder: Path) -> dict[tuple[Any, ...], tuple[float, str]]:
    """Seconds an operation of the median run of each kind in a folder, and on what machine."""
    found = defaultdict(list)
    for path in records.list_records(folder):
        try:
            head = json.loads((path / "record.json").read_bytes())
            protocol, made = Protocol.from_dict(head["protocol"]), head["provenance"]
            blocks = [head["corpus"]["blocks"][split] for split in corpus.SPLITS]
            if count := operations(Job(protocol, shape_of(protocol.model), *blocks)):
                found[_kind(protocol)].append((sum(made["seconds"]) / count, made["device"]))
        except (*records.DAMAGE, BookError):
            continue  # who reads it is told
    return {kind: statistics.median_high(paces) for kind, paces in found.items()}


# -- whether it fits -------------------------------------------------------------------------


def check(jobs: Sequence[Job]) -> None:
    """Refuse runs that cannot fit, before anything is computed.

    Memory is that of one run, since they run one after another; disk that of all together, in
    cache and build folder, which may lie on one disk.
    """
    for job in jobs:
        lower = f"train_blocks={job.train} or generations={job.protocol.generations}"
        model = f"give a smaller model than model={job.protocol.model}"
        _fit(memory(job), _memory(), "memory", f"lower {lower}, or {model}")
    needed = SPARE + sum(map(disk, jobs))
    for folder in (assets.cache_dir(), assets.build_dir()):
        _fit(needed, _disk(folder), f"disk at {folder}", "free some, or compute fewer runs")


def _fit(needed: int, there: int, what: str, remedy: str) -> None:
    if needed > there:
        asked, free = in_bytes(needed), in_bytes(there)
        raise FitError(f"this needs about {asked} of {what} where {free} are free; {remedy}")


def _threads() -> int:
    """Threads of PyTorch, as it will count them, without importing it; 1 beside a GPU."""
    if any(Path(driver).exists() for driver in ("/dev/nvidiactl", "/dev/dxg")):
        return 1
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() else psutil.cpu_count(logical=False) or 1


def _memory() -> int:
    """Bytes of main memory that are free, or held by this process, whose place the run takes."""
    return psutil.virtual_memory().available + psutil.Process().memory_info().rss


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
        rows.append((what, f"{tqdm.format_sizeof(tokens)} tokens"))
    counts = [count for job in jobs if (count := operations(job)) is not None]
    times = [took for job in jobs if (took := seconds(job)) is not None]
    known = len(counts) == len(jobs)
    time = "not known before a run of this kind is in records/" if known else unknown
    if len(times) == len(jobs):
        machines = dict.fromkeys(machine for _, machine in times)
        time = f"{in_words(sum(one for one, _ in times))}, as on {' and '.join(machines)}"
    return [
        *rows,
        ("operations", tqdm.format_sizeof(sum(counts), "FLOP") if known else unknown),
        ("memory", in_bytes(max(map(memory, jobs))) if known else unknown),
        ("disk", in_bytes(sum(map(disk, jobs)))),
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
    """Bytes in three digits: `3.20GiB`."""
    return tqdm.format_sizeof(count, "iB", 1024)
