"""Runs as a notebook asks for them, by an arm."""

from collapse.experiment import loop
from collapse.experiment.arms import Run
from collapse.experiment.protocol import Arm
from collapse.sweeps.progress import Watch


def runs_of(wanted: Arm, scale: str = "paper") -> list[Run]:
    """The runs of one arm, one a seed, from `records/` or computed here under a watch.

    `scale` is that of the chapter that asks for them; the record of a new run states it.
    """
    return loop.arm(wanted, scale, Watch())
