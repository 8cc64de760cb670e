"""What a page gets beyond the theme: figures in two widths, code at the end, unbroken numbers.

A Sphinx extension, named in `_config.yml`.
"""

import html
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from docutils import nodes
from nbformat import NotebookNode

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_BLANK = "\u00a0"  # at which no line is broken
_UNBROKEN = (
    (re.compile(r"(?<=\d) (?=\[[-−]?\d)"), _BLANK),  # 1.79 [1.73, 1.85]
    (re.compile(r"(\[[-−]?[\d.,]*\d,) (?=[-−]?\d[\d.,]*\])"), rf"\1{_BLANK}"),
    (re.compile(r"(?<=\d) (?=%)"), _BLANK),
    (re.compile(r"(?<![\w.–−-])-(?=\d)"), "−"),
)
# In HTML: a whole element that stays as it is, or the text between two tags.
_BETWEEN_TAGS = re.compile(r"(<(code|pre|script|style|svg)\b.*?</\2>)|>[^<]+", re.S)
_CODE = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw)
FOLDED = ("hide-input", "hide-cell", "injected-parameters")


def setup(app: "Sphinx") -> dict[str, Any]:
    """Have Sphinx call what is below."""
    app.connect("doctree-resolved", _draw_figures)
    app.connect("doctree-resolved", _set_numbers)
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
    wide, narrow = (_size(public / f"{id}{form}.svg") for form in ("", ".narrow"))
    return (
        f'<a class="figure-whole" href="{folder}{id}.svg"><picture>'
        f'<source media="(max-width: 600px)" srcset="{folder}{id}.narrow.svg" '
        f'width="{narrow[0]}" height="{narrow[1]}">'
        f'<img src="{folder}{id}.svg" width="{wide[0]}" height="{wide[1]}" loading="lazy" '
        f'alt="{html.escape(" ".join(alt.split()))}"></picture></a>'
    )


def _size(path: Path) -> tuple[int, int]:
    """Width and height of an SVG of Matplotlib's in pixels, of which it has 4 for 3 points."""
    head = path.read_text(encoding="utf-8")[:2000]
    sides = [re.search(rf'<svg[^>]* {side}="([\d.]+)pt"', head) for side in ("width", "height")]
    width, height = (round(float(side[1]) * 4 / 3) for side in sides if side)
    return width, height


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
