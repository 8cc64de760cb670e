"""The measurements of `book bench` and what the page makes of them, against plain arithmetic."""

import json
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from collapse import cli
from collapse.bench import contestants, growth, measurement, profiling, speed
from collapse.experiment import corpus, models
from collapse.experiment.assets import build_dir
from collapse.experiment.protocol import Protocol
from collapse.sweeps.plan import Job

MEASURED: dict[str, Any] = {
    "schema": measurement.SCHEMA,
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
}


def test_the_floor_is_what_takes_longer_operations_or_bytes() -> None:
    assert speed.ceiling(MEASURED, "five beams") == pytest.approx(100.0)  # tokens a second
    assert speed.bound(MEASURED, "five beams") == "operations"
    assert speed.ceiling(MEASURED, "sampling") == pytest.approx(50.0)
    assert speed.bound(MEASURED, "sampling") == "bytes"
    assert speed.share_of_floor(MEASURED, "five beams") == "60%"


def test_ratios_are_taken_within_a_round() -> None:
    assert speed.ratios(MEASURED, "five beams") == [4.0, 3.0, 4.5]
    assert speed.times(MEASURED, "five beams") == "4.0 (3.0 to 4.5)"
    assert speed.times(MEASURED, "five beams", "the paper") == "12.0 (8.0 to 18.0)"
    assert speed.times(MEASURED, "five beams", contestants.OTHER) == "not run yet"


def test_a_mark_is_reached_by_the_median() -> None:
    assert speed.verdict(MEASURED, "five beams") == "reached"  # 4.0 of 4
    assert speed.verdict(MEASURED, "sampling") == "reached"  # 1.5 of 1.5
    assert speed.verdict(MEASURED, "training") == "not reached"  # 1.25 of 1.3


def test_what_was_not_measured_is_said_to_be_not_run() -> None:
    said = [
        speed.times(None, "training"), speed.verdict(None, "training"), speed.slope(None, "seeds"),
        speed.share_of_floor(None, "training"), speed.spent(None, "training", "attention"),
        speed.at_most(None, "training"),
    ]  # fmt: skip
    assert said == ["not run yet"] * 6
    assert "not run yet" in speed.table(None, "a toy").data


def test_a_whole_run_takes_the_time_of_its_tokens() -> None:
    found = MEASURED | {"block_length": 10}
    job = Job(Protocol(epochs=2, generations=3), None, train=100, valid=20, test=30)
    # Trained are 3 * 2 * 100 blocks; scored 3 * (2 * 20 + 30 + 300) less 100, and 30 at first.
    trained, scored, written = 600, 3 * 370 + 30 - 100, 300
    seconds = 10 * (trained + scored / 3) / 25 + 10 * written / 60
    floor = 10 * (trained + scored / 3) / 50 + 10 * written / 100
    (row,) = speed.whole_runs(found, [job])
    assert row["minutes"] == f"{seconds / 60:.0f}"
    assert row["at the floor"] == f"{floor / 3600:.2f}"
    assert row["share of the floor"] == f"{floor / seconds:.0%}"
    assert speed.whole_runs(None, []) == []


def test_utilisation_is_what_is_needed_at_the_measured_rate() -> None:
    rows = {row["contest"]: row for row in speed.utilisation(MEASURED)}
    assert rows["five beams"]["operations"] == "60%"  # 60 tokens a second, 10 of 1000 each
    assert rows["five beams"]["bytes"] == "30%"
    assert rows["sampling"]["bytes"] == "30%"
    assert speed.utilisation(None) == []


def test_the_table_has_every_side_once() -> None:
    shown = speed.table(MEASURED, "a toy").data
    assert shown.count("<tr>") == sum(len(sides) for sides in MEASURED["contests"].values())
    assert "60 (40 to 90)" in shown


def test_a_slope_is_the_exponent_of_a_power_law() -> None:
    sizes = [1.0, 2.0, 5.0, 10.0]
    exact = growth.slope([[size, 3.0 * size**0.7] for size in sizes])
    assert exact.value == pytest.approx(0.7)
    assert exact.low == pytest.approx(0.7, abs=1e-6) and exact.high == pytest.approx(0.7, abs=1e-6)
    noise = np.random.default_rng(0).normal(0, 0.05, 12)
    points = [[size, size * math.exp(e)] for size, e in zip(sizes * 3, noise, strict=True)]
    found = growth.slope(points)
    x, y = np.log(points).T
    assert found.value == pytest.approx(np.polyfit(x, y, 1)[0])
    assert found.low < 1.0 < found.high


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("aten::addmm_", "products with weights"),
        ("aten::bmm", "attention"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu_backward", "attention"),
        ("aten::topk", "softmax, choice of tokens"),
        ("aten::copy_", "moving data"),
        ("UnsafeViewBackward0", profiling.REST),
    ],
)
def test_operations_are_sorted_into_kinds(operation: str, kind: str) -> None:
    assert profiling.kind(operation) == kind


