"""Runs as a notebook asks for them, by an arm, and as a file states them."""

import json
from pathlib import Path

from collapse.experiment import loop
from collapse.experiment.arms import Run
from collapse.experiment.protocol import Arm, Protocol, ProtocolError
from collapse.sweeps.progress import Watch


def runs_of(wanted: Arm, scale: str = "paper") -> list[Run]:
    """The runs of one arm, one a seed, from `records/` or computed here under a watch.

    Args:
        scale: of the chapter that asks for them; the record of a new run states it.

    Raises:
        BookError: a record is damaged, a run does not fit into memory or onto the disk, or stops.
    """
    return loop.arm(wanted, scale, Watch())


def stated(path: Path) -> list[Protocol]:
    """The runs that a file states: a JSON list, each as `Protocol.to_dict` gives it.

    Raises:
        ProtocolError: it is no such file, or a value in it is refused.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
        if not isinstance(found, list):
            raise TypeError("they are no list")
        return [Protocol.from_dict(values) for values in found]
    except ProtocolError:
        raise
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ProtocolError(
            f"the runs in {path} cannot be read ({error}); give a JSON list of protocols"
        ) from error
