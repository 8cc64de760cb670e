"""The measurements of `book bench` and what the page makes of them, against plain arithmetic."""

import json
import math
import os
import shutil
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import how_fast
from collapse import cli
from collapse.bench import contestants, measured, measurement
from collapse.experiment import corpus, models
from collapse.experiment.assets import ROOT, build_dir
from collapse.experiment.protocol import Protocol
from collapse.experiment.record import Record
from collapse.sweeps import plan
from toy_figures import assert_readable

MEASURED: dict[str, Any] = {
    "schema": measured.SCHEMA,
    "kind": "cpu",
    "parameters": 1_000_000,
    "block_length": 10,
    "limits": {"operations": 1000.0, "bytes": 100.0},
    "needed": {
        "five beams": {"operations": 10.0, "bytes": 0.5},  # 10/1000 s against 0.5/100 s a token
        "sampling": {"operations": 1.0, "bytes": 2.0},
        "training": {"operations": 20.0, "bytes": 1.0},
    },
    "contests": {
        "five beams": {
            "this book": [40.0, 60.0, 90.0],
            "generate, batches of 16": [10.0, 20.0, 20.0],
            "the paper's way: generate, batches of 128": [5.0, 5.0, 5.0],
        },
        "sampling": {
            "this book": [10.0, 20.0, 15.0],
            "generate, batches of 32": [10.0, 10.0, 10.0],
        },
        "training": {"this book": [25.0, 20.0, 30.0], "Trainer": [20.0, 20.0, 20.0]},
    },
    "same_text": 1.0,
    "rounds": 3,
    "growth": {
        "tokens": [[1, 1.0], [4, 4.0], [1, 1.2], [4, 4.8]],
        "generations": [[1, 3.0], [4, 6.0], [1, 3.0], [4, 6.0]],
        "operations": [[1e6, 1.0], [1e8, 10.0], [1e6, 1.0], [1e8, 10.0]],
    },
} | dict.fromkeys(("model", "precision", "device", "date", "commit"), "x")


# -- what is read out of a file --------------------------------------------------------------


def test_the_floor_is_what_takes_longer_operations_or_bytes() -> None:
    assert how_fast.floor(MEASURED, "five beams") == pytest.approx(100.0)  # tokens a second
    assert how_fast.floor(MEASURED, "sampling") == pytest.approx(50.0)
    words = {name: str(number) for name, number in how_fast.said(MEASURED).items()}
    assert words["floor-sampling"] == "30 %"  # 15 tokens a second, 2 of 100 bytes each
    assert words["floor-five beams"] == "60 %"  # 60 tokens a second, 10 of 1000 each


def test_ratios_are_taken_within_a_round() -> None:
    assert measured.ratios(MEASURED, "five beams") == [4.0, 3.0, 4.5]  # of medians it would be 3
    times = how_fast.said(MEASURED)["times-five beams"]
    assert (times.text, times.value, times.low, times.high) == ("4.0 (3.0 to 4.5)", 4.0, 3.0, 4.5)
    assert measured.summary(MEASURED)[0] == "five beams: 4.0 (3.0 to 4.5) times as fast as generate"


def test_a_mark_is_reached_by_the_median() -> None:
    rows = how_fast.marks(MEASURED).data.split("<tr>")[1:]
    asked = [("4", "reached"), ("1.5", "reached"), ("1.3", "not reached")]  # by 4.0, 1.5, 1.25
    for row, (mark, word) in zip(rows, asked, strict=True):
        assert f"<td>{mark}</td>" in row and f"<td>{word}</td>" in row


def test_what_was_not_measured_is_said_to_be_not_run() -> None:
    words = how_fast.said(None)
    assert words.keys() == how_fast.said(MEASURED).keys()
    assert set(map(str, words.values())) == {"not run yet"}
    for shown in (
        how_fast.contestants(None, "a toy"), how_fast.growth(None), how_fast.whole_runs(None, []),
        how_fast.marks(None), how_fast.growth(MEASURED | {"growth": {}}),
    ):  # fmt: skip
        assert "not run yet" in shown.data


