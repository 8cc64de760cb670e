"""The command line: one function a command; what takes long to import is imported when it runs."""

import errno
import json
import os
import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from collapse.bench import measured
from collapse.book import chapter, folders, guide
from collapse.book.parameters import ParameterError, written
from collapse.errors import BookError
from collapse.experiment import assets, corpus, models, records
from collapse.experiment.assets import build_dir
from collapse.sweeps import plan
from collapse.watch.command import watch_command

MAIN_FIGURE = "fig-one-axis"  # of the landing page; the README shows it too
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


# -- options ---------------------------------------------------------------------------------


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


def _given(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """A value; refused where it is empty, as that of a variable that is not set."""
    if value == "":
        raise ParameterError(
            f"{option.opts[0]} is given without a value; give {option.metavar}, or leave it out"
        )
    return value


def _folder(context: click.Context, option: click.Parameter, value: str | None) -> Path | None:
    """The folder that an option names; a shell may leave `~` to us."""
    given = _given(context, option, value)
    return Path(os.path.expanduser(given)) if given else None


def _size(context: click.Context, option: click.Parameter, value: str) -> int:
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


# -- chapters and pages ----------------------------------------------------------------------


def run_chapters(names: Sequence[str], scale: str, overrides: Given, force: bool = False) -> None:
    """Execute chapters, all of them if none is named; all are checked before the first starts."""
    from collapse.book import execution

    names = names or chapter.names()
    settings = {name: chapter.settings(name, scale, overrides) for name in names}
    for name, values in settings.items():
        differing = chapter.changed(name, values)
        told = " ".join(f"{k}={written(v)}" for k, v in differing.items() if k != "scale")
        click.echo(f"{name}: scale {scale}; differs from the paper in: {told or 'nothing'}")
        if not execution.execute(name, scale, overrides, build_dir(), force=force):
            click.echo(f"{name}: up to date")


@main.command("list")
def list_chapters() -> None:
    """List the chapters with their parameters, at paper and at laptop scale."""
    for name in chapter.names():
        click.echo(f"{name}: {chapter.title(name)}")
        rows = [("parameter", "type", "paper", "laptop", "")]
        for key, kind, _, _, paper, laptop, about in guide.described(name):
            rows.append((key, kind, paper, laptop, about))
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        for row in rows:
            aligned = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
            click.echo("  " + "  ".join([*aligned, row[4]]).rstrip())


@main.command("run", cls=Writing)
@of_chapters
@click.option("--force", is_flag=True, help="Execute even what is up to date.")
def run_command(names: Names, scale: str, overrides: Given, force: bool) -> None:
    """Execute chapters; all of them if no NAME is given."""
    run_chapters(names, scale, overrides, force=force)


@main.command("figure", cls=Writing)
@click.argument("id")
@scale_option
@parameter_option
def figure_command(id: str, scale: str, overrides: Given) -> None:
    """Make one figure again: its picture, its data and its card, into the build folder."""
    from collapse.book import execution

    path = execution.make_figure(id, scale, overrides, build_dir())
    click.echo(f"{path} and .png, .csv, .json beside it")


@main.command("site", cls=Writing)
@click.option("--again", is_flag=True, help="Only where pages were built before.")
def site_command(again: bool) -> None:
    """Build the pages from the executed chapters."""
    from collapse.book import site

    if again and not (build_dir() / "html").is_dir():
        click.echo(f"Figures are in {build_dir() / 'figures'}; `make book` makes the pages.")
    else:
        click.echo(f"the book: {site.make(build_dir()).resolve().as_uri()}")


@main.command("pdf", cls=Writing)
def pdf_command() -> None:
    """Print the executed chapters into one PDF; this needs Chromium."""
    from collapse.book import site

    click.echo(site.pdf(build_dir()).resolve().as_uri())


@main.command("release", cls=Writing)
def release_command() -> None:
    """Pack the pages, and the records as a data package, with checksums."""
    from collapse.book import release

    for path in release.make(build_dir()):
        click.echo(path)


@main.command("notebooks", cls=Writing)
def notebooks_command() -> None:
    """Write the executed chapters as notebooks that Colab can open."""
    from collapse.book import release

    click.echo(release.notebooks(build_dir()))


@main.command("build", cls=Writing)
@scale_option
@click.pass_context
def build_command(context: click.Context, scale: str) -> None:
    """Execute all chapters, then build the pages."""
    run_chapters((), scale, {})
    context.invoke(site_command, again=False)


@main.command("assets", cls=Writing)
def assets_command() -> None:
    """Fetch the text that the chapters need."""
    corpus.fetch()


@main.command("pretrain", cls=Writing)
@click.argument("name", type=click.Choice(["tiny", "mini"]))
def pretrain_command(name: str) -> None:
    """Pretrain a small base again, into the build folder; `tiny` takes an hour or two."""
    from collapse.pretraining import pretrain

    folder = pretrain.make(name)
    click.echo(f"{folder}; the one that the book uses is in records/bases/{name}")


# -- runs ------------------------------------------------------------------------------------


@main.command("recompute", cls=Writing)
def recompute_command() -> None:
    """Compute all runs of all chapters at laptop scale and copy them into records/.

    The picture in the README is drawn again from them.
    """
    from collapse.sweeps import sweep

    # A build folder of its own, so that nobody's experiments are published with them.
    folder = build_dir() / "recompute"
    shutil.rmtree(folder, ignore_errors=True)
    os.environ["COLLAPSE_BUILD"] = str(folder)
    scale, compute = "laptop", {"compute": "all"}
    names = [name for name in chapter.names() if "compute" in chapter.parameters(name)]
    sweep.sweep(chapter.wanted(names, scale, compute), scale)
    run_chapters(names, scale, compute, force=True)
    for name in records.publish(folder):
        click.echo(f"records/{name}")
    run_chapters(["index"], scale, {}, force=True)  # for the picture in the README
    picture = folder / "figures" / f"{MAIN_FIGURE}.png"
    shutil.copyfile(picture, assets.ROOT / "records" / "results.png")


@main.command("sweep", cls=Writing)
@of_chapters
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Runs at once on this machine."
)
@click.option("--scheduler", metavar="ADDRESS", callback=_given, help="Use this Dask cluster.")
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), metavar="M",
    help="Start no generation that would end later; exit with 3 if any is left.",
)  # fmt: skip
@click.option(
    "--carry", "carried", callback=_folder, metavar="DIR",
    help="Take finished generations from this folder, and leave new ones there.",
)  # fmt: skip
@click.pass_context
def sweep_command(
    ctx: click.Context, names: Names, scale: str, overrides: Given, **how: Any
) -> None:
    """Compute the runs of chapters, many at once if asked; of all chapters if no NAME is given.

    The most valuable come first: each chapter's own setting, seed after seed, then its other arms.
    """
    from collapse.experiment import devices
    from collapse.sweeps import sweep
    from collapse.sweeps.progress import OutOfTime

    with devices.one_speaks():
        runs = chapter.wanted(names, scale, overrides)
        generations = sum(run.generations for run in runs)
        click.echo(f"to compute: {len(runs)} runs of {generations} generations in all")
        try:
            threads = sweep.sweep(runs, scale, **how)
            click.echo(f"all computed; `OMP_NUM_THREADS={threads} book run` finds them finished")
        except OutOfTime as error:
            click.echo(f"time is up: {error}")
            ctx.exit(3)


