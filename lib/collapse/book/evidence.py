"""That the evidence of the ledger is there and still gives the verdicts, when pages are built.

A pointer that leads nowhere, or a number that no longer gives the verdict, stops the build. Only
pages at the published scale and parameters are asked: others may show other numbers, or none.
"""

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from bs4 import BeautifulSoup, Tag
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from collapse.book import chapter, identity, listing, numbers
from collapse.book.ledger import (
    FILE,
    PAGE,
    SAME,
    Cited,
    Entry,
    Ledger,
    Numbered,
    Row,
    Tested,
    anchor,
    sources,
)  # fmt: skip
from collapse.errors import BookError
from collapse.experiment import assets
from collapse.measure.per_seed import NOT_RUN

AS_PUBLISHED = {"scale": "laptop", "parameters": ""}  # how published pages are executed
_BEFORE = "## Run it yourself"  # where a chapter names its claims


class EvidenceError(BookError):
    """An entry of the ledger points to nothing, or no longer has the verdict that it states."""


class Page(NamedTuple):
    """What an executed chapter has for the ledger.

    numbers: that it shows, by what ends their address.
    rows: of its tables of claims, by claim.
    judged: whether it was executed as published, so that verdicts hold.
    """

    numbers: dict[str, dict[str, Any]]
    rows: dict[str, list[dict[str, str]]]
    judged: bool


_NOTHING = Page({}, {}, True)  # of a chapter that is not there


def page(notebook: NotebookNode, name: str) -> Page:
    """What an executed chapter has.

    Raises:
        NumberError: as `listing.gathered`.
    """
    shown = {one["id"].partition("/")[2]: one for one in listing.gathered(notebook, name)}
    rows: dict[str, list[dict[str, str]]] = {}
    for output in (one for cell in notebook.cells for one in cell.get("outputs", [])):
        for row in output.get("metadata", {}).get("text/html", {}).get("claims", []):
            rows.setdefault(row["id"], []).append(row)
    return Page(shown, rows, notebook.metadata.get("execution") == AS_PUBLISHED)


# -- whether it is there -----------------------------------------------------------------------


def check(ledger: Ledger, pages: Mapping[str, Page]) -> None:
    """See that every pointer leads somewhere, and that what is found there gives the verdict.

    Args:
        pages: the executed chapters, by name.

    Raises:
        EvidenceError: one of these is not so; it names the claim.
        LedgerError: a chapter measures a claim that the ledger does not know.
    """
    cited = set(sources())
    for entry in ledger.claims:
        problems = [_lost(name) for name in entry.subjects if name not in pages]
        problems += [_problem(entry, one, pages, cited) for one in entry.evidence]
        if problem := next(filter(None, problems), ""):
            raise EvidenceError(f"claim {entry.id}: {problem}")
    for name, shown in pages.items():
        for id in shown.rows:
            if not any(isinstance(e, Row) and e.row == name for e in ledger.of(id).evidence):
                raise EvidenceError(
                    f"claim {id}: chapter {name} measures it, but {FILE} does not say so; add "
                    f"`row: {name}` to its evidence"
                )


def _lost(name: str) -> str:
    known = any(path.rpartition("/")[2] == name for path in chapter.pages())
    return "" if known else f"there is no chapter {name}; mend {FILE}"


def _problem(entry: Entry, one: Any, pages: Mapping[str, Page], cited: set[str]) -> str:
    """What is wrong with a piece of evidence, in a sentence; empty if nothing is."""
    if isinstance(one, Cited) and one.cites not in cited:
        return f"references.bib has no {one.cites}; add what you have read"
    if isinstance(one, Tested) and not _defined(one.test):
        return f"there is no test {one.test}; mend {FILE}"
    if isinstance(one, Row):
        return _of_row(entry, one, pages)
    return _of_number(entry, one, pages) if isinstance(one, Numbered) else ""


def _defined(test: str) -> bool:
    file, _, name = test.partition("::")
    path = assets.ROOT / file
    source = path.read_text(encoding="utf-8") if path.is_file() else ""
    return any(getattr(node, "name", "") == name for node in ast.parse(source).body)


def _of_row(entry: Entry, one: Row, pages: Mapping[str, Page]) -> str:
    page = pages.get(one.row, _NOTHING)
    words = [row["verdict"] for row in page.rows.get(one.of or entry.id, [])]
    if words == one.gives or not page.judged:
        return ""
    if not words:
        return f"no table of chapter {one.row} has a row for it; mend {FILE}"
    return (
        f"chapter {one.row} now gives “{', '.join(words)}”, not “{', '.join(one.gives)}”; think "
        f"again about the verdict “{entry.verdict}” in {FILE}"
    )


