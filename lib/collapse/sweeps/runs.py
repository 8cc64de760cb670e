"""The runs of an arm as a notebook asks for them: checked beforehand, and told while computed."""

from collapse.experiment import loop
from collapse.experiment.arms import Run, missing
from collapse.experiment.protocol import Arm

__all__ = ["arm", "missing"]


def arm(wanted: Arm, scale: str = "paper") -> list[Run]:
    """As `loop.arm`."""
    return loop.arm(wanted, scale)