def test_the_table_has_every_side_once_with_its_shares_of_the_machine() -> None:
    shown = how_fast.contestants(MEASURED, "a toy").data
    assert shown.count("<tr>") == sum(len(sides) for sides in MEASURED["contests"].values())
    assert "60 (40 to 90)" in shown and "<td>60 %</td>" in shown
    used = how_fast.shares(MEASURED, "five beams", 60.0)
    assert used == pytest.approx({"operations": 0.6, "bytes": 0.3})
    assert "earlier version" not in shown
    assert "earlier version" in how_fast.contestants(MEASURED | {"profiles": {}}, "a toy").data


def test_a_measurement_of_another_small_model_is_said_to_be_one() -> None:
    of_tiny = next((ROOT / "records").glob("wikitext2-tiny-*/record.json"))
    weights = json.loads(of_tiny.read_text())["base"]["parameters"]
    told = how_fast.older(MEASURED | {"model": "tiny OPT (1.0 M parameters)"}).data
    assert "earlier small model of this book,** tiny OPT (1.0 M parameters)" in told
    assert f"today's has {weights / 1e6:.1f} M" in told
    assert how_fast.older(MEASURED | {"parameters": weights}) is None
    assert how_fast.older(MEASURED | {"kind": "cuda"}) is how_fast.older(None) is None


def test_a_whole_run_takes_the_time_of_its_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, blocks in (("TRAIN", 100_000), ("VALID", 20_000), ("TEST", 30_000)):
        monkeypatch.setattr(how_fast, name, blocks)
    # Trained are 3 * 2 * 100 thousand blocks; scored 3 * (2 * 20 + 30 + 300).
    trained, scored, written = 600_000, 1_110_000, 300_000
    seconds = 10 * (trained + scored / 3) / 25 + 10 * written / 60
    limit = 10 * (trained + scored / 3) / 50 + 10 * written / 100
    shown = how_fast.whole_runs(MEASURED, [Protocol(epochs=2, generations=3)]).data
    assert f"<td>{seconds / 3600:.2f}</td>" in shown
    assert f"<td>{limit / 3600:.2f}</td>" in shown
    assert f"<td>{100 * limit / seconds:.0f} %</td>" in shown


def test_a_slope_is_the_exponent_of_a_power_law() -> None:
    sizes = [1.0, 2.0, 5.0, 10.0]
    exact = how_fast.slope([[size, 3.0 * size**0.7] for size in sizes])
    assert exact == pytest.approx((0.7, 0.7, 0.7), abs=1e-6)
    noise = np.random.default_rng(0).normal(0, 0.05, 12)
    points = [[size, size * math.exp(e)] for size, e in zip(sizes * 3, noise, strict=True)]
    value, low, high = how_fast.slope(points)
    x, y = np.log(points).T
    assert value == pytest.approx(np.polyfit(x, y, 1)[0])
    assert low < 1.0 < high
    shown = how_fast.growth(MEASURED).data
    assert "<td>1.00 [" in shown and "<td>0.50 [0.50, 0.50]</td>" in shown


