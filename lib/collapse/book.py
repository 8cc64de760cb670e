"""The command line: run chapters, build the site, keep the records."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from collapse import chapter, execution, release, site
from collapse.assets import ROOT, build_dir
from collapse.protocol import BookError

MAIN_FIGURE = "fig-results"  # of the landing page; the README shows it too

# -- the records -----------------------------------------------------------------------------


def publish(build: Path, root: Path = ROOT) -> list[str]:
    """Copy the verified runs of `build/records` into `records/`; return their names.

    Of runs that begin alike only the longest is kept: it contains the others.

    Raises:
        collapse.records.RecordError: a run fails its verification; nothing is copied then.
    """
    from collapse import records

    runs = [records.verify(path) for path in records.list_records(build / "records")]
    longest: dict[tuple[str, int], records.Record] = {}
    for run in sorted(runs, key=lambda run: run.protocol.generations):
        longest[run.protocol.arm_hash, run.protocol.seed] = run
    names = [records.write(run, root / "records").name for run in longest.values()]
    for run in longest.values():
        shorter = 0 if run.protocol.recovery else run.protocol.generations
        for generations in range(1, shorter):
            contained = root / "records" / run.truncated(generations).name
            shutil.rmtree(contained, ignore_errors=True)
    return sorted(names)


# -- the commands ----------------------------------------------------------------------------


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


def run_chapters(
    names: Sequence[str], scale: str, overrides: dict[str, str], *, force: bool = False
) -> None:
    """Execute chapters, all of them if none is named; all are checked before the first starts.

    Raises:
        BookError: a name or a parameter is refused, or a chapter stops.
    """
    names = names or chapter.names()
    settings = {name: chapter.settings(name, scale, overrides) for name in names}
    for name, values in settings.items():
        differing = chapter.changed(name, values)
        told = " ".join(f"{k}={chapter.written(v)}" for k, v in differing.items() if k != "scale")
        click.echo(f"{name}: scale {scale}; differs from the paper in: {told or 'nothing'}")
        if not execution.execute(name, scale, overrides, build_dir(), force=force):
            click.echo(f"{name}: up to date")


def echo_site() -> None:
    """Build the site and say where it is."""
    click.echo(f"the book: {site.make(build_dir()).resolve().as_uri()}")


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


@click.group(cls=Commands)
def main() -> None:
    """Run the chapters of the book, build its pages, keep its records."""


@main.command("list")
def list_chapters() -> None:
    """List the chapters with their parameters, at paper and at laptop scale."""
    for name in chapter.names():
        click.echo(f"{name}: {chapter.title(name)}")
        laptop = chapter.settings(name, "laptop", {})
        known = [p for p in chapter.parameters(name).values() if p.name != "scale"]
        rows = [(p.name, p.type, p.default, laptop[p.name], p.help) for p in known]
        texts = [(n, t, chapter.written(a), chapter.written(b), h) for n, t, a, b, h in rows]
        texts.insert(0, ("parameter", "type", "paper", "laptop", ""))
        widths = [max(len(row[column]) for row in texts) for column in range(4)]
        for row in texts:
            aligned = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
            click.echo("  " + "  ".join([*aligned, row[4]]).rstrip())


@main.command("run")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@scale_option
@parameter_option
@force_option
def run_command(
    names: tuple[str, ...], scale: str, parameters: tuple[str, ...], force: bool
) -> None:
    """Execute chapters; all of them if no NAME is given."""
    run_chapters(names, scale, pairs(parameters), force=force)


def run_sweep(
    names: Sequence[str],
    scale: str,
    overrides: dict[str, str],
    workers: int | None = None,
    scheduler: str | None = None,
    minutes: float | None = None,
    carry: Path | None = None,
) -> None:
    """Compute the runs that chapters need; chapters executed after it find them finished.

    For that it sets `OMP_NUM_THREADS`: the same bits need the same number of threads.

    Raises:
        BookError: a name or a parameter is refused, there is no such cluster, or a run failed.
    """
    from collapse import sweep
    from collapse.progress import Limit, now

    limit = Limit(now() + 60 * minutes) if minutes else None
    runs = sweep.gather(names, scale, overrides)
    generations = sum(run.generations for run in runs)
    click.echo(f"to compute: {len(runs)} runs of {generations} generations in all")
    if runs:
        threads = sweep.sweep(runs, scale, workers, scheduler, limit, carry)
        os.environ["OMP_NUM_THREADS"] = str(threads)
        click.echo(f"all computed; `OMP_NUM_THREADS={threads} book run` finds them finished")


@main.command("figure")
@click.argument("id")
@scale_option
@parameter_option
def figure_command(id: str, scale: str, parameters: tuple[str, ...]) -> None:
    """Make one figure again: its picture, its data and its card, into the build folder."""
    path = execution.make_figure(id, scale, pairs(parameters), build_dir())
    click.echo(f"{path} and .png, .csv, .json beside it")


@main.command("sweep")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@scale_option
@parameter_option
@workers_option
@click.option("--scheduler", metavar="ADDRESS", help="Use the workers of a Dask cluster.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    metavar="M",
    help="Start no generation that would not end by then; exit with 3 if something is left.",
)
@click.option(
    "--carry",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Take finished generations from this folder, and leave new ones there.",
)
@click.pass_context
def sweep_command(
    context: click.Context,
    names: tuple[str, ...],
    scale: str,
    parameters: tuple[str, ...],
    workers: int | None,
    scheduler: str | None,
    minutes: float | None,
    carry: Path | None,
) -> None:
    """Compute the runs of chapters, many at once if asked; of all chapters if no NAME is given.

    The most valuable come first: each chapter's own setting, seed after seed, then its other arms.
    """
    from collapse import parallel
    from collapse.progress import OutOfTime

    with parallel.one_speaks():
        try:
            run_sweep(names, scale, pairs(parameters), workers, scheduler, minutes, carry)
        except OutOfTime as error:
            click.echo(f"time is up: {error}")
            context.exit(3)


@main.command("plan")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@scale_option
@parameter_option
def plan_command(names: tuple[str, ...], scale: str, parameters: tuple[str, ...]) -> None:
    """Say what chapters would compute, and how long it would take; compute nothing.

    All chapters if no NAME is given.
    """
    from collapse import fit, loop, plan, records

    wanted = {}
    for name in names or chapter.names():
        arms = chapter.arms(name, chapter.settings(name, scale, pairs(parameters)))
        shown = {run.hash: run for arm in arms.values() for run in arm.runs()}
        missing = {run.hash: run for arm in arms.values() for run in loop.missing(arm)}
        wanted[name] = (list(shown.values()), list(missing.values()))
    every = {run.hash: run for _, runs in wanted.values() for run in runs}  # chapters share some
    jobs = dict(zip(every, plan.jobs(list(every.values())), strict=True))
    fit.check(list(jobs.values()))
    for said in dict.fromkeys(said for run in every.values() for said in plan.absent(run)):
        click.echo(said)
    speeds = plan.calibrate(list(jobs.values()))
    for name, (shown, runs) in wanted.items():
        if runs:
            _echo_plan(name, plan.draw_up([jobs[run.hash] for run in runs], speeds))
        elif shown:
            found = [run for run in shown if records.find(run, records.published())]
            click.echo(f"{name}: nothing to compute: {len(found)} runs are in records/")
        else:
            click.echo(f"{name}: no runs")
    if sum(1 for _, runs in wanted.values() if runs) > 1:
        _echo_plan(
            "in all, runs that chapters share counted once",
            plan.draw_up(list(jobs.values()), speeds),
        )


def _echo_plan(title: str, drawn: Any) -> None:
    from collapse import plan

    click.echo(f"{title}: at most")
    for what, how_much in plan.table(drawn):
        click.echo(f"  {what:<12}{how_much}")


@main.command("site")
def site_command() -> None:
    """Build the pages from the executed chapters."""
    echo_site()


@main.command("pdf")
def pdf_command() -> None:
    """Print the executed chapters into one PDF; this needs Chromium."""
    click.echo(site.pdf(build_dir()).resolve().as_uri())


@main.command("release")
def release_command() -> None:
    """Pack the pages, and the records as a data package, with checksums."""
    for path in release.make(build_dir()):
        click.echo(path)


@main.command("notebooks")
def notebooks_command() -> None:
    """Write the executed chapters as notebooks that Colab can open."""
    click.echo(release.notebooks(build_dir()))


@main.command("build")
@scale_option
@force_option
def build_command(scale: str, force: bool) -> None:
    """Execute all chapters, then build the pages."""
    run_chapters((), scale, {}, force=force)
    echo_site()


@main.command("assets")
def assets_command() -> None:
    """Fetch the text that the chapters need."""
    from collapse import corpus

    corpus.fetch()


@main.command("records")
def records_command() -> None:
    """List the committed records."""
    from collapse import records

    for path in records.list_records(records.published()):
        click.echo(path.name)


@main.command("verify")
@click.argument("folder", type=click.Path(path_type=Path), required=False, metavar="[DIR]")
def verify_command(folder: Path | None) -> None:
    """Verify one record, or all committed ones."""
    from collapse import records

    every = sorted(path for path in records.published().glob("*/") if path.is_dir())
    for path in [folder] if folder else every:
        records.verify(path)
        click.echo(f"{path.name}: verified")
    click.echo(f"{1 if folder else len(every)} verified")


@main.command("compare")
@click.argument("what", metavar="CHAPTER|RECORD")
@click.argument("published", required=False, metavar="[RECORD]")
@scale_option
@parameter_option
@click.pass_context
def compare_command(
    context: click.Context,
    what: str,
    published: str | None,
    scale: str,
    parameters: tuple[str, ...],
) -> None:
    """Compare what a chapter computed here with the published runs nearest to it.

    Or one record with another: names in records/ or in the build folder, or folders. Exits with 0
    if it agrees within the spread of the seeds, with 1 if it differs, with 3 if the two cannot be
    compared.
    """
    from collapse import compare

    if what in chapter.names() and published is None:
        arms = chapter.arms(what, chapter.settings(what, scale, pairs(parameters)))
        own = next(iter(arms.values())).runs() if arms else []
        found = compare.of_chapter(own)
        if not found:
            click.echo(f"{what}: no run was computed here, so there is nothing to compare")
    elif published is None:
        found = [compare.with_published(_record(what))]
    else:
        found = [compare.compare(_record(what), [_record(published)])]
    for one in found:
        click.echo(f"{compare.told(one)}\n{compare.page(one).resolve().as_uri()}\n")
    context.exit(max((compare.STATUS[one.verdict] for one in found), default=0))


def _record(name: str) -> Any:
    from collapse import records

    for path in (Path(name), records.published() / name, records.built() / name):
        if (path / "record.json").exists():
            return records.read(path)
    raise records.RecordError(
        f"there is no record {name!r}, here, in records/ or in the build folder; "
        "`book records` lists the published ones"
    )


@main.command("bench")
@click.option("--rounds", default=5, type=click.IntRange(2), help="Turns of each side.")
@click.option("--publish", is_flag=True, help="Put the measurements into records/.")
def bench_command(rounds: int, publish: bool) -> None:
    """Measure how fast the loop is, against the usual ways and the machine's limits."""
    from collapse import bench, speed

    found = bench.measure(rounds, click.echo)
    target = bench.path(found["kind"], None if publish else build_dir())
    bench.store(found, target)
    for contest in found["contests"]:
        rival = speed.RIVALS[contest]
        click.echo(f"{contest}: {speed.times(found, contest)} times as fast as {rival}")
    click.echo(f"{target}; `book run how-fast` draws it")


@main.command("recompute")
@scale_option
@workers_option
def recompute_command(scale: str, workers: int | None) -> None:
    """Compute all runs of all chapters at one scale and copy them into records/.

    The picture in the README is drawn again from them.
    """
    # A build folder of its own, so that nobody's experiments are published with them.
    folder = build_dir() / "recompute"
    shutil.rmtree(folder, ignore_errors=True)
    os.environ["COLLAPSE_BUILD"] = str(folder)
    names = [name for name in chapter.names() if "compute" in chapter.parameters(name)]
    run_sweep(names, scale, {"compute": "all"}, workers, None)
    run_chapters(names, scale, {"compute": "all"}, force=True)
    for name in publish(folder):
        click.echo(f"records/{name}")
    run_chapters(["index"], scale, {}, force=True)  # for the picture in the README
    shutil.copyfile(folder / "figures" / f"{MAIN_FIGURE}.svg", ROOT / "records" / "results.svg")


if __name__ == "__main__":
    main()
