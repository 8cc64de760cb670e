"""Commands that compute runs, plan them, and send them elsewhere; base models and the benchmark."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import click

from collapse.bench import measured
from collapse.book import chapter
from collapse.cli import pages
from collapse.cli.options import Given, Names, Writing, folder, given, main, of_chapters, size
from collapse.errors import Exit
from collapse.experiment import assets, records
from collapse.experiment.assets import build_dir
from collapse.sweeps import plan

MAIN_FIGURE = "fig-one-axis"  # of the landing page; the README shows it too


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
    pages.run_chapters(names, scale, compute, force=True)
    for name in records.publish(folder):
        click.echo(f"records/{name}")
    pages.run_chapters(["index"], scale, {}, force=True)  # for the picture in the README
    picture = folder / "figures" / f"{MAIN_FIGURE}.png"
    with assets.atomic(assets.ROOT / "records" / "results.png") as temporary:
        shutil.copyfile(picture, temporary)


@main.command("sweep", cls=Writing)
@of_chapters
@click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Runs at once on this machine."
)
@click.option("--scheduler", metavar="ADDRESS", callback=given, help="Use this Dask cluster.")
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), metavar="M",
    help="Start no generation that would end later; exit with 3 if any is left.",
)  # fmt: skip
@click.option(
    "--carry", "carried", callback=folder, metavar="DIR",
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
            ctx.exit(Exit.OPEN)


@main.command("pack", cls=Writing)
@of_chapters
@click.option("--to", "target", required=True, callback=folder, metavar="DIR", help="A new folder.")
@click.option(
    "--part", default="25MB", callback=size, show_default=True, metavar="SIZE", help="Of a file."
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


@main.command("pretrain", cls=Writing)
@click.argument("name", type=click.Choice(["tiny", "mini"]))
def pretrain_command(name: str) -> None:
    """Pretrain a small base again, into the build folder; `tiny` takes an hour or two."""
    from collapse.pretraining import pretrain

    folder = pretrain.make(name)
    click.echo(f"{folder}; the one that the book uses is in records/bases/{name}")
