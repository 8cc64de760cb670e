"""What every built page owes its reader: an answer, few numbers at a time, figures one can read."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag

from browser import CHROMIUM, launched, opened, served
from collapse.book import cards, chapter, execution

PAGES = chapter.pages()
FIGURES = execution.figures()
AT_MOST = 10  # numbers in a paragraph
LEAST = 11  # pixels of a text in a figure, as shown on a telephone
# Not written by hand: tables, figures, things to play with, cards; and the code at the end.
NO_PROSE = ".cell_output, figure, table, .page-code, .citation-list, .loop"
NO_TEXT = "code, pre, script, style, svg, .math, .explorer, table.strip, .citation-list"
# Names that hold a number, and years, are no numbers to be kept in mind.
NAMES = re.compile(
    r"\b(Figs?\.|Figures?|Sections?|Tables?|[Cc]hapters?|pp?\.|generations?|seeds?|models?|text|"
    r"Python|temperature|top-p|version) [\d.–]+(,? (and|to|or) \d+)*"
    r"|\b(19|20)\d\d\b|\bdoi:\S+"
)
INTERVAL = re.compile(r"(?<=\d)( ?[%×])? ?\[[^\]]*\]|\((one seed|no interval)[^)]*\)")
NUMBER = re.compile(r"(?<![\w.,/\-])[−+×±<>≈]?\d[\d.,]*(?![\w\-]|\.\d)")


def numbers_in(text: str) -> list[str]:
    """The numbers that a reader of a paragraph has to keep in mind; an interval is part of one.

    >>> numbers_in("In 2024 generation 5 of OPT-125m ends at ×1.79 [1.73, 1.85], 3,000 or 5 % up.")
    ['×1.79', '3,000', '5']
    """
    text = " ".join(text.split())
    return [one.rstrip(".,") for one in NUMBER.findall(INTERVAL.sub("", NAMES.sub("", text)))]


def article(site: Path, page: str, without: str = "") -> Tag:
    """What a page says, without what is around it, and without some of its elements."""
    soup = BeautifulSoup(
        (site / "html" / f"{page}.html").read_text(encoding="utf-8"), "html.parser"
    )
    found = soup.select_one("article")
    assert found is not None
    for element in found.select(without) if without else []:
        element.decompose()
    return found


@pytest.mark.parametrize("page", [page for page in PAGES if not page.endswith("/references")])
def test_a_page_begins_with_its_answer(smoke_site: Path, page: str) -> None:
    shown = article(smoke_site, page)
    answers = shown.select(".admonition.answer")
    assert len(answers) == 1
    title, first, *rest = answers[0].find_all("p")
    said = [badge.get_text() for badge in title.select(".figure-badge")]
    assert title.get_text(" ").split()[:2] == ["The", "answer"] and first.find("strong") and rest
    ids = [figure["id"] for figure in shown.select("figure[id^=fig-]")]
    cards_ = [json.loads((smoke_site / f"figures/{id}.json").read_text()) for id in ids[:1]]
    assert said == [cards.badge(card) for card in cards_]
    assert not [head for head in shown.find_all("h2") if head in answers[0].find_all_previous()]


@pytest.mark.parametrize("page", PAGES)
def test_no_paragraph_asks_to_keep_more_than_ten_numbers(smoke_site: Path, page: str) -> None:
    shown = article(smoke_site, page, f"{NO_PROSE}, code, .math, a:not(data > a)")
    crowded = {
        paragraph.get_text()[:70]: numbers
        for paragraph in shown.find_all(["p", "li"])
        if not paragraph.find("p") and len(numbers := numbers_in(paragraph.get_text(" "))) > AT_MOST
    }
    assert crowded == {}


def clause(text: str) -> bool:
    """Whether a text that data fill in says more than a number, an interval, a verdict or a name.

    >>> [clause(one) for one in ("5.25 [5.11, 5.40]", "State of the Union", "it has less of it")]
    [False, False, True]
    """
    bare = re.sub(r"\[[^\]]*\]|\([^)]*\)|“[^”]*”", "", " ".join(text.split()))
    return len(re.findall(r"\b[a-z]{2,}\b", bare)) > 3


@pytest.mark.parametrize("page", [page for page in PAGES if not page.endswith("/how-to-rerun")])
def test_data_fill_in_numbers_and_names_and_never_a_clause(smoke_site: Path, page: str) -> None:
    """But for what an answer rests on; and the page on reruns quotes a command's last line."""
    found = [
        filled.get_text()
        for filled in article(smoke_site, page, ".cell_output").select(".pasted-text")
        if not filled.find_parent(class_="answer") and clause(filled.get_text())
    ]
    assert found == []


