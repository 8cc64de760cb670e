"""The pages in a browser that reaches no host but their own, wide and on a telephone."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib.image
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from pybtex.database import parse_string
from test_site import toy_site

from collapse.book import chapter, execution, site
from local_server import running

CHROMIUM = site.browser()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
PAGES = chapter.pages()
IMAGES = """async () => {
    const images = [...document.querySelectorAll('main img')];
    images.forEach(image => { image.loading = 'eager'; });
    await Promise.all(images.map(image => image.decode().catch(() => null)));
    return images.map(image => [image.getAttribute('src'), image.naturalWidth, image.alt]);
}"""
FIGURES = execution.figures()


def figures_of_page(page: str) -> list[str]:
    """The identifiers of the figures of a page."""
    return [id for id, name in FIGURES.items() if name == Path(page).name]


OPEN_ALL = "document.querySelectorAll('article details').forEach(d => { d.open = true; })"
# The markup of the bibliography is Docutils', whose roles axe holds to be deprecated.
OURS = {"include": [["article"]], "exclude": [[".citation-list"]]}
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass
class Visit:
    """An open page, what it asked of other hosts, and what the console complained about."""

    page: Any
    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a plain file server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    with running(server) as address:
        yield address


@pytest.fixture(scope="module")
def address(smoke_site: Path) -> Iterator[str]:
    with served(smoke_site / "html") as found:
        yield found


@pytest.fixture(scope="module")  # closed with this file: its event loop would disturb papermill
def chromium(smoke_site: Path) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(chromium: Any, url: str, width: int = 1280) -> Iterator[Visit]:
    page = chromium.new_page(viewport={"width": width, "height": 900})
    host = "/".join(url.split("/")[:3])
    visit = Visit(page)

    def decide(route: Any) -> None:
        if route.request.url.startswith((f"{host}/", "data:", "blob:")):
            route.continue_()
        else:
            visit.foreign.append(route.request.url)
            route.abort()

    def note(message: Any) -> None:
        if message.type == "error" and "favicon" not in message.location.get("url", ""):
            visit.errors.append(message.text)

    page.route("**/*", decide)
    page.on("console", note)
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    page.goto(url, wait_until="load")
    page.wait_for_timeout(300)
    try:
        yield visit
    finally:
        page.close()


def assert_mathematics_is_set(page: Any) -> None:
    for formula in page.locator("main .math").all():
        formula.locator("mjx-container").first.wait_for(timeout=10_000)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_without_any_other_host(chromium: Any, address: str, name: str) -> None:
    with opened(chromium, f"{address}/{name}.html") as visit:
        assert_mathematics_is_set(visit.page)
        for source, width, alt in visit.page.evaluate(IMAGES):
            assert width > 0, source
            assert alt, source
        assert visit.foreign == []
        assert visit.errors == []


@pytest.mark.parametrize("name", PAGES)
def test_a_page_does_not_scroll_sideways_on_a_telephone(
    chromium: Any, address: str, name: str
) -> None:
    with opened(chromium, f"{address}/{name}.html", width=390) as visit:
        assert_mathematics_is_set(visit.page)
        visit.page.evaluate(IMAGES)
        assert visit.page.evaluate(OVERFLOW) <= 0


def test_the_landing_page_leads_to_the_first_page(chromium: Any, address: str) -> None:
    with opened(chromium, f"{address}/index.html") as visit:
        visit.page.wait_for_url(f"**/{PAGES[0]}.html")


@pytest.mark.parametrize("name", PAGES)
def test_the_picture_of_each_figure_is_inside_its_figure_with_a_caption(
    chromium: Any, address: str, name: str
) -> None:
    with opened(chromium, f"{address}/{name}.html") as visit:
        assert visit.page.locator("main figure").count() == len(figures_of_page(name))
        for figure in visit.page.locator("main figure").all():
            assert figure.locator("img").count() == 1
            assert figure.locator("figcaption").inner_text().strip()


# -- figures: their cards, pages and gallery -------------------------------------------------

READ = {  # how each kind of file of a figure is read, and what must be true of it
    "svg": lambda body: ElementTree.fromstring(body).tag.endswith("svg"),
    "png": lambda body: matplotlib.image.imread(io.BytesIO(body)).size > 0,
    "csv": lambda body: len(pd.read_csv(io.BytesIO(body))) > 0,
    "json": lambda body: json.loads(body)["id"].startswith("fig-"),
}


@pytest.mark.parametrize("name", [name for name in PAGES if figures_of_page(name)])
def test_a_figure_s_card_opens_and_its_files_can_be_read(
    chromium: Any, address: str, name: str
) -> None:
    with opened(chromium, f"{address}/{name}.html") as visit:
        cards = visit.page.locator("details.figure-card")
        assert cards.count() == len(figures_of_page(name))
        for card in cards.all():
            assert not card.get_by_text("Make it again").is_visible()
            card.locator("summary").first.click()
            assert card.get_by_text("Make it again").is_visible()
            for kind, good in READ.items():
                link = card.locator(f"a[download][href$='.{kind}']")
                reply = visit.page.request.get(link.evaluate("a => a.href"))
                assert reply.ok and good(reply.body()), link
            page = card.get_by_text("Permanent page of this figure").evaluate("a => a.href")
            assert visit.page.request.get(page).ok


@pytest.mark.parametrize(
    ("kind", "address_in"),
    [
        ("BibTeX", lambda text: parse_string(text, "bibtex").entries["fig-cats"].fields["url"]),
        ("APA", lambda text: text.split()[-1]),
        ("CSL-JSON", lambda text: json.loads(text)[0]["URL"]),
    ],
)
def test_a_citation_is_copied_with_the_figure_s_full_address(
    chromium: Any, address: str, kind: str, address_in: Any
) -> None:
    with opened(chromium, f"{address}/chapters/why-tails-vanish.html") as visit:
        visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        card = visit.page.locator("details.figure-card").first
        card.locator("summary").first.click()
        card.get_by_text(kind, exact=True).click()
        button = card.locator(f"details:has(pre[data-kind='{kind}']) button")
        button.click()
        visit.page.wait_for_function("b => b.textContent === 'copied'", arg=button.element_handle())
        copied = visit.page.evaluate("navigator.clipboard.readText()")
        assert address_in(copied) == f"{address}/figures/fig-cats.html"
        assert visit.errors == [] and visit.foreign == []


@pytest.mark.parametrize("id", ["index", "fig-cats", "fig-entropy-gauges"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_figure_s_page_is_whole_on_every_width(
    chromium: Any, address: str, id: str, width: int
) -> None:
    with opened(chromium, f"{address}/figures/{id}.html", width) as visit:
        for source, natural, alt in visit.page.evaluate(IMAGES):
            assert natural > 0 and alt, source
        assert visit.page.evaluate(OVERFLOW) <= 0
        assert visit.foreign == [] and visit.errors == []


def test_the_gallery_is_searched_by_words_and_by_chapter(chromium: Any, address: str) -> None:
    with opened(chromium, f"{address}/figures/index.html") as visit:
        shown = visit.page.locator(".gallery > li:visible")
        every = shown.count()
        visit.page.get_by_label("Words").fill("estimators bias")
        assert [link.get_attribute("href") for link in shown.locator("a").all()] == [
            "fig-entropy-estimators.html"
        ]
        visit.page.get_by_label("Words").fill("")
        visit.page.get_by_label("Chapter").select_option("no-retention")
        assert 0 < shown.count() < every
        assert (
            f"{shown.count()} of {every} figures"
            in visit.page.locator(".gallery-search").inner_text()
        )


# -- reading ---------------------------------------------------------------------------------


def test_the_search_finds_a_word_without_a_network(chromium: Any, address: str) -> None:
    with opened(chromium, f"{address}/search.html?q=rarefaction") as visit:
        found = visit.page.locator("#search-results li a[href*='chapters/does-entropy-fall']")
        found.first.wait_for(timeout=10_000)
        assert visit.foreign == []


def test_one_button_shows_and_hides_all_code(chromium: Any, address: str) -> None:
    with opened(chromium, f"{address}/chapters/no-retention.html") as visit:
        cells = "() => [...document.querySelectorAll('main details.hide')].map(d => d.open)"
        assert not any(visit.page.evaluate(cells))
        button = visit.page.get_by_role("button", name="Show all code")
        button.click()
        assert all(visit.page.evaluate(cells))
        visit.page.get_by_role("button", name="Hide all code").press("Enter")
        assert not any(visit.page.evaluate(cells))


@pytest.mark.parametrize("name", [*PAGES, "figures/index", "figures/fig-cats"])
def test_our_content_is_accessible_in_both_themes(chromium: Any, address: str, name: str) -> None:
    with opened(chromium, f"{address}/{name}.html") as visit:
        for theme in ("light", "dark"):
            visit.page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
            visit.page.evaluate(OPEN_ALL)
            visit.page.wait_for_timeout(600)  # what opens fades in
            found = Axe().run(visit.page, context=OURS).response["violations"]
            told = [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found]
            assert told == [], theme


def test_the_herd_is_moved_by_keys_and_stands_still_in_print(chromium: Any, address: str) -> None:
    with opened(chromium, f"{address}/chapters/why-tails-vanish.html") as visit:
        herd = visit.page.locator(".herd")
        data = herd.locator("script[type='application/json']").text_content()
        counts = json.loads(data)["herds"]
        herd.locator("input[type=range]").focus()
        for _ in range(7):
            visit.page.keyboard.press("ArrowRight")
        assert f"generation 7: {counts[0][7]} of 100 cats are blue" in herd.inner_text()
        assert herd.locator("circle.blue").count() == counts[0][7]
        herd.locator("select").select_option(index=2)
        assert herd.locator("circle.blue").count() == counts[2][7]
        visit.page.keyboard.press("End")
        assert visit.errors == []
        visit.page.set_viewport_size({"width": 390, "height": 800})  # the last one can be reached
        box = herd.bounding_box()
        slider = herd.locator("input[type=range]").bounding_box()
        assert slider["x"] + slider["width"] <= min(box["x"] + box["width"], 390)
        visit.page.emulate_media(media="print")
        assert herd.locator("svg").is_visible() and not herd.locator("form").is_visible()


def test_mathematics_is_set_without_any_other_host(chromium: Any, tmp_path: Path) -> None:
    build = toy_site(tmp_path)
    site.make(build, tmp_path)
    with served(build / "html") as address:
        with opened(chromium, f"{address}/chapters/toy.html") as visit:
            assert visit.page.locator("main .math").count() == 1
            assert_mathematics_is_set(visit.page)
            assert visit.foreign == [] and visit.errors == []
