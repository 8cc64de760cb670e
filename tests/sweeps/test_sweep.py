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
from distributed import Client, LocalCluster, WorkerPlugin

from collapse import cli
from collapse.book import chapter
from collapse.experiment import assets, decoding, devices, loop, records
from collapse.experiment.protocol import Arm, Protocol, ProtocolError
from collapse.sweeps import progress, sweep
from collapse.sweeps.progress import SweepError, Tally
from collapse.sweeps.runs import runs_of
from toy_sweeps import fingerprints, undisturbed

SEEDS = (0, 1, 2)
EVERY = [f"{n} of 9" for n in range(1, 10)]  # generations of three runs


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


@contextlib.contextmanager
def plugged(address: str, plugin: WorkerPlugin) -> Iterator[None]:
    """All workers of a cluster with a plugin, which is pickled by value."""
    with Client(address) as client:
        client.register_plugin(plugin)
        try:
            yield
        finally:
            client.unregister_worker_plugin(plugin.name)


@pytest.fixture
def runs(toy: Protocol) -> list[Protocol]:
    return [toy.replace(seed=seed) for seed in SEEDS]


@pytest.fixture
def serial(runs: list[Protocol], toy_cache: Path) -> dict[str, str]:
    """Protocol hash -> fingerprint of each run, computed one by one in a cache of their own."""
    return {run.hash: undisturbed(run, toy_cache) for run in runs}


def told(output: str) -> list[str]:
    """How far a sweep was, line by line."""
    lines = [line for line in output.splitlines() if " generations" in line[:20]]
    return [line.split(" generations")[0] for line in lines if " of " in line[:9]]


# -- where runs are computed -----------------------------------------------------------------


