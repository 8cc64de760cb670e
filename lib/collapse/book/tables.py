"""Tables for a page, each with an address, and their numbers with their sources.

The theme numbers them, gives each row an address, and writes each as CSV (`theme.marked`).
"""

import html
import re
from collections.abc import Sequence
from dataclasses import is_dataclass
from typing import Any

import pandas as pd
from IPython.display import HTML

from collapse.book import numbers
from collapse.book.numbers import Number
from collapse.measure.per_seed import NOT_RUN, PerSeed


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
    named = numbers.addresses([html.unescape(re.sub("<[^>]*>", "", first)) for first in firsts])
    for place, row in enumerate(named):
        for column in told.columns:
            cell = told.loc[place, column]
            number = numbers.of(cell) if isinstance(cell, PerSeed) else cell
            shown = _html(number)
            if isinstance(number, Number) and number.text != NOT_RUN:
                name = f"{id.removeprefix('tab-')}-{row}-{numbers.slug(column)}"
                kept[name], shown = number.facts(name), numbers.shown(number, name)
            told.loc[place, column] = shown
    with pd.option_context("display.max_colwidth", None):
        made = told.to_html(index=False, classes="overview", border=0, table_id=id, escape=False)
    made = made.replace("<thead>", f"<caption>{html.escape(caption)}</caption><thead>", 1)
    return HTML(made + (remark(below).data if below else ""), metadata={"numbers": kept})


def _html(cell: Any) -> str:
    return str(cell.data) if isinstance(cell, HTML) else html.escape(str(cell))


def remark(text: str) -> HTML:
    """A remark below a table of the page's own."""
    return HTML(f'<p class="note">{html.escape(text)}</p>')
