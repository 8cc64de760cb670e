"""The command `book`: one function a command; what takes long to import waits until it runs.

`options` holds what commands share; the others hold the commands, by what they are about.
"""

from collapse.cli import pages, records, runs, watch
from collapse.cli.options import main

__all__ = ["main", "pages", "records", "runs", "watch"]
