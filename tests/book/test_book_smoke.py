"""The whole book at scale `smoke`: chapters executed, pages built, every figure in its place."""

import functools
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from collapse import cli
from collapse.book import chapter, theme
from collapse.experiment import records
from collapse.experiment.assets import ROOT

PAGES = chapter.pages()


class Page(HTMLParser):
    """Collects ids, links and images of a page, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if values.get("id"):
            self.ids.append(str(values["id"]))
        if tag == "a" and values.get("href"):
            self.links.append(str(values["href"]))
        if tag == "img" or (tag == "svg" and values.get("aria-hidden") != "true"):
            named = values.get("aria-label") or values.get("aria-labelledby")
            values["alt"] = values.get("alt") or named
            self.images.append(values)

    def handle_data(self, data: str) -> None:
        self.text += data


@functools.cache
def read(path: Path) -> Page:
    """A page, parsed once."""
    return Page(path)


def page_of(build: Path, page: str) -> Page:
    return read((build / "html" / f"{page}.html").resolve())


def figure_ids(page: str) -> list[str]:
    """The figures that the source of a page shows."""
    return re.findall(r'\bid="(fig-[\w-]+)"', (ROOT / f"{page}.md").read_text(encoding="utf-8"))


def test_there_is_a_landing_page_and_a_page_for_each_entry_of_the_contents(
    smoke_site: Path,
) -> None:
    assert (smoke_site / "html/index.html").exists()
    for page in PAGES:
        assert (smoke_site / "html" / f"{page}.html").exists(), page


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_of_a_page_is_shown_with_its_files_beside_it(
    smoke_site: Path, page: str
) -> None:
    shown = page_of(smoke_site, page)
    for name in figure_ids(page):
        assert name in shown.ids
        for suffix in ("svg", "png", "csv", "json"):
            file = smoke_site / "html/figures" / f"{name}.{suffix}"
            assert file.stat().st_size > 0
        card = json.loads((smoke_site / "html/figures" / f"{name}.json").read_text("utf-8"))
        assert theme.unbroken(" ".join(card["alt"].split())) in [i["alt"] for i in shown.images]
        if card["runs"]:
            assert len(pd.read_csv(smoke_site / "html/figures" / f"{name}.csv")) > 0


def test_the_book_has_figures_and_each_has_a_name_of_its_own() -> None:
    names = [name for page in PAGES for name in figure_ids(page)]
    assert len(names) >= 5
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("page", PAGES)
def test_no_picture_lacks_an_alternative_text(smoke_site: Path, page: str) -> None:
    for image in page_of(smoke_site, page).images:
        assert image["alt"], image


@pytest.mark.parametrize("page", PAGES)
def test_no_page_shows_an_error_or_a_number_that_is_none(smoke_site: Path, page: str) -> None:
    text = page_of(smoke_site, page).text
    for word in ("Traceback", "Error:", "{glue", "{numref}", "{cite", "None times"):
        assert word not in text, word
    assert not re.search(r"\bnan\b", text)


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(smoke_site: Path, page: str) -> None:
    folder = (smoke_site / "html" / page).parent
    for link in page_of(smoke_site, page).links:
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link) or path.startswith("//"):
            continue
        target = folder / path if path else smoke_site / "html" / f"{page}.html"
        assert target.exists(), link
        if anchor and target.suffix == ".html":
            assert anchor in read(target.resolve()).ids, link


@pytest.mark.parametrize("page", PAGES)
def test_no_address_on_a_page_is_given_twice(smoke_site: Path, page: str) -> None:
    ids = page_of(smoke_site, page).ids
    assert {id for id in ids if ids.count(id) > 1} == set()


def test_every_run_of_the_chapters_left_a_whole_record(smoke_site: Path) -> None:
    paths = records.list_records(smoke_site / "records")
    assert len(paths) >= 2
    for path in paths:
        assert records.read(path).provenance["scale"] == "smoke"


def test_a_second_build_executes_nothing(smoke_site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLAPSE_BUILD", str(smoke_site))
    done = CliRunner().invoke(cli.main, ["run", "--scale", "smoke"])
    assert done.exit_code == 0, done.output
    assert done.output.count("up to date") == len(chapter.names())
