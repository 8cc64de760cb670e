"""How fast the loop is: against the usual ways of doing the same, and against the machine.

Everything that is compared is measured in one run, in turns, so that what slows the machine down
for a while slows all of them down; and each in a process of its own, so that what one leaves behind
in memory or threads does not slow down another. Rates are tokens a second of whole continuations,
or of blocks trained on.
"""

import contextlib
import copy
import functools
import importlib.util
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from collapse import (
    assets,
    corpus,
    cost,
    decode,
    growth,
    model,
    profiling,
    provenance,
    records,
    scoring,
    training,
)
from collapse.protocol import Protocol

SCHEMA = 1
SIZES = {"cpu": (16, 32, 64, 128), "cuda": (64, 128, 256, 512, 1024)}  # batches of `generate`
PROMPTS = {"cpu": (512, 128), "cuda": (4096, 1024)}  # of this book's decoder, and of the others
PAPER_BATCH = 128  # blocks, the default of the released code
OURS, GENERATE, OTHER, TRAINER = "this book", "generate", "CTranslate2", "Trainer"
PAPER = "the paper's way"
CONTESTS = {
    "five beams": (OURS, GENERATE, PAPER, OTHER),
    "sampling": (OURS, GENERATE, PAPER, OTHER),
    "training": (OURS, TRAINER, PAPER),
}


@dataclass(frozen=True)
class Side:
    """One way of doing something: its name, the tokens that a turn of it makes, and a turn."""

    name: str
    tokens: int
    turn: Callable[[], Any]


@dataclass(frozen=True)
class Ground:
    """What all sides work on."""

    base: model.Base
    blocks: corpus.Blocks
    protocol: Protocol

    @property
    def kind(self) -> str:
        """`cpu` or `cuda`."""
        return model.device().type

    @property
    def end(self) -> int:
        """The token that ends a text, which nobody may write: texts have one length."""
        return self.base.tokenizer.eos_token_id


def path(kind: str, folder: Path | None = None) -> Path:
    """Where the measurements of a kind of device lie; the published ones if no folder is given."""
    return (folder or records.published()) / f"bench-{kind}.json"