def test_the_published_file_is_read_without_torch() -> None:
    code = (
        "import sys; from collapse.bench import measured; found = measured.read('cpu');"
        "print(len(measured.summary(found)), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "False"]


@pytest.mark.parametrize(("text", "said"), [("{", "cannot be used"), ("{}", "of another version")])
def test_a_file_that_cannot_be_used_is_named(text: str, said: str) -> None:
    path = measured.path("cpu", build_dir())
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(measured.BenchError, match=said) as refused:
        measured.read("cpu")
    assert str(path) in str(refused.value) and "make bench" in str(refused.value)


def test_bytes_are_those_of_a_decoder_that_moves_nothing_twice() -> None:
    shape = plan.Shape(body=100, head=20, embeddings=0, pair=0, kv=6, activations=0, vocabulary=5)
    moved, length, prompts, beams = 0, 7, 3, 4
    for step in range(length):
        moved += 120  # all matrices
        moved += prompts * 6 * (length if step == 0 else beams)  # keys and values are written
        moved += prompts * 6 * (length + beams * (step - 1) if step else 0)  # and read
    assert measurement.bytes_moved(shape, prompts, length, beams, size=2) == 2 * moved


# -- measuring, on a toy ---------------------------------------------------------------------


def test_one_command_measures_all_and_leaves_a_file_that_the_page_can_read(
    toy: Protocol,
    base: models.Base,
    blocks: corpus.Blocks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    protocol = toy.replace(epochs=1, selection="last", decoding="sample")
    monkeypatch.setattr(contestants, "ground", lambda: contestants.Ground(base, blocks, protocol))
    contestants.side.cache_clear()
    monkeypatch.setattr(contestants, "PROMPTS", {"cpu": (16, 8), "cuda": (16, 8)})
    monkeypatch.setattr(contestants, "SIZES", {"cpu": (2, 4), "cuda": (2, 4)})
    monkeypatch.setattr(measurement, "_process", lambda: ThreadPoolExecutor(1))
    # The toy's tokeniser has more tokens than its model, which CTranslate2 does not accept.
    monkeypatch.setattr(contestants, "has_other", lambda: False)
    monkeypatch.setattr(measurement, "products", lambda: 1e9)
    monkeypatch.setattr(measurement, "copies", lambda: 1e9)
    monkeypatch.setattr(measurement, "growth", lambda _: MEASURED["growth"])
    monkeypatch.setattr(measurement, "ROUNDS", 2)
    done = CliRunner().invoke(cli.main, ["bench"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = measured.read(contestants.kind())
    assert found is not None
    file = measured.path(contestants.kind(), build_dir())
    assert found == json.loads(file.read_text()) and str(file) in done.output
    assert set(found["contests"]) == set(measured.RIVALS)
    for contest, sides in found["contests"].items():
        assert "this book" in sides
        assert any(name.startswith(measured.RIVALS[contest]) for name in sides)
        assert all(len(rates) == 2 and min(rates) > 0 for rates in sides.values())
        assert f"{contest}: {measured.in_words(measured.ratios(found, contest))}" in done.output
    assert found["same_text"] == 1.0
    figure, data = how_fast.contests(found)
    sides_in_all = sum(len(sides) for sides in found["contests"].values())
    assert len(data) == (2 + 1) * sides_in_all  # two rounds and their median
    assert data["round"].isna().sum() == sides_in_all
    shares = sorted(bar.get_width() for bar in figure.get_axes()[0].patches)
    assert shares == pytest.approx(
        sorted(
            100 * statistics.median(rates) / how_fast.floor(found, contest)
            for contest, sides in found["contests"].items()
            for rates in sides.values()
        )
    )


def test_the_figure_can_be_read_and_tells_tokens_a_second() -> None:
    assert_readable(lambda: how_fast.contests(MEASURED))
    figure, _ = how_fast.contests(MEASURED)
    assert {"60", "20", "5", "the floor"} <= {text.get_text() for text in figure.axes[0].texts}
    assert_readable(lambda: how_fast.contests(measured.read("cpu") or MEASURED))


def test_growth_is_measured_on_runs_that_start_from_nothing(
    toy: Protocol, toy_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurement, "GROWTH_ROUNDS", 2)
    monkeypatch.setattr(measurement, "BLOCKS", (10, 20))
    monkeypatch.setattr(measurement, "GENERATIONS", (1, 3))
    monkeypatch.setattr(measurement, "WIDTHS", (32, 64))
    run = measurement.loop.run
    computed = []

    def watched(protocol: Protocol) -> Record:
        cache, build = (Path(os.environ[f"COLLAPSE_{name}"]) for name in ("CACHE", "BUILD"))
        assert not cache.exists() and not build.exists()
        shutil.copytree(toy_cache / "sources", cache / "sources")  # what the toy's names mean
        computed.append(protocol)
        return run(protocol)

    monkeypatch.setattr(measurement.loop, "run", watched)
    found = measurement.growth(toy)
    sizes = {name: [size for size, _ in points] for name, points in found.items()}
    assert sizes["tokens"] == [80.0, 160.0] * 2 and sizes["generations"] == [1, 3] * 2
    assert sizes["operations"][0] < sizes["operations"][1]
    assert all(seconds > 0 for points in found.values() for _, seconds in points)
    # A first time, then each of two rounds.
    assert [run.train_blocks for run in computed[:5]] == [10, 10, 20, 10, 20]
    assert [run.generations for run in computed[5:]] == [1, 1, 3, 1, 3]
    assert not (build_dir() / "records").exists()
