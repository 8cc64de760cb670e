"""The commands that concern runs and their records: plan, compute, compare, verify, measure."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from collapse import chapter, cli
from collapse.assets import build_dir


def run_sweep(
    names: Sequence[str],
    scale: str,
    overrides: dict[str, str],
    workers: int | None = None,
    scheduler: str | None = None,
    minutes: float | None = None,
    carry: Path | None = None,
    stated: Path | None = None,
) -> None:
    """Compute the runs that chapters need; chapters executed after it find them finished.

    For that it sets `OMP_NUM_THREADS`: the same bits need the same number of threads.

    Args:
        stated: a file that states the runs; no chapter is read then.

    Raises:
        BookError: a name or a parameter is refused, there is no such cluster, or a run failed.
    """
    from collapse import sweep
    from collapse.progress import Limit, now

    limit = Limit(now() + 60 * minutes) if minutes else None
    runs = sweep.stated(stated) if stated else sweep.gather(names, scale, overrides)
    generations = sum(run.generations for run in runs)
    click.echo(f"to compute: {len(runs)} runs of {generations} generations in all")
    if runs:
        threads = sweep.sweep(runs, scale, workers, scheduler, limit, carry)
        os.environ["OMP_NUM_THREADS"] = str(threads)
        click.echo(f"all computed; `OMP_NUM_THREADS={threads} book run` finds them finished")


@click.command("sweep", cls=cli.Writing)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@cli.scale_option
@cli.parameter_option
@cli.workers_option
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    callback=cli.no_empty,
    help="Use the workers of a Dask cluster.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    callback=cli.no_nan,
    metavar="M",
    help="Start no generation that would not end by then; exit with 3 if something is left.",
)
@click.option(
    "--carry",
    type=click.Path(file_okay=False),
    callback=cli.folder,
    metavar="DIR",
    help="Take finished generations from this folder, and leave new ones there.",
)
@click.option(
    "--runs",
    "stated",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Compute the runs that this file states, as that of a pack does, and not chapters'.",
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
    stated: Path | None,
) -> None:
    """Compute the runs of chapters, many at once if asked; of all chapters if no NAME is given.

    The most valuable come first: each chapter's own setting, seed after seed, then its other arms.
    """
    from collapse import parallel
    from collapse.progress import OutOfTime
    from collapse.sweep import SweepError

    if stated and (names or parameters):
        given = names[0] if names else f"-p {parameters[0]}"
        raise SweepError(f"--runs {stated} states all runs; leave out either it or {given}")
    with parallel.one_speaks():
        try:
            overrides = cli.pairs(parameters)
            run_sweep(names, scale, overrides, workers, scheduler, minutes, carry, stated)
        except OutOfTime as error:
            click.echo(f"time is up: {error}")
            context.exit(3)


@click.command("pack", cls=cli.Writing)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@cli.scale_option
@cli.parameter_option
@click.option(
    "--to",
    "target",
    required=True,
    callback=cli.folder,
    metavar="DIR",
    help="A new folder for the pack.",
)
@click.option("--part", default="25MB", show_default=True, metavar="SIZE", help="Of each file.")
def pack_command(
    names: tuple[str, ...], scale: str, parameters: tuple[str, ...], target: Path, part: str
) -> None:
    """Pack the runs of chapters for a machine without a network; of all chapters without a NAME.

    There `python run.py --minutes M` computes them, as `book sweep` would.
    """
    from collapse import pack, sweep

    largest = pack.in_parts_of(part)
    runs = sweep.gather(names, scale, cli.pairs(parameters))
    for path in pack.make(runs, scale, target, largest):
        click.echo(path)
    click.echo(f"{len(runs)} runs; there, `python {pack.SCRIPT} --minutes M` computes them")


@click.command("unpack", cls=cli.Writing)
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def unpack_command(archive: Path) -> None:
    """Verify what was computed from a pack, and file the finished runs under records/."""
    from collapse import pack

    names, generations = pack.unpack(archive)
    for name in names:
        click.echo(f"records/{name}")
    click.echo(
        f"{len(names)} finished runs filed; {archive} holds {generations} generations, from which "
        f"unfinished ones go on: lay it beside the next {pack.SCRIPT}"
    )


@click.command("plan")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@cli.scale_option
@cli.parameter_option
@click.option("--time", "timed", is_flag=True, help="Measure, for some ten seconds, how long.")
def plan_command(
    names: tuple[str, ...], scale: str, parameters: tuple[str, ...], timed: bool
) -> None:
    """Say what chapters would compute and whether it fits; compute nothing.

    All chapters if no NAME is given.
    """
    from collapse import fit, loop, plan, records

    wanted = {}
    for name in names or chapter.names():
        arms = chapter.arms(name, chapter.settings(name, scale, cli.pairs(parameters)))
        shown = {run.hash: run for arm in arms.values() for run in arm.runs()}
        missing = {run.hash: run for arm in arms.values() for run in loop.missing(arm)}
        wanted[name] = (list(shown.values()), list(missing.values()))
    every = {run.hash: run for _, runs in wanted.values() for run in runs}  # chapters share some
    jobs = dict(zip(every, plan.jobs(list(every.values())), strict=True))
    fit.check(list(jobs.values()))
    for said in dict.fromkeys(said for run in every.values() for said in plan.absent(run)):
        click.echo(said)
    speeds = plan.calibrate(list(jobs.values())) if timed else None
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


@click.command("assets", cls=cli.Writing)
def assets_command() -> None:
    """Fetch the text that the chapters need."""
    from collapse import corpus

    corpus.fetch()


@click.command("records")
def records_command() -> None:
    """List the committed records."""
    from collapse import records

    for path in records.list_records(records.published()):
        click.echo(path.name)


@click.command("verify")
@click.argument("folder", type=click.Path(path_type=Path), required=False, metavar="[DIR]")
def verify_command(folder: Path | None) -> None:
    """Verify one record, or all committed ones."""
    from collapse import records

    if folder:
        records.verify(folder)
        click.echo(f"{folder.name}: verified")
        return
    failed, verified = [], 0
    for path in sorted(path for path in records.published().glob("*/") if path.is_dir()):
        if not records.is_name(path.name):
            click.echo(f"{path.name}: not a record's name; passed over")
            continue
        try:
            records.verify(path)
            verified += 1
            click.echo(f"{path.name}: verified")
        except records.RecordError as error:
            failed.append(error)
            click.echo(f"{path.name}: {error}")
    click.echo(f"{verified} verified")
    if failed:
        raise failed[0]


@click.command("compare", cls=cli.Writing)
@click.argument("what", metavar="CHAPTER|RECORD")
@click.argument("published", required=False, metavar="[RECORD]")
@cli.scale_option
@cli.parameter_option
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
    from collapse import compare, records

    status = 0
    if what in chapter.names() and published is None:
        arms = chapter.arms(what, chapter.settings(what, scale, cli.pairs(parameters)))
        own = next(iter(arms.values())).runs() if arms else []
        found = compare.of_chapter(own)
        if not found:
            click.echo(f"{what}: no run was computed here, so there is nothing to compare")
            status = compare.STATUS["not comparable"]
    elif published is None:
        found = [compare.with_published(records.named(what))]
    else:
        found = [compare.compare(records.named(what), [records.named(published)])]
    for one in found:
        click.echo(f"{compare.told(one)}\n{compare.page(one).resolve().as_uri()}\n")
    context.exit(max((compare.STATUS[one.verdict] for one in found), default=status))


@click.command("text")
@click.argument("record")
@click.argument("generation", type=click.IntRange(min=0))
def text_command(record: str, generation: int) -> None:
    """Print the text that a GENERATION of a RECORD wrote, a paragraph for each block.

    RECORD is a name in records/ or in the build folder, or its beginning, or a folder.
    """
    from collapse import model, records

    found = records.named(record)
    last = found.protocol.generations - 1
    if generation > last:
        raise records.RecordError(
            f"record {found.name} has no generation {generation}; give one from 0 to {last}"
        )
    tokens, protocol = found.text[generation], found.protocol
    tokenizer = model.tokenizer(protocol.model)
    for sample in found.samples:
        if tokenizer.decode(tokens[sample["row"]]) != sample["generations"][generation]:
            raise records.RecordError(
                f"the tokeniser of {protocol.model} that is here is not the one that record "
                f"{found.name} was made with; compute the run again"
            )
    click.echo("\n\n".join(tokenizer.decode(block).strip() for block in tokens))


@click.command("bench", cls=cli.Writing)
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


COMMANDS = (
    sweep_command,
    pack_command,
    unpack_command,
    plan_command,
    assets_command,
    records_command,
    verify_command,
    compare_command,
    text_command,
    bench_command,
)
