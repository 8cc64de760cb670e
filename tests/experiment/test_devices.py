"""Two processes that share a run, started by `torchrun`, against one."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from collapse import cli
from collapse.experiment import assets, devices, loop, records, sources
from collapse.experiment.protocol import Protocol

TOGETHER = """
import json, sys
from collapse.experiment import devices, loop
from collapse.experiment.protocol import Protocol
from collapse.sweeps.progress import Watch
with devices.one_speaks():
    for values in json.loads(sys.argv[1]):
        loop.run(Protocol(**values), observer=Watch())
"""


def launched(program: str, *arguments: str) -> str:
    """What two processes on this machine say."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
        program, *arguments,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_processes_end_with_the_records_of_one(
    toy: Protocol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 9 to a batch, 20 blocks: odd shares, and a last batch of two. Dropout, which differs between
    # processes, is off in a copy of the model.
    folder = Path(shutil.copytree(sources.model_folder(toy.model), tmp_path / "without-dropout"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"dropout": 0.0}))
    shared = toy.replace(model=sources.name_model(str(folder)), batch=9, generations=2)
    protocols = [shared.replace(decoding=decoding) for decoding in ("sample", "beam")]
    alone = [loop.run(protocol) for protocol in protocols]
    shutil.copytree(tmp_path / "cache" / "sources", tmp_path / "together" / "cache" / "sources")
    for name in ("cache", "build"):
        monkeypatch.setenv(f"COLLAPSE_{name.upper()}", str(tmp_path / "together" / name))
    program = tmp_path / "together.py"
    program.write_text(TOGETHER)
    said = launched(str(program), json.dumps([protocol.to_dict() for protocol in protocols]))
    assert said.count("generation 1: test perplexity") == 2
    for protocol, expected in zip(protocols, alone, strict=True):
        together = records.find(protocol, records.built())
        assert together is not None and together.provenance["processes"] == 2
        for column in expected.generations:
            gauge = expected.generations[column.removesuffix("_se")].abs().max()
            np.testing.assert_allclose(
                together.generations[column],
                expected.generations[column],
                rtol=2e-4,
                atol=1e-6 * gauge,  # an error is a difference of values rounded to float32
                err_msg=column,
            )
        for name, array in expected.arrays.items():
            np.testing.assert_allclose(together.arrays[name], array, rtol=2e-3, err_msg=name)
        # What the first process stored is found by one process alone.
        loop._materials.cache_clear()
        assert loop.run(protocol).fingerprint == together.fingerprint
    assert len(list((assets.cache_dir() / "generations").iterdir())) == 4


def test_a_launcher_s_processes_and_workers_exclude_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "processes", lambda: 2)
    monkeypatch.setattr(devices, "rank", lambda: 0)
    done = CliRunner().invoke(cli.main, ["sweep", "--scale", "smoke", "--workers", "2"])
    assert done.exit_code != 0
    assert "a launcher) exclude each other" in done.output


@pytest.mark.parametrize(("rows", "number"), [(7, 3), (2, 5), (0, 2)])
def test_shares_are_whole_and_nearly_equal(rows: int, number: int) -> None:
    parts = [list(range(rows))[some] for some in devices.slices(rows, number)]
    assert [row for part in parts for row in part] == list(range(rows))
    assert len(parts) == number
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_workers_share_the_threads_and_give_them_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:

        def threads(_: Any) -> int:
            return torch.get_num_threads()

        with devices.side_by_side(2) as each:
            assert list(each(threads, range(4))) == [2, 2, 2, 2]
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


PARENT = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from collapse.bench import measurement
from collapse.experiment import devices

if __name__ == "__main__":
    start = dict(mp_context=multiprocessing.get_context("spawn"))
    with measurement._process() as idle:
        with ProcessPoolExecutor(1, initializer=devices.end_with_parent, **start) as busy:
            pids = [pool.submit(os.getpid).result() for pool in (idle, busy)]
            busy.submit(time.sleep, 600)
            print(*pids, flush=True)
            time.sleep(600)
"""


def test_children_that_wait_or_work_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(PARENT)
    # All of them hold the other end of this pipe, which is closed when the last has ended.
    parent = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    parent.kill()
    try:
        parent.communicate(timeout=60)
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
