"""See it happen: what each generation wrote, token by token, as unlikely as generation 0 finds it.

The page needs no kernel and no network. The texts lie in a script of their own beside the figures,
which `_static/explorer.js` inserts when the reader comes near (`fetch` is refused where a page is
opened from disk). Without JavaScript, and in print, there is the strip.
"""

import html
import json
import math
import re
from collections import Counter
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from IPython.display import HTML

import retention_figures
from collapse.experiment import models
from collapse.experiment.arms import Run, describe
from collapse.experiment.assets import AssetError, atomic, build_dir
from collapse.measure import metrics

LARGEST = 300_000  # bytes of a page's texts
LEVELS = (1, 3, 6, 10)  # bits: where one shade ends and the next begins

Pieces = list[tuple[str, float | None]]


@dataclass(frozen=True)
class Passage:
    """A text of one block.

    pieces: in order, each with its surprise in bits under generation 0; the first has none.
    bits: the mean of a token.
    """

    pieces: Pieces
    bits: float


@dataclass(frozen=True)
class Sample:
    """A prompt, what its human author wrote next, and what each generation wrote instead."""

    prompt: str
    human: Passage
    generations: list[Passage]


@dataclass(frozen=True)
class Texts:
    """What a page shows: distinct is the share of distinct words of each generation's text."""

    samples: list[Sample]
    distinct: list[float]


def data_of(record: Any, tokenizer: Any) -> Texts | None:
    """The texts of a record; None for one that does not keep losses of single tokens.

    The only place that knows how a record keeps them: `text`, tokens, (generations, blocks,
    block_length); `sample_nll`, nats under generation 0, (generations, samples, block_length - 1);
    and of the human continuations `sample_human`, tokens, one after another, and
    `sample_human_nll`, nats under each generation, shaped as `sample_nll`.

    Args:
        tokenizer: that of the record's base model.
    """
    arrays = record.arrays
    if "text" not in arrays or "sample_nll" not in arrays:
        return None
    human = arrays["sample_human"].reshape(len(record.samples), -1)
    samples = [
        Sample(
            marked(sample["prompt"], tokenizer),
            passage(human[i], arrays["sample_human_nll"][0, i], tokenizer),
            [
                passage(text[sample["row"]], nll[i], tokenizer)
                for text, nll in zip(arrays["text"], arrays["sample_nll"], strict=True)
            ],
        )
        for i, sample in enumerate(record.samples)
    ]
    written = [
        tokenizer.batch_decode(text.tolist(), skip_special_tokens=True) for text in arrays["text"]
    ]
    return Texts(samples, distinct_words(written))


def passage(tokens: np.ndarray, nll: np.ndarray, tokenizer: Any) -> Passage:
    """A block's text in pieces, one a token.

    Tokens that only together make a character (byte-level BPE has such) are one piece, whose
    surprise is the sum of theirs.

    Args:
        tokens: (block_length,).
        nll: nats of all tokens but the first, (block_length - 1,).
    """
    bits = np.asarray(nll, np.float64) / math.log(2)
    pieces: Pieces = []
    done, first = "", 0
    for end in range(1, len(tokens) + 1):
        text = tokenizer.decode(tokens[:end].tolist(), clean_up_tokenization_spaces=False)
        if text.endswith("\ufffd") and end < len(tokens):
            continue  # perhaps a character that is not whole yet
        surprise = round(float(bits[first - 1 : end - 1].sum()), 1) if first else None
        pieces.append((marked(text[len(done) :], tokenizer), surprise))
        done, first = text, end
    return Passage(pieces, round(float(bits.mean()), 4))


def marked(text: str, tokenizer: Any) -> str:
    """A text with a sign for a paragraph in place of the end-of-text token."""
    return text.replace(tokenizer.eos_token, "¶") if tokenizer.eos_token else text


def distinct_words(texts: list[list[str]]) -> list[float]:
    """The share of distinct words, case aside, in each of some texts, at equal numbers of words.

    Every text is thought to be cut down, by drawing words at random, to as many as the shortest
    has (Hurlbert 1971, as in `metrics.rarefied_vocabulary`): the share falls with length.

    Args:
        texts: each a list of blocks.

    Returns:
        a share a text, 0 to 1; 0 for one without any word, which is not the shortest then.
    """
    counted = [
        Counter(word for block in text for word in re.findall(r"\w+", block.lower()))
        for text in texts
    ]
    counts = [np.array(list(words.values()), np.int64) for words in counted]
    shortest = min((int(found.sum()) for found in counts if len(found)), default=1)
    return [
        round(metrics.rarefied_vocabulary(found, shortest) / shortest, 4) if len(found) else 0.0
        for found in counts
    ]


