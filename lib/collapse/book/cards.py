"""The card of a figure: its runs, its citation, its files, and how to make it again.

`figures.yml` lists every figure that was ever published, by the identifier that is its address.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from pydantic import BaseModel

from collapse import __version__
from collapse.book.columns import Column, described
from collapse.book.parameters import read_file
from collapse.experiment.records import published

if TYPE_CHECKING:
    from collapse.experiment.arms import Run

BOOK = "Model Collapse: A Reproducible Paper Book"
AUTHOR = "The Model Collapse Book contributors"
DATE = "2026-11-24"  # of the release, as in CITATION.cff
YEAR = int(DATE[:4])
ARTICLE = "10.1038/s41586-024-07566-y"
FILES = {"svg": "picture", "png": "picture", "csv": "data", "json": "card with protocols"}

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
    entry = registry().figures.get(id)
    own = entry.columns if entry else {}
    return {
        "id": id,
        "title": entry.title if entry else id,
        "book": f"{BOOK}, version {__version__}",
        "chapter": os.environ.get("COLLAPSE_CHAPTER", ""),
        "scale": os.environ.get("COLLAPSE_SCALE", ""),
        "parameters": os.environ.get("COLLAPSE_PARAMETERS", ""),
        "licence": "CC-BY-4.0",
        "article": f"https://doi.org/{ARTICLE}",
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
                "protocol": run.record.protocol.to_dict(),
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


# -- citations -------------------------------------------------------------------------------


def bibtex(card: Card, url: str = "") -> str:
    """The figure as a BibTeX entry."""
    fields = {
        "author": f"{{{AUTHOR}}}",
        "title": f"{{{_tex(card['title'])}}}",
        "year": str(YEAR),
        "howpublished": f"Figure {card['id']} in: {_tex(BOOK)}",
        "version": __version__,
        "note": f"Relates to doi:{ARTICLE}",
        **({"url": url} if url else {}),
    }
    width = max(map(len, fields))
    lines = [f"  {name:<{width}} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@misc{{{card['id']},", *lines, "}"])


def _tex(text: str) -> str:
    return re.sub(r"([&%$#_{}])", r"\\\1", text)


def csl(card: Card) -> str:
    """The figure as CSL-JSON, a list of one item; a page adds its address."""
    item = {
        "id": card["id"],
        "type": "figure",
        "title": card["title"],
        "container-title": BOOK,
        "author": [{"literal": AUTHOR}],
        "issued": {"date-parts": [[YEAR]]},
        "version": __version__,
        "note": f"Relates to doi:{ARTICLE}",
    }
    return json.dumps([item], indent=1, ensure_ascii=False)


def in_markdown(text: str) -> str:
    """A text that holds no markup: a name of a file may have dollars, stars, brackets."""
    return re.sub(r"([\\`*_\[\]{}<>$|~#])", r"\\\1", text)


# -- the card on a page ----------------------------------------------------------------------


def command(card: Card) -> str:
    """What makes this figure again, and nothing else."""
    scale = f" SCALE={card['scale']}" if card["scale"] not in ("", "laptop") else ""
    # The parameters as the value of a setting of make's, in a shell.
    escaped = re.sub(r'(["\\$`])', r"\\\1", card["parameters"].replace("$", "$$"))
    parameters = f' PARAMS="{escaped}"' if escaped else ""
    return f"make figure ID={card['id']}{parameters}{scale}"


def shown(card: Card, folder: str = "../figures/", is_open: bool = False) -> str:
    """The card as HTML: one line that opens in place.

    Args:
        folder: where the figures' pages and files lie, as seen from the page.
    """
    return rendered(
        "card.html", card=card, folder=folder, open=is_open, badge=badge(card), brief=brief(card),
        files=FILES,
        citations={"BibTeX": bibtex(card), "CSL-JSON": csl(card)}, command=command(card),
    )  # fmt: skip
