"""The site: pages built from executed chapters by Jupyter Book."""

import shutil
import subprocess
import sys
from pathlib import Path

import click
import nbformat

from collapse.book import (
    chapter,
    evidence,
    folders,
    gallery,
    identity,
    ledger,
    listing,
    metadata,
    release,
    theme,
)  # fmt: skip
from collapse.errors import BookError
from collapse.experiment import assets
from collapse.experiment.assets import atomic


class SiteError(BookError):
    """The site cannot be built from what is there."""


def stage(build: Path, for_print: bool = False) -> Path:
    """Lay out everything that Jupyter Book needs in a folder of `build`, from nothing; return it.

    Args:
        for_print: without the figures' own pages, which would repeat every figure.

    Raises:
        SiteError: a page of the table of contents is missing or has not been executed.
        EvidenceError: as `evidence.check`.
        NumberError: as `listing.gathered`.
    """
    folders.claim(build)
    pages = {page: _page(page, build) for page in chapter.pages()}
    book = build / ("print" if for_print else "book")
    shutil.rmtree(book, ignore_errors=True)  # no page of an earlier build survives
    book.mkdir(parents=True)
    claims = ledger.read()
    sources = [source for source in pages.values() if source.suffix == ".ipynb"]
    executed = {path.stem: nbformat.read(path, as_version=4) for path in sources}
    shown = {name: evidence.page(notebook, name) for name, notebook in executed.items()}
    evidence.check(claims, shown)
    for page, source in pages.items():
        target = book / f"{page}{source.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        if notebook := executed.get(source.stem):
            evidence.complete(notebook, source.stem, claims, shown)
            if not for_print:
                release.with_links(theme.with_code_at_end(notebook), source.stem)
            target.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
        else:
            shutil.copyfile(source, target)
    for name in ("_config.yml", "_toc.yml", "references.bib", identity.FILE):
        shutil.copyfile(assets.ROOT / name, book / name)
    hidden = shutil.ignore_patterns(".*", *folders.LEFT)  # and files that are being written
    for name in ("_static", "plans"):
        shutil.copytree(assets.ROOT / name, book / name, ignore=hidden)
    (build / "figures").mkdir(exist_ok=True)
    shutil.copytree(build / "figures", book / "_public" / "figures", ignore=hidden)
    if not for_print:
        evidence.write(book / "_public", claims)
        listing.write(book, {name: [*page.numbers.values()] for name, page in shown.items()})
        gallery.write(book, executed)
        gallery.cite(book, list(pages))
    return book


def _page(page: str, build: Path) -> Path:
    name = Path(page).name
    if not chapter.has_code(name):
        return assets.ROOT / f"{page}.md"
    executed = build / "executed" / f"{name}.ipynb"
    if not executed.exists():
        raise SiteError(
            f"chapter {name} has not been executed; run `book run {name} --scale laptop` first"
        )
    return executed


def _jupyter_book(book: Path, *options: str) -> None:
    code = "from jupyter_book.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "build", "--quiet", *options, str(book)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        lines = click.unstyle(done.stdout + done.stderr).replace(f"{book}/", "").splitlines()
        told = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-20:]
        raise SiteError("Jupyter Book refuses these pages; mend them:\n" + "\n".join(told))


def make(build: Path) -> Path:
    """Build the pages from the executed chapters into `build/html`; return its index.

    The pages there are replaced only when the new ones are complete.

    Raises:
        SiteError: a chapter has not been executed, or Jupyter Book gave a warning.
    """
    with folders.alone(build):
        book = stage(build.resolve())
        _jupyter_book(book, "--warningiserror", "--nitpick", "--keep-going")
        metadata.complete(book / "_build" / "html", identity.read(), chapter.pages()[0])
        html, old = build / "html", build / "html.old"
        shutil.rmtree(old, ignore_errors=True)
        if html.exists():
            html.rename(old)
        (book / "_build" / "html").rename(html)
        shutil.rmtree(old, ignore_errors=True)
    return html / "index.html"


def browser() -> str | None:
    """The path of an installed Chromium."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


# Links to what is printed lead there; others to files of this machine would lead nowhere.
_OWN_LINKS = """() => document.querySelectorAll('a[href]').forEach(link => {
    const to = new URL(link.href), page = to.pathname.split('/').pop().replace('.html', '');
    if (to.protocol !== 'file:') return;
    const ids = [decodeURIComponent(to.hash.slice(1)), `document-chapters/${page}`];
    const id = ids.find(id => id && document.getElementById(id));
    if (id) link.setAttribute('href', `#${id}`); else link.removeAttribute('href');
})"""


def pdf(build: Path) -> Path:
    """Print all chapters into `build/book.pdf`; return it.

    Raises:
        SiteError: as `make` does, or there is no Chromium.
    """
    from playwright.sync_api import sync_playwright

    if (program := browser()) is None:
        raise SiteError("printing needs Chromium, which is not installed; install it")
    with folders.alone(build), sync_playwright() as playwright, atomic(build / "book.pdf") as made:
        book = stage(build.resolve(), for_print=True)
        _jupyter_book(book, "--builder", "singlehtml")  # links to figures' pages lead nowhere here
        html = book / "_build" / "singlehtml"
        page = html / "book.html"  # Sphinx writes its addresses as if the page lay at the top
        (html / f"{chapter.pages()[0]}.html").rename(page)
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        shown = chromium.new_page()
        shown.goto(page.as_uri(), wait_until="load")
        shown.evaluate(
            "() => Promise.all([...document.images].map(i => { i.loading = 'eager';"
            " return i.decode().catch(() => null); }))"
        )
        shown.evaluate(_OWN_LINKS)
        shown.pdf(path=made, format="A4", print_background=True, outline=True, tagged=True)
        chromium.close()
    return build / "book.pdf"
