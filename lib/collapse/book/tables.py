"""Tables for a page, each with an address, and their numbers with their sources.

A chapter makes them (`table`); when pages are built each gets its number, an address for each row,
and its CSV.
"""

import csv
import html
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from bs4 import BeautifulSoup, Tag
from docutils import nodes
from IPython.display import HTML

from collapse.book import numbers
from collapse.book.numbers import Number
from collapse.measure.per_seed import NOT_RUN, PerSeed
from collapse.measure.verdicts import VERDICTS

# A number, with a sign, a unit, an interval or a remark in brackets if it likes.
_NUMBER = re.compile(r"[×<>≈+−-]?\s?\d[\d.,]*(\s?(%|×|s|min|h))?(\s?[\[(].*[\])])?")
_ABSENT = ("", "–", "—", "not run yet")
_WORDS = 24  # letters of a cell from which on it holds words, not a name or a number


def table(rows: Sequence[Any], below: str = "", *, id: str, caption: str) -> HTML:
    """Rows, each a dictionary or dataclass, as a table for a page, uncut, and a remark below.

    A cell may be a `PerSeed` or a `Number`, which keeps its source, or HTML. The first one names
    the row.

    Args:
        id: the table's address for good, as `tab-writing`.
        caption: one sentence.
    """
    told = pd.DataFrame([vars(row) if is_dataclass(row) else row for row in rows], dtype=object)
    kept: dict[str, dict[str, Any]] = {}
    firsts = [_html(cell) for cell in told.iloc[:, 0]] if len(told.columns) else []
    named = _names(BeautifulSoup(first, "html.parser") for first in firsts)
    for place, row in enumerate(named):
        for column in told.columns:
            cell = told.loc[place, column]
            number = numbers.of(cell) if isinstance(cell, PerSeed) else cell
            shown = _html(number)
            if isinstance(number, Number) and number.text != NOT_RUN:
                name = f"{id.removeprefix('tab-')}-{row}-{numbers.slug(column)}"
                kept[name], link = number.facts(name), numbers.anchor(name)
                shown = numbers.opened(kept[name], link, link) + shown + numbers.CLOSED
            told.loc[place, column] = shown
    with pd.option_context("display.max_colwidth", None):
        made = told.to_html(index=False, classes="overview", border=0, table_id=id, escape=False)
    made = made.replace("<thead>", f"<caption>{html.escape(caption)}</caption><thead>", 1)
    return HTML(made + (remark(below).data if below else ""), metadata={"numbers": kept})


def _names(firsts: Iterable[Tag]) -> list[str]:
    """What ends the addresses of rows, by their first cells: what `data-row` in one says, so that
    other words may come to stand there, or its words; equal ones are counted."""
    found: list[str] = []
    for first in firsts:
        named = first.select_one("[data-row]")
        own = numbers.slug(str(named["data-row"]) if named else first.get_text(), 40) or "row"
        name, count = own, 1
        while name in found:
            count += 1
            name = f"{own}-{count}"
        found.append(name)
    return found


def _html(cell: Any) -> str:
    return str(cell.data) if isinstance(cell, HTML) else html.escape(str(cell))


def remark(text: str) -> HTML:
    """A remark below a table of the page's own."""
    return HTML(f'<p class="note">{html.escape(text)}</p>')


# -- when pages are built ----------------------------------------------------------------------


def numbered(document: nodes.document) -> None:
    """Put tables with captions, which Sphinx numbers, in the place of those that code made."""
    for raw in list(document.findall(nodes.raw)):
        soup = BeautifulSoup(raw.astext() if raw.get("format") == "html" else "", "html.parser")
        made = soup.find("table", id=re.compile("^tab-"))
        if isinstance(made, Tag) and isinstance(made.caption, Tag):
            id, caption = str(made["id"]), made.caption.extract().get_text()
            inner = nodes.raw("", made.decode_contents(), format="html")
            table = nodes.table("", nodes.title("", caption), inner, ids=[id], names=[id])
            document.note_explicit_target(table)
            made.extract()
            rest = nodes.raw("", str(soup), format="html")
            raw.replace_self(nodes.container("", table, rest, classes=raw["classes"]))


