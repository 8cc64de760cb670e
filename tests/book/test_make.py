"""The Makefile: settings reach the commands as they are, and nothing of the user's is removed."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from collapse.book import cards, execution, folders
from collapse.experiment import assets
from collapse.experiment.assets import ROOT

# Stands for `book`: writes what it was given, a line a call.
STAND_IN = """#!{python}
import json, os, sys
with open("calls.jsonl", "a") as file:
    file.write(json.dumps([sys.argv[1:], os.environ.get("BOOK_PARAMS")]) + "\\n")
sys.exit(int(os.environ.get("STATUS", "0")) if sys.argv[1] == "compare" else 0)
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in which everything is installed, with a stand-in for `book`."""
    root = tmp_path / "check out"
    root.mkdir()
    for name in ("Makefile", "requirements.txt", ".ci", "lib"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, root / name)
    (root / ".venv/bin").mkdir(parents=True)
    book = root / ".venv/bin/book"
    book.write_text(STAND_IN.format(python=sys.executable))
    book.chmod(0o755)
    sources = [(root / name).read_bytes() for name in ("requirements.txt", "lib/pyproject.toml")]
    (root / ".venv/.installed").write_text(hashlib.sha256(b"".join(sources)).hexdigest())
    return root


def make(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("COLLAPSE_", "MAKE"))}
    return subprocess.run(
        ["make", "--no-print-directory", f"PYTHON={sys.executable}", *arguments],
        cwd=root, env=plain | environment, capture_output=True, text=True,
    )  # fmt: skip


def calls(root: Path) -> list[tuple[list[str], str | None]]:
    lines = (root / "calls.jsonl").read_text().splitlines()
    return [tuple(json.loads(line)) for line in lines]


# -- what is removed -------------------------------------------------------------------------


def test_cleaning_removes_what_the_book_made_and_nothing_beside_it(checkout: Path) -> None:
    near, build, cache = checkout / "my", checkout / "my data", checkout / "my cache"
    for path in (near / "thesis.tex", build / "executed/toy.ipynb", build / "html/index.html",
                 build / "notes.txt", cache / "generations" / ("0" * 64) / "facts.json",
                 cache / "generations/mine.txt", cache / "downloads/text.whl"):  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("kept?")
    (build / folders.MARK).touch()
    done = make(checkout, "clean", COLLAPSE_BUILD=str(build), COLLAPSE_CACHE=str(cache))
    assert done.returncode == 0, done.stderr
    left = {str(p.relative_to(checkout)) for f in (near, build, cache) for p in f.rglob("*.*")}
    kept = {"my/thesis.tex", "my data/notes.txt", "my cache/generations/mine.txt"}
    assert left == kept | {"my cache/downloads/text.whl"}
    assert "notes.txt" in done.stdout and "mine.txt" in done.stdout


def test_cleaning_refuses_a_folder_that_is_not_the_book_s(checkout: Path) -> None:
    (checkout / "thesis/figures").mkdir(parents=True)
    (checkout / "thesis/figures/one.svg").touch()
    done = make(checkout, "clean", COLLAPSE_BUILD="thesis")
    assert done.returncode == 2
    assert "holds 'figures', which this book did not make" in done.stderr
    assert (checkout / "thesis/figures/one.svg").exists()


def test_cleaning_removes_a_whole_build_and_a_link_but_not_what_it_leads_to(checkout: Path) -> None:
    (checkout / "_build/executed").mkdir(parents=True)
    (checkout / "elsewhere").mkdir()
    (checkout / "elsewhere/page.html").touch()
    (checkout / "_build/html").symlink_to(checkout / "elsewhere")
    assert make(checkout, "clean").returncode == 0
    assert not (checkout / "_build").exists()
    assert (checkout / "elsewhere/page.html").exists()


# -- settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters",
    ["seed=3 epochs=2", "corpus='/my texts/a b.txt' seed=3", 'model="o\'neil" seeds=[0,1]', ""],
)
def test_settings_with_blanks_and_quotes_reach_the_commands(
    checkout: Path, parameters: str
) -> None:
    done = make(checkout, "chapter", "NAME=toy", f"PARAMS={parameters}", "SCALE=smoke")
    assert done.returncode == 0, done.stderr
    run, site, compare = calls(checkout)
    assert run == (["run", "toy", "--scale", "smoke"], parameters)
    assert site[0] == ["site", "--again"]
    assert compare == (["compare", "toy", "--scale", "smoke"], parameters)


@pytest.mark.parametrize(("status", "code"), [("3", 0), ("1", 2)])
def test_nothing_to_compare_is_no_failure_of_a_chapter(
    checkout: Path, status: str, code: int
) -> None:
    assert make(checkout, "chapter", "NAME=toy", STATUS=status).returncode == code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chapter", "NAME=toy", "PARAM=seed=3"], "there is no setting PARAM;"),
        (["figure", "ID=fig-a", "SCAL=paper"], "there is no setting SCAL;"),
        (["chapter"], "Name a chapter"),
        (["chapter", "NAME=one two"], "NAME='one two' is not one chapter"),
        (["figure"], "Name a figure"),
        (["serve"], "there are no pages yet"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_started(
    checkout: Path, arguments: list[str], said: str
) -> None:
    done = make(checkout, *arguments)
    assert done.returncode == 2
    assert said in done.stderr and "Traceback" not in done.stderr
    assert not (checkout / "calls.jsonl").exists()


@pytest.mark.parametrize("port", ["busy", "http", "99999"])
def test_a_port_that_cannot_be_had_is_named_with_the_remedy(checkout: Path, port: str) -> None:
    (checkout / "_build/html").mkdir(parents=True)
    (checkout / "_build/html/index.html").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = str(taken.getsockname()[1]) if port == "busy" else port
        done = make(checkout, "serve", f"PORT={number}")
    assert done.returncode == 2
    assert f"port {number} cannot be had" in done.stderr and "Traceback" not in done.stderr


def test_the_card_s_command_gives_the_same_parameters_through_shell_and_make(
    checkout: Path,
) -> None:
    given = {"corpus": "/my texts/$a \"b\" `c` 'd'.txt", "seeds": [0, 1], "lr": 0.001}
    told = execution.environment("toy", "smoke", given, checkout)["COLLAPSE_PARAMETERS"]
    card = {"id": "fig-a", "scale": "smoke", "parameters": told}
    done = subprocess.run(
        f"{cards.command(card)} PYTHON={sys.executable}", shell=True, cwd=checkout,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [(arguments, parameters)] = calls(checkout)
    assert arguments == ["figure", "fig-a", "--scale", "smoke"]
    received = subprocess.run(
        ["sh", "-c", f'for one in {parameters}; do printf "%s\\n" "$one"; done'],
        capture_output=True, text=True,
    )  # fmt: skip
    assert received.stdout.splitlines() == [f"corpus={given['corpus']}", "seeds=[0,1]", "lr=0.001"]


# -- installing ------------------------------------------------------------------------------


def test_the_same_requirements_install_nothing(checkout: Path) -> None:
    os.utime(checkout / "requirements.txt")  # newer than what is installed, as after a checkout
    done = make(checkout, "install")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (checkout / ".venv").rglob("*")) == [
        ".installed", "bin", "book",
    ]  # fmt: skip


def test_a_failed_installation_removes_nothing_and_is_tried_again(checkout: Path) -> None:
    mine = checkout / ".venv/lib/python3/site-packages/mine.py"
    mine.parent.mkdir(parents=True)
    mine.touch()
    (checkout / "requirements.txt").write_text("no-such-package-of-this-book==1.0\n")
    for _ in range(2):
        done = make(checkout, "install", PIP_NO_INDEX="1")
        assert done.returncode == 2
        assert "what is in .venv is kept" in done.stderr
        assert mine.exists() and (checkout / ".venv/bin/book").exists()
        assert not (checkout / ".venv/.installed").exists()


def test_half_installed_packages_of_the_book_are_installed_again_and_others_left(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = checkout / ".venv/lib/python3.11/site-packages"
    (checkout / "requirements.txt").write_text("a_b==1\nwhole==1\ncut==1\n")
    for name in ("a_b", "whole", "cut", "mine"):
        notes = packages / f"{name}-1.dist-info"
        notes.mkdir(parents=True)
        (packages / f"{name}.py").touch()
        (notes / "RECORD").write_text(f"{name}.py,,\n__pycache__/{name}.cpython-311.pyc,,\n")
    (packages / "a_b-1.dist-info/RECORD").unlink()  # killed before the end
    for name in ("cut", "mine"):
        (packages / f"{name}.py").unlink()
    monkeypatch.chdir(checkout)
    monkeypatch.syspath_prepend(str(checkout / ".ci"))
    import install

    assert {path.name for path in install.half_installed()} == {
        "a_b-1.dist-info", "cut-1.dist-info",
    }  # fmt: skip


# -- folders ---------------------------------------------------------------------------------


def test_a_build_goes_into_an_empty_folder_or_one_of_builds(tmp_path: Path) -> None:
    for path in ("own/records", "own/figures", "marked/notes", "other/html", "more/executed"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "marked" / folders.MARK).touch()
    (tmp_path / "more/notes").touch()
    for name in ("own", "marked", "new/below"):
        folders.claim(tmp_path / name)
        assert (tmp_path / name / folders.MARK).exists()
    for name, held in (("other", "html"), ("more", "notes")):
        with pytest.raises(assets.AssetError, match=f"holds '{held}', which this book did not"):
            folders.claim(tmp_path / name)


def test_hidden_files_and_those_of_file_managers_are_not_shown(tmp_path: Path) -> None:
    for name in ("a/page.html", "a/.DS_Store", ".git/config", "Thumbs.db", "b/._x", "c.csv"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = [str(path.relative_to(tmp_path)) for path in folders.shown(tmp_path)]
    assert found == ["a/page.html", "c.csv"]


@pytest.mark.parametrize(("what", "status"), [("clean", 0), ("serve", 2)])
def test_cleaning_and_serving_need_nothing_that_is_installed(
    what: str, status: int, tmp_path: Path
) -> None:
    command = [sys.executable, "-S", "-m", "collapse.book.folders", what, "0"]
    places = {"COLLAPSE_BUILD": str(tmp_path / "build"), "COLLAPSE_CACHE": str(tmp_path / "cache")}
    env = {"PYTHONPATH": str(ROOT / "lib"), **places}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == status and "Traceback" not in done.stderr, done.stderr