WRONG = re.compile(r".{0,20}(?:\d[ ]?%|(?<![\w.–−\-])-\d).{0,9}")


@pytest.mark.parametrize("page", [*PAGES, "figures/index"])
def test_per_cent_has_a_blank_that_does_not_break_and_minus_is_a_minus(
    smoke_site: Path, page: str
) -> None:
    shown = article(smoke_site, page, NO_TEXT)
    pictures = [image.get("alt", "") for image in shown.find_all("img")]
    texts = [*shown.stripped_strings, *pictures]
    assert [found for text in texts for found in WRONG.findall(str(text))] == []


@pytest.mark.parametrize("id", FIGURES)
def test_a_figure_writes_per_cent_and_minus_as_the_text_does(smoke_site: Path, id: str) -> None:
    for form in ("", ".narrow"):
        tree = ET.parse(smoke_site / f"html/figures/{id}{form}.svg")
        texts = ["".join(text.itertext()) for text in tree.findall(".//{*}text")]
        assert texts
        wrong = [text for text in texts if re.search(r"\d%|(?<![\w.–−\-])-\d", text)]
        assert wrong == [], form


@pytest.mark.parametrize("page", [*PAGES, "figures/index", *(f"figures/{id}" for id in FIGURES)])
def test_a_picture_has_its_size_and_says_what_is_seen(smoke_site: Path, page: str) -> None:
    for image in article(smoke_site, page).find_all("img"):
        given = {side for side in ("width", "height", "alt") if image.get(side)}
        assert given == {"width", "height", "alt"}, image.get("src")


@pytest.mark.parametrize("page", PAGES)
def test_the_loop_s_taps_lead_to_chapters(smoke_site: Path, page: str) -> None:
    for link in article(smoke_site, page).select(".loop a"):
        assert (smoke_site / "html/chapters" / str(link["href"])).is_file(), link


# -- in a browser ----------------------------------------------------------------------------

# Of each text of the figures of a page: what it says, and how high it is in pixels of the screen.
HEIGHTS = """async () => {
    const told = [];
    for (const image of document.querySelectorAll('figure picture img')) {
        image.loading = 'eager';
        await image.decode();
        const box = document.body.appendChild(document.createElement('div'));
        box.innerHTML = await (await fetch(image.currentSrc)).text();
        const svg = box.querySelector('svg');
        const scale = image.getBoundingClientRect().width / svg.viewBox.baseVal.width;
        for (const text of svg.querySelectorAll('text')) {
            const parts = [text, ...text.querySelectorAll('tspan')];
            const sizes = parts.map(part => parseFloat(getComputedStyle(part).fontSize));
            const height = scale * Math.max(...sizes);
            told.push([image.currentSrc.split('/').pop(), text.textContent, height]);
        }
        box.remove();
    }
    return told;
}"""


@pytest.fixture(scope="module")
def address(smoke_site: Path) -> Iterator[str]:
    with served(smoke_site / "html") as found:
        yield found


@pytest.fixture(scope="module")
def chromium(smoke_site: Path) -> Iterator[Any]:
    with launched() as browser:
        yield browser


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
@pytest.mark.parametrize("page", sorted({f"chapters/{of}" for of in FIGURES.values()}))
@pytest.mark.parametrize("width", [1280, 390])
def test_every_text_of_a_figure_can_be_read_where_it_is_shown(
    chromium: Any, address: str, page: str, width: int
) -> None:
    with opened(chromium, f"{address}/{page}.html", width) as visit:
        told = visit.page.evaluate(HEIGHTS)
        assert told and all(name.endswith(".narrow.svg") == (width < 600) for name, *_ in told)
        assert [one for one in told if one[2] < LEAST] == []
