"""What the columns of the book's data files hold: name, unit, meaning; and what tools read of it.

A gauge's meaning is that of `measure.gauges`. What several files have stands in `SHARED`; what one
figure alone has, or means otherwise, stands under `columns` of its entry in `figures.yml`.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from collapse.errors import BookError
from collapse.measure import gauges

if TYPE_CHECKING:
    from collapse.experiment.arms import Run


class ColumnError(BookError):
    """Nothing says what a column of a data file holds."""


class Column(NamedTuple):
    """What a column holds. Words have the unit `text`, what is only told apart `number`."""

    unit: str
    meaning: str


SHARE, RATIO = "share, 0 to 1", "ratio"
UNITS = {  # of the gauges that have none by themselves
    **dict.fromkeys(
        ("human_share", "moving_type_token_ratio", "distinct_2_pooled", "distinct_2_each",
         "tail_coverage", "tail_share", "self_bleu"), SHARE,
    ),
    "best_epoch": "number",
}  # fmt: skip
_ENDS = (
    "of the 95 % interval of the mean over seeds (Student's t; of a ratio on the log scale), or of "
    "a range to compare with; empty for a single seed"
)
SHARED = {
    name: Column(*said)
    for name, said in {
        "panel": ("text", "first or second of the figure; the other's columns are empty"),
        "model": ("text", "the language model"),
        "setting": ("text", "what is compared, in the words of the figure"),
        "measure": ("text", "what was measured, most often a gauge of the tables of runs, by name"),
        "record": ("text", "name of the run's record; the figure's card has its protocol"),
        "retained": (SHARE, "human share of the training text of every generation but the first"),
        "generation": (
            "number",
            "place in the chain: the first learns from what is human or given, and each later one "
            "from what the one before it wrote or drew",
        ),
        "seed": ("number", "of a run's random numbers; empty in a row with the mean over seeds"),
        "ratio": (RATIO, "value divided by that of generation 0 of the same run"),
        "ratio_to_human": (
            RATIO, "value divided by that of human text alone, same generation and seed",
        ),
        "low": ("that of the value", f"lower end {_ENDS}"),
        "high": ("that of the value", f"upper end {_ENDS}"),
        "standard_error": ("that of what is measured", "of it, over simulated chains"),
        "human_share": (
            SHARE,
            "share of its training blocks that equal a human block token for token. One that a "
            "model copied whole from its prompt counts too, so that it may be above 0 where "
            "nothing human is kept",
        ),
        "human_blocks": ("blocks", "of human text, that the last model is trained on"),
    }.items()
}  # fmt: skip


def _of_gauges() -> dict[str, Column]:
    found = {}
    for column, said in gauges.COLUMNS.items():
        name = re.sub(r"_(low|high|se)$", "", column)
        if gauge := gauges.GAUGES.get(name):
            meaning = gauge.label if column == name else f"{said}, over blocks of one run"
            found[column] = Column(gauge.unit or UNITS.get(name, "no unit"), meaning)
    return found


KNOWN = _of_gauges() | SHARED


def described(
    names: Iterable[str], own: Mapping[str, Column] | None = None, file: str = "a data file"
) -> list[dict[str, str]]:
    """Name, unit and meaning of each column.

    Args:
        own: what columns mean in this file alone.
        file: its name, for the refusal.

    Raises:
        ColumnError: nothing says what one holds.
    """
    known, found = KNOWN | dict(own or {}), []
    for name in names:
        if name not in known:
            raise ColumnError(
                f"nothing says what the column {name!r} of {file} holds; give its unit and its "
                "meaning under `columns` of the figure's entry in figures.yml, or in SHARED of "
                "lib/collapse/book/columns.py if several files have it"
            )
        found.append({"name": name, **known[name]._asdict()})
    return found


def of_runs(runs: Sequence["Run"]) -> pd.DataFrame:
    """All gauges of all generations of some runs, a row a generation; a run that is twice, once."""
    once = {run.record.name: run.record for run in runs}
    parts = [
        record.generations.assign(record=name, seed=record.protocol.seed)
        for name, record in once.items()
    ]
    rows = pd.concat(parts, ignore_index=True)
    return rows[["record", "seed", *parts[0].columns.drop(["record", "seed"])]]


def panels(**data: pd.DataFrame) -> pd.DataFrame:
    """The data of a figure's panels in one table, whose first column names the panel."""
    parts = []
    for panel, rows in data.items():
        whole = dict.fromkeys(rows.select_dtypes("integer"), "Int64")  # which may have empty cells
        part = rows.astype(whole)
        part.insert(0, "panel", panel)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def files(card: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> dict[str, bytes]:
    """A figure's data files by name, and the data package that describes them to programs.

    Args:
        card: of the figure, whose `columns` describe each file.
        tables: the data by the name of the file.
    """
    package = json.dumps(_package(card, tables), indent=1, ensure_ascii=False) + "\n"
    found = {name: written(table) for name, table in tables.items()}
    found[f"{card['id']}.datapackage.json"] = package
    return {name: text.encode() for name, text in found.items()}


def written(data: pd.DataFrame) -> str:
    """The data as CSV, six digits a number, every text on one line."""
    flat = data.replace(r"\s*\n\s*", " ", regex=True)
    return flat.to_csv(index=False, lineterminator="\n", float_format="%.6g")


def _package(card: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    return {
        "name": card["id"],
        "title": card["title"],
        "version": card["book"].rpartition(" ")[2],
        "licenses": [{"name": card["licence"]}],
        "resources": [
            {
                "name": name.removesuffix(".csv"),
                "path": name,
                "format": "csv",
                "mediatype": "text/csv",
                "encoding": "utf-8",
                "schema": {
                    "fields": [
                        {"name": one["name"], "type": _type(tables[name][one["name"]]),
                         "description": one["meaning"], "unit": one["unit"]}
                        for one in card["columns"][name]
                    ],
                    "missingValues": [""],
                },
            }
            for name in tables
        ],
    }  # fmt: skip


def _type(values: pd.Series) -> str:
    if not pd.api.types.is_numeric_dtype(values):
        return "string"
    return "integer" if pd.api.types.is_integer_dtype(values) else "number"
