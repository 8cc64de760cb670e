"""Measures of a model and of its text: pure functions of arrays.

Logarithms are natural where a result is in nats (`nll`), to base 2 where it is in bits.
"""

import math

import numpy as np
from scipy import stats

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
