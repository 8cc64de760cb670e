"""All numbers of the chapters, as `numbers.csv`, `numbers.json`, and a page with links."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from nbformat import NotebookNode

from collapse.book import cards, numbers
from collapse.measure.per_seed import NOT_RUN

# What `numbers.csv` says of a number, in this order.
COLUMNS = {
    "id": "chapter and name",
    "value": "in the unit given, before rounding; empty where only two ends are told",
    "low": "lower end of the interval, in the same unit; empty where there is none",
    "high": "upper end of the interval, likewise",
    "interval": "which kind of interval, or why there is none",
    "n": "seeds, that is repetitions with other random numbers; empty where there are none",
    "unit": "empty where the number is a ratio or a count of what the next column names",
    "what": "what the number is",
    "how": "how it was computed",
    "records": "folders in records/ that it comes from",
    "origin": "where it comes from, if not from records",
    "text": "as the page shows it",
    "address": "on this site",
}
_GLUED = re.compile(r"\{glue:text\}`([^`]+)`")


def gathered(notebook: NotebookNode, chapter: str) -> list[dict[str, Any]]:
    """The numbers that an executed chapter shows, in the order in which they were computed.

    Raises:
        NumberError: a text with digits is glued without a source, or a name is used twice.
    """
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    used = {name.split(":")[0] for source in sources for name in _GLUED.findall(source)}
    found: dict[str, dict[str, Any]] = {}
    for name, number in _of(notebook, chapter):
        if name in used or number.get("of_table"):
            if numbers.anchor(name) in found:
                raise numbers.NumberError(
                    f"chapter {chapter} has two numbers whose address would be "
                    f"#{numbers.anchor(name)}; rename {name!r}"
                )
            address = f"chapters/{chapter}.html#{numbers.anchor(name)}"
            told = {"id": f"{chapter}/{numbers.slug(name)}", **number, "address": address}
            found[numbers.anchor(name)] = {key: told[key] for key in COLUMNS}
    return list(found.values())


def _of(notebook: NotebookNode, chapter: str) -> Iterator[tuple[str, dict[str, Any]]]:
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    for output in outputs:
        metadata = output.get("metadata", {})
        if name := metadata.get("scrapbook", {}).get("name"):
            text = str(output["data"].get(f"{numbers.PREFIX}text/plain", ""))
            if number := metadata.get(numbers.METADATA):
                if number["text"] != NOT_RUN:
                    yield name, number
            elif re.search(r"\d", text) and not metadata.get(numbers.WORDS):
                raise numbers.NumberError(
                    f"the number {name!r} of chapter {chapter}, {text}, has no source; glue it "
                    "with `figures.glue` as a Number that says its runs or its origin"
                )
        for name, number in metadata.get("text/html", {}).get("numbers", {}).items():
            yield name, {**number, "of_table": True}


def write(book: Path, found: Mapping[str, list[dict[str, Any]]]) -> None:
    """Write `numbers.csv`, `numbers.json` and the page of all numbers into a staged book.

    Args:
        found: the numbers of each chapter, as `gathered`.
    """
    rows = [number for each in found.values() for number in each]
    public = book / "_public"
    public.mkdir(exist_ok=True)
    (public / "numbers.csv").write_text(table(rows), encoding="utf-8")
    both = json.dumps({"columns": COLUMNS, "numbers": rows}, indent=1, ensure_ascii=False)
    (public / "numbers.json").write_text(both + "\n", encoding="utf-8")
    told = {name: each for name, each in found.items() if each}
    page = cards.rendered("numbers.md", chapters=told, columns=COLUMNS)
    (book / "numbers.md").write_text(page, encoding="utf-8")


def table(rows: list[dict[str, Any]]) -> str:
    """Numbers as CSV; several records are parted by blanks."""
    told = [row | {"records": " ".join(row["records"])} for row in rows]
    made = pd.DataFrame(told, columns=list(COLUMNS))
    return made.to_csv(index=False, lineterminator="\n", float_format="%.10g")
