"""A page for each figure at an address that never changes, a gallery of all, an index for machines.

A figure that is gone keeps its page, which says where it went.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import yaml
from nbformat import NotebookNode

from collapse.book import cards, chapter, citations, identity, theme
from collapse.book.identity import Identity
from collapse.errors import BookError


class GalleryError(BookError):
    """A figure has no card, no entry in `figures.yml`, or a run after the date of publication."""


_KINDS = ("svg", "png", "csv", "json")


def write(book: Path, notebooks: Mapping[str, NotebookNode]) -> None:
    """Write the figures' pages, the gallery and the index into a staged book, and list the pages.

    Args:
        book: the staged book, whose files of figures lie in `_public/figures`.
        notebooks: the executed chapters by name, in the order of the table of contents.

    Raises:
        GalleryError: a figure has no card, is not in `figures.yml`, or shows a published run
            that is newer than the date of publication.
        ParameterError: as `cards.registry`.
    """
    known, me = cards.registry(), identity.read()
    folder, public = book / "figures", book / "_public" / "figures"
    folder.mkdir()
    found: list[cards.Card] = []
    pages: dict[str, str] = {}
    for name, notebook in notebooks.items():
        for id in figures_of(notebook):
            if id not in known.figures:
                raise GalleryError(
                    f"figures.yml does not know the figure {id} of chapter {name}; add it with "
                    "title and topics, for its address is for good"
                )
            card, pages[id] = _page(public, id, name)
            found.append(card | {"topics": known.figures[id].topics})
            citations.write(public / id, cards.cited(card, me))
    _check_date(found, me)
    pictures = {card["id"]: theme.image(public, card["id"], card["alt"]) for card in found}
    pages["index"] = cards.rendered("gallery.md", cards=found, pictures=pictures)
    absent = {id: "It is not part of this build." for id in known.figures if id not in pages}
    absent |= known.gone
    for id, where in absent.items():
        pages[id] = (
            f"# Figure {id}\n\nThis figure is not shown here. {where}\n\n"
            "{doc}`All figures <index>`\n"
        )
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    index = json.dumps([_entry(card) for card in found], indent=1, ensure_ascii=False)
    (public / "index.json").write_text(index + "\n", encoding="utf-8")
    _list(book / "_toc.yml", [card["id"] for card in found] + sorted(absent))


def figures_of(notebook: NotebookNode) -> list[str]:
    """The identifiers of the figures of an executed chapter, in order."""
    return [
        cell.metadata["mystnb"]["figure"]["name"]
        for cell in notebook.cells
        if "figure" in cell.metadata.get("mystnb", {})
    ]


def _page(public: Path, id: str, chapter: str) -> tuple[cards.Card, str]:
    """The card of a figure, and its page."""
    try:
        card = json.loads((public / f"{id}.json").read_text(encoding="utf-8"))
        card["chapter"] = chapter
        return card, cards.rendered(
            "figure.md", card=card, shown=cards.shown(card, folder=""),
            picture=theme.picture(public, id, card["alt"], folder=""),
        )  # fmt: skip
    except (OSError, ValueError, LookupError, jinja2.TemplateError) as error:  # or it is old
        raise GalleryError(
            f"figure {id} of chapter {chapter} has no card that can be read; "
            f"run `book run {chapter} --force`"
        ) from error


def _check_date(found: list[cards.Card], me: Identity) -> None:
    """See that no figure shows a published run that is newer than the book."""
    for card in found:
        for run in card["runs"]:
            date = run["provenance"]["date"][:10]
            own = run["computed_in_this_build"] or not run["published"]
            if date > str(me.released) and not own:
                raise GalleryError(
                    f"{identity.FILE} says date-released {me.released}, but figure {card['id']} "
                    f"shows the run {run['record']} of {date}; raise date-released"
                )


def cite(book: Path, pages: list[str]) -> None:
    """Write the citations of the chapters beside them; the first page stands for the book."""
    me = identity.read()
    for number, page in enumerate(pages):
        name = Path(page).name
        kind, id = ("chapter", f"model-collapse-{name}") if number else ("book", "model-collapse")
        title = chapter.title(name) if number else me.title
        cited = citations.item(me, kind, id, title, f"{page}.html")
        citations.write(book / "_public" / page, cited)


def _entry(card: cards.Card) -> dict[str, Any]:
    """What a machine needs to find the figure and its parts; addresses relative to the index."""
    id = card["id"]
    return {
        **{key: card[key] for key in ("id", "title", "chapter", "topics", "alt")},
        "page": f"{id}.html",
        "files": {kind: f"{id}.{kind}" for kind in (*_KINDS, *citations.FORMATS)},
        "records": [run["record"] for run in card["runs"]],
        "scale": cards.badge(card),
    }


def _list(toc: Path, ids: list[str]) -> None:
    """Put all numbers, and the gallery with the figures' pages, at the end of the contents."""
    contents = yaml.safe_load(toc.read_text(encoding="utf-8"))
    pages = [{"file": f"figures/{id}"} for id in ids]
    last = contents["parts"][-1] if "parts" in contents else contents
    gallery = {"file": "figures/index", "sections": pages}
    last.setdefault("chapters", []).extend([{"file": "numbers"}, gallery])
    toc.write_text(yaml.safe_dump(contents, sort_keys=False), encoding="utf-8")
