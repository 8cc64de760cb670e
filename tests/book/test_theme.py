"""What pages get beyond the theme: the loop, figures in two widths, code at the end, numbers."""

import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from collapse.book import loop, tables, theme


@pytest.mark.parametrize("lit", ["", *loop.TAPS])
def test_the_loop_lights_one_tap_in_picture_words_and_list(lit: str) -> None:
    shown = BeautifulSoup(loop.diagram(lit).data, "html.parser")
    picture = shown.svg
    assert picture is not None and picture.title and picture.find("desc")
    assert picture["viewbox"].split()[2] == "340"
    number = [str(1 + list(loop.TAPS).index(lit))] if lit else []
    assert [tap.get_text().strip() for tap in picture.select(".loop-tap.lit")] == number
    assert [line["class"][1] for line in picture.select(".loop-line.lit")] == (
        [f"loop-{lit}"] if lit else []
    )
    told = picture.find("desc").get_text()
    assert ("Lit here" in told) == bool(lit)
    assert len(shown.select("li")) == 3 and len(shown.select("li.lit strong")) == len(number)
    linked = {link["href"] for link in shown.select("li a")}
    assert linked == {f"{tap['chapter']}.html" for name, tap in loop.TAPS.items() if name != lit}


def test_a_tap_that_is_none_is_refused() -> None:
    with pytest.raises(KeyError):
        loop.diagram("sold")


SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="{}" height="{}"/>'


def test_a_figure_is_given_in_both_widths_with_its_size_in_pixels(tmp_path: Path) -> None:
    (tmp_path / "fig-a.svg").write_text(SVG.format("480pt", "240pt"))
    one = BeautifulSoup(theme.picture(tmp_path, "fig-a", "A.", "../f/"), "html.parser")
    assert one.source is None and one.a["href"] == "../f/fig-a.svg"
    (tmp_path / "fig-a.narrow.svg").write_text(SVG.format("345", "300"))
    both = BeautifulSoup(theme.picture(tmp_path, "fig-a", 'At "5 %"', "../f/"), "html.parser")
    assert (both.img["width"], both.img["height"]) == ("640", "320")
    assert both.img["alt"] == 'At "5\u00a0%"'
    assert (both.source["width"], both.source["height"]) == ("345", "300")
    assert both.source["srcset"] == "../f/fig-a.narrow.svg"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1.79 [1.73, 1.85]", "1.79_[1.73,_1.85]"),
        ("5 % of it, -3 % [-4, -2]", "5_% of it, −3_% [−4,_−2]"),
        ("100%; 50 %", "100_%; 50_%"),
        ("2022-2024, top-p, 1e-5, F-1", "2022-2024, top-p, 1e-5, F-1"),
        ("see [a, b] and [2024]", "see [a, b] and [2024]"),
    ],
)
def test_numbers_stay_with_their_intervals_and_units(text: str, told: str) -> None:
    assert theme.unbroken(text).replace("\u00a0", "_") == told
    assert theme.unbroken(theme.unbroken(text)) == theme.unbroken(text)


def test_code_that_a_page_folds_away_stands_once_at_its_end() -> None:
    cells = [
        new_markdown_cell("# A"),
        new_code_cell("x = 1", metadata={"tags": ["parameters", "hide-input"]}),
        new_code_cell("x = 2", metadata={"tags": ["injected-parameters"]}),
        new_code_cell("y = x", metadata={"tags": ["hide-cell"]}),
        new_code_cell("shown()"),
    ]
    *before, last = theme.with_code_at_end(new_notebook(cells=cells)).cells
    tags = [cell.metadata.get("tags", []) for cell in before]
    assert tags == [[], ["parameters", "remove-input"], ["remove-input"], ["remove-cell"], []]
    code = re.findall(r"```python\n(.*?)\n```", last.source, re.S)
    assert code == ["x = 1", "x = 2", "y = x"]
    prose = new_notebook(cells=[new_markdown_cell("# A")])
    assert [cell.source for cell in theme.with_code_at_end(prose).cells] == ["# A"]


def columns(table: str, number: int = 1) -> list[str]:
    """The classes of a table's cells in a row of data, its first if none is named."""
    row = BeautifulSoup(tables.marked(table), "html.parser").find_all("tr")[number]
    return [" ".join(cell.get("class", [])) for cell in row.find_all(["td", "th"])]


def of_rows(*rows: str) -> str:
    """A table of rows with cells between bars, the first of them its head."""
    head, *body = ([*row.split("|")] for row in rows)
    told = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for row in body)
    return f"<table><tr>{''.join(f'<th>{c}</th>' for c in head)}</tr>{told}</table>"


def test_columns_of_numbers_are_marked_and_columns_of_words_are_not() -> None:
    table = of_rows(
        "a|b|c|d|e|f",
        "x|1|×1.79\u00a0[1.73,\u00a01.85]|not run yet|5 to 6|−3\u00a0%",
        "y|2,000|1.13 (one seed)|0.5|7|–",
    )
    assert columns(table) == ["", "number", "number", "number", "", "number"]
    # Before a remark a line may end, or the table would be wider than the page.
    assert columns(table, 2)[1:4] == ["number", "number remarked", "number"]


def test_a_table_of_words_names_each_cell_for_a_telephone() -> None:
    words = of_rows("claim|here|verdict", f"{'long words ' * 4}|{'more words ' * 4}|agrees")
    shown = BeautifulSoup(tables.marked(words), "html.parser")
    assert shown.table["class"] == ["cards"]
    assert [cell["data-label"] for cell in shown.find_all("td")] == ["claim", "here", "verdict"]
    assert "cards" not in tables.marked(of_rows("setting|1|2", f"{'long ' * 9}|1|2"))


@pytest.mark.parametrize(
    "table",
    ["<table><tr><td>a</td></tr></table>", of_rows("a|b", "1|2|3"), "<table></table>"],
)
def test_a_table_of_another_build_stays_as_it_is(table: str) -> None:
    assert tables.marked(table) == table


def test_a_cell_that_is_a_verdict_becomes_a_chip_once() -> None:
    table = of_rows("claim|verdict", "a|cannot tell", "b|it agrees")
    told = tables.marked(tables.marked(table))
    chips = BeautifulSoup(told, "html.parser").select("td > .verdict")
    assert [(chip["data-verdict"], chip.get_text()) for chip in chips] == [("cannot tell",) * 2]
