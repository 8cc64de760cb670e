"""What the commands share: their group, their options, and how a mistake is told."""

import errno
import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from collapse.book import chapter, folders
from collapse.book.parameters import ParameterError
from collapse.errors import BookError

Names = tuple[str, ...]  # of chapters
Given = dict[str, str]  # parameters and their values


class Commands(click.Group):
    """A group whose commands may raise any `BookError`: one sentence, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BookError as error:
            raise click.UsageError(str(error)) from error
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            if error.filename is None and not full:  # of a pipe or a socket; click knows those
                raise
            raise click.UsageError(
                f"cannot use {error.filename or 'the disk'}: {error.strerror}; mend it, or choose "
                "other folders with COLLAPSE_BUILD and COLLAPSE_CACHE, then run the same command "
                "again"
            ) from error


class Writing(click.Command):
    """A command that writes into the build folder or the cache, which are seen to beforehand."""

    def invoke(self, ctx: click.Context) -> Any:
        folders.ready()
        return super().invoke(ctx)


def pairs(texts: Sequence[str]) -> Given:
    """`["a=1", "b=x"]` as a mapping; a key without a value, or given twice, is refused."""
    found: Given = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise ParameterError(f"-p {text} gives no value; write -p {text}=VALUE")
        if key in found:
            raise ParameterError(
                f"parameter {key!r} is given twice, as {found[key]!r} and as {value!r}; leave one"
            )
        found[key] = value
    return found


def _parameters(context: click.Context, option: click.Parameter, texts: Any) -> Given:
    """The pairs that are given; else those in the environment, split as a shell does."""
    handed_on = os.environ.get("BOOK_PARAMS", "")  # by the Makefile
    try:
        return pairs(texts or shlex.split(handed_on))
    except ValueError as error:
        raise ParameterError(
            f"PARAMS={handed_on} cannot be split into KEY=VALUE ({error}); put a value with blanks "
            "into quotes of its own, as in PARAMS=\"corpus='my text.txt' seed=3\""
        ) from error


def given(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """A value; refused where it is empty, as that of a variable that is not set."""
    if value == "":
        raise ParameterError(
            f"{option.opts[0]} is given without a value; give {option.metavar}, or leave it out"
        )
    return value


def folder(context: click.Context, option: click.Parameter, value: str | None) -> Path | None:
    """The folder that an option names; a shell may leave `~` to us."""
    found = given(context, option, value)
    return Path(os.path.expanduser(found)) if found else None


def size(context: click.Context, option: click.Parameter, value: str) -> int:
    """The bytes of `25MB`; units of 1000."""
    from dask.utils import parse_bytes

    try:
        count = parse_bytes(value) if value[:1].isdigit() else 0
    except (ValueError, OverflowError):
        count = 0
    if count < 10_000:
        raise ParameterError(f"--part {value} is no size of a part; give 10kB or more, as in 25MB")
    return count


scale_option = click.option(
    "--scale", type=click.Choice(chapter.SCALES), default="laptop", show_default=True
)
parameter_option = click.option(
    "-p", "overrides", multiple=True, metavar="KEY=VALUE", callback=_parameters,
    help="Set a parameter.",
)  # fmt: skip


def of_chapters(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command any number of chapters, a scale and parameters."""
    named = click.argument("names", nargs=-1, metavar="[NAME]...")
    return named(scale_option(parameter_option(command)))


@click.group(cls=Commands)
def main() -> None:
    """Run the chapters of the book, build its pages, keep its records."""
