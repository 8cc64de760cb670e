"""The card of a figure, the strip below it: runs, citation, files, and how to make it again.

`figures.yml` lists every figure that was ever published, by the identifier that is its address.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from pydantic import BaseModel

from collapse.book import citations, identity
from collapse.book.columns import Column, described
from collapse.book.identity import Identity
from collapse.book.parameters import read_file
from collapse.experiment.records import published

if TYPE_CHECKING:
    from collapse.experiment.arms import Run

# What ends the name of a figure's file -> what is in it; only those that are there are shown.
FILES = {
    ".csv": "what is drawn", "-all.csv": "everything else", ".json": "runs and settings",
    ".datapackage.json": "the columns", ".svg": "picture", ".png": "picture",
}  # fmt: skip

Card = dict[str, Any]


TEMPLATES = Path(__file__).parent / "templates"
_PAGES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=jinja2.select_autoescape(["html"]),
    trim_blocks=True, undefined=jinja2.StrictUndefined,
)  # fmt: skip


class Entry(BaseModel, extra="forbid"):
    """What `figures.yml` says of a figure: the title that it is cited by, and what it is about.

    columns: of its data files, what they hold there alone.
    """

    title: str
    topics: list[str]
    columns: dict[str, Column] = {}


class Registry(BaseModel, extra="forbid"):
    """What `figures.yml` says, by identifier; of a figure that is gone, where it went."""

    figures: dict[str, Entry] = {}
    gone: dict[str, str] = {}


def registry() -> Registry:
    """Every figure that was ever published.

    Raises:
        ParameterError: `figures.yml` cannot be read, or an entry lacks title or topics.
    """
    return read_file("figures.yml", Registry)


def rendered(template: str, **values: Any) -> str:
    """A template of this room, filled in; in one of HTML, what it is filled with is no markup."""
    return _PAGES.get_template(template).render(values)


def facts(
    id: str,
    caption: str,
    alt: str,
    tables: Mapping[str, Iterable[str]],
    origin: str,
    runs: Sequence["Run"],
) -> Card:
    """Everything that a figure's card says, as it is stored beside the figure.

    The chapter is that which is being executed, and none in a notebook opened by hand.

    Args:
        tables: the figure's data files by name, with the names of their columns.
        origin: in words, what is shown.

    Raises:
        ColumnError: nothing says what a column holds.
        ParameterError: as `registry`.
    """
    entry, me = registry().figures.get(id), identity.read()
    own = entry.columns if entry else {}
    return {
        "id": id,
        "title": entry.title if entry else id,
        "book": f"{me.title}, version {me.version}",
        "chapter": os.environ.get("COLLAPSE_CHAPTER", ""),
        "scale": os.environ.get("COLLAPSE_SCALE", ""),
        "parameters": os.environ.get("COLLAPSE_PARAMETERS", ""),
        "licence": me.licences[1],
        "article": f"https://doi.org/{me.article}",
        "columns": {name: described(table, own, name) for name, table in tables.items()},
        "caption": caption,
        "alt": alt,
        "origin": origin,
        "runs": [
            {
                "record": run.record.name,
                "fingerprint": run.record.fingerprint,
                "computed_in_this_build": run.computed,
                "published": (published() / run.record.name).is_dir(),
                "protocol": {
                    key: list(value) if isinstance(value, tuple) else value  # as JSON has it
                    for key, value in run.record.protocol.to_dict().items()
                },
                "base": run.record.base,
                "provenance": {
                    key: run.record.provenance[key]
                    for key in ("scale", "date", "commit", "device", "versions")
                },
                "minutes": round(sum(run.record.provenance["seconds"]) / 60, 1),
            }
            for run in runs
        ],
        "minutes": round(_seconds(runs) / 60, 1),
    }


def _seconds(runs: Sequence["Run"]) -> float:
    """What all runs took; a generation that several begin with was computed once."""
    once = set()
    for record in (run.record for run in runs):
        each = zip(record.provenance["seconds"], record.generations["test_perplexity"], strict=True)
        once |= {(record.protocol.seed, number, *both) for number, both in enumerate(each)}
    return sum(seconds for _, _, seconds, _ in once)


def badge(card: Card) -> str:
    """Where the numbers come from in a few words: `paper scale`, `your rerun, laptop scale`."""
    scales = sorted({run["provenance"]["scale"] for run in card["runs"]})
    if not scales:
        return "computed here"
    own = any(run["computed_in_this_build"] and not run["published"] for run in card["runs"])
    return ("your rerun, " if own else "") + f"{' and '.join(scales)} scale"


def brief(card: Card) -> str:
    """What is shown in a few words: each model with its runs and seeds, or the data's origin."""
    if not card["runs"]:
        return str(card["origin"])
    models: dict[str, list[int]] = {}
    for run in card["runs"]:
        models.setdefault(run["base"]["name"], []).append(run["protocol"]["seed"])
    return "; ".join(
        f"{name}, {len(seeds)} run{'s' if len(seeds) > 1 else ''}, "
        f"seed{'s' if len(set(seeds)) > 1 else ''} {', '.join(map(str, sorted(set(seeds))))}"
        for name, seeds in models.items()
    )


# -- the card on a page ----------------------------------------------------------------------


def command(card: Card) -> str:
    """What makes this figure again, and nothing else."""
    scale = f" SCALE={card['scale']}" if card["scale"] not in ("", "laptop") else ""
    # The parameters as the value of a setting of make's, in a shell.
    escaped = re.sub(r'(["\\$`])', r"\\\1", card["parameters"].replace("$", "$$"))
    parameters = f' PARAMS="{escaped}"' if escaped else ""
    return f"make figure ID={card['id']}{parameters}{scale}"


def cited(card: Card, me: Identity) -> citations.Item:
    """The figure as it is cited."""
    return citations.item(me, "figure", card["id"], card["title"], f"figures/{card['id']}.html")


def shown(
    card: Card, folder: str = "../figures/", number: str = "Figure", me: Identity | None = None,
    public: Path | None = None,
) -> str:  # fmt: skip
    """The strip below a figure as HTML; each of its parts opens in place.

    Args:
        folder: where the figures' pages and files lie, as seen from the page; nothing on their own.
        number: as in `Figure 3.1`; only the site knows it.
        me: who publishes it, as the book's citation file says if nothing is given.
        public: where the figure's files lie, to show those that are there.
    """
    me = me or identity.read()
    entry, files = cited(card, me), {f"{card['id']}{suffix}": FILES[suffix] for suffix in FILES}
    there = {name: what for name, what in files.items() if not public or (public / name).is_file()}
    return rendered(
        "card.html", card=card, folder=folder, number=number, badge=badge(card), brief=brief(card),
        files=there, formats=citations.NAMES, text=citations.text(entry),
        bibtex=citations.bibtex(entry),
        command=command(card), licence=identity.licence(me.licences[1]), version=me.version,
        not_yet="" if me.url else identity.NOT_YET,
    )  # fmt: skip
