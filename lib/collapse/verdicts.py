"""Claims of others beside what was measured: whether the measurement bears them out."""

import dataclasses
from dataclasses import dataclass

from IPython.display import HTML

from collapse import figures
from collapse.results import Ratio, Reference, undecided

STABLE = (0.9, 1.1)  # a ratio within these counts as no change


@dataclass(frozen=True)
class Claim:
    """One claim, what was measured of it, and what follows.

    measured: `Ratio`s say `not run yet` and `one seed` by themselves.
    """

    claim: str
    source: str  # as readers cite it
    measured: str
    result: str
    verdict: str


def falls(measured: Ratio, reference: Reference | None = None) -> str:
    """Whether a ratio bears out that something falls, and by as much as the reference says.

    Args:
        reference: a ratio below 1; without one the size is not judged.
    """
    if why := undecided(measured):
        return why
    if measured.low > 1:
        return "not reproduced: it rises"
    if measured.high >= 1:
        return "undecided: the interval contains no change"
    if reference is None:
        return "reproduced: it falls"
    if measured.low > reference.high:
        return "direction reproduced, size not: it falls less"
    if measured.high < reference.low:
        return "direction reproduced, size not: it falls more"
    return "direction reproduced, size compatible"


def stays(measured: Ratio) -> str:
    """Whether a ratio bears out that something hardly changes, within `STABLE`."""
    if why := undecided(measured):
        return why
    low, high = STABLE
    if low <= measured.low and measured.high <= high:
        return "reproduced: it changes by less than a tenth"
    if measured.high < low:
        return "not reproduced: it falls by more than a tenth"
    if measured.low > high:
        return "not reproduced: it rises by more than a tenth"
    return "undecided: the interval reaches beyond a tenth"


def less(measured: Ratio) -> str:
    """Whether a ratio of two ratios bears out that the first falls further than the second."""
    if why := undecided(measured):
        return why
    if measured.high < 1:
        return "reproduced: it falls further"
    if measured.low > 1:
        return "not reproduced: it falls less far"
    return "undecided: the interval contains no difference"


def more(measured: Ratio, if_so: str, if_not: str) -> str:
    """Whether the ratio of two ratios bears out that the first is the larger one.

    Args:
        if_so, if_not: what that means, and what the opposite does.
    """
    if why := undecided(measured):
        return why
    if measured.low > 1:
        return f"reproduced: {if_so}"
    if measured.high < 1:
        return f"not reproduced: {if_not}"
    return "undecided: the interval contains no difference"


def always(ratios: dict[str, Ratio]) -> str:
    """Whether something falls under every condition, and where it rises."""
    known = {name: ratio for name, ratio in ratios.items() if not undecided(ratio)}
    if not known:
        return next((undecided(ratio) for ratio in ratios.values()), "not run yet")
    rises = [name for name, ratio in known.items() if ratio.low > 1]
    if rises:
        return f"not in general: it rises with {', '.join(rises)}"
    if all(ratio.high < 1 for ratio in known.values()):
        return "reproduced: it falls under each condition tried"
    return "undecided: some intervals contain no change"


def table(claims: list[Claim]) -> HTML:
    """The claims as a table for a page."""
    return figures.table([dataclasses.asdict(claim) for claim in claims])
