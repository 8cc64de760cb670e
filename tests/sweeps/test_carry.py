"""A machine that is lent for a while and keeps nothing: what travels is enough, and in time."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from collapse import cli
from collapse.book import chapter
from collapse.experiment import assets, decoding, generations, loop, records
from collapse.experiment.protocol import Protocol
from collapse.sweeps import progress, sweep
from collapse.sweeps.progress import OutOfTime, Watch
from toy_sweeps import fingerprints, undisturbed

Go = Callable[[str], None]


@pytest.fixture
def runs(toy: Protocol) -> list[Protocol]:
    return [toy.replace(seed=seed) for seed in (0, 1)]


@pytest.fixture
def expected(runs: list[Protocol], toy_cache: Path) -> dict[str, str]:
    """Fingerprints of the same runs on a machine that keeps what it has."""
    return {run.hash: undisturbed(run, toy_cache) for run in runs}


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock on which writing a generation takes 60 seconds and nothing else takes any."""
    time, generate = [0.0], decoding.generate

    def writing(*args: object) -> object:
        time[0] += 60
        return generate(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(progress, "now", lambda: time[0])
    monkeypatch.setattr(decoding, "generate", writing)
    return time


def test_runs_go_on_from_empty_folder_to_empty_folder_and_end_the_same(
    runs: list[Protocol],
    expected: dict[str, str],
    slow: list[float],
    elsewhere: Go,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    carry, leases = tmp_path / "carry", []
    while len(leases) < 9:
        elsewhere(f"lease {len(leases)}")
        leases.append(len(list(carry.glob("generations/*"))))
        try:
            sweep.sweep(runs, minutes=2.5, carried=carry)
            break
        except OutOfTime as stopped:
            assert "a generation takes about 60 s, and about 30 s are left" in str(stopped)
        assert not list(carry.rglob("weights.pt"))
    # Two generations fit into each lease: 0, 2 and 4 of the six were there at its start.
    assert leases == [0, 2, 4]
    assert fingerprints() == expected
    carried = [records.read(path) for path in records.list_records(carry / "records")]
    assert {one.protocol.hash: one.fingerprint for one in carried} == expected
    assert "carried here: 4 finished generations" in capsys.readouterr().out


def test_what_is_finished_is_carried_even_if_the_machine_is_taken_away(
    runs: list[Protocol],
    expected: dict[str, str],
    elsewhere: Go,
    tmp_path: Path,
) -> None:
    carry = tmp_path / "carry"
    elsewhere("taken away")
    script = tmp_path / "taken.py"
    script.write_text(
        "import json, os, signal, sys\n"
        "from pathlib import Path\n"
        "from collapse.experiment import decoding\n"
        "from collapse.sweeps import sweep\n"
        "from collapse.experiment.protocol import Protocol\n"
        "generate, calls = decoding.generate, []\n"
        "def dying(*args):\n"
        "    calls.append(len(args[1]))\n"
        "    if calls.count(20) == 2:\n"  # in the middle of generation 1
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return generate(*args)\n"
        "decoding.generate = dying\n"
        "run = Protocol.from_dict(json.loads(sys.argv[1]))\n"
        "sweep.sweep([run], carried=Path(sys.argv[2]))\n"
    )
    command = [sys.executable, str(script), json.dumps(runs[0].to_dict()), str(carry)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(list(carry.glob("generations/*"))) == 1
    elsewhere("another")
    sweep.sweep(runs, carried=carry)
    assert fingerprints() == expected


def test_nothing_is_started_that_would_not_end_in_time(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    time = [1000.0]
    monkeypatch.setattr(progress, "now", lambda: time[0])
    watch = Watch(minutes=5)
    watch.before_run(toy)
    for number in (0, 1):  # how long one takes is not known before one has ended
        watch.before_generation(number)
        time[0] += 20
        watch.during_generation("training", 1, 11)
        time[0] += 30
        watch.during_generation("writing", 1, 2)
        time[0] += 60
        watch.after_generation(number, 110.0, "key", 20.0)
    with pytest.raises(OutOfTime, match="a generation takes about 2 min, and about 80 s are left"):
        watch.before_generation(2)
    with pytest.raises(OutOfTime, match="what is finished is kept, so give the same command again"):
        watch.before_generation(2)
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "seed 0: 3 generations, 2 epochs, nothing retained, decoding by sample"
    # A tenth of what is left took 20 seconds.
    assert told[1] == "  generation 0 of 0-2, training 9%, about 3 min left of it"
    assert told[2] == "  generation 0 of 0-2, writing 50%"
    assert told[3] == "  generation 0: test perplexity 20.0 (done)"
    # Two generations of 110 seconds, of which 50 are over.
    assert told[5] == "  generation 1 of 0-2, writing 50%, about 3 min left in this run"


def test_a_run_that_hands_on_its_weights_is_carried_without_them_and_ends_the_same(
    toy: Protocol, toy_cache: Path, elsewhere: Go, tmp_path: Path
) -> None:
    handing, carry = toy.replace(init="previous"), tmp_path / "carry"
    expected = undisturbed(handing, toy_cache)
    elsewhere("first")
    sweep.sweep([handing.replace(generations=2)], carried=carry)
    elsewhere("second")
    sweep.sweep([handing], carried=carry)
    assert expected in fingerprints().values()
    assert len(list(carry.glob("generations/*"))) == 3
    assert not list(carry.rglob("weights.pt"))


def test_a_recovery_is_carried_and_only_the_weights_it_goes_on_from_are_made_again(
    toy: Protocol, toy_cache: Path, slow: list[float], elsewhere: Go, tmp_path: Path,
) -> None:  # fmt: skip
    mended, carry = toy.replace(recovery=5), tmp_path / "carry"
    expected = undisturbed(mended, toy_cache)
    elsewhere("first")
    with pytest.raises(OutOfTime):
        sweep.sweep([mended], minutes=130 / 60, carried=carry)
    assert len(list(carry.glob("generations/*"))) == 2
    for name, made_again in (("second", 1), ("third", 0)):  # generation 2, after a training of 1
        elsewhere(name)
        before = slow[0]
        sweep.sweep([mended], carried=carry)
        assert slow[0] - before == 60 * made_again
        assert fingerprints() == {mended.hash: expected}
    assert not list(carry.rglob("weights.pt"))


def test_what_is_damaged_on_the_way_is_replaced_by_what_is_whole(
    runs: list[Protocol], expected: dict[str, str], elsewhere: Go, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    carry = tmp_path / "carry"
    elsewhere("first")
    sweep.sweep(runs[:1], carried=carry)
    files = {path: path.read_bytes() for path in carry.rglob("*") if path.is_file()}
    assert {path.name for path in files} >= {"facts.npz", "record.json"}
    for number, (path, whole) in enumerate(files.items()):
        for machine in ("first", f"empty {number}"):  # one that has it whole, one that has not
            path.write_bytes(whole[: len(whole) // 2])
            elsewhere(machine)
            capsys.readouterr()
            sweep.sweep(runs[:1], carried=carry)
            said = capsys.readouterr().out
            # A damaged table of gauges is no damaged record: it is made again from the facts.
            lost = machine != "first" or "records" in path.parts
            assert ("it is not" in said) == (lost and path.name != "gauges.csv")
            assert fingerprints() == {runs[0].hash: expected[runs[0].hash]}
            for one in carry.glob("records/*"):
                assert records.read(one).fingerprint == expected[runs[0].hash]
            for one in carry.glob("generations/*"):
                generations.read(one)
            whole = path.read_bytes()


def test_the_command_says_that_time_is_up_and_with_its_exit_status(
    toy: Protocol, slow: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chapter, "wanted", lambda *_: [toy])
    done = CliRunner().invoke(cli.main, ["sweep", "--minutes", "1.5"])
    assert done.exit_code == 3, done.output
    assert "time is up: a generation takes about 60 s, and about 30 s are left" in done.output


def test_only_what_the_runs_of_the_sweep_made_is_carried(
    runs: list[Protocol], tmp_path: Path
) -> None:
    loop.run(runs[1])  # an earlier experiment
    loop.run(runs[0].replace(generations=2))  # found by the sweep, and part of it
    earlier = {path.name for path in (assets.cache_dir() / "generations").iterdir()}
    (assets.cache_dir() / "generations" / ".half-written").mkdir()
    sweep.sweep(runs[:1], carried=tmp_path / "carry")
    carried = {path.name for path in tmp_path.glob("carry/generations/*")}
    assert len(carried) == 3 and len(carried & earlier) == 2
    assert [path.name for path in tmp_path.glob("carry/records/*")] == [
        path.name for path in records.list_records(records.built()) if "-s0-" in path.name
        and records.read(path).protocol.generations == 3
    ]  # fmt: skip
    files = {path.name for path in tmp_path.glob("carry/generations/*/*")}
    assert files == {"facts.npz"}
