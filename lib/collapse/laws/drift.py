"""Exact laws of learning from one's own samples, and simulators that obey them exactly.

Two worlds. In the *discrete* one a distribution over words is estimated by the shares of M draws,
and the next one is drawn from those shares: population genetics knows this as the Wright-Fisher
model without mutation (Ewens, Mathematical Population Genetics I, 2nd ed., 2004, ch. 3). In the
*Gaussian* one mean and variance are estimated from M draws: Shumailov et al. 2024, theorem 3.1.

Generation 0 is the original distribution; generation n comes from n rounds of drawing and fitting.
"""

import math

import numpy as np
from numpy.random import Generator
from scipy import integrate, special, stats

Array = np.ndarray
GOLDEN = (math.sqrt(5) - 1) / 2  # 0.618..., one over the golden ratio


# -- discrete distributions ------------------------------------------------------------------


def resample(shares: Array, draws: int, generations: int, random: Generator) -> Array:
    """Chains of Wright-Fisher resampling: shares, (generations + 1, *shares.shape).

    Each generation is M draws from the one before.

    Args:
        shares: of generation 0, (kinds,) for one chain or (chains, kinds).
    """
    chain = [np.asarray(shares, float)]
    for _ in range(generations):
        chain.append(random.multinomial(draws, chain[-1]) / draws)
    return np.stack(chain)


def resample_one(
    share: float, draws: int, generations: int, chains: int, random: Generator
) -> Array:
    """The share of one kind among others in many chains, (generations + 1, chains).

    What the others are does not matter to it: its count is binomial.
    """
    found = np.full((generations + 1, chains), float(share))
    undecided = np.arange(chains)  # a chain that has come to 0 or 1 stays there
    for n in range(generations):
        found[n + 1] = found[n]
        found[n + 1, undecided] = random.binomial(draws, found[n, undecided]) / draws
        undecided = undecided[(found[n + 1, undecided] > 0) & (found[n + 1, undecided] < 1)]
    return found


def lost_at_once(share: float | Array, draws: int) -> float | Array:
    """Probability that a kind is missing from the first M draws: (1 - q)^M."""
    return (1 - share) ** draws


def lost_in_the_end(share: float | Array) -> float | Array:
    """Probability that a kind is lost sooner or later: 1 - q.

    The share is a martingale and ends at 0 or 1, so it ends at 1 with probability q.
    """
    return 1 - share


def counts_law(count: int, draws: int, generations: int) -> Array:
    """The exact probabilities of a kind's counts, 0 to M, after each generation: (n + 1, M + 1)."""
    counts = np.arange(draws + 1)
    steps = stats.binom.pmf(counts[None, :], draws, counts[:, None] / draws)
    law = np.zeros((generations + 1, draws + 1))
    law[0, count] = 1.0
    for n in range(generations):
        law[n + 1] = law[n] @ steps
    return law


def lost_by(count: int | Array, generations: int) -> Array:
    """Probability that a rare kind is lost by each generation: (generations + 1, *count.shape).

    In the limit of many draws.     Each copy then has a Poisson number of successors with mean 1,
    independently of the others. A line of one is extinct by generation n with probability
    f_n = exp(f_{n-1} - 1), f_0 = 0, and all of them with f_n^count (Galton and Watson; Harris 1963,
    ch. I).
    """
    line = [0.0]
    for _ in range(generations):
        line.append(math.exp(line[-1] - 1))
    return np.power.outer(np.array(line), np.asarray(count))


# -- Gaussians -------------------------------------------------------------------------------


def refit(
    draws: int, generations: int, chains: int, random: Generator, biased: bool = False
) -> tuple[Array, Array]:
    """Means and variances of Gaussians fitted to samples of the one before, from N(0, 1) on.

    Both are (generations + 1, chains).     No points are drawn: the mean of M draws from N(m, v) is
    N(m, v/M), their sum of squares is v times chi-square with M - 1 degrees of freedom, and the two
    are independent.

    Args:
        biased: divide by M, as maximum likelihood does, and not by M - 1.
    """
    means, variances = np.zeros((2, generations + 1, chains))
    variances[0] = 1.0
    for n in range(generations):
        spread = np.sqrt(variances[n] / draws)
        means[n + 1] = means[n] + spread * random.standard_normal(chains)
        squares = random.chisquare(draws - 1, chains)
        variances[n + 1] = variances[n] * squares / (draws if biased else draws - 1)
    return means, variances


def mean_variance(draws: int, generation: int | Array, biased: bool = False) -> float | Array:
    """Expected variance after n refits: 1 for ever, or ((M - 1) / M)^n where it is biased."""
    return ((draws - 1) / draws if biased else 1.0) ** np.asarray(generation)


def median_variance(draws: int, generation: int | Array) -> float | Array:
    """Median variance after n unbiased refits, for not too few draws: exp(-n / (M - 1)).

    The logarithm of the variance is a sum of n independent ones of chi-square over its degrees of
    freedom, k = M - 1: nearly Gaussian, with mean n (digamma(k/2) - log(k/2)), about -n/k.
    """
    return np.exp(-np.asarray(generation) / (draws - 1))


