"""The one exception that users may see, whose kinds each room names, and the exit statuses."""

from enum import IntEnum


class BookError(Exception):
    """A mistake that the user can mend; its text is one sentence that names thing and remedy."""

    def _render_traceback_(self) -> list[str]:
        # What a notebook shows in place of a traceback; `execution` knows its kind by it.
        return [f"Error: {self}"]


class Exit(IntEnum):
    """How a command ends, as its exit status; `when` says it to a rerunner."""

    DONE = 0, "done; a rerun agrees with what is published, a watched text is quiet"
    DIFFERS = 1, "a rerun differs from what is published, a watched text rings"
    MISTAKE = 2, "refused or failed; one sentence says why and what to do"
    OPEN = 3, "too little to compare or to judge; or `--minutes` were over, and runs are left"

    when: str

    def __new__(cls, status: int, when: str) -> "Exit":
        """A status that knows what it means."""
        found = int.__new__(cls, status)
        found._value_, found.when = status, when
        return found