def _of_number(entry: Entry, one: Numbered, pages: Mapping[str, Page]) -> str:
    name, _, id = one.number.partition("/")
    page = pages.get(name, _NOTHING)
    number = page.numbers.get(id)
    if not page.judged:
        return ""
    if number is None:
        return f"chapter {name} shows no number {one.number}; mend {FILE}, or run what it needs"
    ends = [number[key] for key in ("value", "low", "high") if number[key] is not None]
    if all(one.holds[0] <= end <= one.holds[1] for end in ends):
        return ""
    return (
        f"the number {one.number} is now {number['text']}, not within {one.holds[0]:g} and "
        f"{one.holds[1]:g}; think again about the verdict “{entry.verdict}” in {FILE}"
    )


def write(public: Path, ledger: Ledger) -> None:
    """Write the ledger as `claims.json`, and without its evidence as `claims.csv`."""
    told = ledger.model_dump(mode="json")
    text = json.dumps(told, indent=1, ensure_ascii=False)
    (public / "claims.json").write_text(text + "\n", encoding="utf-8")
    rows = pd.DataFrame(told["claims"]).drop(columns="evidence")
    rows["chapters"] = [" ".join(entry.subjects) for entry in ledger.claims]
    rows["piece"] = [ledger.pieces[entry.piece].title for entry in ledger.claims]
    rows["address"] = [f"chapters/{PAGE}.html#{anchor(entry.id)}" for entry in ledger.claims]
    rows["version"] = identity.read().version
    rows.to_csv(public / "claims.csv", index=False, encoding="utf-8")


# -- on the pages ------------------------------------------------------------------------------


def complete(notebook: NotebookNode, name: str, ledger: Ledger, pages: Mapping[str, Page]) -> None:
    """Put into a chapter what the ledger knows.

    Into its tables, the claims as they are worded by now; into the page of all claims, what their
    evidence is; into any other, links to the claims that concern it.
    """
    for output in (one for cell in notebook.cells for one in cell.get("outputs", [])):
        shown = output.get("data", {}).get("text/html", "")
        if 'class="claims"' in shown:
            output.data["text/html"] = _filled(shown, pages)
        elif output.get("metadata", {}).get("text/html", {}).get("claims"):
            output.data["text/html"] = _worded(shown, ledger)
    if name == PAGE:
        return
    if here := [entry.id for entry in ledger.claims if name in entry.subjects]:
        links = ", ".join(f'<a href="{PAGE}.html#{anchor(id)}">{id}</a>' for id in here)
        text = f"In the {{doc}}`ledger of claims <{PAGE}>`: {links}."
        for cell in notebook.cells:
            if cell.cell_type == "markdown" and _BEFORE in cell.source:
                cell.source = cell.source.replace(_BEFORE, f"{text}\n\n{_BEFORE}", 1)
                return
        notebook.cells.append(new_markdown_cell(text, id="cell-claims"))


def _worded(shown: str, ledger: Ledger) -> str:
    """A table of claims with the words that the ledger has for them."""
    soup = BeautifulSoup(shown, "html.parser")
    for link in soup.select("a[data-row]"):
        if link.get_text() != SAME:
            link.string = ledger.of(str(link["data-row"])).claim
    return str(soup)


def _filled(shown: str, pages: Mapping[str, Page]) -> str:
    """The cards with the results of rows, and with numbers as their pages show them."""
    soup = BeautifulSoup(shown, "html.parser")
    for place in soup.find_all(class_="claim-now"):
        assert isinstance(place, Tag) and isinstance(place.parent, Tag)
        name, id = str(place["data-chapter"]), str(place["data-id"])
        rows = pages[name].rows.get(id, [])
        if place["data-kind"] == "number":
            number = pages[name].numbers.get(id, {"text": NOT_RUN})
            place.string = number["text"]
            place.parent["href"] = str(number.get("address", name + ".html")).rpartition("/")[2]
        elif rows:
            place.string = "; ".join(
                f"{row['measured']}: {row['result']} ({row['verdict']})" for row in rows
            )
            place.parent["href"] = f"{place.parent['href']}#{rows[0]['table']}-{numbers.slug(id)}"
        if not pages[name].judged:
            place.append(", not at the settings of the published pages")
        for key in ("data-kind", "data-chapter", "data-id"):
            del place[key]
    return str(soup)
