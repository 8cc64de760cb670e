"""The site: pages built from executed chapters by Jupyter Book."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import click

from collapse import chapter
from collapse.assets import ROOT
from collapse.protocol import BookError


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


def make(build: Path, root: Path = ROOT) -> Path:
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
