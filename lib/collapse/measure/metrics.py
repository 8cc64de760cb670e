"""Measures of a model and of its text: pure functions of arrays.

Logarithms are natural where a result is in nats (`nll`), to base 2 where it is in bits.
"""

import math

import numpy as np
from scipy import stats
from scipy.spatial.distance import jensenshannon

CONFIDENCE = 0.95


def perplexity(nll: np.ndarray) -> float:
    """exp of the mean of `nll`, nats of any shape: every token weighs the same."""
    return float(np.exp(np.mean(nll, dtype=np.float64)))


def quantile(freedom: int, confidence: float = CONFIDENCE) -> float:
    """How many standard errors an interval reaches to either side: Student's t."""
    return float(stats.t.ppf(0.5 + confidence / 2, freedom)) if freedom > 0 else math.nan


def jackknife_error(whole: float, without: np.ndarray, sizes: np.ndarray) -> float:
    """Standard error of a statistic by the jackknife that deletes one group at a time.

    With g groups of equal size it is sqrt((g - 1) / g sum (t_j - mean t)^2), t_j being the
    statistic without group j (Efron and Tibshirani 1994, chapter 11); groups of unequal size count
    each by its own (Busing, Meijer and van der Leeden 1999). nan with fewer than two groups.
    `without` is the statistic without each group, `sizes` how much is in each, (groups,).
    """
    if len(without) < 2:
        return math.nan
    times = sizes.sum() / sizes  # how often a group would fill the whole
    middle = len(without) * whole - float(((1 - 1 / times) * without).sum())
    pseudo = times * whole - (times - 1) * without
    return float(np.sqrt(np.mean((pseudo - middle) ** 2 / (times - 1))))


def kinds_error(incidence: np.ndarray, blocks: int) -> float:
    """Standard error of the number of kinds that occur in some blocks.

    A kind that is missed with probability q adds q (1 - q) to the variance of their number, which
    is also the probability that a second text of the same size has it for the first time. So the
    variance is the number of new kinds in such a text, f (1 - (1 - once / (B f + once))^B) for B
    blocks, with f = (B - 1) / B once^2 / (2 twice) kinds that were missed (Shen, Chao and Lin 2003;
    Chao 1987). The jackknife is too large here, by half where most of the kinds occur. `incidence`
    says in how many of the blocks each kind occurs, (kinds,).
    """
    once, twice = int(np.sum(incidence == 1)), int(np.sum(incidence == 2))
    if not once:
        return 0.0
    missed = once**2 / (2 * twice) if twice else once * (once - 1) / 2
    missed *= (blocks - 1) / blocks
    return math.sqrt(missed * (1 - (1 - once / (blocks * missed + once)) ** blocks))


def counts(tokens: np.ndarray, vocabulary: int) -> np.ndarray:
    """How often each token of the vocabulary occurs: int32, (vocabulary,)."""
    return np.bincount(np.ravel(tokens), minlength=vocabulary).astype(np.int32)


# -- entropy of words, and what corrects its bias ---------------------------------------------


def unigram_entropy(token_counts: np.ndarray) -> float:
    """Plug-in entropy of the token frequencies, in bits; biased low, so compare equal N only.

    H = - sum p log2 p with p = count / N. Its bias is about -(K - 1) / (2 N ln 2) with K the
    number of types (Miller 1955).
    """
    p = token_counts[token_counts > 0] / token_counts.sum()
    return float(max(0.0, -(p * np.log2(p)).sum()))


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
    seen_at_all = -np.expm1(total * np.log1p(-np.minimum(p, 1 - 1e-15)))
    return float(max(0.0, -(p * np.log2(p) / seen_at_all).sum()))


def ngrams(blocks: np.ndarray, order: int) -> np.ndarray:
    """A number for each n-gram within a block, equal for equal ones: int64, (blocks, positions).

    Of blocks of tokens, (blocks, block_length), which must not be shorter than `order`, the n.
    """
    length = blocks.shape[1]
    if length < order:
        raise ValueError(f"blocks of {length} tokens have no runs of {order}")
    vocabulary, found = int(blocks.max()) + 1, blocks.astype(np.int64)
    for step in range(1, order):  # renumbered each time, so that no product overflows
        longer = found[:, :-1] * vocabulary + blocks[:, step:]
        found = np.unique(longer, return_inverse=True)[1].reshape(longer.shape)
    return found


def conditional_entropy(counts_n: np.ndarray, counts_before: np.ndarray) -> float:
    """Plug-in entropy of a token given the n - 1 before it, in bits: H_n - H_(n-1).

    Biased low far more than `unigram_entropy`, since most n-grams occur once. `counts_before` says
    how often each (n-1)-gram starts one of the n-grams, so that both are of one sample.
    """
    return unigram_entropy(counts_n) - unigram_entropy(counts_before)