# -- measuring, on a toy ---------------------------------------------------------------------


@pytest.fixture
def toy_bench(
    toy: Protocol, base: models.Base, blocks: corpus.Blocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole of `book bench` in seconds, on the toy model."""
    protocol = toy.replace(epochs=1, selection="last", decoding="sample")
    monkeypatch.setattr(contestants, "ground", lambda: contestants.Ground(base, blocks, protocol))
    contestants.side.cache_clear()
    monkeypatch.setattr(contestants, "PROMPTS", {"cpu": (16, 8), "cuda": (16, 8)})
    monkeypatch.setattr(contestants, "SIZES", {"cpu": (2, 4), "cuda": (2, 4)})
    monkeypatch.setattr(measurement, "_process", lambda: ThreadPoolExecutor(1))
    # The toy's tokeniser has more tokens than its model, which CTranslate2 does not accept.
    monkeypatch.setattr(contestants, "has_other", lambda: False)
    monkeypatch.setattr(measurement, "_products", lambda kind: 1e9)
    monkeypatch.setattr(measurement, "_copies", lambda kind: 1e9)

    def little(protocol: Protocol, say: Callable[[str], None]) -> dict[str, list[list[float]]]:
        names = ("tokens", "generations", "seeds", "operations")
        return {name: [[1.0, 1.0], [2.0, 2.1], [4.0, 3.9]] for name in names}

    monkeypatch.setattr(measurement.growth, "measure", little)


@pytest.mark.usefixtures("toy_bench")
def test_one_command_measures_all_and_leaves_a_file_that_the_page_can_read() -> None:
    done = CliRunner().invoke(cli.main, ["bench", "--rounds", "2"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    kind = models.device().type
    found = speed.read(kind)
    assert found is not None
    assert found == json.loads(measurement.path(kind, build_dir()).read_text())
    assert set(found["contests"]) == set(speed.RIVALS)
    for contest, sides in found["contests"].items():
        assert "this book" in sides
        assert any(name.startswith(speed.RIVALS[contest]) for name in sides)
        assert all(len(rates) == 2 and min(rates) > 0 for rates in sides.values())
        assert sum(found["profiles"][contest].values()) == pytest.approx(1.0)
    assert found["same_text"] == 1.0
    for draw in (speed.contests, speed.profiles, speed.growing):
        figure, data = draw(found)
        assert len(data) and figure.get_axes()


def test_growth_is_measured_on_runs_that_start_from_nothing(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "ROUNDS", 2)
    monkeypatch.setattr(growth, "BLOCKS", (10, 20))
    monkeypatch.setattr(growth, "GENERATIONS", (1, 3))
    monkeypatch.setattr(growth, "SEEDS", (1, 2))
    monkeypatch.setattr(growth, "WIDTHS", (32, 64))
    computed = []
    compute = growth.loop._compute
    monkeypatch.setattr(
        growth.loop, "_compute", lambda *args: (computed.append(args[2]), compute(*args))
    )
    found = growth.measure(toy, lambda said: None)
    sizes = {name: [size for size, _ in points] for name, points in found.items()}
    assert sizes["tokens"] == [80.0, 160.0] * 2 and sizes["generations"] == [1, 3] * 2
    assert sizes["operations"][0] < sizes["operations"][1]
    # Each of two rounds and a first time: one generation a run, or as many as asked for.
    assert len(computed) == (2 * 2 + 1) + (2 * 4 + 1) + (2 * 3 + 1)
    assert all(seconds > 0 for points in found.values() for _, seconds in points)
    assert not (build_dir() / "records").exists()


@pytest.mark.parametrize(("text", "said"), [("{", "is damaged"), ("{}", "of another version")])
def test_a_file_that_cannot_be_used_is_named(text: str, said: str, tmp_path: Path) -> None:
    path = measurement.path("cpu", build_dir())
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(speed.SpeedError, match=said) as refused:
        speed.read("cpu")
    assert str(path) in str(refused.value) and "make bench" in str(refused.value)
