"""Evidence that something got worse, as an e-value: a bet whose mean is at most 1 if it did not.

An e-value of 1 / rate or more is seen at most at that rate if nothing changed (Markov), and those
of comparisons one after another may be multiplied, whenever one stops (Ville).
"""

import math

import numpy as np
from scipy import stats


def sign_evidence(worse: int, of: int) -> float:
    """The e-value of `worse` of so many blocks, against each getting worse with chance one half.

    A mixture of bets over the chances p from one half to one: with s = `worse` and n = `of`,
    E = 2^n 2 int_(1/2)^1 p^s (1 - p)^(n - s) dp = 2^(n + 1) B(s + 1, n - s + 1) (1 - I_(1/2)),
    I being the regularised incomplete beta function of the same s + 1 and n - s + 1. It is inf
    where it exceeds the largest float.
    """
    if not 0 <= worse <= of:
        raise ValueError(f"{worse} of {of} blocks cannot have got worse")
    a, b = worse + 1, of - worse + 1
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    log = (of + 1) * math.log(2) + log_beta + stats.beta.logsf(0.5, a, b)
    with np.errstate(over="ignore"):
        return float(np.exp(log))
