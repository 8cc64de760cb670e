"""A toy book of one chapter, and its site."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import pandas as pd
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, writes

from collapse.book import cards, columns, numbers, tables
from collapse.book.notebook import normalise
from collapse.experiment import assets
from collapse.measure.per_seed import PerSeed

CHECKOUT = Path(__file__).resolve().parents[1]
HEADER = """\
---
jupytext:
  formats: md:myst
  text_representation: {extension: .md, format_name: myst, format_version: 0.13}
kernelspec: {name: python3, display_name: Python 3, language: python}
---

# A toy chapter

```{code-cell} python
:tags: [parameters, hide-input]

scale: str = "paper"  # smoke, laptop or paper
generations: int = 10  # models in the chain [models]
lr: float = 2e-5  # peak learning rate
seeds: list[int] = [0, 1]  # one run each
names: list[str] = ["a"]
decoding: str = "beam"
quiet: bool = False
```
"""
PNG = (  # one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ADDRESS = "https://example.org/book"
RISE = PerSeed(
    {0: 1.4, 1: 1.6}, 1.5, 1.25, 1.75, logs=True, what="a rise: of a toy", records=("toy-s0",)
)
TEXT = (
    "See {numref}`fig-toy`, {numref}`tab-toy`, and $e^{i\\pi} = -1$. It rises to {glue:text}`rise` "
    "times; again, to {glue:text}`rise`."
)
CLAIMS = """\
pieces:
  doe: {title: Doe 2024}
claims:
  - id: doe-rises
    piece: doe
    claim: A toy rises.
    kind: finding
    verdict: supported
    why: It was seen to.
    evidence: [{looked: at a toy}]
    checked: 2024-05-01
"""
FIGURE = {"id": "fig-toy", "caption": "A *line* after {cite:t}`toy2024`.", "alt": "A line."}


@contextmanager
def at(root: Path) -> Iterator[Path]:
    """The book at `root` is the one that is read and built."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assets, "ROOT", root)
        yield root


def make_book(root: Path, code: str = "print(generations)", laptop: str = "") -> Path:
    """A book of one chapter, `toy`, and a page of prose."""
    for folder in ("chapters", "params", "records"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    toc = {"format": "jb-book", "root": "chapters/index", "options": {"numbered": True}}
    toc["chapters"] = [{"file": "chapters/toy"}]
    (root / "_toc.yml").write_text(json.dumps(toc))
    shutil.copyfile(CHECKOUT / "CITATION.cff", root / "CITATION.cff")
    (root / "chapters/index.md").write_text("# Start\n\n```bash\nmake book\n```\n")
    (root / "chapters/toy.md").write_text(f"{HEADER}\n```{{code-cell}} python\n{code}\n```\n")
    (root / "claims.yml").write_text(CLAIMS)
    (root / "params/laptop.yml").write_text(dedent(laptop) or "toy: {generations: 3}\n")
    return root


def publish(root: Path) -> None:
    """Give the book at `root` an address and a repository."""
    with (root / "CITATION.cff").open("a") as file:
        file.write(f"url: {ADDRESS}\nrepository-code: https://github.com/someone/book\n")


def glued(name: str, text: str, **metadata: Any) -> NotebookNode:
    """The output of a cell that has the page know a text by a name."""
    book = {"scrapbook": {"name": name, "mime_prefix": "application/papermill.record/"}}
    data = {"application/papermill.record/text/plain": repr(text)}
    return new_output("display_data", data, metadata={**book, **metadata})


def toy_site(root: Path, text: str = TEXT) -> Path:
    """A book whose chapter is already executed; returns its build folder."""
    make_book(root)
    for name in ("_config.yml", "_static", "plans"):
        copy = shutil.copytree if (CHECKOUT / name).is_dir() else shutil.copyfile
        copy(CHECKOUT / name, root / name)
    entry = "@misc{toy2024, author={Doe, Jane}, title={Toys}, year={2024}}"
    (root / "references.bib").write_text(entry)
    (root / "chapters/index.md").write_text("# Start\n\n```{bibliography}\n```\n")
    build = root / "_build"
    (build / "figures").mkdir(parents=True)
    (build / "figures/fig-toy.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
    )
    (root / "figures.yml").write_text(
        "figures: {fig-toy: {title: A line of a toy, topics: [toys], columns: {"
        "x: [number, place on the line], y: ['share, 0 to 1', height of the line]}}}\n"
        "gone: {fig-old: Ask Jane.}\n"
    )
    with at(root):
        table = pd.DataFrame({"x": [1], "y": [2]})
        data = {"fig-toy.csv": table}
        card = cards.facts("fig-toy", "A line of a toy.", "A line.", data, "a toy", [])
    (build / "figures/fig-toy.json").write_text(json.dumps(card))
    for name, content in columns.files(card, data).items():
        (build / "figures" / name).write_bytes(content)
    (build / "executed").mkdir()
    shown = new_output("display_data", {"image/png": PNG}, metadata={"collapse": FIGURE})
    with at(root):
        strip = new_output("display_data", {"text/html": cards.shown(card)})
    rise = numbers.of(RISE)
    told = glued("rise", rise.text, number=rise.facts("rise"))
    rows = [{"of": "a & b", "ratio": RISE}, {"of": "a & b", "ratio": "not run yet"}]
    html, metadata = tables.table(rows, id="tab-toy", caption="A toy's rise.")._repr_html_()
    listed = new_output("display_data", {"text/html": html}, metadata={"text/html": metadata})
    cells = [
        new_markdown_cell(f"# Toy\n\n{text}"),
        new_code_cell("plot()", outputs=[shown, strip]),
        new_code_cell("tell()", outputs=[told, listed]),
    ]
    notebook = normalise(new_notebook(cells=cells))
    (build / "executed/toy.ipynb").write_text(writes(notebook))
    return build
