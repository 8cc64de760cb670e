"""The runs of an arm: read or computed as it is told, and all of it without loading PyTorch."""

import subprocess
import sys
from pathlib import Path

import pytest

from collapse.experiment import arms, loop, records
from collapse.experiment.loop import Observer
from collapse.experiment.protocol import Arm, Protocol, ProtocolError
from collapse.experiment.record import Record, RecordError
from toy_records import make_record


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seeds 0 and 1 are recorded; running a seed only notes it in the list given."""
    folder, ran = tmp_path / "records", []
    for seed in (0, 1):
        records.write(make_record(Protocol(generations=3, seed=seed)), folder)

    def run(protocol: Protocol, scale: str, observer: Observer | None) -> Record:
        ran.append(protocol.seed)
        return make_record(protocol, scale=scale)

    monkeypatch.setattr(records, "published", lambda: folder)
    monkeypatch.setattr(loop, "run", run)
    return ran


@pytest.mark.parametrize(
    ("compute", "shown", "ran"),
    [
        ("none", [0, 1], []),
        ("missing", [0, 1, 2, 3], [2, 3]),
        ("seed", [0, 1, 3], [3]),
        ("all", [0, 1, 2, 3], [0, 1, 2, 3]),
    ],
)
def test_an_arm_is_read_or_computed_as_it_is_told(
    shelf: list[int], compute: str, shown: list[int], ran: list[int]
) -> None:
    arm = Arm(Protocol(generations=3, seed=3), [2, 1, 0], compute)
    assert [run.seed for run in arms.missing(arm)] == ran
    runs = loop.arm(arm, "laptop")
    assert [run.record.protocol.seed for run in runs] == shown
    assert shelf == ran
    assert [run.record.protocol.seed for run in runs if run.computed] == ran
    assert {run.record.provenance["scale"] for run in runs if run.computed} <= {"laptop"}
    assert arms.one_of(runs, 1).record.protocol.seed == 1
    assert arms.one_of(runs, 9).record.protocol.seed == 0  # the first there is


def test_a_seed_that_is_recorded_is_computed_again_where_it_is_the_one_asked_for(
    shelf: list[int],
) -> None:
    runs = loop.arm(Arm(Protocol(generations=3, seed=1), [0, 1], "seed"))
    assert shelf == [1]
    assert [run.computed for run in runs] == [False, True]


def test_a_recorded_longer_chain_serves_a_shorter_arm(shelf: list[int]) -> None:
    runs = loop.arm(Arm(Protocol(generations=2), [0, 1], "none"))
    assert [len(run.record.generations) for run in runs] == [2, 2]


def test_an_unknown_way_to_compute_and_a_run_that_is_not_there_are_refused() -> None:
    with pytest.raises(ProtocolError, match="compute='some' is not one of: missing, seed"):
        Arm(Protocol(), [0], "some")
    with pytest.raises(RecordError, match="there is no run to show"):
        arms.one_of([], 0)


def test_records_and_arms_are_read_without_torch() -> None:
    modules = "collapse.experiment.arms, collapse.experiment.record, collapse.experiment.records"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