def script(texts: Texts, id: str) -> str:
    """The texts as a script, in ASCII; without the last prompts, should they not fit otherwise.

    Raises:
        ValueError: the generations of one prompt are more than fit.
    """
    while texts.samples:
        data = json.dumps(asdict(texts), separators=(",", ":"), allow_nan=False)
        made = f"(window.explorerTexts ??= {{}})[{json.dumps(id)}] = {data};\n"
        if len(made) <= LARGEST:
            return made
        texts = replace(texts, samples=texts.samples[:-1])
    raise ValueError(f"one prompt's generations take more than the {LARGEST:,} bytes of a page")


def show(run: Run, sample: int, id: str) -> HTML:
    """A prompt and a generation to choose, its text beside the human one and generation 0's.

    The strip alone where the record does not keep what it needs, or the tokeniser is not at hand.

    Args:
        sample: of the strip; its prompt comes first.
        id: of the element on the page, its permanent address there, and of the script.

    Raises:
        AssetError: the disk is full or cannot be written.
    """
    strip = retention_figures.strip(run, sample).data
    try:
        texts = data_of(run.record, _tokenizer(run)) if "sample_nll" in run.record.arrays else None
    except AssetError as error:
        print(f"The texts are not shown token by token: {error}.")
        texts = None
    if texts is None:
        return HTML(strip)
    first = texts.samples[sample]
    others = [other for other in texts.samples if other is not first]
    made = script(replace(texts, samples=[first, *others]), id)
    with atomic(build_dir() / "figures" / f"{id}.js") as temporary:
        temporary.write_text(made, encoding="ascii")
    told = f"Seed {run.record.protocol.seed} ({describe([run])})."
    return HTML(frame(strip, id, len(texts.distinct) - 1, told))


def frame(strip: str, id: str, last: int, told: str) -> str:
    """The element that `_static/explorer.js` fills, with the strip in it: HTML.

    Args:
        last: generation.
        told: what is shown, in words.
    """
    panels = "".join(
        f'<div role="group" aria-labelledby="{id}-{key}"><p class="explorer-title" '
        f'id="{id}-{key}">{title}</p><p class="passage" data-passage="{key}"></p></div>'
        for key, title in (
            ("human", "human author"), ("first", "generation 0"), ("shown", "generation 1"),
        )
    )  # fmt: skip
    names = [f"below {LEVELS[0]}", *(f"{a} to {b}" for a, b in pairwise(LEVELS))]
    legend = "".join(
        f'<span class="surprise-{level}">{name}</span> '
        for level, name in enumerate([*names, f"{LEVELS[-1]} bits or more"])
    )
    return (
        f'<div class="explorer" id="{id}" role="group" aria-label="Read what each generation '
        f'wrote" data-texts="../figures/{id}.js" data-levels="{" ".join(map(str, LEVELS))}">'
        f'<div class="explorer-play" hidden><form onsubmit="return false">'
        f'<label>prompt <select></select></label> <div><label for="{id}-time">generation</label> '
        f'<output for="{id}-time">1</output><input type="range" id="{id}-time" min="0" '
        f'max="{last}" value="{min(1, last)}" step="1"></div></form>'
        f'<p class="passage explorer-prompt"></p><div class="explorer-panels">{panels}</div>'
        f'<div class="explorer-facts"><p class="explorer-said" aria-live="polite"></p>'
        f'<svg viewBox="0 0 240 96" aria-hidden="true"></svg></div>'
        f'<p class="explorer-note">Step with the arrow keys. The stronger its shade, the less '
        f"generation 0 expected a token: {legend} One bit is a chance of 1 in 2, ten bits are 1 "
        f"in 1,024. The share of distinct words is of equally many words of each generation. "
        f"{html.escape(told)}</p></div>"
        f'<p class="explorer-failed" role="status"></p>{strip}</div>'
    )


def _tokenizer(run: Run) -> Any:
    return models.tokenizer(run.record.protocol.model)
