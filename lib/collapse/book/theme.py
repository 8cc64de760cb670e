"""What a page gets beyond the theme: figures in two widths, code at the end, numbers, formulas.

A Sphinx extension, named in `_config.yml`.
"""

import html
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from docutils import nodes
from myst_nb.ext.glue.roles import PasteTextRole
from myst_nb.ext.glue.utils import retrieve_glue_data
from nbformat import NotebookNode
from sphinx.transforms import SphinxTransform

from collapse.book import cards, formulas, identity, metadata, numbers, tables
from collapse.measure.per_seed import NOT_RUN

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_BLANK = "\u00a0"  # at which no line is broken
_UNBROKEN = (
    (re.compile(r"(?<=\d) (?=\[[-−]?\d)"), _BLANK),  # 1.79 [1.73, 1.85]
    (re.compile(r"(\[[-−]?[\d.,]*\d,) (?=[-−]?\d[\d.,]*\])"), rf"\1{_BLANK}"),
    (re.compile(r"(?<=\d) ?(?=%)"), _BLANK),
    (re.compile(r"(?<![\w.–−-])-(?=\d)"), "−"),
)
# In HTML: a whole element that stays as it is, or the text between two tags.
_BETWEEN_TAGS = re.compile(r"(<(code|pre|script|style|svg)\b.*?</\2>)|>[^<]+", re.S)
_TABLE = re.compile(r"<table\b.*?</table>", re.S)
_STRIP = re.compile(r'\s*<div class="figure-card" data-figure="([\w-]+)"')
_FOLD = re.compile(r'<details class="(?=[^"]*\bpage-code\b)')
_CODE = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw)
FOLDED = ("hide-input", "hide-cell", "injected-parameters")


