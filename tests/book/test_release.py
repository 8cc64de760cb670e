"""Releases: archives that are the same for the same content, and notebooks that open elsewhere."""

import hashlib
import json
import re
import shutil
import zipfile
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat.v4 import new_markdown_cell, new_notebook

from collapse import cli
from collapse.book import folders, release, site
from collapse.experiment import records
from collapse.experiment.assets import ROOT
from collapse.experiment.protocol import Protocol
from toy_records import make_record
from toys import at, make_book, publish, toy_site


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory, toy_pages: Path) -> list[Path]:
    """The release of a book with a record, twice: of the same bytes; file managers left things."""
    root = tmp_path_factory.mktemp("released")
    shutil.copytree(toy_pages / "_build/html", root / "_build/html")
    shutil.copyfile(toy_pages / "CITATION.cff", root / "CITATION.cff")
    (root / "_build" / folders.MARK).touch()
    record = records.write(make_record(Protocol(generations=2)), root / "records")
    for folder in (root / "_build/html", root / "records", record):
        for name in (".DS_Store", "._x.csv", "Thumbs.db", "desktop.ini"):
            (folder / name).touch()
    with at(root):
        first = [path.read_bytes() for path in release.make(root / "_build")]
        made = release.make(root / "_build")
    assert [path.read_bytes() for path in made] == first
    return made


def test_a_release_holds_pages_records_and_checksums(released: list[Path], toy_pages: Path) -> None:
    assert [path.name for path in released] == ["site.zip", "records.zip", "SHA256SUMS"]
    version = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))["version"]
    sums = dict(reversed(line.split("  ")) for line in released[2].read_text().splitlines())
    for path in released[:2]:
        assert sums[path.name] == hashlib.sha256(path.read_bytes()).hexdigest()
    with zipfile.ZipFile(released[0]) as archive:
        page = (toy_pages / "_build/html/index.html").read_bytes()
        for place in ("site", f"site/v{version}"):
            assert archive.read(f"{place}/index.html") == page
        assert archive.testzip() is None


def test_nothing_that_file_managers_leave_is_released(released: list[Path]) -> None:
    names = [name for path in released[:2] for name in zipfile.ZipFile(path).namelist()]
    kept = {
        "record.json",
        "gauges.csv",
        "arrays.npz",
        "text.npy.xz",
        "datapackage.json",
        "index.html",
    }
    assert kept <= {name.split("/")[-1] for name in names}
    left = re.compile(r"(^|/)(\.|Thumbs\.db|desktop\.ini)")
    assert not [name for name in names if left.search(name)]


def test_the_data_package_describes_every_file_with_its_hash(released: list[Path]) -> None:
    archive = zipfile.ZipFile(released[1])
    package = json.loads(archive.read("datapackage.json"))
    paths = {one["path"] for one in package["resources"]}
    assert paths == set(archive.namelist()) - {"datapackage.json"}
    for one in package["resources"]:
        content = archive.read(one["path"])
        assert one["bytes"] == len(content)
        assert one["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        if one["path"].endswith("gauges.csv"):
            header = content.decode().splitlines()[0].split(",")
            assert [field["name"] for field in one["schema"]["fields"]] == header
    names = [one["name"] for one in package["resources"]]
    assert len(set(names)) == len(names)


def test_a_release_without_pages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(release.ReleaseError, match="run `make book` first"):
        release.make(tmp_path)


def test_links_stand_on_pages_only_where_a_repository_is_named(root: Path, toy_pages: Path) -> None:
    text = (toy_pages / "_build/html/chapters/toy.html").read_text(encoding="utf-8")
    assert "https://colab.research.google.com/github/someone/book/blob/notebooks/toy.ipynb" in text
    assert "mybinder.org/v2/gh/someone/book/HEAD?urlpath=lab%2Ftree%2F_build%2Fexecuted" in text
    staged = site.stage(toy_site(root)) / "chapters/toy.ipynb"
    assert "colab.research" not in staged.read_text(encoding="utf-8")


def test_notebooks_for_elsewhere_install_the_book_first(tmp_path: Path, root: Path) -> None:
    make_book(root)
    with pytest.raises(release.ReleaseError, match=r"give CITATION.cff a line repository-code"):
        release.notebooks(tmp_path)
    publish(root)
    with pytest.raises(release.ReleaseError, match="no chapter has been executed"):
        release.notebooks(tmp_path)
    (tmp_path / "executed").mkdir()
    text = nbformat.writes(new_notebook(cells=[new_markdown_cell("# A")]))
    for name in ("executed/a.ipynb", "executed/b.failed.ipynb", "notebooks/gone.ipynb"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    made = nbformat.read(release.notebooks(tmp_path) / "a.ipynb", as_version=4)
    nbformat.validate(made)
    assert [path.name for path in (tmp_path / "notebooks").iterdir()] == ["a.ipynb"]
    assert "git clone --depth 1 https://github.com/someone/book" in made.cells[0].source
    assert made.cells[1].source == "# A"


def test_workflows_and_binder_call_commands_that_exist() -> None:
    files = [*(ROOT / ".github/workflows").glob("*.yml"), ROOT / ".binder/postBuild"]
    called = [set(re.findall(r"\bbook ([a-z]+)\b", file.read_text("utf-8"))) for file in files]
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for file, names in zip(files, called, strict=True):
        assert names <= set(cli.main.commands), file.name
        made = set(re.findall(r"run: make ([a-z]+)", file.read_text("utf-8")))
        assert made <= targets, file.name
    assert {"notebooks", "release", "run"} <= set().union(*called)
    for file in files[:-1]:
        yaml.safe_load(file.read_text("utf-8"))
    assert (ROOT / ".binder/requirements.txt").read_text() == "-r ../requirements.txt\n"
    assert (ROOT / ".binder/postBuild").stat().st_mode & 0o100
