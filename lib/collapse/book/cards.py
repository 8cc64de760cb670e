"""The card of a figure: its runs, its citation, its files, and how to make it again.

`figures.yml` lists every figure that was ever published, by the identifier that is its address.
"""

import html
import json
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from collapse import __version__
from collapse.book.parameters import checked_mapping, mapping
from collapse.errors import BookError
from collapse.experiment.records import published
from collapse.measure.gauges import COLUMNS

if TYPE_CHECKING:
    from collapse.experiment.arms import Run

BOOK = "Model Collapse: A Reproducible Paper Book"
AUTHOR = "The Model Collapse Book contributors"
DATE = "2026-11-24"  # of the release, as in CITATION.cff
YEAR = int(DATE[:4])
ARTICLE = "10.1038/s41586-024-07566-y"
FILES = {"svg": "picture", "png": "picture", "csv": "data", "json": "card with protocols"}

Card = dict[str, Any]


class RegistryError(BookError):
    """`figures.yml` contradicts itself, or says too little of a figure."""


def registry() -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """What `figures.yml` says.

    Returns:
        identifier -> `title`, which the figure is cited by, and `topics`; and identifier of a
        figure that is gone -> where it went.

    Raises:
        ParameterError: the file is no YAML, or no mapping.
        RegistryError: an entry lacks title or topics, or a figure is both there and gone.
    """
    found = mapping("figures.yml")
    listed, gone = (
        checked_mapping(found.get(key) or {}, f"figures.yml, under `{key}`,")
        for key in ("figures", "gone")
    )
    for id, entry in listed.items():
        if not isinstance(entry, dict) or set(entry) != {"title", "topics"}:
            raise RegistryError(f"figures.yml must give {id} a title and topics, and nothing else")
        if not isinstance(entry["topics"], list):
            raise RegistryError(f"figures.yml must give {id} a list of topics, such as [tails]")
        if id in gone:
            raise RegistryError(
                f"figures.yml names {id} under `figures` and under `gone`; remove one of them"
            )
    return listed, gone


def facts(
    id: str, caption: str, alt: str, columns: Sequence[str], origin: str, runs: Sequence["Run"]
) -> Card:
    """Everything that a figure's card says, as it is stored beside the figure.

    The chapter is that which is being executed, and none in a notebook opened by hand.

    Args:
        columns: of the figure's data.
        origin: in words, what is shown.
    """
    return {
        "id": id,
        "title": registry()[0].get(id, {"title": id})["title"],
        "book": f"{BOOK}, version {__version__}",
        "chapter": os.environ.get("COLLAPSE_CHAPTER", ""),
        "scale": os.environ.get("COLLAPSE_SCALE", ""),
        "parameters": os.environ.get("COLLAPSE_PARAMETERS", ""),
        "licence": "CC-BY-4.0",
        "article": f"https://doi.org/{ARTICLE}",
        "columns": {name: COLUMNS[name] for name in columns if name in COLUMNS},
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


# -- citations -------------------------------------------------------------------------------


def bibtex(card: Card, url: str = "") -> str:
    """The figure as a BibTeX entry."""
    fields = {
        "author": f"{{{AUTHOR}}}",
        "title": f"{{{_tex(card['title'])}}}",
        "year": str(YEAR),
        "howpublished": f"Figure {card['id']} in: {_tex(BOOK)}",
        "version": __version__,
        "note": f"Reproduces doi:{ARTICLE}",
        **({"url": url} if url else {}),
    }
    width = max(map(len, fields))
    lines = [f"  {name:<{width}} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@misc{{{card['id']},", *lines, "}"])


def _tex(text: str) -> str:
    return re.sub(r"([&%$#_{}])", r"\\\1", text)


def csl(card: Card, url: str = "") -> str:
    """The figure as CSL-JSON, a list of one item."""
    item = {
        "id": card["id"],
        "type": "figure",
        "title": card["title"],
        "container-title": BOOK,
        "author": [{"literal": AUTHOR}],
        "issued": {"date-parts": [[YEAR]]},
        "version": __version__,
        "note": f"Reproduces doi:{ARTICLE}",
        **({"URL": url} if url else {}),
    }
    return json.dumps([item], indent=1, ensure_ascii=False)


CITATIONS = {"BibTeX": bibtex, "CSL-JSON": csl}


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


def _time(card: Card) -> str:
    if not (runs := card["runs"]):
        return "It computes the figure from nothing."
    return (
        f"With the runs at hand that takes seconds; to compute the {len(runs)} "
        f"run{'s' if len(runs) > 1 else ''} anew took {card['minutes']:,.0f} minutes in all."
    )


def shown(card: Card, folder: str = "../figures/") -> str:
    """The card as HTML: one line that opens in place.

    Args:
        folder: where the figures' pages and files lie, as seen from the page.
    """
    id = html.escape(card["id"])
    page = f"{folder}{id}.html"
    links = " · ".join(
        f'<a href="{folder}{id}.{kind}" download>{kind.upper()}</a> ({what})'
        for kind, what in FILES.items()
    )
    cites = "".join(
        f"<details><summary>{name}</summary>"
        f'<button type="button" class="figure-copy">copy</button>'
        f'<pre class="figure-cite" data-page="{page}" data-kind="{name}" tabindex="0">'
        f"{html.escape(cite(card))}</pre></details>"
        for name, cite in CITATIONS.items()
    )
    runs = "".join(
        f"<tr><td><code>{html.escape(run['record'])}</code></td>"
        f"<td>{run['provenance']['scale']}</td><td>{html.escape(run['base']['name'])}</td>"
        f"<td>{run['protocol']['seed']}</td><td>{run['provenance']['date'][:10]}</td>"
        f"<td><code>{html.escape(str(run['provenance']['commit'] or 'unknown')[:12])}</code></td>"
        f"<td>{html.escape(run['provenance']['device'])}</td></tr>"
        for run in card["runs"]
    )
    head = "".join(
        f'<th scope="col">{name}</th>'
        for name in ("record", "scale", "model", "seed", "date", "commit", "hardware")
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{runs}</tbody></table>" if runs else ""
    return (
        f'<details class="figure-card"><summary><span class="figure-badge">'
        f"{html.escape(badge(card))}</span> {id}: runs, data, citation, rerun</summary>"
        f'<p><a href="{page}">Permanent page of this figure</a></p>'
        f"<p>Download: {links}</p>{cites}"
        f"<p>Make it again: <code>{html.escape(command(card))}</code>. {_time(card)}</p>"
        f'<div class="figure-runs">{table}<p>{html.escape(card["origin"])}</p></div></details>'
    )