def setup(app: "Sphinx") -> dict[str, Any]:
    """Have Sphinx call what is below."""
    app.add_html_math_renderer("mathml", (formulas.inline, None), (formulas.block, None))
    app.setup_extension("myst_nb")
    app.add_role_to_domain("glue", "text", _NumberRole(), override=True)
    app.add_node(shown_number, html=(_open_number, _close_number))
    app.add_transform(_Tables)
    # What a page loads is in `templates/static/webpack-macros.html`: no icon fonts.
    own = str(cards.TEMPLATES)
    app.connect("config-inited", lambda _, config: config.templates_path.append(own))
    for change in (_say_scale, _draw_figures, _draw_strips, _set_numbers):  # in this order
        app.connect("doctree-resolved", change)
    app.connect("html-page-context", _finish)
    metadata.setup(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def with_code_at_end(notebook: NotebookNode) -> NotebookNode:
    """The notebook with the code that its cells fold away in one fold, below everything else."""
    parts = []
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "code" and set(FOLDED) & set(tags):
            hidden = "remove-cell" if "hide-cell" in tags else "remove-input"
            cell.metadata["tags"] = [tag for tag in tags if tag not in FOLDED] + [hidden]
            if "injected-parameters" in tags:
                parts.append("Parameters of this run that differ from the paper's:")
            parts.append(f"```python\n{cell.source.strip()}\n```")
    if parts:
        fold = "\n\n".join(parts)
        head = "{dropdown} Code and parameters of this page\n:class-container: page-code"
        text = f"`````{head}\n\n{fold}\n`````"
        notebook.cells.append(nbformat.v4.new_markdown_cell(text, id="cell-code"))
    return notebook


# -- figures ---------------------------------------------------------------------------------


def _say_scale(app: "Sphinx", tree: nodes.document, page: str) -> None:
    """Put beside “The answer” at which scale the runs are of the page's first figure."""
    public = Path(app.confdir) / "_public" / "figures"
    ids = (id for figure in tree.findall(nodes.figure) for id in figure["ids"])
    card = next((file for id in ids if (file := public / f"{id}.json").is_file()), None)
    for box in tree.findall(nodes.admonition):
        if card is not None and "answer" in box["classes"]:
            said = html.escape(cards.badge(json.loads(card.read_text(encoding="utf-8"))))
            badge = f' <span class="figure-badge">{said}</span>'
            next(box.findall(nodes.title)).append(nodes.raw("", badge, format="html"))


def _draw_figures(app: "Sphinx", tree: nodes.document, page: str) -> None:
    """Put both widths of each figure of a chapter in the place of its picture.

    Not in print, where the figures' own pages and files are not there.
    """
    if app.builder.name != "html":
        return
    public = Path(app.confdir) / "_public" / "figures"
    folder = "../" * page.count("/") + "figures/"
    for figure in tree.findall(nodes.figure):
        id = next((id for id in figure["ids"] if (public / f"{id}.narrow.svg").is_file()), None)
        if id is not None:
            for image in list(figure.findall(nodes.image)):
                shown = picture(public, id, image.get("alt", ""), folder)
                image.replace_self(nodes.raw("", shown, format="html"))


def _draw_strips(app: "Sphinx", tree: nodes.document, page: str) -> None:
    """Draw the strips below figures anew, with their numbers and what the book is cited by now."""
    public, me = Path(app.confdir) / "_public" / "figures", identity.read(Path(app.confdir))
    places = {
        id: (Path(chapter).name, ".".join(map(str, number)))
        for chapter, kinds in app.env.toc_fignumbers.items()
        for id, number in kinds.get("figure", {}).items()
    }
    folder = "" if page.startswith("figures/") else "../" * page.count("/") + "figures/"
    for raw in list(tree.findall(nodes.raw)):
        strip = _STRIP.match(raw.astext())
        if strip and (file := public / f"{strip[1]}.json").is_file():
            card = json.loads(file.read_text(encoding="utf-8"))
            chapter, number = places.get(strip[1], (card["chapter"], ""))
            told = f"Figure {number}".strip()
            shown = cards.shown(card | {"chapter": chapter}, folder, told, me, public)
            raw[:] = [nodes.Text(shown)]


def picture(public: Path, id: str, alt: str, folder: str) -> str:
    """A figure as HTML, which a telephone shows in its narrow form, and a click enlarges.

    Args:
        public: where the figure's files lie.
        folder: where they lie as seen from the page.
    """
    narrow = public / f"{id}.narrow.svg"
    telephone = (
        f'<source media="(max-width: 600px)" srcset="{folder}{narrow.name}" {_sides(narrow)}>'
        if narrow.is_file()
        else ""
    )
    return (
        f'<a class="figure-whole" href="{folder}{id}.svg"><picture>{telephone}'
        f"{image(public, id, alt, folder)}</picture></a>"
    )


def image(public: Path, id: str, alt: str, folder: str = "") -> str:
    """A figure as one element of HTML, with its size and what is seen; as `picture`."""
    told = html.escape(unbroken(" ".join(alt.split())))
    size = _sides(public / f"{id}.svg")
    return f'<img src="{folder}{id}.svg" {size} loading="lazy" alt="{told}">'


def _sides(path: Path) -> str:
    """Width and height of an SVG in pixels, of which there are 4 for 3 points, as HTML has them."""
    head = path.read_text(encoding="utf-8").partition("<svg")[2].partition(">")[0]
    sides = re.findall(r' (width|height)="([\d.]+)(pt)?"', head)
    return " ".join(f'{side}="{round(float(n) * (4 / 3 if pt else 1))}"' for side, n, pt in sides)


# -- numbers ---------------------------------------------------------------------------------


def _set_numbers(app: "Sphinx", tree: nodes.document, page: str) -> None:
    """Keep numbers with their intervals and units on one line; code stays as it is.

    Where one stands first it has its address.
    """
    for text in list(tree.findall(nodes.Text)):
        if (told := unbroken(text)) != text and not _in_code(text):
            text.parent.replace(text, nodes.Text(told))
    for raw in tree.findall(nodes.raw):  # tables made by code
        if raw.get("format") == "html":
            told = _BETWEEN_TAGS.sub(lambda found: found[1] or unbroken(found[0]), raw.astext())
            raw.children[:] = [nodes.Text(told)]
    known = set()
    for number in tree.findall(shown_number):
        number["id"] = "" if number["name"] in known else numbers.anchor(number["name"])
        known.add(number["name"])


def _in_code(text: nodes.Text) -> bool:
    node = text.parent
    while node is not None and not isinstance(node, _CODE):
        node = node.parent
    return node is not None


def unbroken(text: str) -> str:
    """A text whose numbers stay with their intervals and units, with a minus where one is meant.

    >>> unbroken("×1.79 [-1.73, 1.85], 5 %").replace("\u00a0", "_")
    '×1.79_[−1.73,_1.85], 5_%'
    """
    for found, better in _UNBROKEN:
        text = found.sub(better, text)
    return text


class shown_number(nodes.inline):
    """A number of the text, with `facts`, `name`, and `id` where it stands first."""


class _NumberRole(PasteTextRole):  # type: ignore[misc]
    """`glue:text`, which remembers what the number says of itself."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        made, problems = super().run()
        name = self.text.rsplit(":", 1)[0]
        facts = (
            retrieve_glue_data(self.document, name).metadata.get(numbers.METADATA) if made else {}
        )
        if not facts or facts["text"] == NOT_RUN:
            return made, problems
        text = made[0].astext()
        number = shown_number(text, text, classes=["pasted-text"], facts=facts, name=name)
        return [number], problems


def _open_number(writer: Any, node: shown_number) -> None:
    if writer.builder.name == "html":
        name = numbers.anchor(node["name"])
        opened = numbers.opened(node["facts"], node["id"], name)
        writer.body.append(opened.replace('class="', 'class="pasted-text ', 1))


def _close_number(writer: Any, node: shown_number) -> None:
    if writer.builder.name == "html":
        writer.body.append(numbers.CLOSED)


# -- tables ----------------------------------------------------------------------------------


class _Tables(SphinxTransform):  # type: ignore[misc]
    """Have Sphinx number the tables that code made, as it numbers those of the text."""

    default_priority = 840  # before what is numbered gets known

    def apply(self, **options: Any) -> None:
        tables.numbered(self.document)


def _finish(
    app: "Sphinx", page: str, template: str, context: dict[str, Any], tree: nodes.document | None
) -> None:
    """Have the style sheet know which columns are numbers, and links know where the code lies."""
    if "body" not in context:
        return
    own = app.builder.name == "html"  # not so in print, where all pages are one
    files = Path(app.outdir) / "figures" if own else None
    folder = "../" * page.count("/") + "figures/"
    body = _TABLE.sub(lambda found: tables.marked(found[0], files, folder), context["body"])
    body = body.replace('role="doc-biblioentry"', 'role="listitem"')  # Docutils' is deprecated
    context["body"] = _FOLD.sub('<details id="page-code" class="', body)
