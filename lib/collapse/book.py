"""The command line: run chapters, build the site, keep the records."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from collapse import chapter
from collapse.assets import ROOT, build_dir
from collapse.protocol import BookError

MAIN_FIGURE = "fig-results"  # of the landing page; the README shows it too

# -- the site --------------------------------------------------------------------------------


class SiteError(BookError):
    """The site cannot be built from what is there."""


def stage(build: Path, root: Path = ROOT) -> Path:
    """Lay out everything that Jupyter Book needs in `build/book`, from nothing; return it.

    Raises:
        SiteError: a page of the table of contents is missing or has not been executed.
    """
    pages = {page: _page(page, build, root) for page in chapter.pages(root)}
    book = build / "book"
    shutil.rmtree(book, ignore_errors=True)  # no page of an earlier build survives
    book.mkdir(parents=True)
    for page, source in pages.items():
        target = book / f"{page}{source.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    for name in ("_config.yml", "_toc.yml", "references.bib"):
        shutil.copyfile(root / name, book / name)
    shutil.copytree(root / "_static", book / "_static")
    figures = book / "_public" / "figures"
    if (build / "figures").is_dir():
        shutil.copytree(build / "figures", figures)
    else:
        figures.mkdir(parents=True)
    copy_mathjax(book / "_public" / "mathjax")
    return book


def _page(page: str, build: Path, root: Path) -> Path:
    name = Path(page).name
    if not chapter.has_code(name, root):
        return root / f"{page}.md"
    executed = build / "executed" / f"{name}.ipynb"
    if not executed.exists():
        raise SiteError(
            f"chapter {name} has not been executed; run `book run {name} --scale laptop` first"
        )
    return executed


def copy_mathjax(target: Path) -> None:
    """Copy the part of MathJax that sets TeX on a page: one script and its fonts, 1.6 MB.

    Raises:
        SiteError: the package that carries MathJax is not installed.
    """
    package = importlib.util.find_spec("sphinx-mathjax-offline")
    if package is None or package.origin is None:
        raise SiteError("the package sphinx-mathjax-offline is missing; run `make install`")
    source = Path(package.origin).parent / "static" / "mathjax"
    fonts = Path("output", "chtml", "fonts", "woff-v2")
    shutil.copytree(source / fonts, target / fonts)
    shutil.copyfile(source / "tex-chtml.js", target / "tex-chtml.js")


def site(build: Path, root: Path = ROOT) -> Path:
    """Build the pages from the executed chapters into `build/html`; return its index.

    The pages there are replaced only when the new ones are complete.

    Raises:
        SiteError: a chapter has not been executed, or Jupyter Book gave a warning.
    """
    book = stage(build.resolve(), root)
    code = "from jupyter_book.cli.main import main; main()"
    options = ["--warningiserror", "--nitpick", "--keep-going", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-c", code, "build", *options, str(book)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        lines = click.unstyle(done.stdout + done.stderr).replace(f"{book}/", "").splitlines()
        told = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-20:]
        raise SiteError("Jupyter Book refuses these pages; mend them:\n" + "\n".join(told))
    html, old = build / "html", build / "html.old"
    shutil.rmtree(old, ignore_errors=True)
    if html.exists():
        html.rename(old)
    (book / "_build" / "html").rename(html)
    shutil.rmtree(old, ignore_errors=True)
    return html / "index.html"


# -- the records -----------------------------------------------------------------------------


def publish(build: Path, root: Path = ROOT) -> list[str]:
    """Copy the verified runs of `build/records` into `records/`; return their names.

    Raises:
        collapse.records.RecordError: a run fails its verification; nothing is copied then.
    """
    from collapse import records

    runs = [records.verify(path) for path in records.list_records(build / "records")]
    return [records.write(run, root / "records").name for run in runs]


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
        if not chapter.execute(name, scale, overrides, build_dir(), force=force):
            click.echo(f"{name}: up to date")


def echo_site() -> None:
    """Build the site and say where it is."""
    click.echo(f"the book: {site(build_dir()).resolve().as_uri()}")


scale_option = click.option(
    "--scale", type=click.Choice(chapter.SCALES), default="laptop", show_default=True
)
force_option = click.option("--force", is_flag=True, help="Execute even what is up to date.")


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
@click.option("-p", "parameters", multiple=True, metavar="KEY=VALUE", help="Set a parameter.")
@force_option
def run_command(
    names: tuple[str, ...], scale: str, parameters: tuple[str, ...], force: bool
) -> None:
    """Execute chapters; all of them if no NAME is given."""
    run_chapters(names, scale, pairs(parameters), force=force)


@main.command("site")
def site_command() -> None:
    """Build the pages from the executed chapters."""
    echo_site()


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


@main.command("recompute")
@scale_option
def recompute_command(scale: str) -> None:
    """Compute all runs of all chapters at one scale and copy them into records/.

    The picture in the README is drawn again from them.
    """
    # A build folder of its own, so that nobody's experiments are published with them.
    folder = build_dir() / "recompute"
    shutil.rmtree(folder, ignore_errors=True)
    os.environ["COLLAPSE_BUILD"] = str(folder)
    names = [name for name in chapter.names() if "compute" in chapter.parameters(name)]
    run_chapters(names, scale, {"compute": "all"}, force=True)
    for name in publish(folder):
        click.echo(f"records/{name}")
    run_chapters(["index"], scale, {}, force=True)  # for the picture in the README
    shutil.copyfile(folder / "figures" / f"{MAIN_FIGURE}.svg", ROOT / "records" / "results.svg")


if __name__ == "__main__":
    main()
