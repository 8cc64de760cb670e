"""Commands about chapters and pages."""

from collections.abc import Sequence

import click

from collapse.book import chapter, guide
from collapse.book.parameters import written
from collapse.cli.options import (
    Given,
    Names,
    Writing,
    main,
    of_chapters,
    parameter_option,
    scale_option,
)
from collapse.experiment import corpus
from collapse.experiment.assets import build_dir


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
        rows += [
            (one.name, one.kind, one.paper, one.laptop, one.about) for one in guide.described(name)
        ]
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
    corpus.load_text("wikitext2")
