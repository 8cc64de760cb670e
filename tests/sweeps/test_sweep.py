"""Sweeps: wherever a run is computed, and whatever happens to its worker: the same record."""

import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from distributed import Client, KilledWorker, LocalCluster, WorkerPlugin
from test_records import make_record

import index
from collapse import cli
from collapse.book import chapter
from collapse.experiment import assets, decoding, loop, records
from collapse.experiment.protocol import Arm, Protocol, ProtocolError
from collapse.sweeps import sweep
from collapse.sweeps.progress import Tally
from collapse.sweeps.sweep import SweepError

SEEDS = (0, 1, 2, 3)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Two worker processes, of which one that dies is started again."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", memory_limit=0,
        dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL,
    ) as started:  # fmt: skip
        yield started


@pytest.fixture
def address(cluster: LocalCluster) -> str:
    """The address of the scheduler of a cluster with both its workers."""
    with Client(cluster) as client:
        client.wait_for_workers(2, timeout=60)
    return cluster.scheduler_address


@pytest.fixture
def runs(toy: Protocol) -> list[Protocol]:
    return [toy.replace(seed=seed) for seed in SEEDS]


@pytest.fixture
def serial(runs: list[Protocol], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Protocol hash -> fingerprint of each run, computed one by one in a cache of their own."""
    with monkeypatch.context() as patch:
        shutil.copytree(tmp_path / "cache" / "sources", tmp_path / "serial cache" / "sources")
        patch.setenv("COLLAPSE_CACHE", str(tmp_path / "serial cache"))
        patch.setenv("COLLAPSE_BUILD", str(tmp_path / "serial build"))
        return {run.hash: loop.run(run).fingerprint for run in runs}


def fingerprints() -> dict[str, str]:
    """Protocol hash -> fingerprint of each record in the build folder."""
    built = [records.read(path) for path in records.list_records(records.built())]
    return {record.protocol.hash: record.fingerprint for record in built}


def progress_lines(output: str) -> list[str]:
    return [line for line in output.splitlines() if " generations" in line and " of " in line[:9]]


def test_a_sweep_in_this_process_leaves_the_records_of_its_runs(
    runs: list[Protocol], serial: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    sweep.sweep(runs)
    assert fingerprints() == serial
    told = progress_lines(capsys.readouterr().out)
    assert [line.split(" generations")[0] for line in told] == [f"{n} of 12" for n in range(1, 13)]
    assert all(line.endswith(" left") for line in told[:-1])


def test_a_sweep_on_two_workers_leaves_the_same_records_and_tells_every_generation(
    runs: list[Protocol], serial: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    before = dict(os.environ)
    assert sweep.sweep(runs, workers=2) == 1
    assert dict(os.environ) == before
    assert fingerprints() == serial
    first, _, *told = capsys.readouterr().out.splitlines()
    assert first.startswith("workers: 2; threads of each: 1; on ")
    assert [line.split(" generations")[0] for line in told] == [f"{n} of 12" for n in range(1, 13)]
    assert list(assets.cache_dir().glob(".sweep-*")) == []


def test_a_killed_worker_s_run_goes_on_elsewhere_after_its_last_finished_generation(
    runs: list[Protocol],
    serial: dict[str, str],
    address: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = tmp_path / "computed"
    log.mkdir()

    class Deadly(WorkerPlugin):  # pickled by value, for it is defined in a function
        """Notes every generation that is begun; the first worker in generation 1 is killed."""

        name = "deadly"

        def setup(self, worker: Any) -> None:
            from collapse.experiment import decoding, loop

            self.real = loop._compute, decoding.generate
            compute, generate = self.real
            number = []

            def noting(chain: Any, train: Any, n: int, *rest: Any) -> None:
                number[:] = [n]
                (log / f"{chain.protocol.seed} {n} {os.getpid()}").touch()
                compute(chain, train, n, *rest)

            def dying(*args: Any) -> Any:
                if number == [1]:
                    with contextlib.suppress(FileExistsError):
                        (log / "killed").touch(exist_ok=False)
                        os.kill(os.getpid(), signal.SIGKILL)
                return generate(*args)

            loop._compute, decoding.generate = noting, dying

        def teardown(self, worker: Any) -> None:
            from collapse.experiment import decoding, loop

            loop._compute, decoding.generate = self.real

    with Client(address) as client:
        client.register_plugin(Deadly())
        try:
            capsys.readouterr()
            sweep.sweep(runs, scheduler=address)
            told = progress_lines(capsys.readouterr().out)
        finally:
            client.unregister_worker_plugin("deadly")
    assert (log / "killed").exists()
    assert fingerprints() == serial
    begun = sorted(tuple(map(int, path.name.split()[:2])) for path in log.glob("* * *"))
    every = [(seed, number) for seed in SEEDS for number in range(3)]
    (twice,) = {pair for pair in begun if begun.count(pair) > 1}
    assert twice[1] == 1  # not generation 0, which was finished
    assert begun == sorted([*every, twice])
    assert [line.split(" generations")[0] for line in told] == [f"{n} of 12" for n in range(1, 13)]


KILLED = """
import json, os, sys, time
from collapse.experiment import loop
from collapse.sweeps import sweep
from collapse.experiment.protocol import Protocol
if __name__ == "__main__":
    def started(client, *_):
        print(*[int(pid) for pid in client.run(os.getpid).values()], flush=True)
        client.submit(time.sleep, 600)
        time.sleep(600)
    sweep._spread = started
    sweep.sweep([Protocol.from_dict(json.loads(sys.argv[1]))], workers=2)
"""


def test_the_workers_of_a_sweep_end_when_it_is_killed(toy: Protocol, tmp_path: Path) -> None:
    program = tmp_path / "killed.py"
    program.write_text(KILLED)
    command = [sys.executable, str(program), json.dumps(toy.to_dict())]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in started.stdout.readline().split()]
    assert len(pids) == 2
    started.kill()
    try:  # all of them hold the other end of this pipe
        started.communicate(timeout=60)
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_a_run_that_fails_is_told_in_its_sentence_after_the_others_have_ended(
    runs: list[Protocol], serial: dict[str, str], address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = runs[0].replace(block_length=33)  # longer than the toy model's context
    for scheduler in (None, address):
        with pytest.raises(ProtocolError, match=r"block_length=33 .* give at most 32"):
            sweep.sweep([refused, *runs[:2]], scheduler=scheduler)
        assert fingerprints() == {run.hash: serial[run.hash] for run in runs[:2]}
        told = capsys.readouterr().out
        assert told.count(f"run {refused.hash} (seed 0) failed: block_length=33") == 1
        for path in records.list_records(records.built()):
            shutil.rmtree(path)


def test_an_unforeseen_failure_is_told_in_one_sentence_too(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise RuntimeError("CUDA out of memory\nand more")

    monkeypatch.setattr(decoding, "generate", failing)
    with pytest.raises(SweepError, match="stopped with RuntimeError: CUDA out of memory") as told:
        sweep.sweep([toy])
    assert "\n" not in str(told.value)
    assert isinstance(told.value.__cause__, RuntimeError)


def test_a_run_that_lost_too_many_workers_is_told_with_a_remedy(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    def losing(*_: object) -> None:
        raise KilledWorker("task", None, 3)

    monkeypatch.setattr(loop, "run", losing)
    with pytest.raises(SweepError, match=r"\(seed 0\) lost 4 workers, .* use fewer") as told:
        sweep.sweep([toy])
    assert "\n" not in str(told.value)


# -- refusals --------------------------------------------------------------------------------


def test_a_scheduler_that_does_not_answer_is_refused_in_one_sentence(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "PATIENCE", 0.5)
    with socket.socket() as bound:  # nobody listens there
        bound.bind(("127.0.0.1", 0))
        silent = f"tcp://127.0.0.1:{bound.getsockname()[1]}"
        for address in (silent, "no address"):
            with pytest.raises(SweepError, match=f"no Dask scheduler answers at {address}") as told:
                sweep.sweep([toy], scheduler=address)
            assert "\n" not in str(told.value)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc/self")
@pytest.mark.parametrize("variable", ["COLLAPSE_CACHE", "COLLAPSE_BUILD"])
def test_workers_that_do_not_see_a_folder_are_refused(
    toy: Protocol, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, "/proc/self/cwd/mine")  # another folder in each process
    with pytest.raises(SweepError, match=rf"does not see the folder .*mine; .* {variable}") as told:
        sweep.sweep([toy], scheduler=address)
    assert "\n" not in str(told.value)
    assert records.list_records(records.built()) == []
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.parametrize("key", ["code", "threads"])
def test_workers_that_differ_are_refused(
    toy: Protocol, address: str, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    class Other(WorkerPlugin):
        """Makes one of the workers another machine."""

        name = "other"

        def setup(self, worker: Any) -> None:
            from collapse.experiment import provenance

            self.real = provenance.numerics
            other = {**provenance.numerics(), key: "99"}
            if worker.name == 1:
                provenance.numerics = lambda: other

        def teardown(self, worker: Any) -> None:
            from collapse.experiment import provenance

            provenance.numerics = self.real

    with Client(address) as client:
        client.register_plugin(Other())
        try:
            with pytest.raises(SweepError, match=f"has another version of {key}") as told:
                sweep.sweep([toy], scheduler=address)
        finally:
            client.unregister_worker_plugin("other")
    assert "\n" not in str(told.value)


def test_a_worker_that_takes_several_tasks_is_refused(toy: Protocol) -> None:
    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        with pytest.raises(SweepError, match="takes 2 tasks at once"):
            sweep.sweep([toy], scheduler=cluster.scheduler_address)


def test_workers_of_this_machine_and_of_a_cluster_exclude_each_other(toy: Protocol) -> None:
    with pytest.raises(SweepError, match="leave out workers=2"):
        sweep.sweep([toy], workers=2, scheduler="tcp://127.0.0.1:1")


# -- progress --------------------------------------------------------------------------------


def test_the_time_left_is_that_of_what_was_computed_shared_by_the_workers(
    toy: Protocol, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = toy.replace(generations=6), toy.replace(generations=6, seed=1)
    tally = Tally([one, two], ["a", "b"])
    tally.ended(one.hash, 0, None, "a")  # from the cache: says nothing of the time
    tally.ended(one.hash, 0, None, "b")  # told again: counted once
    assert capsys.readouterr().out == "1 of 12 generations\n"
    tally.ended(one.hash, 1, 300.0, "a")
    assert tally.seconds_left() == 6 * 300.0  # the other chain is whole, and one worker's
    for number in range(3):
        tally.ended(two.hash, number, 600.0, "b")
    mean = (300.0 + 3 * 600.0) / 4
    assert tally.seconds_left() == 4 * mean
    capsys.readouterr()
    tally.gave_up(one.hash)
    tally.ended(two.hash, 3, 300.0, "b")
    assert capsys.readouterr().out == "6 of 12 generations, about 16 min left\n"  # 2 x 480 s


def test_one_worker_takes_one_chain_after_another(toy: Protocol) -> None:
    one, two = toy.replace(generations=4), toy.replace(generations=4, seed=1)
    tally = Tally([one, two])
    tally.ended(one.hash, 0, 10.0)
    assert tally.seconds_left() == 7 * 10.0


# -- the arms of the chapters ----------------------------------------------------------------


@pytest.mark.parametrize("scale", chapter.SCALES)
@pytest.mark.parametrize("name", chapter.names())
def test_the_arms_of_a_chapter_are_what_its_cells_ask_for(
    monkeypatch: pytest.MonkeyPatch, name: str, scale: str
) -> None:
    values = chapter.settings(name, scale, {})
    expected = list(chapter.arms(name, values).values())
    asked = []
    arm = loop.arm

    def noting(wanted: Arm, scale: str = "paper") -> list[loop.Run]:
        asked.append(wanted)
        return arm(wanted, scale)

    monkeypatch.setattr(loop, "arm", noting)
    monkeypatch.setattr(loop, "run", lambda protocol, scale: make_record(protocol, scale=scale))
    monkeypatch.setattr(chapter, "published", lambda *_: {})  # asks for other settings' arms
    monkeypatch.setattr(index, "rows", lambda: [])
    namespace = dict(values)
    code = [cell.source for cell in chapter.read(name).cells if cell.cell_type == "code"]
    for source in code[1 : 3 if expected else 1]:
        exec(source, namespace)
    assert asked == expected
    assert bool(expected) == ("compute" in values)


def test_a_chapter_s_arms_follow_its_parameters() -> None:
    values = chapter.settings("no-retention", "laptop", {"seeds": "[5, 4]", "retained": "0.2"})
    arms = chapter.arms("no-retention", values)
    assert [(run.seed, run.retained) for run in arms["own"].runs()] == [
        (0, 0.2), (4, 0.2), (5, 0.2),
    ]  # fmt: skip
    values = chapter.settings("no-retention", "laptop", {"decoding": "beam"})
    assert list(chapter.arms("no-retention", values)) == ["own"]


def test_a_sweep_gathers_every_missing_run_of_the_chapters_once() -> None:
    both = ["no-retention", "ten-percent-retention"]
    found = sweep.gather(both, "laptop", {"compute": "all"})
    # Two settings times two numbers of epochs, three seeds each, and the beam run.
    assert len(found) == len({run.hash for run in found}) == 4 * 3 + 1
    assert {(run.epochs, run.retained) for run in found} == {(5, 0), (10, 0), (5, 0.1), (10, 0.1)}
    assert [run.generations for run in found if run.decoding == "beam"] == [2]
    # One domain, two shares, two temperatures and beams; its first arm is no-retention's.
    every = sweep.gather([], "laptop", {"compute": "all"})
    # Three pools, a fixed and a fresh share; five more shares; three amounts after none and after
    # four rounds of collapse: the other arms of these two chapters are those of the ones before.
    assert len(every) == len({run.hash for run in every}) == len(found) + (6 + 5 + 5 + 6) * 3
    assert {run.corpus for run in every} == {"wikitext2", "sotu"}
    assert {run.retained for run in every} == {0, 0.1, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 1}
    assert {run.recovery for run in every} == {0, 64, 256, 512}
    assert {run.temperature for run in every} == {0.7, 1.0}
    assert sweep.gather([], "laptop", {"compute": "none"}) == []
    assert sweep.gather(["index"], "laptop", {}) == []


def test_the_command_computes_what_a_chapter_then_finds_finished(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = Arm(toy, [0, 1], "all")
    monkeypatch.setattr(chapter, "arms", lambda *_: {"own": arm, "again": arm})
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    done = CliRunner().invoke(cli.main, ["sweep", "no-retention", "--scale", "smoke"])
    assert done.exit_code == 0, done.output
    first, *_, last = done.output.splitlines()
    assert first == "to compute: 2 runs of 6 generations in all"
    assert last == "all computed; `OMP_NUM_THREADS=1 book run` finds them finished"
    monkeypatch.setattr(loop, "_compute", lambda *_: pytest.fail("computed again"))
    assert [run.record.fingerprint for run in loop.arm(arm)] == list(fingerprints().values())


def test_a_recomputation_sweeps_before_it_executes_the_chapters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[Any] = []
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("COLLAPSE_BUILD", os.environ["COLLAPSE_BUILD"])  # the command sets it
    monkeypatch.setattr(sweep, "sweep", lambda runs, *where: done.append((len(runs), *where)) or 3)
    monkeypatch.setattr(
        cli, "run_chapters", lambda *_, **__: done.append(os.environ["OMP_NUM_THREADS"])
    )
    monkeypatch.setattr(records, "publish", lambda _: [])
    told = CliRunner().invoke(cli.main, ["recompute", "--workers", "2"])
    assert isinstance(told.exception, SystemExit | FileNotFoundError)  # there is no picture
    # Three seeds of four arms in the retention chapters, of six more in that on entropy and of
    # sixteen more in those on pools and shares, and one short run with beams.
    assert done[:2] == [(3 * (4 + 6 + 16) + 1, "laptop", 2, None, None, None), "3"]
