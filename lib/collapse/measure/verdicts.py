"""Claims of others beside what was measured: one vocabulary, one rule (see `per_seed`)."""

import dataclasses
import re
from dataclasses import dataclass

from IPython.display import HTML

from collapse.book import figures
from collapse.measure import per_seed
from collapse.measure.per_seed import PerSeed

RULE = (
    "One rule decides. A "
    f"ratio that changes by less than {per_seed.MARGIN:.0%} counts as unchanged; that margin is "
    "ours. A claim is reproduced where the whole interval over seeds lies where the claim puts it, "
    "not reproduced where none of the interval does, and undecided otherwise. A reported size is "
    "widened by the same margin. A source that could not be looked up gets no verdict."
)
NOT_READ = "source not read"  # in the place of a verdict on what cannot be looked up
_PART = re.compile(rf"(?:[\w %]+: )?(?:{'|'.join((*per_seed.VERDICTS, NOT_READ))})(?:, .*)?")


@dataclass(frozen=True)
class Claim:
    """One claim, what was measured of it, and what follows.

    measured: `PerSeed`s say `not run yet` and `one seed` by themselves.
    verdict: one of `per_seed.VERDICTS`, perhaps with a reason after a comma; several as in
        `direction: reproduced; size: undecided`; or `NOT_READ`.

    Raises:
        ValueError: the verdict is in other words.
    """

    claim: str
    source: str  # as readers cite it
    measured: str
    result: str
    verdict: str

    def __post_init__(self) -> None:
        for part in self.verdict.split("; "):
            if not _PART.fullmatch(part):
                raise ValueError(f"{part!r} is none of the verdicts {per_seed.VERDICTS}")


def always_falls(found: dict[str, PerSeed]) -> str:
    """The verdict on the claim that something falls under every condition."""
    known = {name: measured for name, measured in found.items() if not per_seed.unknown(measured)}
    if not known:
        return next((per_seed.unknown(measured) for measured in found.values()), per_seed.NOT_RUN)
    told = {name: per_seed.falls(measured) for name, measured in known.items()}
    against = [name for name, word in told.items() if word.startswith(per_seed.NOT_REPRODUCED)]
    if against:
        return f"{per_seed.NOT_REPRODUCED}, it does not fall with {' and '.join(against)}"
    open_ = [name for name, word in told.items() if word != per_seed.REPRODUCED]
    if open_:
        return f"{per_seed.UNDECIDED}, it may not fall with {' and '.join(open_)}"
    return per_seed.REPRODUCED


def table(claims: list[Claim]) -> HTML:
    """The claims as a table for a page."""
    return figures.table([dataclasses.asdict(claim) for claim in claims], RULE)
