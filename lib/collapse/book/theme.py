"""What a page gets beyond the theme: figures in two widths, code at the end, numbers, formulas.

A Sphinx extension, named in `_config.yml`.
"""

import csv
import html
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from bs4 import BeautifulSoup, Tag
from docutils import nodes
from myst_nb.ext.glue.roles import PasteTextRole
from myst_nb.ext.glue.utils import retrieve_glue_data
from nbformat import NotebookNode
from sphinx.transforms import SphinxTransform

from collapse.book import cards, formulas, numbers
from collapse.measure.per_seed import NOT_RUN
from collapse.measure.verdicts import VERDICTS

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
_FOLD = re.compile(r'<details class="(?=[^"]*\bpage-code\b)')
# A number, with a sign, a unit, an interval or a remark in brackets if it likes.
_NUMBER = re.compile(r"[×<>≈+−-]?\s?\d[\d.,]*(\s?(%|×|s|min|h))?(\s?[\[(].*[\])])?")
_ABSENT = ("", "–", "—", "not run yet")
_WORDS = 24  # letters of a cell from which on it holds words, not a name or a number
_CODE = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw)
FOLDED = ("hide-input", "hide-cell", "injected-parameters")


def setup(app: "Sphinx") -> dict[str, Any]:
    """Have Sphinx call what is below."""
    app.add_html_math_renderer("mathml", (formulas.inline, None), (formulas.block, None))
    app.setup_extension("myst_nb")
    app.add_role_to_domain("glue", "text", _NumberRole(), override=True)
    app.add_node(shown_number, html=(_open_number, _close_number))
    app.add_transform(_Tables)
    app.connect("config-inited", _use_templates)
    app.connect("doctree-resolved", _say_scale)  # before figures are replaced
    app.connect("doctree-resolved", _draw_figures)
    app.connect("doctree-resolved", _set_numbers)
    app.connect("doctree-resolved", _address_numbers)
    app.connect("html-page-context", _finish)
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
    head = path.read_text(encoding="utf-8")[:2000]
    found = {
        side: re.search(rf'<svg[^>]* {side}="([\d.]+)(pt)?"', head) for side in ("width", "height")
    }
    return " ".join(
        f'{side}="{round(float(size[1]) * (4 / 3 if size[2] else 1))}"'
        for side, size in found.items()
        if size
    )


# -- what a page loads ------------------------------------------------------------------------


def _use_templates(app: "Sphinx", config: Any) -> None:
    """Have the theme load what `templates/static/webpack-macros.html` says, and no icon fonts."""
    config.templates_path.append(str(Path(__file__).parent / "templates"))


# -- numbers ---------------------------------------------------------------------------------


def _set_numbers(app: "Sphinx", tree: nodes.document, page: str) -> None:
    """Keep numbers with their intervals and units on one line; code stays as it is."""
    for text in list(tree.findall(nodes.Text)):
        if (told := unbroken(text)) != text and not _in_code(text):
            text.parent.replace(text, nodes.Text(told))
    for raw in tree.findall(nodes.raw):  # tables made by code
        if raw.get("format") == "html":
            told = _BETWEEN_TAGS.sub(lambda found: found[1] or unbroken(found[0]), raw.astext())
            raw.children[:] = [nodes.Text(told)]


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


def _address_numbers(app: "Sphinx", tree: nodes.document, page: str) -> None:
    known = set()
    for number in tree.findall(shown_number):
        number["id"] = "" if number["name"] in known else numbers.anchor(number["name"])
        known.add(number["name"])


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
        for raw in list(self.document.findall(nodes.raw)):
            soup = BeautifulSoup(raw.astext() if raw.get("format") == "html" else "", "html.parser")
            made = soup.find("table", id=re.compile("^tab-"))
            if isinstance(made, Tag) and isinstance(made.caption, Tag):
                id, caption = str(made["id"]), made.caption.extract().get_text()
                inner = nodes.raw("", made.decode_contents(), format="html")
                table = nodes.table("", nodes.title("", caption), inner, ids=[id], names=[id])
                self.document.note_explicit_target(table)
                made.extract()
                rest = nodes.raw("", str(soup), format="html")
                raw.replace_self(nodes.container("", table, rest, classes=raw["classes"]))