def test_a_sweep_in_this_process_leaves_the_records_of_its_runs(
    runs: list[Protocol], serial: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    sweep.sweep(runs)
    assert fingerprints() == serial
    output = capsys.readouterr().out
    assert told(output) == EVERY
    assert sum(line.endswith(" left") for line in output.splitlines()) == 8
    assert output.count("test perplexity") == 9


def test_a_sweep_on_two_workers_leaves_the_same_records_and_tells_every_generation(
    runs: list[Protocol], serial: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = dict(os.environ)
    assert sweep.sweep(runs, workers=2) == 1
    assert dict(os.environ) == before
    assert fingerprints() == serial
    output = capsys.readouterr().out
    assert "workers: 2; threads of each: 1; on " in output
    assert told(output) == EVERY and "test perplexity" not in output
    assert list(assets.cache_dir().glob(".sweep-*")) == []


def test_a_killed_worker_s_run_goes_on_elsewhere_after_its_last_finished_generation(
    runs: list[Protocol], serial: dict[str, str], address: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    log = tmp_path / "computed"
    log.mkdir()

    class Deadly(WorkerPlugin):
        """Notes every generation that is begun; the first worker in generation 1 is killed."""

        name = "deadly"

        def setup(self, worker: Any) -> None:
            from collapse.sweeps.progress import Watch

            self.real = Watch.before_generation, Watch.during_generation

            def noting(watch: Any, number: int) -> None:
                (log / f"{watch.run} {number} {os.getpid()}").touch()
                self.real[0](watch, number)

            def dying(watch: Any, what: str, *done: int) -> None:
                if (watch.number, what) == (1, "writing"):
                    with contextlib.suppress(FileExistsError):
                        (log / "killed").touch(exist_ok=False)
                        os.kill(os.getpid(), signal.SIGKILL)

            Watch.before_generation, Watch.during_generation = noting, dying

        def teardown(self, worker: Any) -> None:
            from collapse.sweeps.progress import Watch

            Watch.before_generation, Watch.during_generation = self.real

    with plugged(address, Deadly()):
        sweep.sweep(runs, scheduler=address)
    assert (log / "killed").exists()
    assert fingerprints() == serial
    begun = sorted((path.name.split()[0], int(path.name.split()[1])) for path in log.glob("* * *"))
    (twice,) = {pair for pair in begun if begun.count(pair) > 1}
    assert twice[1] == 1  # not generation 0, which was finished
    assert begun == sorted([*((run.hash, number) for run in runs for number in range(3)), twice])
    assert told(capsys.readouterr().out) == EVERY


KILLED = """
import json, os, sys, time
from collapse.experiment.protocol import Protocol
from collapse.sweeps import progress, sweep
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


# -- failures --------------------------------------------------------------------------------


def test_a_run_that_fails_is_told_in_its_sentence_after_the_others_have_ended(
    runs: list[Protocol], serial: dict[str, str], address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = runs[0].replace(block_length=33)  # longer than the toy model's context
    for scheduler in (None, address):
        with pytest.raises(ProtocolError, match=r"block_length=33 .* give at most 32"):
            sweep.sweep([refused, *runs[:2]], scheduler=scheduler)
        assert fingerprints() == {run.hash: serial[run.hash] for run in runs[:2]}
        output = capsys.readouterr().out
        assert output.count(f"run {refused.hash} (seed 0) failed: block_length=33") == 1
        for path in records.list_records(records.built()):
            shutil.rmtree(path)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("CUDA out of memory\nand more"), "stopped with RuntimeError: CUDA out of"),
        (MemoryError(), r"\(seed 0\) stopped with MemoryError: no message; run the same"),
    ],
)
def test_an_unforeseen_failure_is_told_in_one_sentence(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(loop, "run", failing)
    with pytest.raises(SweepError, match=said) as refusal:
        sweep.sweep([toy])
    assert "\n" not in str(refusal.value)


# -- refusals --------------------------------------------------------------------------------


def test_a_scheduler_that_does_not_answer_is_refused_in_one_sentence(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "PATIENCE", 0.5)
    with socket.socket() as bound:  # nobody listens there
        bound.bind(("127.0.0.1", 0))
        silent = f"tcp://127.0.0.1:{bound.getsockname()[1]}"
        for address in (silent, "no address"):
            with pytest.raises(SweepError, match=f"no Dask scheduler answers at {address}") as said:
                sweep.sweep([toy], scheduler=address)
            assert "\n" not in str(said.value)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc/self")
@pytest.mark.parametrize("variable", ["COLLAPSE_CACHE", "COLLAPSE_BUILD"])
def test_workers_that_do_not_see_a_folder_are_refused(
    toy: Protocol, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, "/proc/self/cwd/mine")  # another folder in each process
    with pytest.raises(SweepError, match=rf"does not see the folder .*mine; .* {variable}") as said:
        sweep.sweep([toy], scheduler=address)
    assert "\n" not in str(said.value)
    assert records.list_records(records.built()) == []
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.parametrize("key", ["code", "threads"])
def test_workers_that_differ_are_refused(toy: Protocol, address: str, key: str) -> None:
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

    with plugged(address, Other()):
        with pytest.raises(SweepError, match=f"the workers differ in {key}, from") as said:
            sweep.sweep([toy], scheduler=address)
    assert "\n" not in str(said.value)


def test_a_worker_that_takes_several_tasks_is_refused(toy: Protocol) -> None:
    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        with pytest.raises(SweepError, match="takes 2 tasks at once"):
            sweep.sweep([toy], scheduler=cluster.scheduler_address)


def test_what_excludes_each_other_is_refused(
    toy: Protocol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "tcp://127.0.0.1:1"
    for given in ({"scheduler": address}, {"minutes": 1e9}, {"carried": tmp_path}):
        with pytest.raises(SweepError, match="exclude each other; leave out all but one"):
            sweep.sweep([toy], workers=2, **given)  # type: ignore[arg-type]
    monkeypatch.setenv("WORLD_SIZE", "2")
    for given in ({"scheduler": address}, {"workers": 2}):
        with pytest.raises(SweepError, match="exclude each other; leave out all but one"):
            sweep.sweep([toy], **given)  # type: ignore[arg-type]


# -- several processes, one run --------------------------------------------------------------


def test_a_failure_of_one_process_ends_it_before_the_next_run(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def failing(run: Protocol, *_: object) -> None:
        begun.append(run.seed)
        raise RuntimeError("no more memory")

    monkeypatch.setattr(loop, "run", failing)
    runs = [toy, toy.replace(seed=1)]
    with pytest.raises(SweepError, match="no more memory"):
        sweep.sweep(runs)
    assert begun == [0, 1]  # alone: the others are computed
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RuntimeError, match="no more memory"):
        sweep.sweep(runs)
    assert begun == [0, 1, 0]


@pytest.mark.parametrize("first_says", [True, False])
def test_the_first_process_decides_whether_there_is_time(
    first_says: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = progress.Watch(minutes=1)
    watch.longest = 0.0 if first_says else 3600.0  # this process thinks otherwise
    monkeypatch.setattr(devices, "broadcast", lambda own: first_says)
    if first_says:
        with pytest.raises(progress.OutOfTime):
            watch.before_generation(1)
    else:
        watch.before_generation(1)


# -- progress --------------------------------------------------------------------------------


def test_the_time_left_is_at_the_pace_of_what_was_computed(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    time = [1000.0]
    monkeypatch.setattr(progress, "now", lambda: time[0])
    one, two = toy.replace(generations=6), toy.replace(generations=6, seed=1)
    tally = Tally([one, two])
    tally.ended(one.hash, 0, None)  # from the cache: says nothing of the time
    tally.ended(one.hash, 0, None)  # told again: counted once
    assert capsys.readouterr().out == "1 of 12 generations\n"
    time[0] += 300
    tally.ended(one.hash, 1, 300.0)
    assert capsys.readouterr().out == "2 of 12 generations, about 50 min left\n"  # 10 x 300 s
    time[0] += 300
    for number in range(3):  # two workers, and the second was slower
        tally.ended(two.hash, number, 200.0)
    assert capsys.readouterr().out.splitlines()[-1].endswith("about 18 min left")  # 7 x 150 s
    tally.failed(one, MemoryError())
    capsys.readouterr()
    tally.ended(two.hash, 3, 300.0)
    assert capsys.readouterr().out == "6 of 12 generations, about 4 min left\n"  # 2 x 120 s


# -- the command -----------------------------------------------------------------------------


def test_the_command_computes_what_a_chapter_then_finds_finished(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arm = Arm(toy, [0, 1], "all")
    monkeypatch.setattr(chapter, "arms", lambda *_: {"own": arm, "again": arm})
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    done = CliRunner().invoke(cli.main, ["sweep", "no-retention", "--scale", "smoke"])
    assert done.exit_code == 0, done.output
    first, *_, last = done.output.splitlines()
    assert first == "to compute: 2 runs of 6 generations in all"
    assert last == "all computed; `OMP_NUM_THREADS=1 book run` finds them finished"
    monkeypatch.setattr(decoding, "generate", lambda *_: pytest.fail("computed again"))
    assert [one.record.fingerprint for one in runs_of(arm)] == list(fingerprints().values())
    assert capsys.readouterr().out.count("(from the cache)") == 6


def test_a_recomputation_sweeps_before_it_executes_the_chapters(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Any] = []
    monkeypatch.setenv("COLLAPSE_BUILD", os.environ["COLLAPSE_BUILD"])  # the command sets it
    monkeypatch.setattr(chapter, "wanted", lambda names, *given: done.append(given) or [toy])
    monkeypatch.setattr(sweep, "sweep", lambda runs, *where: done.append((len(runs), *where)))
    monkeypatch.setattr(cli.pages, "run_chapters", lambda *_, **__: done.append("executed"))
    monkeypatch.setattr(records, "publish", lambda _: [])
    said = CliRunner().invoke(cli.main, ["recompute"])
    assert isinstance(said.exception, SystemExit | FileNotFoundError)  # there is no picture
    assert done[:3] == [("laptop", {"compute": "all"}), (1, "laptop"), "executed"]
