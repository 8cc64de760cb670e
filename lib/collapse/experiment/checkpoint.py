"""A model's folder as `transformers` reads it, refused where it is not a causal language model."""

from pathlib import Path
from typing import Any

from collapse.experiment.assets import AssetError

PLACEHOLDER = b"version https://git-lfs"  # how a file begins that Git LFS has not fetched


def read(folder: Path, name: str, **options: Any) -> tuple[Any, Any]:
    """The model of a folder in float32, in evaluation mode, and its tokeniser.

    Args:
        name: as it is called in refusals.
        options: passed on to `from_pretrained`.

    Raises:
        AssetError: a file is damaged or a placeholder, weights are missing or left over, there is
            no tokeniser, or the model is no causal one.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()  # what it would warn of is refused below
    _refuse_placeholders(folder, name)
    options |= {"local_files_only": True, "trust_remote_code": False}
    try:
        model, found = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True,
            **options,
        )  # fmt: skip
        model.eval()
    except Exception as error:  # of any kind: the files are the user's
        raise AssetError(
            f"cannot load the model {name} ({_reason(error)}); give a causal language model, or "
            "copy its folder again if a file of it is damaged"
        ) from error
    _refuse_other_weights(found, name)
    tokenizer = read_tokenizer(folder, name, **options)
    with torch.inference_mode():
        _refuse_foresight(model, name)
    rows = model.get_input_embeddings().num_embeddings
    if tokenizer.vocab_size > rows:
        raise AssetError(
            f"the tokeniser of {name} has {tokenizer.vocab_size} tokens where the model knows "
            f"{rows}: it is another model's; put the model's own into its folder"
        )
    return model, tokenizer


def read_tokenizer(folder: Path, name: str, **options: Any) -> Any:
    """The tokeniser of a model's folder.

    Raises:
        AssetError: there is none, or it makes nothing of text.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        # Without its files `transformers` makes an empty one.
        ids = set(tokenizer("Rain and wind.", add_special_tokens=False)["input_ids"])
        reason = "" if ids - {tokenizer.unk_token_id} else "it makes no tokens of a text"
    except Exception as error:  # of any kind: the files are the user's
        reason = _reason(error)
    if reason:
        raise AssetError(
            f"the model {name} has no usable tokeniser ({reason}); put its tokenizer.json, or the "
            "other files of its tokeniser, beside its weights"
        )
    return tokenizer


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _refuse_placeholders(folder: Path, name: str) -> None:
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        with path.open("rb") as file:
            if file.read(len(PLACEHOLDER)) == PLACEHOLDER:
                raise AssetError(
                    f"{path.name} of the model {name} is a placeholder of Git LFS, not the file "
                    "itself; run git lfs pull in its repository, or download the file"
                )


def _refuse_other_weights(found: dict[str, Any], name: str) -> None:
    """Refuse a model part of which would be random, or part of whose file would not be used."""
    for kind, said in (
        ("missing_keys", "lack"),
        ("mismatched_keys", "have in another shape"),
        ("unexpected_keys", "have besides"),
    ):
        if tensors := sorted(key if isinstance(key, str) else key[0] for key in found[kind]):
            more = f" and {len(tensors) - 1} more" if len(tensors) > 1 else ""
            raise AssetError(
                f"the weights of the model {name} {said} what its config.json asks for: "
                f"{tensors[0]}{more}; give the weights and the config.json of one model"
            )


def _refuse_foresight(model: Any, name: str) -> None:
    """Refuse a model whose predictions after a token depend on the tokens that follow."""
    import torch

    last = model.get_input_embeddings().num_embeddings - 1
    rows = torch.tensor([[0, 0], [0, last]])
    try:
        logits = model(input_ids=rows, use_cache=False).logits[:, 0].float()
    except Exception as error:  # of any kind: the files are the user's
        raise AssetError(
            f"the model {name} cannot read a text ({_reason(error)}); give a causal language model"
        ) from error
    if logits.isnan().any():
        raise AssetError(
            f"the model {name} predicts what is not a number: its weights are damaged or its "
            "training had diverged; give another copy of it"
        )
    # Rounding may differ a little with what stands behind; foresight moves whole logits.
    if (logits[0] - logits[1]).abs().max() > 1e-4 * logits.abs().max():
        raise AssetError(
            f"the model {name} sees later tokens: what it predicts after a token changes with "
            "those that follow, so its perplexity means nothing; give a causal language model"
        )
