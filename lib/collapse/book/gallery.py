"""A page for each figure at an address that never changes, a gallery of all, an index for machines.

A figure that is gone keeps its page, which says where it went.
"""

import json
import os
from pathlib import Path
from typing import Any

import jinja2
import nbformat
import yaml

from collapse.book import cards, theme
from collapse.errors import BookError


class GalleryError(BookError):
    """A figure of a page has no card, or no entry in `figures.yml`."""


def write(book: Path, notebooks: list[Path]) -> None:
    """Write the figures' pages, the gallery and the index into a staged book, and list the pages.

    Args:
        book: the staged book, whose files of figures lie in `_public/figures`.
        notebooks: the executed chapters, in the order of the table of contents.

    Raises:
        GalleryError: a figure has no card, or is not in `figures.yml`.
        ParameterError: as `cards.registry`.
    """
    known = cards.registry()
    folder, public = book / "figures", book / "_public" / "figures"
    folder.mkdir()
    found: list[cards.Card] = []
    for notebook in notebooks:
        for id in figures_of(notebook):
            if id not in known.figures:
                raise GalleryError(
                    f"figures.yml does not know the figure {id} of chapter {notebook.stem}; add "
                    "it with title and topics, for its address is for good"
                )
            topics = known.figures[id].topics
            found.append(_card(public, id, notebook.stem) | {"topics": topics})
    pictures = {card["id"]: theme.image(public, card["id"], card["alt"]) for card in found}
    pages = {"index": cards.rendered("gallery.md", cards=found, pictures=pictures)}
    for card in found:
        id = card["id"]
        pages[id] = _page(card, public)
        (public / f"{id}.bib").write_text(cards.bibtex(card, _url(id)) + "\n", encoding="utf-8")
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


def figures_of(notebook: Path) -> list[str]:
    """The identifiers of the figures of an executed chapter, in order."""
    cells = nbformat.read(notebook, as_version=4).cells
    return [
        cell.metadata["mystnb"]["figure"]["name"]
        for cell in cells
        if "figure" in cell.metadata.get("mystnb", {})
    ]


def _card(public: Path, id: str, chapter: str) -> cards.Card:
    try:
        card = json.loads((public / f"{id}.json").read_text(encoding="utf-8"))
        cards.shown(card)
    except (OSError, ValueError, LookupError, jinja2.TemplateError) as error:  # or it is old
        raise GalleryError(
            f"figure {id} of chapter {chapter} has no card that can be read; "
            f"run `book run {chapter} --force`"
        ) from error
    return card | {"chapter": chapter}


def _url(id: str) -> str:
    """The absolute address of a figure's page, where `COLLAPSE_URL` says that of the site."""
    base = os.environ.get("COLLAPSE_URL", "").rstrip("/")
    return f"{base}/figures/{id}.html" if base else ""


def _page(card: cards.Card, public: Path) -> str:
    """The page of a figure, with what reference managers read in its head."""
    url = _url(card["id"])
    meta = {
        "description": card["alt"],
        "citation_title": card["title"],
        "citation_author": cards.AUTHOR,
        "citation_publication_date": cards.DATE.replace("-", "/"),
        "citation_inbook_title": cards.BOOK,
        "citation_language": "en",
        **({"citation_public_url": url} if url else {}),
    }
    shown = cards.shown(card, folder="", is_open=True)
    picture = theme.picture(public, card["id"], card["alt"], folder="")
    return cards.rendered("figure.md", card=card, meta=meta, shown=shown, picture=picture)


def _entry(card: cards.Card) -> dict[str, Any]:
    """What a machine needs to find the figure and its parts; addresses relative to the index."""
    id = card["id"]
    return {
        **{key: card[key] for key in ("id", "title", "chapter", "topics", "alt")},
        "page": f"{id}.html",
        "files": {kind: f"{id}.{kind}" for kind in [*cards.FILES, "bib"]},
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
