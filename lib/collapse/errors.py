"""The one exception that users may see; each room names its own kinds of it."""


class BookError(Exception):
    """A mistake that the user can mend; its text is one sentence that names thing and remedy."""

    def _render_traceback_(self) -> list[str]:
        # What a notebook shows in place of a traceback; `execution` knows its kind by it.
        return [f"Error: {self}"]
