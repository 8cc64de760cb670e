"""What machines read of the pages, with an address and without; and the data set without the book.

Schema.org has no validator that works without a network, so JSON-LD is read as JSON and compared
with what the citation file says.
"""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml
from bs4 import BeautifulSoup

from collapse.book import chapter, execution, identity, metadata, site
from collapse.experiment import records
from collapse.experiment.assets import ROOT
from toys import ADDRESS, toy_site

CFF = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=[True, False], ids=["with an address", "without"])
def html(
    request: pytest.FixtureRequest, toy_pages: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The pages of a toy book, with an address and without one."""
    if request.param:
        return toy_pages / "_build/html"
    from toys import at

    with at(tmp_path_factory.mktemp("nowhere")) as root:
        return site.make(toy_site(root)).parent


def read(html: Path, page: str) -> BeautifulSoup:
    return BeautifulSoup((html / f"{page}.html").read_text(encoding="utf-8"), "html.parser")


def content(page: BeautifulSoup, name: str) -> str:
    """What a page's head says under a name, or nothing; it is said once."""
    found = page.select(f'head meta[name="{name}"], head meta[property="{name}"]')
    assert len(found) < 2, name
    return str(found[0]["content"]) if found else ""


PAGES = ["index", "404", "search", "chapters/index", "chapters/toy", "figures/index"]


@pytest.mark.parametrize("page", [*PAGES, "figures/fig-toy", "figures/fig-old"])
def test_every_page_says_in_its_head_what_it_is(html: Path, page: str) -> None:
    shown = read(html, page)
    assert shown.title is not None and shown.title.get_text().strip()
    assert content(shown, "description").strip()
    assert shown.html is not None and shown.html["lang"] == "en"


@pytest.mark.parametrize("page", ["chapters/index", "chapters/toy", "figures/fig-toy"])
def test_addresses_are_absolute_or_are_left_out(html: Path, page: str) -> None:
    shown = read(html, page)
    known = (html / "sitemap.xml").exists()
    address = f"{ADDRESS}/{page}.html" if known else ""
    canonical = [str(link["href"]) for link in shown.select('head link[rel="canonical"]')]
    assert canonical == [address] * known
    assert content(shown, "og:url") == content(shown, "citation_public_url") == address
    assert content(shown, "citation_title") == content(shown, "og:title") != ""
    [linked] = shown.select('head script[type="application/ld+json"]')
    [thing] = json.loads(linked.get_text())
    assert thing.get("url", "") == address and thing["datePublished"] == CFF["date-released"]
    assert [author["name"] for author in thing["author"]] == [CFF["authors"][0]["name"]]
    kinds = {"chapters/index": "Book", "chapters/toy": "ScholarlyArticle"}
    assert thing["@type"] == kinds.get(page, "ImageObject")
    values = re.findall(r'"(?:url|contentUrl)": "([^"]*)"', linked.get_text())
    assert all(value.startswith(f"{ADDRESS}/") for value in values) and bool(values) == known


def test_every_footer_says_who_when_where_and_under_which_licence(html: Path) -> None:
    me, known = identity.read(), (html / "sitemap.xml").exists()
    for page in ("chapters/index", "chapters/toy", "figures/fig-toy", "search"):
        footer = read(html, page).select_one(".extra_footer")
        assert footer is not None
        told = " ".join(footer.get_text().split())
        for said in (me.by, f"Version {me.version}, {me.day}", "CC BY 4.0", "Apache 2.0"):
            assert said in told
        assert f"DOI: {identity.NOT_YET}" in told
        assert (f"Repository: {identity.NOT_YET}" in told) != known
        assert ("https://github.com/someone/book" in told) == known


def test_a_map_of_the_site_names_its_pages_once_it_has_an_address(html: Path) -> None:
    if not (html / "sitemap.xml").exists():
        assert not (html / "robots.txt").exists() and "<base" not in (html / "404.html").read_text()
        return
    places = [str(place.text) for place in ET.parse(html / "sitemap.xml").findall(".//{*}loc")]
    assert len(places) == len(set(places))
    for place in places:
        assert (html / place.removeprefix(f"{ADDRESS}/")).is_file(), place
    assert {f"{ADDRESS}/{name}.html" for name in PAGES[3:]} <= set(places)
    robots = (html / "robots.txt").read_text().splitlines()
    assert robots[-1] == f"Sitemap: {ADDRESS}/sitemap.xml"


def test_what_is_shown_where_there_is_no_page_leads_back(html: Path) -> None:
    page = read(html, "404")
    targets = [str(link["href"]) for link in page.select("main a")]
    assert page.form is not None
    for target in [*targets, str(page.form["action"])]:
        assert (html / target).is_file(), target
    base = page.select_one("base")
    assert (base["href"] if base else "") == (
        f"{ADDRESS}/" if (html / "sitemap.xml").exists() else ""
    )


def test_the_root_takes_the_title_of_the_first_page_and_not_that_of_a_picture(
    tmp_path: Path,
) -> None:
    (tmp_path / "first.html").write_text(
        "<html><head><title>A page</title></head><body><svg>"
        "<title>A loop</title></svg></body></html>"
    )
    metadata.complete(tmp_path, identity.read(), "first")
    root = read(tmp_path, "index")
    assert [title.get_text() for title in root.find_all("title")] == ["A page"]


@pytest.mark.parametrize("page", ["chapters/index", "chapters/toy", "figures/fig-toy"])
def test_every_page_has_its_citation_beside_it(html: Path, page: str) -> None:
    links = read(html, page).select(".extra_footer a[download]")
    names = [f"{page.rpartition('/')[2]}.{suffix}" for suffix in ("bib", "ris", "csl.json")]
    assert [link["href"] for link in links] == names
    assert all((html / page).with_name(name).is_file() for name in names)


# -- the book --------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [*chapter.pages(), *(f"figures/{i}" for i in execution.figures())])
def test_what_machines_read_of_the_book_is_plain(smoke_site: Path, page: str) -> None:
    shown = read(smoke_site / "html", page)
    for name in ("description", "citation_title", "og:title", "og:description"):
        told = content(shown, name)
        assert told and not re.search(r"[*`$\\{}]|<\w|</", told), name
    for suffix in ("bib", "ris", "csl.json"):
        text = (smoke_site / f"html/{page}.{suffix}").read_text(encoding="utf-8")
        assert identity.read().version in text and not re.search(r"[*`$<>]", text)


def test_the_data_set_is_described_on_the_page_that_says_how_to_get_it(smoke_site: Path) -> None:
    [linked] = read(smoke_site / "html", metadata.DATA).select('script[type="application/ld+json"]')
    kinds: dict[str, Any] = {thing["@type"]: thing for thing in json.loads(linked.get_text())}
    assert set(kinds) == {"ScholarlyArticle", "Dataset"}
    data = kinds["Dataset"]
    assert {"name", "description", "license", "creator", "version"} <= set(data)
    assert [one["name"] for one in data["distribution"]] == ["records.zip", "index.json"]


def test_the_loader_on_the_page_reads_a_record_without_the_book() -> None:
    text = (ROOT / f"{metadata.DATA}.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(code.splitlines()) == 10
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    blocked = "import sys; sys.modules['collapse'] = None\n"
    done = subprocess.run(
        [sys.executable, "-c", blocked + code], cwd=ROOT, env=kept, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    [start] = re.findall(r'glob\("(.*)\*"\)', code)
    record = records.named(start)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(ROOT / "records/bases/tiny")
    written = tokenizer.decode(record.text[-1, 0])
    told = f"{record.protocol.model} {record.text.shape} {written}\n"
    assert done.stdout == told
