"""The pages in a browser that reaches no host but their own, wide and on a telephone."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from collapse import chapter, site
from local_server import running
from test_site import toy_site

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
PAGES = chapter.pages()
IMAGES = """async () => {
    const images = [...document.querySelectorAll('main img')];
    images.forEach(image => { image.loading = 'eager'; });
    await Promise.all(images.map(image => image.decode().catch(() => null)));
    return images.map(image => [image.getAttribute('src'), image.naturalWidth, image.alt]);
}"""
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
        for figure in visit.page.locator("main figure").all():
            assert figure.locator("img").count() == 1
            assert figure.locator("figcaption").inner_text().strip()


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
