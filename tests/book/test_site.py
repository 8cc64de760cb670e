"""The site: a toy book builds without a warning, and its pages load nothing from another host."""

import json
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, writes
from test_chapter import make_book

from collapse.book import cards, folders, site
from collapse.book.notebook import normalise
from collapse.experiment.assets import ROOT, AssetError

PNG = (  # one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
FIGURE = {"id": "fig-toy", "caption": "A *line* after {cite:t}`toy2024`.", "alt": "A line."}


class Loads(HTMLParser):
    """Collects what a browser fetches when it opens a page, and the images' alt texts."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.alts: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "img":
            self.alts.append(values.get("alt"))
        loads = tag in ("script", "img", "iframe", "source", "audio", "video", "embed")
        if loads or (tag == "link" and values.get("rel") not in ("canonical", "author")):
            self.urls += [url for url in (values.get("src"), values.get("href")) if url]


def toy_site(root: Path, text: str = "See {numref}`fig-toy`, and $e^{i\\pi} = -1$.") -> Path:
    """A book whose chapter is already executed; returns its build folder."""
    make_book(root)
    for name in ("_config.yml", "_static"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, root / name)
    entry = "@misc{toy2024, author={Doe, Jane}, title={Toys}, year={2024}}"
    (root / "references.bib").write_text(entry)
    (root / "chapters/index.md").write_text("# Start\n\n```{bibliography}\n```\n")
    build = root / "_build"
    (build / "figures").mkdir(parents=True)
    (build / "figures/fig-toy.csv").write_text("x,y\n1,2\n")
    (build / "figures/fig-toy.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
    )
    card = cards.facts("fig-toy", "A line of a toy.", "A line.", ["x"], "a toy", [])
    card["title"] = "A line of a toy"
    (build / "figures/fig-toy.json").write_text(json.dumps(card))
    (root / "figures.yml").write_text(
        "figures: {fig-toy: {title: A line of a toy, topics: [toys]}}\ngone: {fig-old: Ask Jane.}\n"
    )
    (build / "executed").mkdir()
    shown = new_output("display_data", {"image/png": PNG}, metadata={"collapse": FIGURE})
    cells = [new_markdown_cell(f"# Toy\n\n{text}"), new_code_cell("plot()", outputs=[shown])]
    notebook = normalise(new_notebook(cells=cells))
    (build / "executed/toy.ipynb").write_text(writes(notebook))
    return build


def test_a_toy_site_is_numbered_captioned_and_self_contained(tmp_path: Path) -> None:
    build = toy_site(tmp_path)
    index = site.make(build, tmp_path)
    templates = index.parent / "_static"  # the theme leaves a template there
    pages = [page for page in index.parent.rglob("*.html") if templates not in page.parents]
    assert index in pages
    for page in pages:
        loads = Loads()
        loads.feed(page.read_text(encoding="utf-8"))
        foreign = [url for url in loads.urls if url.startswith(("http:", "https:", "//"))]
        assert foreign == [], f"{page.name} loads from another host"
        for url in loads.urls:
            if not url.startswith(("data:", "#")):
                target = page.parent / url.split("?")[0].split("#")[0]
                assert target.exists(), f"{page.name} loads {url}, which is not among the pages"
    page = (index.parent / "chapters/toy.html").read_text(encoding="utf-8")
    assert 'alt="A line."' in page
    assert "Fig. 1.1" in page
    assert "<em>line</em>" in page
    assert "mathjax/tex-chtml.js" in page
    assert (index.parent / "figures/fig-toy.csv").read_text() == "x,y\n1,2\n"


def test_a_second_build_leaves_no_stale_page(tmp_path: Path) -> None:
    build = toy_site(tmp_path)
    stale = build / "html/chapters/gone.html"
    stale.parent.mkdir(parents=True)
    stale.write_text("stale")
    (build / "book/chapters").mkdir(parents=True)
    (build / "book/chapters/gone.md").write_text("# Gone")
    site.make(build, tmp_path)
    assert not stale.exists()
    assert (build / "html/chapters/toy.html").exists()


def test_a_warning_refuses_the_site_and_keeps_the_earlier_pages(tmp_path: Path) -> None:
    build = toy_site(tmp_path, text="See {numref}`fig-none`.")
    (build / "html").mkdir()
    (build / "html/index.html").write_text("earlier")
    with pytest.raises(site.SiteError, match="fig-none"):
        site.make(build, tmp_path)
    assert (build / "html/index.html").read_text() == "earlier"


def test_two_builds_at_once_wait_for_each_other(tmp_path: Path) -> None:
    build = toy_site(tmp_path)
    code = "import sys; from pathlib import Path; from collapse.book import site; "
    code += "site.make(Path(sys.argv[1]), Path(sys.argv[2]))"
    command = [sys.executable, "-c", code, str(build), str(tmp_path)]
    with folders.alone(build):
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        said = [one.stdout.readline() for one in both if one.stdout]
        assert not (build / "book").exists()
    assert all("waiting for it" in line for line in said)
    for one in both:
        one.communicate()
    assert [one.returncode for one in both] == [0, 0]
    assert "Fig. 1.1" in (build / "html/chapters/toy.html").read_text(encoding="utf-8")


def test_pages_are_not_built_over_other_things_of_the_user_s(tmp_path: Path) -> None:
    (tmp_path / "thesis/html").mkdir(parents=True)
    (tmp_path / "thesis/html/index.html").write_text("mine")
    with pytest.raises(AssetError, match="holds 'html', which this book did not make"):
        site.make(tmp_path / "thesis", tmp_path)
    assert (tmp_path / "thesis/html/index.html").read_text() == "mine"


def test_what_file_managers_leave_and_half_written_figures_are_not_among_the_pages(
    tmp_path: Path,
) -> None:
    build = toy_site(tmp_path)
    for name in ("figures/.DS_Store", "figures/.fig-a.svg.part", "figures/Thumbs.db"):
        (build / name).touch()
    (tmp_path / "_static/.DS_Store").touch()
    staged = site.stage(build, tmp_path)
    assert not [p for p in staged.rglob("*") if p.name.startswith(".") or p.name == "Thumbs.db"]


def test_a_chapter_that_was_not_executed_is_named_with_the_remedy(tmp_path: Path) -> None:
    build = toy_site(tmp_path)
    (build / "executed/toy.ipynb").unlink()
    with pytest.raises(site.SiteError, match="run `book run toy --scale laptop` first"):
        site.stage(build, tmp_path)


@pytest.mark.skipif(site.browser() is None, reason="there is no chromium on this machine")
def test_the_book_is_printed_into_one_document(tmp_path: Path) -> None:
    build = toy_site(tmp_path)
    document = site.pdf(build, tmp_path).read_bytes()
    assert document.startswith(b"%PDF-") and document.rstrip().endswith(b"%%EOF")
    assert not (build / "html").exists()  # the pages are left as they are


def test_printing_without_a_browser_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(site.SiteError, match="printing needs Chromium, which is not installed"):
        site.pdf(toy_site(tmp_path), tmp_path)


def test_two_builds_of_the_same_chapters_are_the_same_bytes(tmp_path: Path) -> None:
    trees = []
    for place in ("one", "another"):
        (tmp_path / place).mkdir()
        html = site.make(toy_site(tmp_path / place), tmp_path / place).parent
        files = sorted(path for path in html.rglob("*") if path.is_file())
        trees.append({str(path.relative_to(html)): path.read_bytes() for path in files})
    one, another = trees
    assert one.keys() == another.keys()
    assert [name for name in one if one[name] != another[name]] == []