@main.command("pack", cls=Writing)
@of_chapters
@click.option(
    "--to", "target", required=True, callback=_folder, metavar="DIR", help="A new folder."
)
@click.option(
    "--part", default="25MB", callback=_size, show_default=True, metavar="SIZE", help="Of a file."
)
def pack_command(names: Names, scale: str, overrides: Given, target: Path, part: int) -> None:
    """Pack the runs of chapters for a machine without a network; of all chapters without a NAME.

    There `python run.py --minutes M` computes them, as `book sweep` would.
    """
    from collapse.sweeps import pack

    runs = chapter.wanted(names, scale, overrides)
    for path in pack.make(runs, scale, target, part):
        click.echo(path)
    click.echo(f"{len(runs)} runs; there, `python {pack.SCRIPT} --minutes M` computes them")


@main.command("unpack", cls=Writing)
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def unpack_command(archive: Path) -> None:
    """Verify what was computed from a pack, and file the finished runs under records/."""
    from collapse.sweeps import pack

    names, generations = pack.unpack(archive)
    for name in names:
        click.echo(f"records/{name}")
    click.echo(
        f"{len(names)} finished runs filed; {archive} holds {generations} generations, from which "
        f"unfinished ones go on: lay it beside the next {pack.SCRIPT}"
    )


