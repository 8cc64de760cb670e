"""What all commands share: how they fail, and the options that several have."""

import errno
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from collapse import assets, chapter, folders
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
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise Sentence(
                    f"the disk is full ({error.strerror}); free some space or choose other folders "
                    "with COLLAPSE_BUILD and COLLAPSE_CACHE, then run the same command again"
                ) from error
            if error.filename is None:  # of a pipe or a socket; click knows those
                raise
            raise Sentence(
                f"cannot use {error.filename}: {error.strerror}; mend it, or choose other folders "
                "with COLLAPSE_BUILD and COLLAPSE_CACHE"
            ) from error


class Writing(click.Command):
    """A command that writes into the build folder or the cache, which are seen to beforehand."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, where its folders can be used."""
        folders.ready()
        return super().invoke(ctx)


class Pair(click.ParamType):
    """`KEY=VALUE`; several in the environment, split as a shell does."""

    name = "KEY=VALUE"

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """The pairs in one text.

        Raises:
            chapter.ParameterError: a quote in it is not closed.
        """
        try:
            return shlex.split(rv)
        except ValueError as error:
            raise chapter.ParameterError(
                f"PARAMS={rv} cannot be split into KEY=VALUE ({error}); put a value with blanks "
                "into quotes of its own, as in PARAMS=\"corpus='my text.txt' seed=3\""
            ) from error


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """`["a=1", "b=x"]` as a mapping.

    Raises:
        chapter.ParameterError: a text has no `=`, or a key is given twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise chapter.ParameterError(f"-p {text} gives no value; write -p {text}=VALUE")
        if key in found:
            raise chapter.ParameterError(
                f"parameter {key!r} is given twice, as {found[key]!r} and as {value!r}; leave one"
            )
        found[key] = value
    return found


def no_empty(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """A value as it is, unless it is an empty text, as that of an unset variable.

    Raises:
        chapter.ParameterError: it is empty.
    """
    if value == "":
        raise chapter.ParameterError(
            f"{option.opts[0]} is given without a value; give {option.metavar}, or leave it out"
        )
    return value


def no_nan(context: click.Context, option: click.Parameter, value: float | None) -> float | None:
    """A number as it is, unless it is none: no limit would ever be reached by it.

    Raises:
        chapter.ParameterError: it is a nan.
    """
    if value is not None and math.isnan(value):
        raise chapter.ParameterError(f"{option.opts[0]} takes a number, not {value}; give one")
    return value


def folder(context: click.Context, option: click.Parameter, value: str | None) -> Path | None:
    """The folder that an option names.

    Raises:
        BookError: the text is empty, or names the home of a user who is not known.
    """
    given = no_empty(context, option, value)
    return assets.expanded(given, option.opts[0]) if given else None


scale_option = click.option(
    "--scale", type=click.Choice(chapter.SCALES), default="laptop", show_default=True
)
force_option = click.option("--force", is_flag=True, help="Execute even what is up to date.")
# The Makefile hands on its PARAMS in the environment.
parameter_option = click.option(
    "-p", "parameters", type=Pair(), multiple=True, envvar="BOOK_PARAMS", metavar="KEY=VALUE",
    help="Set a parameter.",
)  # fmt: skip
workers_option = click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Runs at once on this machine."
)