def half_life(draws: int) -> float:
    """Generations in which the median variance halves: (M - 1) log 2."""
    return (draws - 1) * math.log(2)


def distance(means: Array, variances: Array) -> Array:
    """Squared 2-Wasserstein distance to N(0, 1): m^2 + (s - 1)^2."""
    return np.square(means) + np.square(np.sqrt(variances) - 1)


def expected_distance(draws: int, generation: int | Array) -> float | Array:
    """Expected squared 2-Wasserstein distance to N(0, 1) after n unbiased refits.

    n/M + 2 (1 - c^n), where c = sqrt(2/(M-1)) Gamma(M/2) / Gamma((M-1)/2) is the expected standard
    deviation of a sample of M from N(0, 1). For small n about 3n/(2M), the paper's eq. 6 (SI).
    """
    log = special.gammaln(draws / 2) - special.gammaln((draws - 1) / 2)
    c = math.sqrt(2 / (draws - 1)) * math.exp(log)
    return np.asarray(generation) / draws + 2 * (1 - c ** np.asarray(generation))


# -- keeping, adding, choosing ---------------------------------------------------------------


def accumulate(draws: int, generations: int, chains: int, random: Generator) -> Array:
    """Means fitted to all draws so far, each generation adding M: (generations + 1, chains).

    The draws are from N(last mean, 1); generation 0 is the true mean, 0.
    """
    means = np.zeros((generations + 1, chains))
    for n in range(generations):
        fresh = means[n] + random.standard_normal(chains) / math.sqrt(draws)
        means[n + 1] = (n * means[n] + fresh) / (n + 1)
    return means


def accumulated_variance(draws: int, generation: int) -> float:
    """Variance of the mean in `accumulate`: (1/M) sum of 1/i^2 for i to n, at most pi^2/(6 M)."""
    return float(np.sum(1.0 / np.arange(1, generation + 1) ** 2)) / draws


def mix(human: float, draws: int, generations: int, chains: int, random: Generator) -> Array:
    """Means fitted to M draws, a share of them human: (generations + 1, chains).

    The human ones are from N(0, 1) afresh, the rest from N(last mean, 1).
    """
    means = np.zeros((generations + 1, chains))
    for n in range(generations):
        noise = random.standard_normal(chains) / math.sqrt(draws)
        means[n + 1] = (1 - human) * means[n] + noise
    return means


def mixed_variance(
    human: float, draws: int, generation: int | Array | None = None
) -> float | Array:
    """Variance of the mean in `mix`: (1/M) (1 - r^n) / (1 - r), where r = (1 - human share)^2.

    With n None the value that it settles at, 1 / (M (1 - r)); without human data it is n / M.
    """
    ratio = (1 - human) ** 2
    n = np.asarray(math.inf if generation is None else generation)
    return n / draws if ratio == 1 else (1 - ratio**n) / (1 - ratio) / draws


def weigh(weight: float, draws: int, generations: int, chains: int, random: Generator) -> Array:
    """The last means of chains with M human and M synthetic draws at a time, (chains,).

    The mean of the human ones has weight w, that of the others, from N(last mean, 1), 1 - w.
    """
    means = np.zeros(chains)
    for _ in range(generations):
        human = random.standard_normal((draws, chains)).mean(0)
        synthetic = means + random.standard_normal((draws, chains)).mean(0)
        means = weight * human + (1 - weight) * synthetic
    return means


def weighed_variance(weight: Array, before: float | None = None) -> Array:
    """Variance of a mean in `weigh`, in units of 1 / M: w^2 + (1 - w)^2 (1 + v).

    Args:
        weight: w of the human half, any shape.
        before: v, of the model that wrote the synthetic half. None is what the chain settles at,
            which is least where w is one over the golden ratio, as He, Xu and Cheng found (arXiv
            2502.18049): noise of variance w^2 + (1 - w)^2 in each round, and `mix`'s law.
    """
    rest = (1 - weight) ** 2
    noise = weight**2 + rest
    return noise / (1 - rest) if before is None else noise + rest * before


def select(kept: int, drawn: int, generations: int, chains: int, random: Generator) -> Array:
    """Variances fitted to the k likeliest of n draws from N(0, v): (generations + 1, chains).

    The mean is known to be 0, so that the likeliest are the ones nearest to 0.
    """
    variances = np.ones((generations + 1, chains))
    for n in range(generations):
        squares = np.square(random.standard_normal((chains, drawn)))
        squares.partition(kept - 1, axis=1)
        variances[n + 1] = variances[n] * squares[:, :kept].mean(1)
    return variances


def selected_variance(kept: int, drawn: int) -> float:
    """Expected factor on the variance of one round of `select`.

    The mean of the k smallest of n chi-square variables with one degree of freedom: n/k times the
    integral of x f(x) P(fewer than k of the other n - 1 lie below x).
    """

    def inside(z: float) -> float:  # over z with x = z^2, both signs
        below = special.bdtr(kept - 1, drawn - 1, special.chdtr(1, z * z))
        return 2 * z * z * stats.norm.pdf(z) * below

    value, _ = integrate.quad(inside, 0, 12, limit=200)
    return drawn / kept * value
