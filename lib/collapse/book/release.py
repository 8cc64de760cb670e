"""What a release carries: the pages as one archive, the records as a data package, checksums.

And the executed chapters as notebooks that can be opened elsewhere, with links to do so.
"""

import hashlib
import json
import os
import zipfile
from pathlib import Path
from urllib.parse import quote

import nbformat
from nbformat import NotebookNode

from collapse import __version__
from collapse.book import cards, folders
from collapse.errors import BookError
from collapse.experiment import assets
from collapse.experiment.assets import atomic, sha256_file
from collapse.experiment.record import ARRAYS, RECOVERY_ARRAYS
from collapse.experiment.records import TABLE, list_records, read
from collapse.measure.gauges import COLUMNS

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same content, the same archive


class ReleaseError(BookError):
    """There is nothing to release yet."""


def make(build: Path) -> list[Path]:
    """Write `site.zip`, `records.zip` and `SHA256SUMS` into `build/release`; return them.

    Raises:
        ReleaseError: the pages have not been built.
        RecordError: a record fails its verification.
    """
    html, folder = build / "html", build / "release"
    if not (html / "index.html").exists():
        raise ReleaseError("there are no pages to release yet; run `make book` first")
    for path in list_records(assets.ROOT / "records"):
        read(path)
    folder.mkdir(parents=True, exist_ok=True)
    pages = {f"site/{path.relative_to(html)}": path for path in folders.shown(html)}
    with folders.alone(build):
        site = archive(folder / "site.zip", pages)
    named = {
        str(path.relative_to(assets.ROOT)): path for path in folders.shown(assets.ROOT / "records")
    }
    records = archive(folder / "records.zip", named, {"datapackage.json": _package(named)})
    sums = folder / "SHA256SUMS"
    text = "".join(f"{sha256_file(path)}  {path.name}\n" for path in (records, site))
    with atomic(sums) as temporary:
        temporary.write_text(text)
    return [site, records, sums]


def archive(path: Path, files: dict[str, Path], more: dict[str, str] | None = None) -> Path:
    """Write a zip archive, of which every byte is decided by its content.

    Args:
        files: name in the archive -> where the content lies.
        more: name -> text.
    """
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as made:
        for name, source in sorted(files.items()):
            _put(made, name, source.read_bytes())
        for name, text in (more or {}).items():
            _put(made, name, text.encode())
    return path


def _put(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.external_attr = 0o644 << 16
    archive.writestr(info, content, zipfile.ZIP_DEFLATED)


def _package(files: dict[str, Path]) -> str:
    """The description of the records as a Frictionless Data Package."""
    resources = [
        {
            "name": name.lower().replace("/", "-").replace(".", "-"),
            "path": name,
            "bytes": path.stat().st_size,
            "hash": f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}",
            **({"schema": {"fields": _fields(path)}} if path.name == TABLE else {}),
        }
        for name, path in sorted(files.items())
    ]
    described = {
        "name": "model-collapse-records",
        "title": f"Records of {cards.BOOK}",
        "version": __version__,
        "created": f"{cards.DATE}T00:00:00Z",
        "licenses": [{"name": "CC-BY-4.0", "path": "https://creativecommons.org/licenses/by/4.0/"}],
        "contributors": [{"title": cards.AUTHOR, "role": "author"}],
        "arrays": {
            name: {"axes": axes, "type": kind}
            for name, (axes, kind) in {**ARRAYS, **RECOVERY_ARRAYS}.items()
        },
        "resources": resources,
    }
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


def _fields(path: Path) -> list[dict[str, str]]:
    """The columns of a table of gauges, which may be of a version that knew fewer or others."""
    with path.open(encoding="utf-8") as file:
        names = file.readline().strip().split(",")
    return [
        {
            "name": name,
            "type": "integer" if name == "generation" else "number",
            "description": COLUMNS.get(name, "of an earlier version"),
        }
        for name in names
    ]


# -- notebooks to open elsewhere -------------------------------------------------------------


def repository() -> str:
    """`owner/name` of the repository on GitHub that the pages are published from, or nothing."""
    return os.environ.get("COLLAPSE_REPOSITORY", "").strip("/")


def with_links(notebook: NotebookNode, name: str) -> NotebookNode:
    """The notebook with links below its first cell; as it is where no repository is named.

    Colab opens it with a kernel from the branch `notebooks`, to which the publishing workflow
    pushes it; Binder builds the book at scale smoke and opens what that has executed.
    """
    if where := repository():
        colab = f"https://colab.research.google.com/github/{where}/blob/notebooks/{name}.ipynb"
        path = quote(f"lab/tree/_build/executed/{name}.ipynb", safe="")
        binder = f"https://mybinder.org/v2/gh/{where}/HEAD?urlpath={path}"
        links = f"[Open in Colab]({colab}) · [Open on Binder, at scale smoke]({binder})"
        notebook.cells.insert(1, nbformat.v4.new_markdown_cell(links, id="cell-links"))
    return notebook


def portable(notebook: NotebookNode) -> NotebookNode:
    """The notebook with a first cell that installs the book where it is opened in Colab."""
    where = repository()
    code = (
        "# In Colab this fetches the book and installs it; elsewhere it does nothing.\n"
        "import sys\n\n"
        'if "google.colab" in sys.modules:\n'
        f"    !git clone --depth 1 https://github.com/{where} book\n"
        "    %cd book/chapters\n"
        "    %pip install --quiet -e ../lib\n"
        '    sys.path.insert(0, "../lib")\n'
    )
    notebook.cells.insert(0, nbformat.v4.new_code_cell(code, id="cell-install"))
    return notebook


def notebooks(build: Path) -> Path:
    """Write the executed chapters, made portable, into `build/notebooks`; return the folder.

    Raises:
        ReleaseError: no repository is named, or no chapter has been executed.
    """
    executed = sorted((build / "executed").glob("*.ipynb"))
    if not repository():
        raise ReleaseError("name the repository on GitHub: COLLAPSE_REPOSITORY=owner/name")
    if not executed:
        raise ReleaseError("no chapter has been executed yet; run `make book` first")
    folder = build / "notebooks"
    folder.mkdir(exist_ok=True)
    for path in executed:
        made = portable(nbformat.read(path, as_version=4))
        with atomic(folder / path.name) as temporary:
            temporary.write_text(nbformat.writes(made) + "\n", encoding="utf-8")
    return folder
