"""Evidence that gathers, and may be looked at after each step: what an alarm can rest on."""

import math

import numpy as np
from scipy import special


def sign_evidence(worse: np.ndarray, of: np.ndarray | int) -> np.ndarray:
    """Logarithm of an e-value against the claim that at most half of what is compared got worse.

    The likelihood of `worse` of `of` under a share that is uniform between 1/2 and 1, over that
    under 1/2: E = 2^(n+1) B(s+1, n-s+1) P(X > 1/2), X of the beta distribution of these two.
    Step by step it is a martingale at 1/2 and falls below, so it may be looked at after each step
    (Ville 1939; Robbins 1970 for mixtures). Comparisons must not share what may make them worse
    by chance.
    """
    worse, of = np.asarray(worse), np.asarray(of)
    beta = worse + 1, of - worse + 1
    with np.errstate(divide="ignore"):  # too small a number to be told from 0 is no evidence
        tail = np.log(special.betainc(*beta[::-1], 0.5))
    return (of + 1) * math.log(2) + special.betaln(*beta) + tail
