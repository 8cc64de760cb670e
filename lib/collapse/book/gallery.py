"""A page for each figure at an address that never changes, a gallery of all, an index for machines.

A figure that is gone keeps its page, which says where it went.
"""

import html
import json
import os
from pathlib import Path
from typing import Any

import nbformat
import yaml

from collapse.book import cards, registry
from collapse.errors import BookError


class GalleryError(BookError):
    """A figure of a page has no card, or `figures.yml` does not know it."""


def figures_of(notebook: Path) -> list[str]:
    """The identifiers of the figures of an executed chapter, in order."""
    cells = nbformat.read(notebook, as_version=4).cells
    return [
        cell.metadata["mystnb"]["figure"]["name"]
        for cell in cells
        if "figure" in cell.metadata.get("mystnb", {})
    ]


def write(book: Path, notebooks: list[Path], root: Path) -> None:
    """Write the figures' pages, the gallery and the index into a staged book, and list the pages.

    Args:
        book: the staged book, whose files of figures lie in `_public/figures`.
        notebooks: the executed chapters, in the order of the table of contents.

    Raises:
        GalleryError: a figure has no card, or is not in `figures.yml`.
    """
    known, folder, public = registry.read(root), book / "figures", book / "_public" / "figures"
    folder.mkdir()
    found: list[cards.Card] = []
    for notebook in notebooks:
        for id in figures_of(notebook):
            if id not in known.figures:
                raise GalleryError(
                    f"figures.yml does not know the figure {id} of chapter {notebook.stem}; add "
                    "it with title and topics, for its address is for good"
                )
            card = _card(public, id, notebook.stem)
            found.append(card | {"topics": known.figures[id].topics})
    for card in found:
        id = card["id"]
        (folder / f"{id}.svg").write_bytes((public / f"{id}.svg").read_bytes())
        (folder / f"{id}.md").write_text(_page(card), encoding="utf-8")
        (public / f"{id}.bib").write_text(cards.bibtex(card, _url(id)) + "\n", encoding="utf-8")
    shown = {card["id"] for card in found}
    missing = {id: "It is not part of this build." for id in known.figures if id not in shown}
    absent = missing | known.gone
    for id, where in absent.items():
        text = f"# Figure {id}\n\nThis figure is not shown here. {where}\n\n"
        text += "{doc}`All figures <index>`\n"
        (folder / f"{id}.md").write_text(text, encoding="utf-8")
    (folder / "index.md").write_text(_gallery(found), encoding="utf-8")
    index = [_entry(card) for card in found]
    text = json.dumps(index, indent=1, ensure_ascii=False) + "\n"
    (public / "index.json").write_text(text, encoding="utf-8")
    _list(book / "_toc.yml", [card["id"] for card in found] + sorted(absent))


def _card(public: Path, id: str, chapter: str) -> cards.Card:
    try:
        card = json.loads((public / f"{id}.json").read_text(encoding="utf-8"))
        cards.shown(card)
    except (OSError, ValueError, LookupError, TypeError) as error:  # or it is of another version
        raise GalleryError(
            f"figure {id} of chapter {chapter} has no card that can be read; "
            f"run `book run {chapter} --force`"
        ) from error
    return card | {"chapter": chapter}


def _url(id: str) -> str:
    """The absolute address of a figure's page, where `COLLAPSE_URL` says that of the site."""
    base = os.environ.get("COLLAPSE_URL", "").rstrip("/")
    return f"{base}/figures/{id}.html" if base else ""