def measure(rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure all there is to measure here; about a quarter of an hour on two cores.

    Args:
        rounds: turns of each side.
        say: is told what is being measured.

    Raises:
        AssetError: text or base model cannot be had.
    """
    ground = _ground()
    shape = cost.shape(ground.base.model.config, ground.base.parameters)
    say("limits of the machine")
    limits = {"operations": _products(ground.kind), "bytes": _copies(ground.kind)}
    contests = {name: _race(name, sides, rounds, say) for name, sides in CONTESTS.items()}
    same_text = _same_text(ground)
    say("profiles")
    profiles = profiling.profiles(ground.base.model, ground.blocks, ground.protocol)
    grown = growth.measure(ground.protocol, say) if ground.kind == "cpu" else {}
    return {
        "schema": SCHEMA,
        **provenance.describe("bench", []),
        "kind": ground.kind,
        "model": ground.base.name,
        "parameters": ground.base.parameters,
        "precision": ground.protocol.precision,
        "compared": _versions(),
        "rounds": rounds,
        "block_length": ground.protocol.block_length,
        "batch": ground.protocol.batch,
        "limits": limits,
        "needed": _needed(shape, ground),
        "contests": contests,
        "same_text": same_text,
        "profiles": profiles,
        "growth": grown,
    }


def store(found: dict[str, Any], target: Path) -> None:
    """Write measurements as JSON.

    Raises:
        AssetError: the disk is full or cannot be written.
    """
    with assets.atomic(target) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n")


def _ground() -> Ground:
    kind = model.device().type
    cuda = kind == "cuda"
    protocol = Protocol(
        model="smollm2-135m" if cuda else "tiny", train_blocks=PROMPTS[kind][0], eval_blocks=64,
         decoding="sample", top_p=0.9, lr=5e-4, batch=128 if cuda else 16,
        precision="bf16" if cuda else "fp32", epochs=1, selection="last",
    )  # fmt: skip
    text = corpus.load_text(protocol.corpus)
    base = model.load(protocol, text)
    base.model.to(model.device())
    return Ground(base, corpus.load_blocks(protocol, text, base.tokenizer), protocol)


# -- the machine -----------------------------------------------------------------------------


def _products(kind: str, size: int = 2048, turns: int = 15) -> float:
    """Operations a second of a product of large square matrices: the best of some turns."""
    dtype = torch.bfloat16 if kind == "cuda" else torch.float32
    size = size * (4 if kind == "cuda" else 1)
    one = torch.randn(size, size, device=kind, dtype=dtype)
    out = torch.empty_like(one)
    return 2 * size**3 / _best(lambda: torch.mm(one, one, out=out), kind, turns)


def _copies(kind: str, megabytes: int = 256, turns: int = 15) -> float:
    """Bytes a second, read and written, of copying an array far larger than any cache."""
    one = torch.ones(megabytes * 2**18, device=kind)
    out = torch.empty_like(one)
    return 2 * 4 * one.numel() / _best(lambda: out.copy_(one), kind, turns)


def _best(action: Callable[[], Any], kind: str, turns: int) -> float:
    action()
    return min(_seconds(action, kind) for _ in range(turns))


def _seconds(action: Callable[[], Any], kind: str) -> float:
    started = time.perf_counter()
    action()
    if kind == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _needed(shape: cost.Shape, ground: Ground) -> dict[str, dict[str, float]]:
    """Operations and bytes that a token takes at least, in each contest."""
    length, batch = ground.protocol.block_length, ground.protocol.batch
    size = 2 if ground.protocol.precision == "bf16" else 4
    needed = {}
    for name, beams in (("five beams", 5), ("sampling", 1)):
        rows = decode.rows_at_once(
            ground.protocol.replace(decoding="beam" if beams > 1 else "sample"),
            ground.base.model, length,
        )  # fmt: skip
        needed[name] = {
            "operations": cost.writing(shape, rows, length, length, beams) / (rows * length),
            "bytes": cost.bytes_moved(shape, rows, length, length, beams, size) / (rows * length),
        }
    # A step of training reads the weights twice, and in the optimiser reads weights, gradients and
    # two moments, and writes three of them; gradients are written once.
    needed["training"] = {
        "operations": cost.training(shape, batch, length) / (batch * length),
        "bytes": 10 * cost.weight_bytes(shape) / (batch * length),
    }
    return needed


# -- contests --------------------------------------------------------------------------------


def _race(
    contest: str, sides: Sequence[str], rounds: int, say: Callable[[str], None]
) -> dict[str, list[float]]:
    """Tokens a second of each side in each round, the first turn of each not counted."""
    if OTHER in sides and not _has_other():
        say(f"{contest}: {OTHER} is not installed")
        sides = [who for who in sides if who != OTHER]
    rates: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        processes = {who: stack.enter_context(_process()) for who in sides}
        for number in range(rounds + 1):
            say(f"{contest}: " + (f"round {number} of {rounds}" if number else "warming up"))
            for who in sides:
                name, rate = processes[who].submit(_turn, contest, who).result()
                if number:
                    rates.setdefault(name, []).append(rate)
    return rates


def _process() -> Executor:
    """A process that stays, and waits for its turns."""
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def _turn(contest: str, who: str) -> tuple[str, float]:
    """In the process of a side: its full name, and its tokens a second in one turn."""
    side = _side(contest, who)
    rate = side.tokens / _seconds(side.turn, model.device().type)
    if model.device().type == "cuda":
        torch.cuda.empty_cache()  # another process is next
    return side.name, rate


@functools.cache
def _side(contest: str, who: str) -> Side:
    ground = _ground()
    if contest == "training":
        return _training(ground, who)
    return _writing(ground, who, "beam" if contest == "five beams" else "sample")


def _writing(ground: Ground, who: str, decoding: str) -> Side:
    protocol, net = ground.protocol.replace(decoding=decoding), ground.base.model
    length = protocol.block_length
    many, few = (ground.blocks.train[:number] for number in PROMPTS[ground.kind])
    tokens = len(few) * length
    if who == OURS:
        return Side(
            who, len(many) * length,
            lambda: decode.generate(net, many, length, protocol, ground.end),
        )  # fmt: skip
    if who == GENERATE:
        size = max(SIZES[ground.kind], key=lambda size: _rate(ground, protocol, size))
        name = f"{GENERATE}, batches of {size}"
        return Side(name, tokens, lambda: _generate(ground, protocol, few, size))
    if who == PAPER:
        single = protocol.replace(precision="fp32")
        name = f"{PAPER}: {GENERATE}, batches of {PAPER_BATCH}"
        return Side(name, tokens, lambda: _generate(ground, single, few, PAPER_BATCH))
    return _ctranslate2(ground, protocol, few)


def _rate(ground: Ground, protocol: Protocol, size: int) -> float:
    """Tokens a second of `generate` on one batch of a size."""
    rows = np.resize(ground.blocks.train, (size, protocol.block_length))
    trials = [_seconds(lambda: _generate(ground, protocol, rows, size), ground.kind)
              for _ in range(2)]  # fmt: skip
    return size / min(trials)


def _generate(ground: Ground, protocol: Protocol, prompts: np.ndarray, size: int) -> np.ndarray:
    """Continuations by `transformers.generate`."""
    net, written = ground.base.model, []
    how: dict[str, Any] = {"num_beams": 5, "do_sample": False}
    if protocol.decoding == "sample":
        how = {"do_sample": True, "top_k": 0, "top_p": protocol.top_p}
    for start in range(0, len(prompts), size):
        ids = torch.from_numpy(prompts[start : start + size].astype(np.int64)).to(net.device)
        with torch.inference_mode(), scoring.autocast(net.device, protocol.precision):
            new = net.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=protocol.block_length,
                min_new_tokens=protocol.block_length, use_cache=True, **how,
            )  # fmt: skip
        written.append(new[:, ids.shape[1] :].cpu().numpy())
    return np.concatenate(written)


def _has_other() -> bool:
    return model.device().type == "cpu" and importlib.util.find_spec("ctranslate2") is not None


def _ctranslate2(ground: Ground, protocol: Protocol, prompts: np.ndarray) -> Side:
    """A fast engine in C++ with the same weights at float32, at the best of three batches."""
    import ctranslate2
    from ctranslate2.converters import TransformersConverter

    with tempfile.TemporaryDirectory() as folder:
        source, converted = Path(folder) / "base", Path(folder) / "converted"
        ground.base.model.save_pretrained(source)
        ground.base.tokenizer.save_pretrained(source)
        TransformersConverter(str(source)).convert(str(converted))
        engine = ctranslate2.Generator(
            str(converted), device="cpu", intra_threads=torch.get_num_threads(),
            compute_type="float32",
        )  # fmt: skip
    names = [ground.base.tokenizer.convert_ids_to_tokens(row) for row in prompts.tolist()]
    how = {"beam_size": 5}
    if protocol.decoding == "sample":
        how = {"beam_size": 1, "sampling_topk": 0, "sampling_topp": protocol.top_p}

    def write(size: int) -> None:
        engine.generate_batch(
            names, max_batch_size=size, batch_type="examples", max_length=protocol.block_length,
            min_length=protocol.block_length, include_prompt_in_result=False, **how,
        )  # fmt: skip

    write(16)  # the first call is slow
    fastest = min((16, 32, 128), key=lambda size: _seconds(lambda: write(size), "cpu"))
    tokens = len(prompts) * protocol.block_length
    return Side(f"{OTHER}, batches of {fastest}", tokens, lambda: write(fastest))


def _training(ground: Ground, who: str) -> Side:
    blocks, p = ground.blocks.train, ground.protocol

    def turn() -> None:
        net = copy.deepcopy(ground.base.model)
        if who == OURS:
            training.fine_tune(net, blocks, blocks[:1], p, 0)
        elif who == TRAINER:
            _trainer(net, blocks, p)
        else:
            _plain_loop(net, blocks, p)

    return Side(f"{PAPER}: a plain loop" if who == PAPER else who, blocks.size, turn)


def _trainer(net: Any, blocks: np.ndarray, protocol: Protocol) -> None:
    """`transformers.Trainer` at the same batch and precision, without clipping, as here."""
    from transformers import PrinterCallback, Trainer, TrainingArguments
    from transformers.utils import logging

    logging.set_verbosity_error()
    rows = [{"input_ids": row, "labels": row} for row in torch.from_numpy(blocks.astype(np.int64))]
    arguments = TrainingArguments(
        tempfile.gettempdir(), per_device_train_batch_size=protocol.batch, num_train_epochs=1,
        learning_rate=protocol.lr, lr_scheduler_type="cosine", max_grad_norm=0.0,
        optim="adamw_torch_fused", bf16=protocol.precision == "bf16", save_strategy="no",
        logging_strategy="no", report_to=[], disable_tqdm=True,
        use_cpu=net.device.type == "cpu", dataloader_pin_memory=False,
    )  # fmt: skip
    trainer = Trainer(net, arguments, train_dataset=rows)
    trainer.remove_callback(PrinterCallback)
    trainer.train()


def _plain_loop(net: Any, blocks: np.ndarray, protocol: Protocol) -> None:
    """As Lightning runs the released code: masks and labels in each batch, the loss read out."""
    rows = torch.from_numpy(blocks.astype(np.int64))
    loader = torch.utils.data.DataLoader(rows, protocol.batch, shuffle=True)
    optimiser = torch.optim.AdamW(net.parameters(), lr=protocol.lr)
    net.train()
    for ids in loader:
        ids = ids.to(net.device)
        loss = net(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss.item()  # for the progress bar


def _same_text(ground: Ground, rows: int = 32) -> float:
    """The share of five-beam continuations that are those of `generate`, token for token."""
    protocol = ground.protocol.replace(decoding="beam", precision="fp32")
    prompts = ground.blocks.train[:rows]
    ours = decode.generate(ground.base.model, prompts, prompts.shape[1], protocol, ground.end)
    return float((ours == _generate(ground, protocol, prompts, rows)).all(1).mean())


def _versions() -> dict[str, str]:
    """Of the packages that are compared with, as far as they are installed."""
    found = {}
    for name in ("torch", "transformers", "accelerate", "ctranslate2"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
