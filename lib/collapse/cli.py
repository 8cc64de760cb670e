"""What all commands share: how they fail, and the options that several have."""

from collections.abc import Sequence
from typing import Any

import click

from collapse import chapter
from collapse.protocol import BookError


class Sentence(click.ClickException):
    """A mistake of the user's, told in one sentence without a traceback."""

    exit_code = 2


class Commands(click.Group):
    """A group whose commands may raise any `BookError`."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn a `BookError` into a sentence and exit code 2."""
        try:
            return super().invoke(ctx)
        except BookError as error:
            raise Sentence(str(error)) from error
        except OSError as error:
            raise Sentence(
                f"cannot use {error.filename}: {error.strerror}; mend it, or choose other folders "
                "with COLLAPSE_BUILD and COLLAPSE_CACHE"
            ) from error


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """`["a=1", "b=x"]` as a mapping.

    Raises:
        chapter.ParameterError: a text has no `=`.
    """
    for text in texts:
        if "=" not in text:
            raise chapter.ParameterError(f"-p {text} gives no value; write -p {text}=VALUE")
    return dict(text.split("=", maxsplit=1) for text in texts)


scale_option = click.option(
    "--scale", type=click.Choice(chapter.SCALES), default="laptop", show_default=True
)
force_option = click.option("--force", is_flag=True, help="Execute even what is up to date.")
parameter_option = click.option(
    "-p", "parameters", multiple=True, metavar="KEY=VALUE", help="Set a parameter."
)
workers_option = click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Runs at once on this machine."
)
