"""The site: a toy book builds without a warning, and its pages load nothing from another host."""

import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from collapse.book import folders, site
from collapse.experiment.assets import AssetError
from toys import publish, toy_site


class Loads(HTMLParser):
    """Collects what a browser fetches when it opens a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        loads = tag in ("script", "img", "iframe", "source", "audio", "video", "embed")
        if loads or (tag == "link" and values.get("rel") not in ("canonical", "author")):
            self.urls += [url for url in (values.get("src"), values.get("href")) if url]


def test_a_toy_site_is_numbered_captioned_and_self_contained(toy_pages: Path) -> None:
    html = toy_pages / "_build/html"
    # The theme leaves a template in `_static`.
    pages = [page for page in html.rglob("*.html") if html / "_static" not in page.parents]
    assert html / "index.html" in pages
    for page in pages:
        urls = Loads(page.read_text(encoding="utf-8")).urls
        foreign = [url for url in urls if url.startswith(("http:", "https:", "//"))]
        assert foreign == [], f"{page.name} loads from another host"
        for url in urls:
            if not url.startswith(("data:", "#")):
                target = page.parent / url.split("?")[0].split("#")[0]
                assert target.exists(), f"{page.name} loads {url}, which is not among the pages"
    page = (html / "chapters/toy.html").read_text(encoding="utf-8")
    assert 'alt="A line."' in page
    assert "Figure 1.1" in page
    assert "<em>line</em>" in page
    assert "<math" in page and "tex-chtml" not in page
    assert (html / "figures/fig-toy.csv").read_text() == "x,y\n1,2\n"


def test_two_builds_at_once_wait_and_leave_the_same_bytes_and_no_stale_page(
    root: Path, toy_pages: Path
) -> None:
    build = toy_site(root)
    publish(root)
    for stale in ("html/chapters/gone.html", "book/chapters/gone.md"):
        (build / stale).parent.mkdir(parents=True)
        (build / stale).write_text("# Gone")
    code = (
        "import sys; from pathlib import Path; from collapse.book import site; "
        "from collapse.experiment import assets; assets.ROOT = Path(sys.argv[2]); "
        "site.make(Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", code, str(build), str(root)]
    with folders.alone(build):
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        said = [one.stdout.readline() for one in both if one.stdout]
        assert (build / "book/chapters/gone.md").exists()
    assert all("waiting for it" in line for line in said)
    for one in both:
        one.communicate()
    assert [one.returncode for one in both] == [0, 0]
    alike = [
        {str(p.relative_to(html)): p.read_bytes() for p in html.rglob("*") if p.is_file()}
        for html in (toy_pages / "_build/html", build / "html")
    ]
    assert alike[0].keys() == alike[1].keys()
    assert [name for name in alike[0] if alike[0][name] != alike[1][name]] == []


def test_a_warning_refuses_the_site_and_keeps_the_earlier_pages(root: Path) -> None:
    build = toy_site(root, text="See {numref}`fig-none`.")
    (build / "html").mkdir()
    (build / "html/index.html").write_text("earlier")
    with pytest.raises(site.SiteError, match="fig-none"):
        site.make(build)
    assert (build / "html/index.html").read_text() == "earlier"


def test_pages_are_not_built_over_other_things_of_the_user_s(root: Path) -> None:
    (root / "thesis/html").mkdir(parents=True)
    (root / "thesis/html/index.html").write_text("mine")
    with pytest.raises(AssetError, match="holds 'html', which this book did not make"):
        site.make(root / "thesis")
    assert (root / "thesis/html/index.html").read_text() == "mine"


def test_what_file_managers_leave_and_half_written_figures_are_not_among_the_pages(
    root: Path,
) -> None:
    build = toy_site(root)
    for name in ("figures/.DS_Store", "figures/.fig-a.svg.part", "figures/Thumbs.db"):
        (build / name).touch()
    (root / "_static/.DS_Store").touch()
    staged = site.stage(build)
    assert not [p for p in staged.rglob("*") if p.name.startswith(".") or p.name == "Thumbs.db"]


def test_a_chapter_that_was_not_executed_is_named_with_the_remedy(root: Path) -> None:
    build = toy_site(root)
    (build / "executed/toy.ipynb").unlink()
    with pytest.raises(site.SiteError, match="run `book run toy --scale laptop` first"):
        site.stage(build)


@pytest.mark.skipif(site.browser() is None, reason="there is no chromium on this machine")
def test_the_book_is_printed_into_one_document(root: Path) -> None:
    build = toy_site(root)
    document = site.pdf(build).read_bytes()
    assert document.startswith(b"%PDF-") and document.rstrip().endswith(b"%%EOF")
    assert b"file:" not in document  # no link leads to where it was printed
    assert not (build / "html").exists()  # the pages are left as they are


def test_printing_without_a_browser_is_refused_in_one_sentence(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(site.SiteError, match="printing needs Chromium, which is not installed"):
        site.pdf(toy_site(root))
