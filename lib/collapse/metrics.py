"""Measures of a model and of its text: pure functions of arrays.

Logarithms are natural where a result is in nats (`nll`), to base 2 where it is in bits.
"""

import math

import numpy as np
from scipy import stats
from scipy.spatial.distance import jensenshannon

CONFIDENCE = 0.95
RESAMPLES = 2000


def perplexity(nll: np.ndarray) -> float:
    """exp of the mean negative log-likelihood over all tokens: every token weighs the same.

    Args:
        nll: nats, any shape.
    """
    return float(np.exp(np.mean(nll, dtype=np.float64)))


def perplexity_interval(sequence_nll: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the perplexity, sequences drawn with replacement.

    Efron and Tibshirani 1994, chapter 13. Sequences of equal length are assumed, so the mean of
    their means is the mean over tokens.

    Args:
        sequence_nll: mean nats a token of each sequence, (sequences,).
    """
    values = np.asarray(sequence_nll, np.float64)
    if len(values) < 2:
        return math.nan, math.nan
    result = stats.bootstrap(
        (values,),
        lambda x, axis: np.exp(np.mean(x, axis=axis)),
        n_resamples=RESAMPLES,
        batch=100,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def seed_interval(values: np.ndarray) -> tuple[float, float]:
    """95 % Student t interval of the mean over seeds; nan with fewer than two.

    Args:
        values: one number a seed, (seeds,).
    """
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return math.nan, math.nan
    error = values.std(ddof=1) / math.sqrt(len(values))
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, len(values) - 1) * error)
    return float(values.mean()) - half, float(values.mean()) + half


def bits_per_byte(nll: np.ndarray, targets: np.ndarray, token_bytes: np.ndarray) -> float:
    """Bits needed for each byte of text; comparable between tokenisers, unlike perplexity.

    Args:
        nll: nats of each predicted token, any shape.
        targets: those tokens, shape as `nll`.
        token_bytes: UTF-8 bytes of each token of the vocabulary, (vocabulary,).
    """
    total = int(token_bytes[targets].sum())
    return float(np.sum(nll, dtype=np.float64) / math.log(2) / total)


def bits(nats: float | np.ndarray) -> float:
    """The mean of some values in nats, in bits."""
    return float(np.mean(nats, dtype=np.float64) / math.log(2))


def counts(tokens: np.ndarray, vocabulary: int) -> np.ndarray:
    """How often each token of the vocabulary occurs: int32, (vocabulary,)."""
    return np.bincount(np.ravel(tokens), minlength=vocabulary).astype(np.int32)


def unigram_entropy(token_counts: np.ndarray) -> float:
    """Plug-in entropy of the token frequencies, in bits; biased low, so compare equal N only.

    H = - sum p log2 p with p = count / N. Its bias is about -(K - 1) / (2 N ln 2) with K the
    number of types (Miller 1955).
    """
    p = token_counts[token_counts > 0] / token_counts.sum()
    return float(max(0.0, -(p * np.log2(p)).sum()))


def distinct_tokens(tokens: np.ndarray, length: int) -> int:
    """Number of different tokens among the first `length`; grows with length, so fix it.

    Raises:
        ValueError: there are fewer tokens than that.
    """
    flat = np.ravel(tokens)
    if len(flat) < length:
        raise ValueError(f"{len(flat)} tokens are fewer than the length {length} asked for")
    return len(np.unique(flat[:length]))


def share_above(values: np.ndarray, threshold: float) -> float:
    """The share of values above a threshold: the weight of a right tail."""
    return float(np.mean(np.asarray(values) > threshold))


def share_interval(share: float, count: int) -> tuple[float, float]:
    """95 % Wilson score interval of a share that was measured on `count` values (Wilson 1927)."""
    test = stats.binomtest(round(share * count), count)
    interval = test.proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def share_below(values: np.ndarray, threshold: float) -> float:
    """The share of values below a threshold: the weight of a left tail."""
    return float(np.mean(np.asarray(values) < threshold))


# -- entropy of words, and what corrects its bias ---------------------------------------------


def miller_madow(token_counts: np.ndarray) -> float:
    """Plug-in entropy plus the first term of its bias, in bits.

    H + (K - 1) / (2 N ln 2), with K the types that occur (Miller 1955). Too low still where many
    types are missing from the sample; compare equal N only.
    """
    present = np.count_nonzero(token_counts)
    return unigram_entropy(token_counts) + (present - 1) / (2 * token_counts.sum() * math.log(2))


def chao_shen(token_counts: np.ndarray) -> float:
    """Entropy with unseen types allowed for, in bits (Chao and Shen 2003).

    With coverage C = 1 - f1/N, f1 being the types that occur once, each type's share is C p, and
    its term is divided by the probability 1 - (1 - C p)^N of having been seen at all:
    H = - sum C p log2(C p) / (1 - (1 - C p)^N). Above the truth where few types are missing.
    """
    seen = token_counts[token_counts > 0].astype(np.float64)
    total, once = seen.sum(), np.count_nonzero(seen == 1)
    # Where every token is another type the coverage would be zero; one less is the usual repair.
    coverage = 1 - (once if once < total else total - 1) / total
    p = coverage * seen / total
    return float(-(p * np.log2(p) / -np.expm1(total * np.log1p(-np.minimum(p, 1 - 1e-15)))).sum())


def effective_vocabulary(bits_of_entropy: float) -> float:
    """2^H: how many equally frequent words would have this entropy (Hill 1973, order 1)."""
    return float(2.0**bits_of_entropy)


def conditional_entropy(blocks: np.ndarray, order: int) -> float:
    """Plug-in entropy of a token given the `order - 1` before it in its block, in bits.

    H_n - H_(n-1), both over the positions that have so many predecessors, so that the difference is
    that of one sample. Biased low far more than `unigram_entropy`, since most n-grams occur once.

    Args:
        blocks: tokens, (blocks, block_length).
        order: n, at least 2.
    """
    grams = np.lib.stride_tricks.sliding_window_view(blocks, order, axis=1).reshape(-1, order)
    return _entropy_of_rows(grams) - _entropy_of_rows(grams[:, :-1])


def _entropy_of_rows(rows: np.ndarray) -> float:
    _, number = np.unique(rows, axis=0, return_counts=True)
    return unigram_entropy(number)


# -- vocabulary -------------------------------------------------------------------------------


def rarefied_vocabulary(token_counts: np.ndarray, length: int) -> float:
    """Expected number of types in a random sample of `length` of the tokens, without replacement.

    U(L) = sum over types of 1 - C(N - c, L) / C(N, L) (Hurlbert 1971). Compares texts of unequal
    length at equal length.

    Raises:
        ValueError: there are fewer tokens than that.
    """
    seen = token_counts[token_counts > 0].astype(np.int64)
    total = int(seen.sum())
    if length > total:
        raise ValueError(f"{total} tokens are fewer than the length {length} asked for")
    missed = stats.hypergeom.pmf(0, total, seen, length)
    return float((1 - missed).sum())


def type_token_ratio(tokens: np.ndarray) -> float:
    """Types divided by tokens; falls with length, so compare equal lengths only."""
    flat = np.ravel(tokens)
    return len(np.unique(flat)) / len(flat)


def moving_type_token_ratio(tokens: np.ndarray, window: int = 50) -> float:
    """Mean type-token ratio of all stretches of `window` tokens (Covington and McFall 2010).

    Does not depend on length, but on the window.

    Args:
        tokens: one running text, (tokens,), or blocks, each a text of its own.
    """
    rows = np.atleast_2d(tokens)
    stretches = np.lib.stride_tricks.sliding_window_view(rows, window, axis=1)
    ordered = np.sort(stretches.reshape(-1, window), axis=1)
    return float(((np.diff(ordered, axis=1) != 0).sum(1) + 1).mean() / window)


def distinct_pooled(blocks: np.ndarray, order: int) -> float:
    """Different n-grams of all blocks together, divided by all (Li et al. 2016, pooled).

    Falls with the number of blocks, so compare equal numbers; not to be compared with
    `distinct_each`.
    """
    grams = np.lib.stride_tricks.sliding_window_view(blocks, order, axis=1).reshape(-1, order)
    return len(np.unique(grams, axis=0)) / len(grams)


def distinct_each(blocks: np.ndarray, order: int) -> np.ndarray:
    """Different n-grams of each block divided by its n-grams, (blocks,) (Li et al. 2016, each)."""
    return np.array([distinct_pooled(block[None], order) for block in blocks])


def zipf_exponent(token_counts: np.ndarray, ranks: int = 1000) -> float:
    """Slope of log frequency on log rank over the most frequent types, sign changed.

    Least squares over ranks that are equally spaced in the logarithm, as the many rare ones would
    decide alone otherwise.
    """
    ordered = np.sort(token_counts[token_counts > 0])[::-1].astype(np.float64)
    picked = np.unique(np.geomspace(1, min(ranks, len(ordered)), 50).round().astype(int))
    return float(-stats.linregress(np.log(picked), np.log(ordered[picked - 1])).slope)


def tail_coverage(token_counts: np.ndarray, human_counts: np.ndarray, head: int = 1000) -> float:
    """The share of human types beyond the `head` most frequent that a text still uses.

    Grows with the length of the text, so compare equal lengths.
    """
    order = np.argsort(-human_counts, kind="stable")
    rare = order[head : np.count_nonzero(human_counts)]
    return float(np.mean(token_counts[rare] > 0)) if len(rare) else math.nan


def divergence(token_counts: np.ndarray, human_counts: np.ndarray) -> float:
    """Jensen-Shannon divergence of two distributions of tokens, in bits, 0 to 1 (Lin 1991).

    Not 0 for two samples of one distribution: falls with their length.
    """
    return float(jensenshannon(token_counts, human_counts, base=2) ** 2)
