"""The gauges of collapse: what is read off a generation's predictions and off its text.

Gauges come with a 95 % interval for what the choice of blocks does to them: the value plus and
minus 1.96 times its standard error, from blocks drawn with replacement (Efron and Tibshirani 1994,
chapter 6). Not the percentiles of the draws: a text drawn with replacement repeats blocks, so its
own entropy and vocabulary lie below those of the text, and so would an interval of percentiles. For
the same reason the intervals of what counts types or n-grams are too wide, up to three times.
"""

import math
from collections.abc import Iterator

import numpy as np
from scipy import sparse

from collapse import metrics
from collapse.glossary import PREDICTIONS, TEXT

DRAWS = 100  # enough for a standard error (Efron and Tibshirani 1994, section 6.4)
COMPARED = 64  # blocks that self-BLEU compares with each other: its cost grows with the square
WINDOW = 50  # tokens, of the moving type-token ratio
Z = 1.959964  # the normal distribution has 95 % within so many standard deviations


def of_predictions(
    on_human: tuple[np.ndarray, np.ndarray],
    on_own: tuple[np.ndarray, np.ndarray],
    on_reference: tuple[np.ndarray, np.ndarray],
) -> dict[str, float]:
    """The gauges of `glossary.PREDICTIONS`, each with its interval, `_low` and `_high`.

    Args:
        on_human, on_own, on_reference: of each block, the mean negative log-likelihood and the mean
            entropy of the predictions, nats, each (blocks,): of human test blocks, of what the
            model wrote, and of what generation 0 wrote.
    """
    in_bits = {
        "predictive_entropy": on_human[1],
        "own_text_entropy": on_own[1],
        "reference_entropy": on_reference[1],
        "overconfidence": on_human[0] - on_human[1],
    }
    drawn = {name: _means(nats) / math.log(2) for name, nats in in_bits.items()}
    drawn["own_text_perplexity"] = np.exp(_means(on_own[0]))
    return _with_intervals({name: drawn[name] for name in PREDICTIONS}, len(on_human[0]))


def of_text(blocks: np.ndarray, held_out: np.ndarray) -> dict[str, float]:
    """The gauges of `glossary.TEXT`, each with its interval, `_low` and `_high`.

    A gauge is nan where blocks are too short or too few for it. Self-BLEU has no interval, as its
    blocks share their references; nor has the Zipf exponent, whose ranks are fitted once.

    Args:
        blocks: the text, (blocks, block_length).
        held_out: how often human text that is not trained on uses each token, (vocabulary,).
    """
    rare = metrics.tail(held_out)
    counted = {
        "unigram_entropy": metrics.unigram_entropy,
        "miller_madow": metrics.miller_madow,
        "chao_shen": metrics.chao_shen,
        "distinct_tokens": np.count_nonzero,
        "tail_coverage": lambda counts: metrics.tail_coverage(counts, rare),
        "tail_share": lambda counts: metrics.tail_share(counts, rare),
        "divergence": lambda counts: metrics.divergence(counts, held_out),
    }
    unigrams = list(_counts(blocks, len(held_out)))
    drawn = {name: np.array([of(row) for row in unigrams]) for name, of in counted.items()}
    length, nothing = blocks.shape[1], np.full(DRAWS + 1, math.nan)
    for order, name in ((2, "bigram_entropy"), (3, "trigram_entropy")):
        drawn[name] = _conditional(blocks, order) if length >= order else nothing
    pairs = metrics.ngrams(blocks, 2)
    drawn["distinct_2_pooled"] = np.array([metrics.distinct_pooled(row) for row in _counts(pairs)])
    drawn["distinct_2_each"] = _means(metrics.distinct_each(pairs))
    window = min(WINDOW, length)
    drawn["moving_type_token_ratio"] = _means(metrics.moving_type_token_ratios(blocks, window))
    some = np.linspace(0, len(blocks) - 1, min(COMPARED, len(blocks))).round().astype(int)
    drawn["self_bleu"] = _means(metrics.self_bleu(blocks[some]))[:1]
    drawn["zipf_exponent"] = np.array([metrics.zipf_exponent(unigrams[0])])
    return _with_intervals({name: drawn[name] for name in TEXT}, len(blocks))


def _conditional(blocks: np.ndarray, order: int) -> np.ndarray:
    whole = metrics.ngrams(blocks, order)
    starts = metrics.ngrams(blocks, order - 1)[:, :-1]
    each = zip(_counts(whole), _counts(starts), strict=True)
    return np.array([metrics.conditional_entropy(n, before) for n, before in each])


def _draws(blocks: int) -> Iterator[np.ndarray]:
    """How often each block is in a draw: first once each, then `DRAWS` times by chance."""
    random = np.random.default_rng(0)  # the same draws for all gauges: they are paired
    yield np.ones(blocks)
    for _ in range(DRAWS):
        yield np.bincount(random.integers(0, blocks, blocks), minlength=blocks).astype(float)


def _means(values: np.ndarray) -> np.ndarray:
    """The mean over blocks in each draw, (DRAWS + 1,)."""
    values = np.asarray(values, np.float64)
    return np.array([draw @ values / len(values) for draw in _draws(len(values))])


def _counts(numbers: np.ndarray, width: int = 0) -> Iterator[np.ndarray]:
    """How often each number occurs in each draw; (width,) or as wide as needed."""
    width = width or int(numbers.max()) + 1
    rows = np.repeat(np.arange(len(numbers)), numbers.shape[1])
    ones = np.ones(numbers.size)
    table = sparse.csr_array((ones, (numbers.ravel(), rows)), shape=(width, len(numbers)))
    for draw in _draws(len(numbers)):
        yield table @ draw


def _with_intervals(drawn: dict[str, np.ndarray], blocks: int) -> dict[str, float]:
    found = {}
    for name, values in drawn.items():
        enough = blocks > 1 and len(values) > 2
        half = Z * float(np.std(values[1:], ddof=1)) if enough else math.nan
        value = float(values[0])
        found |= {name: value, f"{name}_low": value - half, f"{name}_high": value + half}
    return found
