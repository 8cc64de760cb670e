"""The pages in a browser that reaches no host but their own, wide and on a telephone."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib.image
import pandas as pd
import pytest
from pybtex.database import parse_string

from browser import (
    CHROMIUM,
    assert_accessible,
    assert_fits_a_telephone,
    assert_mathematics_is_set,
    assert_whole,
    launched,
    opened,
    served,
)
from collapse.book import chapter, execution, ledger

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
PAGES = chapter.pages()
FIGURES = execution.figures()


@pytest.fixture(scope="module")
def address(smoke_site: Path) -> Iterator[str]:
    with served(smoke_site / "html") as found:
        yield found


@pytest.fixture(scope="module")  # closed with this file: its event loop would disturb papermill
def chromium(smoke_site: Path, toy_pages: Path) -> Iterator[Any]:
    with launched() as browser:
        yield browser


READ = {  # how each kind of file of a figure is read, and what must be true of it
    "svg": lambda body: ElementTree.fromstring(body).tag.endswith("svg"),
    "png": lambda body: matplotlib.image.imread(io.BytesIO(body)).size > 0,
    "csv": lambda body: len(pd.read_csv(io.BytesIO(body))) > 0,
    "json": lambda body: "fig-" in str(json.loads(body)),
    "bib": lambda body: len(parse_string(body.decode(), "bibtex").entries) == 1,
    "ris": lambda body: body.startswith(b"TY  - FIGURE\n") and body.endswith(b"\nER  - \n"),
}


# Tables that are wider than the page, so that their last columns are out of sight.
CUT_OFF = """() => [...document.querySelectorAll('article table')].filter(table => {
    const box = table.closest('.text_html, .pst-scrollable-table-container');
    return box && box.scrollWidth > box.clientWidth + 1;
}).map(table => table.id)"""
LARGEST = 1_000_000  # bytes that a page loads at first, decoded
LOADED = """() => ['navigation', 'resource'].flatMap(kind => performance.getEntriesByType(kind))
    .reduce((sum, one) => sum + one.decodedBodySize, 0)"""


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_can_be_read_by_all_on_every_width(
    chromium: Any, address: str, name: str
) -> None:
    with opened(chromium, f"{address}/{name}.html") as visit:
        assert 50_000 < visit.page.evaluate(LOADED) <= LARGEST
        assert_whole(visit)
        assert visit.page.evaluate(CUT_OFF) == []
        visit.page.evaluate("document.querySelectorAll('details.fold').forEach(d => d.open = true)")
        figures = visit.page.locator("main figure").all()
        assert len(figures) == sum(f"chapters/{of}" == name for of in FIGURES.values())
        for figure in figures:
            assert figure.locator("img").count() == 1
            assert figure.locator("figcaption").inner_text().strip()
        cards = visit.page.locator(".figure-strip").all()
        assert len(cards) == len(figures)
        for card in cards:
            assert_a_card_opens_to_files_that_can_be_read(visit.page, card)
        assert visit.foreign == [] and visit.errors == []
        assert_accessible(visit.page)
        assert_fits_a_telephone(visit.page)


def assert_a_card_opens_to_files_that_can_be_read(page: Any, card: Any) -> None:
    for name, inside in (("Cite", "pre"), ("Data", "ul"), ("Make it again", "p > code")):
        assert not card.locator(f"details:has-text('{name}') {inside}").first.is_visible()
        card.get_by_text(name, exact=True).press("Enter")
        assert card.locator(f"details[open] {inside}").first.is_visible()
    links = [link.evaluate("a => a.href") for link in card.locator("a[download]").all()]
    assert {link.rpartition(".")[2] for link in links} == set(READ)
    for link in links:
        reply = page.request.get(link)
        assert reply.ok and READ[link.rpartition(".")[2]](reply.body()), link
    own = card.get_by_title("Permanent page of this figure").evaluate("a => a.href")
    assert page.request.get(own).ok


@pytest.mark.parametrize("id", ["index", "fig-cats", "fig-entropy-gauges"])
def test_a_figure_s_page_is_whole_and_can_be_read_by_all_on_every_width(
    chromium: Any, address: str, id: str
) -> None:
    with opened(chromium, f"{address}/figures/{id}.html") as visit:
        assert_whole(visit)
        assert_accessible(visit.page)
        assert_fits_a_telephone(visit.page)


def test_the_landing_page_leads_to_the_first_page(chromium: Any, address: str) -> None:
    with opened(chromium, f"{address}/{PAGES[0]}.html") as visit:
        visit.page.goto(f"{address}/index.html")
        visit.page.wait_for_url(f"**/{PAGES[0]}.html")


def test_a_citation_is_copied_and_never_names_the_host_it_was_read_from(
    chromium: Any, address: str
) -> None:
    with opened(chromium, f"{address}/chapters/why-tails-vanish.html") as visit:
        visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        card = visit.page.locator(".figure-strip").first
        card.get_by_text("Cite", exact=True).click()
        button = card.locator(".figure-copy")
        button.click()
        visit.page.wait_for_function("b => b.textContent === 'copied'", arg=button.element_handle())
        copied = visit.page.evaluate("navigator.clipboard.readText()")
        assert "fig-cats" in parse_string(copied, "bibtex").entries
        assert "localhost" not in copied and "127.0.0.1" not in visit.page.content()
        assert visit.errors == [] and visit.foreign == []


def test_the_gallery_is_searched_by_words_and_by_chapter(chromium: Any, address: str) -> None:
    with opened(chromium, f"{address}/figures/index.html") as visit:
        shown = visit.page.locator(".gallery > li:visible")
        every = shown.count()
        visit.page.get_by_role("searchbox").fill("estimators bias")
        assert [link.get_attribute("href") for link in shown.locator("a").all()] == [
            "fig-entropy-estimators.html"
        ]
        visit.page.get_by_role("searchbox").fill("")
        visit.page.get_by_label("Chapter").select_option("no-retention")
        assert 0 < shown.count() < every
        assert (
            f"{shown.count()} of {every} figures"
            in visit.page.locator(".gallery-search").inner_text()
        )


def test_on_paper_there_is_nothing_to_play_with(chromium: Any, address: str) -> None:
    with opened(chromium, f"{address}/chapters/when-does-human-text-run-out.html") as visit:
        widgets = visit.page.locator(".widget:visible")
        assert widgets.count() == 1
        visit.page.emulate_media(media="print")
        assert widgets.count() == 0
        assert visit.page.locator("figure:visible").count() > 1


def test_claims_are_chosen_by_piece_verdict_and_chapter(chromium: Any, address: str) -> None:
    claims = ledger.read().claims
    with opened(chromium, f"{address}/chapters/every-claim.html", 390) as visit:
        shown, said = visit.page.locator(".claims > li:visible"), visit.page.locator("form output")
        assert shown.count() == len(claims)
        visit.page.get_by_label("Verdict").select_option("no source found")
        lacking = [one for one in claims if one.verdict == "no source found"]
        assert shown.count() == len(lacking)
        visit.page.get_by_label("Piece").select_option("news")
        ids = [f"claim-{one.id}" for one in lacking if one.piece == "news"]
        assert [one.get_attribute("id") for one in shown.all()] == ids
        assert said.inner_text() == f"{len(ids)} of {len(claims)} claims"
        visit.page.reload()  # the address says what was chosen
        assert [one.get_attribute("id") for one in shown.all()] == ids
        visit.page.get_by_label("Verdict").select_option("all")
        visit.page.get_by_label("Piece").select_option("all")
        visit.page.get_by_label("Chapter").select_option("would-you-have-noticed")
        here = [one for one in claims if "would-you-have-noticed" in one.subjects]
        assert shown.count() == len(here)
        shown.first.locator("summary").click()
        assert shown.first.locator("details li").first.is_visible()
        assert visit.errors == [] and visit.foreign == []


def test_a_chapter_and_its_claims_lead_to_each_other(chromium: Any, address: str) -> None:
    with opened(chromium, f"{address}/chapters/does-entropy-fall.html") as visit:
        visit.page.locator("#tab-entropy-claims a[href*='#claim-0-13']").click()
        visit.page.wait_for_url("**/every-claim.html#claim-0-13")
        entry = visit.page.locator("#claim-0-13")
        entry.locator("summary").click()
        entry.locator("a[href*='does-entropy-fall.html#tab-entropy-claims']").click()
        visit.page.wait_for_url("**/does-entropy-fall.html#tab-entropy-claims-0-13")
        assert visit.page.locator("tr#tab-entropy-claims-0-13").is_visible()
        assert visit.page.locator("a[href='every-claim.html#claim-0-13']").count() == 2


def test_the_search_finds_a_word_without_a_network(chromium: Any, address: str) -> None:
    with opened(chromium, f"{address}/search.html?q=estimator") as visit:
        found = visit.page.locator("#search-results li a[href*='chapters/does-entropy-fall']")
        found.first.wait_for(timeout=10_000)
        assert visit.foreign == []


def test_a_card_s_link_opens_the_code_of_the_page(chromium: Any, address: str) -> None:
    for page in ("chapters/no-retention", "figures/fig-no-retention-perplexity"):
        with opened(chromium, f"{address}/{page}.html") as visit:
            fold = visit.page.locator("#page-code")
            assert not fold.evaluate_all("found => found.some(one => one.open)")
            for part in visit.page.locator(".figure-strip summary", has_text="again").all():
                if not part.evaluate("one => one.parentElement.open"):
                    part.click()
            visit.page.locator("a.figure-code").first.click()
            visit.page.wait_for_url("**/chapters/no-retention.html#page-code")
            visit.page.wait_for_function("document.getElementById('page-code').open")
            assert fold.get_by_text("Protocol").first.is_visible()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_figure_is_enlarged_and_put_back_by_mouse_and_by_keys(
    chromium: Any, address: str, width: int
) -> None:
    with opened(chromium, f"{address}/chapters/no-retention.html", width) as visit:
        link = visit.page.locator("a.figure-whole").first
        large = visit.page.get_by_role("dialog")
        small = link.locator("img")
        small.scroll_into_view_if_needed()
        for start, end in (
            (link.click, lambda: large.get_by_role("button", name="close").click()),
            (lambda: link.press("Enter"), lambda: visit.page.keyboard.press("Escape")),
        ):
            start()
            picture = large.locator("img")
            assert picture.get_attribute("alt") == small.get_attribute("alt")
            picture.evaluate("image => image.decode()")
            assert picture.bounding_box()["width"] > 1.2 * small.bounding_box()["width"]
            end()
            assert large.count() == 0
        assert visit.page.url.endswith("no-retention.html") and visit.errors == []
        link.click()
        assert_accessible(visit.page)


def test_on_paper_a_figure_keeps_its_citation_and_nothing_is_to_be_pressed(
    chromium: Any, address: str
) -> None:
    with opened(chromium, f"{address}/chapters/no-retention.html") as visit:
        visit.page.emulate_media(media="print")
        cited = visit.page.locator(".figure-print").first
        assert cited.is_visible() and "CC BY" in cited.inner_text()
        assert "figures/fig-no-retention-perplexity.html" in cited.inner_text()
        for pressed in ("button", ".figure-strip", "nav", ".prev-next-footer", "#page-code"):
            assert visit.page.locator(f"{pressed}:visible").count() == 0, pressed
        assert visit.page.locator("h1:visible").count() == 1


def test_mathematics_is_set_without_any_other_host(chromium: Any, toy_pages: Path) -> None:
    with served(toy_pages / "_build/html") as address:
        with opened(chromium, f"{address}/chapters/toy.html") as visit:
            assert visit.page.locator("main .math").count() == 1
            assert_mathematics_is_set(visit.page)
            assert visit.foreign == [] and visit.errors == []