def marked(table: str, files: Path | None = None, folder: str = "") -> str:
    """A table with its cells of numbers marked, and each cell naming its column.

    One that holds words is marked to be stacked where it is narrow. One with an address gets one
    for each row, and is written as CSV.

    Args:
        files: where CSV is written; none where tables have no address.
        folder: where that lies as seen from the page.

    >>> marked("<table><tr><th>a</th></tr><tr><td>1</td></tr></table>").count("number")
    2
    """
    soup = BeautifulSoup(table, "html.parser")
    rows = [row.find_all(["td", "th"], recursive=False) for row in soup.find_all("tr")]
    if len(rows) < 2:
        return table
    head, body = rows[0], rows[1:]
    if not all(cell.name == "th" for cell in head):
        return table
    if any(len(row) != len(head) for row in body):  # a cell that spans several
        return table
    if files is not None and str(soup.table and soup.table.get("id")).startswith("tab-"):
        _address(soup, rows, files, folder)
    for column, name in enumerate(head):
        cells = [row[column] for row in body]
        texts = [cell.get_text().strip() for cell in cells]
        told = [text for text in texts if text not in _ABSENT]
        if told and all(_NUMBER.fullmatch(text) for text in told):
            for cell in (name, *cells):
                _mark(cell, "number")
                if "(" in cell.get_text():  # a line may end before a remark
                    _mark(cell, "remarked")
        for cell in cells:
            cell["data-label"] = name.get_text().strip()
            if cell.get_text().strip() in VERDICTS and not cell.select(".verdict"):
                _chip(soup, cell)
    if len(head) > 2 and any(len(cell.get_text()) > _WORDS for row in body for cell in row[1:]):
        for whole in soup.find_all("table"):
            _mark(whole, "cards")
    return str(soup)


def _address(soup: BeautifulSoup, rows: list[Any], files: Path, folder: str) -> None:
    """Give each row an address and a link to it, and write the table as CSV, with a link to it."""
    assert soup.table is not None
    id = str(soup.table["id"])
    files.mkdir(exist_ok=True)
    (files / f"{id}.csv").write_text(as_csv(rows), encoding="utf-8")
    caption = soup.table.caption
    if caption is not None:
        link = {"class": "table-csv", "href": f"{folder}{id}.csv", "download": ""}
        caption.append(soup.new_tag("a", attrs=link, string="CSV"))
    firsts = [row[0] for row in rows[1:]]
    for cell, name in zip(firsts, _names(firsts), strict=True):
        cell.parent["id"] = f"{id}-{name}"
        link = {"class": "row-link", "href": f"#{id}-{name}", "aria-label": "link to this row"}
        (cell.find("p", recursive=False) or cell).append(soup.new_tag("a", attrs=link))


def as_csv(rows: list[list[Tag]]) -> str:
    """A table as it is shown; after a column of numbers with intervals, value and ends of each."""
    columns = []
    for cells in zip(*rows, strict=True):
        head, *texts = (" ".join(cell.get_text(" ").split()) for cell in cells)
        columns.append([head, *(text.replace("\u2212", "-") for text in texts)])
        data = [cell.find("data") for cell in cells[1:]]
        for key, name in (("value", "value"), ("data-low", "low"), ("data-high", "high")):
            values = ["" if one is None else str(one.get(key, "")) for one in data]
            if any(values):
                columns.append([f"{head}: {name}", *values])
    made = io.StringIO()
    csv.writer(made, lineterminator="\n").writerows(zip(*columns, strict=True))
    return made.getvalue()


def _chip(soup: BeautifulSoup, cell: Tag) -> None:
    word = cell.get_text().strip()
    cell.clear()
    cell.append(soup.new_tag("span", attrs={"class": "verdict", "data-verdict": word}, string=word))


def _mark(element: Tag, name: str) -> None:
    had: str | list[str] = element.get("class") or []
    element["class"] = " ".join([*([had] if isinstance(had, str) else had), name])
