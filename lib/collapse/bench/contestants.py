"""Those whose speed `book bench` compares: this book, and the usual ways of doing the same."""

import copy
import functools
import importlib.util
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from collapse.bench.measured import GENERATE, OTHER, OURS, PAPER, TRAINER
from collapse.experiment import corpus, decoding, loop, models, network, training
from collapse.experiment.protocol import Protocol

SIZES = {"cpu": (16, 32, 64, 128), "cuda": (64, 128, 256, 512, 1024)}  # batches that are tried
PROMPTS = {"cpu": (512, 128), "cuda": (4096, 1024)}  # of this book's decoder, and of the others
PAPER_BATCH = 128  # blocks, the default of the released code
CONTESTS = {
    "five beams": (OURS, GENERATE, PAPER, OTHER),
    "sampling": (OURS, GENERATE, PAPER, OTHER),
    "training": (OURS, TRAINER),
}


class Side(NamedTuple):
    """One way of doing something: its name, the tokens that a turn of it makes, and a turn."""

    name: str
    tokens: int
    turn: Callable[[], Any]


class Ground(NamedTuple):
    """What all sides work on."""

    base: models.Base
    blocks: corpus.Blocks
    protocol: Protocol


def ground() -> Ground:
    """Text, model and protocol for the kind of device that is here."""
    cuda = kind() == "cuda"
    protocol = Protocol(
        model="smollm2-135m" if cuda else "tiny", train_blocks=PROMPTS[kind()][0], eval_blocks=64,
        decoding="sample", top_p=0.9, lr=5e-4, batch=128 if cuda else 16,
        precision="bf16" if cuda else "fp32", epochs=1, selection="last",
    )  # fmt: skip
    _, base, blocks, _ = loop.prepare(protocol)
    return Ground(base, blocks, protocol)


def kind() -> str:
    """The kind of device that is measured: `cpu` or `cuda`."""
    return models.device().type


def seconds(action: Callable[[], Any]) -> float:
    """What an action takes."""
    started = time.perf_counter()
    action()
    if kind() == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def best(action: Callable[[], Any], turns: int = 1) -> float:
    """The seconds of the fastest of some turns, after one that is not counted."""
    action()
    return min(seconds(action) for _ in range(turns))


@functools.cache
def side(contest: str, who: str) -> Side:
    """One of `CONTESTS`, ready for its turns; made once in a process."""
    found = ground()
    if contest == "training":
        return _training(found, who)
    return _writing(found, who, "beam" if contest == "five beams" else "sample")


def same_text(ground: Ground, rows: int = 32) -> float:
    """The share of five-beam continuations that are those of `generate`, token for token."""
    protocol = ground.protocol.replace(decoding="beam", precision="fp32")
    prompts = ground.blocks.train[:rows]
    ours = _decode(ground, protocol, prompts)
    return float((ours == _generate(ground, protocol, prompts, rows)).all(1).mean())


def _writing(ground: Ground, who: str, way: str) -> Side:
    protocol = ground.protocol.replace(decoding=way)
    many, few = (ground.blocks.train[:number] for number in PROMPTS[kind()])
    if who == OURS:
        return Side(who, many.size, lambda: _decode(ground, protocol, many))
    if who == PAPER:
        single = protocol.replace(precision="fp32")
        name = f"{PAPER}: {GENERATE}, batches of {PAPER_BATCH}"
        return Side(name, few.size, lambda: _generate(ground, single, few, PAPER_BATCH))
    write: Callable[[int], Any] = functools.partial(_generate, ground, protocol, few)
    if who == OTHER:
        write = _ctranslate2(ground, protocol, few)
    fastest = min(SIZES[kind()], key=lambda size: best(lambda: write(size)))
    return Side(f"{who}, batches of {fastest}", few.size, lambda: write(fastest))


def _decode(ground: Ground, protocol: Protocol, prompts: np.ndarray) -> np.ndarray:
    """Continuations by this book; nobody may write the token that ends a text."""
    end = ground.base.tokenizer.eos_token_id
    return decoding.generate(ground.base.model, prompts, protocol.block_length, protocol, end)


def _generate(ground: Ground, protocol: Protocol, prompts: np.ndarray, size: int) -> np.ndarray:
    """Continuations by `transformers.generate`, in batches of a size."""
    net, length, written = ground.base.model, protocol.block_length, []
    how: dict[str, Any] = {"num_beams": 5, "do_sample": False}
    if protocol.decoding == "sample":
        how = {"do_sample": True, "top_k": 0, "top_p": protocol.top_p}
    for start in range(0, len(prompts), size):
        ids = torch.from_numpy(prompts[start : start + size].astype(np.int64)).to(net.device)
        with torch.inference_mode(), network.autocast(net.device, protocol.precision):
            new = net.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=length,
                min_new_tokens=length, use_cache=True, **how,
            )  # fmt: skip
        written.append(new[:, ids.shape[1] :].cpu().numpy())
    return np.concatenate(written)


def has_other() -> bool:
    """Whether CTranslate2 can take part."""
    return kind() == "cpu" and importlib.util.find_spec("ctranslate2") is not None


def _ctranslate2(ground: Ground, protocol: Protocol, prompts: np.ndarray) -> Callable[[int], Any]:
    """A fast engine in C++ with the same weights at float32; it wants a batch size."""
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
    how: dict[str, Any] = {"beam_size": 5}
    if protocol.decoding == "sample":
        how = {"beam_size": 1, "sampling_topk": 0, "sampling_topp": protocol.top_p}
    return lambda size: engine.generate_batch(
        names, max_batch_size=size, batch_type="examples", max_length=protocol.block_length,
        min_length=protocol.block_length, include_prompt_in_result=False, **how,
    )  # fmt: skip


def _training(ground: Ground, who: str) -> Side:
    net, blocks, protocol = ground.base.model, ground.blocks.train, ground.protocol
    turns: dict[str, Callable[[], Any]] = {
        OURS: lambda: training.fine_tune(copy.deepcopy(net), blocks, blocks[:1], protocol, 0),
        TRAINER: lambda: _trainer(copy.deepcopy(net), blocks, protocol),
    }
    return Side(who, blocks.size, turns[who])


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
