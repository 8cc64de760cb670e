"""The command line: chapters and pages here, runs and records in `experiments`."""

import os
import shutil
from collections.abc import Sequence

import click

from collapse import chapter, cli, execution, experiments, release, site
from collapse.assets import ROOT, build_dir

MAIN_FIGURE = "fig-results"  # of the landing page; the README shows it too


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


@click.group(cls=cli.Commands)
def main() -> None:
    """Run the chapters of the book, build its pages, keep its records."""


for _command in experiments.COMMANDS:
    main.add_command(_command)


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


@main.command("run", cls=cli.Writing)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@cli.scale_option
@cli.parameter_option
@cli.force_option
def run_command(
    names: tuple[str, ...], scale: str, parameters: tuple[str, ...], force: bool
) -> None:
    """Execute chapters; all of them if no NAME is given."""
    run_chapters(names, scale, cli.pairs(parameters), force=force)


@main.command("figure", cls=cli.Writing)
@click.argument("id")
@cli.scale_option
@cli.parameter_option
def figure_command(id: str, scale: str, parameters: tuple[str, ...]) -> None:
    """Make one figure again: its picture, its data and its card, into the build folder."""
    path = execution.make_figure(id, scale, cli.pairs(parameters), build_dir())
    click.echo(f"{path} and .png, .csv, .json beside it")


@main.command("site", cls=cli.Writing)
@click.option("--again", is_flag=True, help="Only where pages were built before.")
def site_command(again: bool) -> None:
    """Build the pages from the executed chapters."""
    if again and not (build_dir() / "html").is_dir():
        click.echo(f"Figures are in {build_dir() / 'figures'}; `make book` makes the pages.")
    else:
        echo_site()


@main.command("pdf", cls=cli.Writing)
def pdf_command() -> None:
    """Print the executed chapters into one PDF; this needs Chromium."""
    click.echo(site.pdf(build_dir()).resolve().as_uri())


@main.command("release", cls=cli.Writing)
def release_command() -> None:
    """Pack the pages, and the records as a data package, with checksums."""
    for path in release.make(build_dir()):
        click.echo(path)


@main.command("notebooks", cls=cli.Writing)
def notebooks_command() -> None:
    """Write the executed chapters as notebooks that Colab can open."""
    click.echo(release.notebooks(build_dir()))


@main.command("build", cls=cli.Writing)
@cli.scale_option
@cli.force_option
def build_command(scale: str, force: bool) -> None:
    """Execute all chapters, then build the pages."""
    run_chapters((), scale, {}, force=force)
    echo_site()


@main.command("pretrain", cls=cli.Writing)
@click.argument("name", type=click.Choice(["tiny", "mini"]))
def pretrain_command(name: str) -> None:
    """Pretrain a small base again, into the build folder; stopped and given again, it goes on."""
    from collapse import pretraining

    folder = pretraining.make(name)
    click.echo(f"{folder}; the one that the book uses is in records/bases/{name}")


@main.command("recompute", cls=cli.Writing)
@cli.scale_option
@cli.workers_option
def recompute_command(scale: str, workers: int | None) -> None:
    """Compute all runs of all chapters at one scale and copy them into records/.

    The picture in the README is drawn again from them.
    """
    from collapse import records

    # A build folder of its own, so that nobody's experiments are published with them.
    folder = build_dir() / "recompute"
    shutil.rmtree(folder, ignore_errors=True)
    os.environ["COLLAPSE_BUILD"] = str(folder)
    names = [name for name in chapter.names() if "compute" in chapter.parameters(name)]
    experiments.run_sweep(names, scale, {"compute": "all"}, workers, None)
    run_chapters(names, scale, {"compute": "all"}, force=True)
    for name in records.publish(folder):
        click.echo(f"records/{name}")
    run_chapters(["index"], scale, {}, force=True)  # for the picture in the README
    shutil.copyfile(folder / "figures" / f"{MAIN_FIGURE}.svg", ROOT / "records" / "results.svg")


if __name__ == "__main__":
    main()
