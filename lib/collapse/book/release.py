"""What a release carries: the pages as one archive, the records as a data package, checksums.

The pages are there twice, at the root and under their version. And the executed chapters as
notebooks that can be opened elsewhere, with links to do so.
"""

import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import nbformat
from nbformat import NotebookNode

from collapse.book import folders, identity
from collapse.errors import BookError
from collapse.experiment import assets
from collapse.experiment.assets import atomic, sha256_file
from collapse.experiment.record import ARRAYS, RECOVERY_ARRAYS
from collapse.experiment.records import TABLE, list_records, read
from collapse.measure.gauges import COLUMNS


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
    with folders.alone(build):
        whole = {str(path.relative_to(html)): path for path in folders.shown(html)}
        places = ("site", f"site/v{identity.read().version}")  # the latest, and for good
        pages = {f"{place}/{name}": path for place in places for name, path in whole.items()}
        site = archive(folder / "site.zip", pages)
    root = assets.ROOT
    named = {str(path.relative_to(root)): path for path in folders.shown(root / "records")}
    records = archive(folder / "records.zip", {**named, "datapackage.json": _package(named)})
    sums = folder / "SHA256SUMS"
    sums.write_text("".join(f"{sha256_file(path)}  {path.name}\n" for path in (records, site)))
    return [site, records, sums]


def archive(path: Path, files: Mapping[str, Path | str]) -> Path:
    """Write a zip archive, of which every byte is decided by its content.

    Args:
        files: name in the archive -> where the content lies, or a text.
    """
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as made:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            data = content.encode() if isinstance(content, str) else content.read_bytes()
            made.writestr(info, data, zipfile.ZIP_DEFLATED)
    return path


def _package(files: dict[str, Path]) -> str:
    """The description of the records as a Frictionless Data Package."""
    resources = [
        {
            "name": name.lower().replace("/", "-").replace(".", "-"),
            "path": name,
            "bytes": path.stat().st_size,
            "hash": f"sha256:{sha256_file(path)}",
            **({"schema": {"fields": _fields(path)}} if path.name == TABLE else {}),
        }
        for name, path in files.items()
    ]
    me = identity.read()
    described = {
        "name": "model-collapse-records",
        "title": f"Records of {me.title}",
        "version": me.version,
        "created": f"{me.released}T00:00:00Z",
        **({"homepage": me.url} if me.url else {}),
        "licenses": [{"name": me.licences[1], "path": identity.licence(me.licences[1])[1]}],
        "contributors": [{"title": author.plain, "role": "author"} for author in me.authors],
        "arrays": {
            name: {"axes": axes, "type": kind}
            for name, (axes, kind) in {**ARRAYS, **RECOVERY_ARRAYS}.items()
        },
        "resources": resources,
    }
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


def _fields(path: Path) -> list[dict[str, str]]:
    """The columns of a table of gauges, which may be of a version that knew fewer or others."""
    names = path.read_text(encoding="utf-8").partition("\n")[0].split(",")
    return [
        {
            "name": name,
            "type": "integer" if name == "generation" else "number",
            "description": COLUMNS.get(name, "of an earlier version"),
        }
        for name in names
    ]


# -- notebooks to open elsewhere -------------------------------------------------------------

_INSTALL = """\
# In Colab this fetches the book and installs it; elsewhere it does nothing.
import sys

if "google.colab" in sys.modules:
    !git clone --depth 1 https://github.com/OWNER/NAME book
    %cd book/chapters
    %pip install --quiet -e ../lib
    sys.path.insert(0, "../lib")
"""


def with_links(notebook: NotebookNode, name: str) -> NotebookNode:
    """The notebook with links below its first cell; as it is where no repository is named.

    Colab opens it with a kernel from the branch `notebooks`, to which the publishing workflow
    pushes it; Binder builds the book at scale smoke and opens what that has executed.
    """
    if where := identity.read().github:
        colab = f"https://colab.research.google.com/github/{where}/blob/notebooks/{name}.ipynb"
        path = quote(f"lab/tree/_build/executed/{name}.ipynb", safe="")
        binder = f"https://mybinder.org/v2/gh/{where}/HEAD?urlpath={path}"
        links = f"[Open in Colab]({colab}) · [Open on Binder, at scale smoke]({binder})"
        notebook.cells.insert(1, nbformat.v4.new_markdown_cell(links, id="cell-links"))
    return notebook


def notebooks(build: Path) -> Path:
    """Write the executed chapters into `build/notebooks`, each with a cell that installs the book.

    Raises:
        ReleaseError: no repository on GitHub is named, or no chapter has been executed.
    """
    done = build / "executed"
    executed = sorted({*done.glob("*.ipynb")} - {*done.glob("*.failed.ipynb")})
    if not (where := identity.read().github):
        raise ReleaseError(
            f"no repository on GitHub is named; give {identity.FILE} a line repository-code"
        )
    if not executed:
        raise ReleaseError("no chapter has been executed yet; run `make book` first")
    folder = build / "notebooks"
    shutil.rmtree(folder, ignore_errors=True)  # no chapter that is gone
    folder.mkdir()
    for path in executed:
        made = nbformat.read(path, as_version=4)
        install = _INSTALL.replace("OWNER/NAME", where)
        made.cells.insert(0, nbformat.v4.new_code_cell(install, id="cell-install"))
        nbformat.write(made, folder / path.name)
    return folder
