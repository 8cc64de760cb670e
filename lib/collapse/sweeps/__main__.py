"""The sweep of a pack: `python -m collapse.sweeps RUNS SCALE CARRIED [MINUTES]`.

It is `book sweep --runs` without what the commands and chapters are made with, for a machine that
only computes lacks it.
"""

import sys
from pathlib import Path

from collapse.errors import BookError
from collapse.experiment import devices
from collapse.sweeps import runs
from collapse.sweeps.progress import OutOfTime, now
from collapse.sweeps.sweep import sweep


def main(stated: str, scale: str, carried: str, minutes: str = "") -> int:
    """Compute the runs that a file states; return the exit status, 3 for want of time."""
    limit = now() + 60 * float(minutes) if minutes else None
    with devices.one_speaks():
        try:
            sweep(runs.stated(Path(stated)), scale, limit=limit, carried=Path(carried))
        except OutOfTime as error:
            print(f"time is up: {error}", flush=True)
            return 3
        except BookError as error:
            print(f"Error: {error}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
