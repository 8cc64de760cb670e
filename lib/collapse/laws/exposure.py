"""How much of what a model reads was written by machines, if so much of what is new was.

A web that grows and forgets is one of which newer years weigh more: by the growth of new pages in
a year, and by how much of the older ones is gone a year later. Only the product of both counts.
"""

from collections.abc import Sequence

import numpy as np


def pages(new: Sequence[float], before: int, weight: float = 1.0) -> np.ndarray:
    """The machine share among the pages of all years, at the end of each year: (years,).

    After n years it is Σ c_y w^y ÷ Σ w^y, y from 1 to n above and from 1 - `before` to n below.

    Args:
        new: c_y, the share among the new pages of year 1, 2 and so on.
        before: years with pages, and none by machines, before year 1.
        weight: w, of a year's pages against those of the year before. 1 is a web that keeps all
            and does not grow; one that forgets half in h years has 2^(1/h).

    Raises:
        ValueError: a share outside 0 to 1, or a weight or a number of years that is not positive.
    """
    shares = np.asarray(new, np.float64)
    if ((shares < 0) | (shares > 1)).any():
        raise ValueError(f"new={list(new)} has a number that is no share; give shares from 0 to 1")
    if not weight > 0 or before < 0:
        raise ValueError(
            f"weight={weight!r} and before={before!r} weigh nothing; give a weight above 0 and no "
            "negative number of years"
        )
    weights = weight ** np.arange(1.0 - before, len(shares) + 1)
    return (shares * weights[before:]).cumsum() / weights.cumsum()[before:]


def halving(years: float) -> float:
    """The weight of a year's pages against the year before's, if half are gone after so many."""
    return float(2 ** (1 / years))
