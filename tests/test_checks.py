"""What `make test` and `make lint` rely on."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from collapse.experiment.assets import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one test in each of the two parts of the tests."""
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    (tmp_path / "tests/book").mkdir(parents=True)
    page = "def test_page():\n    pass\n"
    (tmp_path / "tests/book/test_page.py").write_text(page)
    (tmp_path / "tests/test_mistakes.py").write_text(page.replace("page", "mistake"))
    (tmp_path / "tests/test_loop.py").write_text(
        "import os, time\n\n\ndef test_loop():\n"
        "    print('begun', flush=True)\n    time.sleep(float(os.environ['SLEEP']))\n"
        "    assert os.environ['HF_HUB_OFFLINE'] == os.environ['OMP_NUM_THREADS'] == '1'\n"
        "    assert 'FAIL' not in os.environ\n"
    )
    return tmp_path


def running(checkout: Path, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, ".ci/test.py"], cwd=checkout, text=True, start_new_session=True,
        env=os.environ | {"PYTEST_ADDOPTS": "-s"} | environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def test_both_parts_run_once_and_one_that_fails_fails_all(checkout: Path) -> None:
    good, bad = running(checkout, SLEEP="0"), running(checkout, SLEEP="0", FAIL="1")
    said = good.communicate()[0]
    assert good.returncode == 0, said
    assert "pages | 2 passed" in said and "loop | 1 passed" in said
    said = bad.communicate()[0]
    assert bad.returncode == 1
    assert "pages | 2 passed" in said and said.endswith("tests failed: loop\n")


def test_ctrl_c_ends_both_parts(checkout: Path) -> None:
    process = running(checkout, SLEEP="600")
    assert any("begun" in line for line in process.stdout)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)  # all that hold the other end of its pipe have ended
    assert process.returncode == 130


def test_no_room_imports_what_is_one_chapter_s() -> None:
    chapters = {path.stem for path in (ROOT / "chapters").glob("*.py")}
    seen = grimp.build_graph("collapse", include_external_packages=True, cache_dir=None).modules
    assert {"numpy", "collapse.measure"} <= seen  # what is imported is seen
    assert not chapters & seen


def test_an_audit_asks_for_what_it_needs_and_names_what_lowers_a_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("audit", ROOT / ".ci/audit.py")
    audit = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(audit)
    monkeypatch.setenv("COLLAPSE_BUILD", str(tmp_path))
    assert audit.main() == 2 and "run `make book` first" in capsys.readouterr().err
    (tmp_path / "html/chapters").mkdir(parents=True)
    (tmp_path / "html" / audit.PAGE).write_text("<p>")
    monkeypatch.setenv("PATH", "")
    assert audit.main() == 2 and "needs npm" in capsys.readouterr().err

    every = {name: {"score": 1, "auditRefs": [{"id": "alt"}]} for name in audit.LEAST}
    audits = {"alt": {"score": 0, "title": "Pictures have no text"}}
    assert list(audit.below({"categories": every, "audits": audits})) == []
    every["seo"]["score"] = 0.99
    [told] = audit.below({"categories": every, "audits": audits})
    assert told == f"{audit.PAGE}: seo 99, 100 are asked: Pictures have no text"


def test_no_module_imports_a_conftest_by_its_name() -> None:
    """Each room may have its own; which one that name means depends on what pytest read first."""
    named = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if re.search(r"^\s*(?:from|import) conftest\b", path.read_text(), re.MULTILINE)
    ]
    assert named == []