# -- vocabulary -------------------------------------------------------------------------------


def rarefied_vocabulary(token_counts: np.ndarray, length: int) -> float:
    """Expected number of types in a random sample of `length` of the tokens, without replacement.

    U(L) = sum over types of 1 - C(N - c, L) / C(N, L) (Hurlbert 1971). Compares texts of unequal
    length at equal length, which none may fall short of.
    """
    seen = token_counts[token_counts > 0].astype(np.int64)
    total = int(seen.sum())
    if length > total:
        raise ValueError(f"{total} tokens are fewer than the length {length} asked for")
    missed = stats.hypergeom.pmf(0, total, seen, length)
    return float((1 - missed).sum())


def moving_type_token_ratios(blocks: np.ndarray, window: int = 50) -> np.ndarray:
    """Of each block, the mean type-token ratio of its stretches of `window` tokens, (blocks,).

    Does not depend on length, but on the window (Covington and McFall 2010).
    """
    positions = blocks.shape[1] - window + 1
    types = np.zeros(len(blocks))
    for start in range(positions):
        ordered = np.sort(blocks[:, start : start + window], axis=1)
        types += (np.diff(ordered, axis=1) != 0).sum(1) + 1
    return types / positions / window


def distinct_pooled(ngram_counts: np.ndarray) -> float:
    """Different n-grams of all blocks together, divided by all (Li et al. 2016, pooled).

    Falls with the number of blocks, so compare equal numbers, and not with `distinct_each`.
    """
    return float(np.count_nonzero(ngram_counts) / ngram_counts.sum())


def distinct_each(grams: np.ndarray) -> np.ndarray:
    """Different n-grams of each block divided by its n-grams, (blocks,) (Li et al. 2016, each)."""
    ordered = np.sort(grams, axis=1)
    return ((np.diff(ordered, axis=1) != 0).sum(1) + 1) / grams.shape[1]


def self_bleu(blocks: np.ndarray) -> np.ndarray:
    """BLEU-4 of each block with all others as references, (blocks,) (Zhu et al. 2018).

    As NLTK computes it (Bird et al. 2009), with its first smoothing, over tokens; blocks of one
    length have no brevity penalty. Rises with the number of blocks, so compare equal numbers; nan
    for a single block.
    """
    number, length = blocks.shape
    if number < 2:
        return np.full(number, math.nan)
    logs = np.zeros(number)
    for order in range(1, 5):
        if length < order:  # NLTK counts one that is missed
            logs += math.log(0.1)
            continue
        grams = ngrams(blocks, order)
        counts = np.zeros((number, int(grams.max()) + 1), np.int32)
        np.add.at(counts, (np.arange(number)[:, None], grams), 1)
        ordered = np.sort(counts, axis=0)[-2:]  # of each n-gram, the two largest counts
        others = np.where(counts == ordered[1], ordered[0], ordered[1])  # the largest elsewhere
        matched = np.minimum(counts, others).sum(1)
        if order == 1:
            nothing = matched == 0
        logs += np.log(np.where(matched > 0, matched, 0.1) / grams.shape[1])
    return np.where(nothing, 0.0, np.exp(logs / 4))


def zipf_exponent(token_counts: np.ndarray, ranks: int = 200) -> float:
    """Slope of log frequency on log rank over the most frequent types, sign changed.

    Least squares over ranks that are equally spaced in the logarithm, as the many rare ones would
    decide alone otherwise. nan where there are fewer types than ranks, for a fit over other ranks
    is not the same quantity.
    """
    ordered = np.sort(token_counts[token_counts > 0])[::-1].astype(np.float64)
    if len(ordered) < ranks:
        return math.nan
    picked = np.unique(np.geomspace(1, ranks, 50).round().astype(int))
    return float(-np.polyfit(np.log(picked), np.log(ordered[picked - 1]), 1)[0])


def tail(human_counts: np.ndarray, mass: float = 0.1) -> np.ndarray:
    """The types that humans use least: those that together make up `mass` of their text, indices.

    A share and not a number of types, so that it suits a vocabulary of any size.
    """
    order = np.argsort(human_counts, kind="stable")
    order = order[human_counts[order] > 0]
    return order[np.cumsum(human_counts[order]) <= mass * human_counts.sum()]


def tail_share(token_counts: np.ndarray, rare: np.ndarray) -> float:
    """The share of a text's tokens that are of some rare types; does not depend on its length."""
    return float(token_counts[rare].sum() / token_counts.sum())


def divergence(token_counts: np.ndarray, human_counts: np.ndarray) -> float:
    """Jensen-Shannon divergence of two distributions of tokens, in bits, 0 to 1 (Lin 1991).

    Not 0 for two samples of one distribution: falls with their length.
    """
    return float(jensenshannon(token_counts, human_counts, base=2) ** 2)
