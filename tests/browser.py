"""A browser for tests, which reaches no host but the one that it is sent to."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe

from collapse.book import site
from collapse.experiment.assets import ROOT
from local_server import running

CHROMIUM = site.browser()
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# What CSS adds from the private use area, which no font here has, and what it adds it to.
UNDRAWN = """() => [...document.querySelectorAll('body *')].flatMap(one => ['::before', '::after']
    .map(part => [one.className, getComputedStyle(one, part)])
    .filter(([_, style]) => style.display !== 'none' && /[\\uE000-\\uF8FF]/.test(style.content))
    .map(([name]) => name))"""
IMAGES = """async () => {
    const images = [...document.querySelectorAll('main img')];
    images.forEach(image => { image.loading = 'eager'; });
    await Promise.all(images.map(image => image.decode().catch(() => null)));
    return images.map(image => [image.getAttribute('src'), image.naturalWidth, image.alt]);
}"""
# Scripts have done what they do at the beginning, and nothing fades or moves any more.
SETTLED = """async () => {
    await new Promise(done => requestIdleCallback(done, {timeout: 2000}));
    const ends = document.getAnimations().filter(a => a.effect.getTiming().iterations !== Infinity);
    await Promise.all(ends.map(animation => animation.finished.catch(() => null)));
}"""
# Words that nobody can read on a telephone; drawings and formulas have scales of their own.
TINY = """() => [...document.querySelectorAll('article :not(svg *, math *, script, style, option)')]
    .filter(one => one.checkVisibility() && parseFloat(getComputedStyle(one).fontSize) < 12
        && [...one.childNodes].some(text => text.nodeType === 3 && text.data.trim()))
    .map(one => one.outerHTML.slice(0, 100))"""
OPEN_ALL = "document.querySelectorAll('article details').forEach(d => { d.open = true; })"
OURS = {"include": [["article"]]}  # the rest is the theme's


@dataclass
class Visit:
    """An open page, what it asked of other hosts, and what the console complained about."""

    page: Any
    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Quiet(SimpleHTTPRequestHandler):
    """A file server that says nothing."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a plain file server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    with running(server) as address:
        yield address


@contextmanager
def launched() -> Iterator[Any]:
    """A Chromium; to be closed before papermill runs, which its event loop would disturb."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(chromium: Any, url: str, width: int = 1280) -> Iterator[Visit]:
    """A page that is loaded and at rest."""
    page = chromium.new_page(viewport={"width": width, "height": 900}, reduced_motion="reduce")
    host = "/".join(url.split("/")[:3])
    visit = Visit(page)

    def decide(route: Any) -> None:
        if route.request.url.startswith((f"{host}/", "data:", "blob:")):
            route.continue_()
        else:
            visit.foreign.append(route.request.url)
            route.abort()

    def note(message: Any) -> None:
        if message.type == "error":
            visit.errors.append(message.text)

    page.route("**/*", decide)
    page.on("console", note)
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    page.goto(url, wait_until="load")
    page.evaluate(SETTLED)
    try:
        yield visit
    finally:
        page.close()


def page_of(folder: Path, script: str, body: str) -> Path:
    """A page with nothing but something to play with, and its script of `_static`."""
    for name in ("widget.js", script):
        shutil.copy(ROOT / "_static" / name, folder)
    file = folder / "page.html"
    file.write_text(
        '<!DOCTYPE html><html lang="en"><head><title>Toy</title><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><script src="widget.js"></script>'
        f'<script src="{script}"></script></head><body><main><h1>Toy</h1>{body}</main></body>'
        "</html>",
        encoding="utf-8",
    )
    return file


def assert_fit_to_play(chromium: Any, url: str) -> None:
    """It fits a telephone, its words are large enough, axe finds nothing amiss."""
    with opened(chromium, url, width=390) as visit:
        assert visit.page.evaluate(OVERFLOW) <= 0
        for part in visit.page.locator("input, select, svg, p[class$=-said]").all():
            place = part.bounding_box()
            assert place["x"] >= 0 and place["x"] + place["width"] <= 390
        smallest = "texts => Math.min(...texts.map(t => t.getBoundingClientRect().height))"
        assert visit.page.locator("svg text").evaluate_all(smallest) >= 11
        found = Axe().run(visit.page).response["violations"]
        assert [one["id"] for one in found] == []
        assert visit.foreign == [] and visit.errors == []


def assert_hidden_without_script(chromium: Any, url: str, selector: str) -> None:
    """Without scripts nothing of it is seen."""
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(url)
    assert page.locator(selector).is_hidden()
    context.close()


def assert_mathematics_is_set(page: Any) -> None:
    """Every formula is set by the browser itself, and takes room unless it is folded away."""
    assert page.locator("main .math:not(:has(math))").count() == 0
    for formula in page.locator("main .math:not(details:not([open]) .math)").all():
        box = formula.bounding_box()
        assert box["width"] > 2 and box["height"] > 2


def assert_whole(visit: Visit) -> None:
    """Formulas are set, pictures and letters are there, pictures have a text, and no other host was
    asked."""
    assert_mathematics_is_set(visit.page)
    assert visit.page.evaluate(UNDRAWN) == []
    for source, width, alt in visit.page.evaluate(IMAGES):
        assert width > 0 and alt, source
    assert visit.foreign == [] and visit.errors == []


def assert_accessible(page: Any) -> None:
    """Axe finds nothing amiss in what is ours, in the light and in the dark."""
    for theme in ("light", "dark"):
        page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
        page.evaluate(OPEN_ALL)
        page.evaluate(SETTLED)
        assert amiss(page) == [], theme


def amiss(page: Any, **options: object) -> list[tuple[str, list[str]]]:
    """What axe finds in the parts of a page that are ours: a rule, and what breaks it."""
    found = Axe().run(page, context=OURS, options=options).response["violations"]
    return [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found]


def assert_fits_a_telephone(page: Any) -> None:
    """A narrow page does not scroll sideways; its words can be read and its links be touched."""
    page.set_viewport_size({"width": 390, "height": 900})
    page.evaluate(OPEN_ALL)
    page.evaluate(SETTLED)
    assert page.evaluate(OVERFLOW) <= 0
    assert page.evaluate(TINY) == []
    assert amiss(page, runOnly={"type": "rule", "values": ["target-size"]}) == []
