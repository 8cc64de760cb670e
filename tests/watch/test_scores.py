"""Scores of held-out text: two forms, what rings, and one sentence for what cannot be read."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from collapse.measure.alarms import sign_evidence
from collapse.watch import WatchError, watch
from collapse.watch.scores import judge

OLD = -3 - np.random.default_rng(0).random(100)


def table(path: Path, old: np.ndarray, new: np.ndarray) -> Path:
    rows = [f"{a},{b},x" for a, b in zip(old, new, strict=True)]
    path.write_text("\n".join(["old,new,more", *rows]) + "\n")
    return path


def test_blocks_that_got_worse_by_more_than_the_margin_are_counted(tmp_path: Path) -> None:
    new = OLD.copy()
    new[:70] -= math.log(1.02)
    new[70:80] -= math.log(1.005)  # within the margin
    found = judge(table(tmp_path / "s.csv", OLD, new), 0.01, 0.01)
    assert (found.blocks, found.worse, found.margin) == (100, 70, 0.01)
    assert found.e_value == pytest.approx(math.exp(sign_evidence(np.array(70), 100))) and found.alarm
    assert found.perplexity_ratio == pytest.approx(math.exp(float(np.mean(OLD - new))))
    assert not judge(tmp_path / "s.csv", 0.03, 0.01).alarm
    assert not judge(table(tmp_path / "s.csv", new, OLD), 0.01, 0.01).alarm  # it got better


def test_json_lines_say_the_same(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text("".join(json.dumps({"old": a, "new": a - 1}) + "\n" for a in OLD))
    assert judge(path, 0.01, 0.01) == judge(table(tmp_path / "s.csv", OLD, OLD - 1), 0.01, 0.01)


def test_text_and_scores_share_the_rate(tmp_path: Path) -> None:
    text = [f"some words {n} and others {n * n}" for n in range(400)]
    worse = table(tmp_path / "s.csv", OLD, OLD - 1)
    report = watch(text, text, batch=100, scores=str(worse))
    assert report.alarm and report.p_value > 0.01 and report.scores is not None
    assert "held-out text" in report.sentence and "100 of 100 blocks" in str(report)
    equal = table(tmp_path / "t.csv", OLD, OLD)
    assert not watch(text, text, batch=100, scores=str(equal)).alarm


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", "old,other\n-1,-2\n", "block 1 .* no numbers 'old' and 'new'"),
        ("b.csv", "old,new\n-1,-2\n-1,x\n", "block 2 .* no numbers"),
        ("c.csv", "old,new\n-1,2\n", "not logarithms of probabilities"),
        ("d.csv", "old,new\n-1,nan\n", "not logarithms of probabilities"),
        ("e.csv", "old,new\n", "has no block"),
        ("f.jsonl", '{"old": -1, "new": -1\n', "is no table of scores"),
        ("g.jsonl", "[1]\n", "block 1 .* no numbers"),
        ("h.csv", "", "is empty"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, name: str, content: str, told: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(WatchError, match=told):
        judge(tmp_path / name, 0.01, 0.01)