def _page(card: cards.Card) -> str:
    id, title = card["id"], card["title"]
    url = _url(id)
    picture = f"{url.removesuffix('.html')}.png" if url else f"{id}.png"
    meta = {
        "description": card["alt"],
        "citation_title": title,
        "citation_author": cards.AUTHOR,
        "citation_publication_date": cards.DATE.replace("-", "/"),
        "citation_inbook_title": cards.BOOK,
        "citation_language": "en",
        **({"citation_public_url": url} if url else {}),
        "property=og:type": "article",
        "property=og:title": title,
        "property=og:description": card["alt"],
        "property=og:image": picture,
        "property=og:image:alt": card["alt"],
        "property=og:site_name": cards.BOOK,
        **({"property=og:url": url} if url else {}),
        "twitter:card": "summary_large_image",
    }
    head = yaml.safe_dump(
        {"myst": {"html_meta": meta}}, allow_unicode=True, sort_keys=False, width=10**6
    )
    linked = json.dumps(_linked(card, url), ensure_ascii=False).replace("</", "<\\/")
    opened = cards.shown(card, folder="").replace("<details ", "<details open ", 1)
    return (
        f"---\n{head}---\n\n# {title}\n\n"
        f"From {{doc}}`/chapters/{card['chapter']}`, where it is {{numref}}`{id}`.\n\n"
        f"```{{image}} {id}.svg\n:alt: {_one_line(card['alt'])}\n```\n\n{card['caption']}\n\n"
        f"```{{raw}} html\n{opened}\n"
        f'<script type="application/ld+json">{linked}</script>\n```\n\n'
        "{doc}`All figures <index>`\n"
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _linked(card: cards.Card, url: str) -> dict[str, Any]:
    """The figure and its data in the vocabulary of schema.org."""
    id = card["id"]
    base = url.removesuffix(".html") if url else id
    about = {
        "creator": {"@type": "Organization", "name": cards.AUTHOR},
        "license": "https://creativecommons.org/licenses/by/4.0/",
        "datePublished": cards.DATE,
        "isPartOf": {"@type": "Book", "name": cards.BOOK},
        **({"url": url} if url else {}),
    }
    picture = {
        "@type": "ImageObject", "name": card["title"], "description": card["alt"],
        "contentUrl": f"{base}.png", "encodingFormat": "image/png", **about,
    }  # fmt: skip
    data = {
        "@type": "Dataset", "name": f"Data of figure {id}: {card['title']}",
        "description": _one_line(card["caption"]), "identifier": id,
        "distribution": [
            {"@type": "DataDownload", "encodingFormat": kind, "contentUrl": f"{base}.{suffix}"}
            for suffix, kind in (("csv", "text/csv"), ("json", "application/json"))
        ],
        **about,
    }  # fmt: skip
    return {"@context": "https://schema.org", "@graph": [picture, data]}


def _entry(card: cards.Card) -> dict[str, Any]:
    """What a machine needs to find the figure and its parts; addresses relative to the index."""
    id = card["id"]
    return {
        "id": id,
        "title": card["title"],
        "chapter": card["chapter"],
        "topics": card["topics"],
        "alt": card["alt"],
        "page": f"{id}.html",
        "files": {kind: f"{id}.{kind}" for kind in [*cards.FILES, "bib"]},
        "records": [run["record"] for run in card["runs"]],
        "scale": cards.badge(card),
    }


def _gallery(found: list[cards.Card]) -> str:
    """All figures small, with a search by words and a choice of chapters."""
    chapters = dict.fromkeys(card["chapter"] for card in found)
    options = "".join(f'<option value="{name}">{name}</option>' for name in chapters)
    pictures = "".join(
        f'<li data-chapter="{card["chapter"]}" data-words="{html.escape(_words(card))}">'
        f'<a href="{card["id"]}.html"><img src="{card["id"]}.svg" loading="lazy" '
        f'alt="{html.escape(_one_line(card["alt"]))}"><span>{html.escape(card["title"])}</span></a>'
        f"<small>{html.escape(card['chapter'])} · {html.escape(', '.join(card['topics']))}</small>"
        "</li>"
        for card in found
    )
    form = (
        '<form class="gallery-search" role="search" onsubmit="return false">'
        '<label>Words <input type="search" name="words"></label> '
        f'<label>Chapter <select name="chapter"><option value="">all</option>{options}</select>'
        '</label> <output aria-live="polite"></output></form>'
    )
    return (
        f"# All figures\n\nEach figure of the book has a page of its own at an address that does "
        "not change, with its data, its runs and a citation. Machines find them in "
        '<a href="index.json">index.json</a>.\n\n'
        f'```{{raw}} html\n{form}<ul class="gallery">{pictures}</ul>\n```\n'
    )


def _words(card: cards.Card) -> str:
    return " ".join([card["id"], card["title"], card["alt"], *card["topics"]]).lower()


def _list(toc: Path, ids: list[str]) -> None:
    """Put the gallery, with the figures' pages below it, at the end of the table of contents."""
    contents = yaml.safe_load(toc.read_text(encoding="utf-8"))
    pages = [{"file": f"figures/{id}"} for id in ids]
    contents.setdefault("chapters", []).append({"file": "figures/index", "sections": pages})
    toc.write_text(yaml.safe_dump(contents, sort_keys=False), encoding="utf-8")