def _finish(
    app: "Sphinx", page: str, template: str, context: dict[str, Any], tree: nodes.document | None
) -> None:
    """Have the style sheet know which columns are numbers, and links know where the code lies."""
    if "body" not in context:
        return
    own = app.builder.name == "html"  # not so in print, where all pages are one
    files = Path(app.outdir) / "figures" if own else None
    folder = "../" * page.count("/") + "figures/"
    body = _TABLE.sub(lambda found: marked(found[0], files, folder), context["body"])
    context["body"] = _FOLD.sub('<details id="page-code" class="', body)


def marked(table: str, files: Path | None = None, folder: str = "") -> str:
    """A table with its cells of numbers marked, and each cell naming its column.

    One that holds words is marked to be stacked where it is narrow. One with an address gets one
    for each row, and is written as CSV.

    Args:
        files: where CSV is written; none where tables have no address.
        folder: where that lies as seen from the page.

    >>> marked("<table><tr><th>a</th></tr><tr><td>1</td></tr></table>").count("number")
    2
    """
    soup = BeautifulSoup(table, "html.parser")
    rows = [row.find_all(["td", "th"], recursive=False) for row in soup.find_all("tr")]
    if len(rows) < 2:
        return table
    head, body = rows[0], rows[1:]
    if not all(cell.name == "th" for cell in head):
        return table
    if any(len(row) != len(head) for row in body):  # a cell that spans several
        return table
    if files is not None and str(soup.table and soup.table.get("id")).startswith("tab-"):
        _address(soup, rows, files, folder)
    for column, name in enumerate(head):
        cells = [row[column] for row in body]
        texts = [cell.get_text().strip() for cell in cells]
        told = [text for text in texts if text not in _ABSENT]
        if told and all(_NUMBER.fullmatch(text) for text in told):
            for cell in (name, *cells):
                _mark(cell, "number")
        for cell in cells:
            cell["data-label"] = name.get_text().strip()
            if cell.get_text().strip() in VERDICTS and not cell.select(".verdict"):
                _chip(soup, cell)
    if len(head) > 2 and any(len(cell.get_text()) > _WORDS for row in body for cell in row[1:]):
        for whole in soup.find_all("table"):
            _mark(whole, "cards")
    return str(soup)


def _address(soup: BeautifulSoup, rows: list[Any], files: Path, folder: str) -> None:
    """Give each row an address and a link to it, and write the table as CSV, with a link to it."""
    assert soup.table is not None
    id = str(soup.table["id"])
    files.mkdir(exist_ok=True)
    (files / f"{id}.csv").write_text(as_csv(rows), encoding="utf-8")
    caption = soup.table.caption
    if caption is not None:
        link = {"class": "table-csv", "href": f"{folder}{id}.csv", "download": ""}
        caption.append(soup.new_tag("a", attrs=link, string="CSV"))
    firsts = [row[0] for row in rows[1:]]
    for cell, name in zip(
        firsts, numbers.addresses([cell.get_text().strip() for cell in firsts]), strict=True
    ):
        cell.parent["id"] = f"{id}-{name}"
        link = {"class": "row-link", "href": f"#{id}-{name}", "aria-label": "link to this row"}
        cell.append(soup.new_tag("a", attrs=link))


def as_csv(rows: list[list[Tag]]) -> str:
    """A table as it is shown; after a column of numbers with intervals, value and ends of each."""
    columns = []
    for cells in zip(*rows, strict=True):
        head, *texts = (" ".join(cell.get_text(" ").split()) for cell in cells)
        columns.append([head, *(text.replace("\u2212", "-") for text in texts)])
        data = [cell.find("data") for cell in cells[1:]]
        for key, name in (("value", "value"), ("data-low", "low"), ("data-high", "high")):
            values = ["" if one is None else str(one.get(key, "")) for one in data]
            if any(values):
                columns.append([f"{head}: {name}", *values])
    made = io.StringIO()
    csv.writer(made, lineterminator="\n").writerows(zip(*columns, strict=True))
    return made.getvalue()


def _chip(soup: BeautifulSoup, cell: Tag) -> None:
    word = cell.get_text().strip()
    cell.clear()
    cell.append(soup.new_tag("span", attrs={"class": "verdict", "data-verdict": word}, string=word))


def _mark(element: Tag, name: str) -> None:
    had: str | list[str] = element.get("class") or []
    element["class"] = " ".join([*([had] if isinstance(had, str) else had), name])
