"""How the book, a chapter and a figure are cited: as text, BibTeX, RIS and CSL-JSON.

Each is made of one item of CSL (https://docs.citationstyles.org), a dictionary of plain text.
"""

import json
import re
from pathlib import Path
from typing import Any

from collapse.book.identity import NOT_YET, Identity, licence

Item = dict[str, Any]

_BIBTEX = {"figure": "misc", "chapter": "incollection", "book": "book"}
_RIS = {"figure": "FIGURE", "chapter": "CHAP", "book": "BOOK"}


def item(me: Identity, kind: str, id: str, title: str, page: str) -> Item:
    """A figure, a chapter or the book as an item of CSL.

    Args:
        kind: `figure`, `chapter` or `book`.
        page: its file in the site, as in `figures/fig-cats.html`.
    """
    address = me.address(page)
    place = f"Figure {id}. " if kind == "figure" else ""
    place += "" if address else f"Page {page} of the book, whose address is {NOT_YET}. "
    name, _ = licence(me.licences[1])
    return {
        "id": id,
        "type": kind,
        "title": title,
        **({"container-title": me.title} if kind != "book" else {}),
        "author": [
            {"family": one.family, "given": one.given}
            if one.family and one.given
            else {"literal": one.plain}
            for one in me.authors
        ],
        "issued": {"date-parts": [[me.released.year, me.released.month, me.released.day]]},
        "version": me.version,
        "language": "en",
        "note": f"{place}{name}. Relates to doi:{me.article}",
        **({"URL": address} if address else {}),
        **({"DOI": me.doi} if me.doi else {}),
    }


def csl(cited: Item) -> str:
    """CSL-JSON, a list of one item."""
    return json.dumps([cited], indent=1, ensure_ascii=False)


def bibtex(cited: Item) -> str:
    """An entry of BibTeX, in UTF-8; of what it means nothing is markup."""
    year, month, _ = cited["issued"]["date-parts"][0]
    fields = {
        "author": " and ".join(
            f"{{{_tex(one['literal'])}}}"
            if "literal" in one
            else _tex(f"{one['family']}, {one['given']}")
            for one in cited["author"]
        ),
        "title": f"{{{_tex(cited['title'])}}}",
        "booktitle": _tex(cited["container-title"]) if cited["type"] == "chapter" else "",
        "howpublished": f"In: {_tex(cited['container-title'])}"
        if cited["type"] == "figure"
        else "",
        "year": str(year),
        "month": str(month),
        "version": cited["version"],
        "note": _tex(cited["note"]),
        "doi": cited.get("DOI", ""),
        "url": cited.get("URL", ""),
    }
    width = max(map(len, fields))
    lines = [f"  {name:<{width}} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{_BIBTEX[cited['type']]}{{{cited['id']},", *lines, "}"])


def _tex(text: str) -> str:
    words = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return re.sub(r"[\\~^&%$#_{}]", lambda found: words.get(found[0], f"\\{found[0]}"), text)


def ris(cited: Item) -> str:
    """A reference in RIS, a line a tag."""
    year, month, day = cited["issued"]["date-parts"][0]
    lines = [
        ("TY", _RIS[cited["type"]]),
        *(
            ("AU", one.get("literal") or f"{one['family']}, {one['given']}")
            for one in cited["author"]
        ),
        ("TI", cited["title"]),
        ("T2", cited.get("container-title", "")),
        ("PY", str(year)),
        ("DA", f"{year}/{month:02}/{day:02}"),
        ("ET", cited["version"]),
        ("LA", cited["language"]),
        ("DO", cited.get("DOI", "")),
        ("UR", cited.get("URL", "")),
        ("N1", cited["note"]),
        ("ID", cited["id"]),
    ]
    return "\n".join([*(f"{tag}  - {text}" for tag, text in lines if text), "ER  - "])


def text(cited: Item) -> str:
    """One line for a list of references."""
    by = ", ".join(
        one.get("literal") or f"{one['given']} {one['family']}" for one in cited["author"]
    )
    year = cited["issued"]["date-parts"][0][0]
    within = f" In: {cited['container-title']}," if "container-title" in cited else ""
    doi = f"https://doi.org/{cited['DOI']}" if "DOI" in cited else ""
    places = [place for place in (doi, cited.get("URL", "")) if place]
    title = cited["title"] + ("" if cited["title"][-1] in ".?!" else "." if within else ",")
    told = f"{by} ({year}). {title}{within} version {cited['version']}."
    return " ".join([told, *places])


FORMATS = {"bib": bibtex, "ris": ris, "csl.json": csl}
NAMES = {"bib": "BibTeX", "ris": "RIS", "csl.json": "CSL-JSON"}


def write(stem: Path, cited: Item) -> None:
    """Write a file of each format beside one another, `STEM.bib` and so on."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    for suffix, made in FORMATS.items():
        path = stem.with_name(f"{stem.name}.{suffix}")
        path.write_text(made(cited) + "\n", encoding="utf-8")