@main.command("plan")
@of_chapters
def plan_command(names: Names, scale: str, overrides: Given) -> None:
    """Say what chapters would compute and whether it fits; compute nothing.

    All chapters if no NAME is given.
    """
    wanted = {name: chapter.wanted([name], scale, overrides) for name in names or chapter.names()}
    every = list(dict.fromkeys(run for runs in wanted.values() for run in runs))
    jobs = dict(zip(every, plan.jobs(every), strict=True))
    plan.check(list(jobs.values()))
    if sum(map(bool, wanted.values())) > 1:
        wanted["in all, runs that chapters share counted once"] = every
    for title, runs in wanted.items():
        click.echo(f"{title}: {'at most' if runs else 'nothing to compute'}")
        for what, how_much in plan.table([jobs[run] for run in runs]) if runs else ():
            click.echo(f"  {what:<12}{how_much}")


@main.command("bench", cls=Writing)
@click.option("--publish", is_flag=True, help="Put the measurements into records/.")
def bench_command(publish: bool) -> None:
    """Measure how fast the loop is, against the usual ways and the machine's limits."""
    from collapse.bench import measurement

    found = measurement.measure()
    target = measured.path(found["kind"], None if publish else build_dir())
    with assets.atomic(target) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n")
    for line in measured.summary(found):
        click.echo(line)
    click.echo(f"{target}; `book run how-fast` draws it")


# -- records ---------------------------------------------------------------------------------


@main.command("records")
def records_command() -> None:
    """List the committed records."""
    for path in records.list_records(records.published()):
        click.echo(path.name)


@main.command("verify")
@click.argument("folder", type=click.Path(path_type=Path), required=False, metavar="[DIR]")
def verify_command(folder: Path | None) -> None:
    """Verify one record, or all committed ones."""
    every = sorted(p for p in records.published().iterdir() if records.is_name(p.name))
    failed, paths = [], [folder] if folder else every
    for path in paths:
        try:
            records.read(path)
            click.echo(f"{path.name}: verified")
        except records.RecordError as error:
            if folder:
                raise
            failed.append(error)
            click.echo(f"{path.name}: {error}")
    click.echo(f"{len(paths) - len(failed)} verified")
    if failed:
        raise failed[0]


@main.command("compare", cls=Writing)
@click.argument("what", metavar="CHAPTER|RECORD")
@click.argument("published", required=False, metavar="[RECORD]")
@scale_option
@parameter_option
@click.pass_context
def compare_command(
    context: click.Context, what: str, published: str | None, scale: str, overrides: Given
) -> None:
    """Compare what a chapter computed here with the published runs nearest to it.

    Or one record with another: names in records/ or in the build folder, or folders. Exits with 0
    if it agrees within the spread of the seeds, with 1 if it differs, with 3 if the two cannot be
    compared.
    """
    from collapse.book import compare

    if published:
        found = [compare.compare(records.named(what), [records.named(published)])]
    elif what not in chapter.names():
        found = [compare.with_published(records.named(what))]
    else:
        arms = chapter.arms(what, chapter.settings(what, scale, overrides))
        found = compare.of_chapter(next(iter(arms.values())).runs() if arms else [])
    if not found:
        click.echo(f"{what}: no run was computed here, so there is nothing to compare")
    for one in found:
        click.echo(f"{compare.told(one)}\n{compare.page(one).resolve().as_uri()}\n")
    nothing = compare.STATUS["not comparable"]
    context.exit(max((compare.STATUS[one.verdict] for one in found), default=nothing))


@main.command("text")
@click.argument("record")
@click.argument("generation", type=click.IntRange(min=0))
def text_command(record: str, generation: int) -> None:
    """Print the text that a GENERATION of a RECORD wrote, a paragraph for each block.

    RECORD is a name in records/ or in the build folder, or its beginning, or a folder.
    """
    found = records.named(record)
    last = found.protocol.generations - 1
    if generation > last:
        raise records.RecordError(
            f"record {found.name} has no generation {generation}; give one from 0 to {last}"
        )
    tokens, protocol = found.text[generation], found.protocol
    tokenizer = models.tokenizer(protocol.model)
    for sample in found.samples:
        if tokenizer.decode(tokens[sample["row"]]) != sample["generations"][generation]:
            raise records.RecordError(
                f"the tokeniser of {protocol.model} that is here is not the one that record "
                f"{found.name} was made with; compute the run again"
            )
    click.echo("\n\n".join(tokenizer.decode(block).strip() for block in tokens))


main.add_command(watch_command)

if __name__ == "__main__":
    main()
