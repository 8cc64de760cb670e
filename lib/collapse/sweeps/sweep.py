"""Many runs: one after another in this process, on workers of this machine, or on a Dask cluster.

A task is a whole run. Its finished generations lie in the cache, which all workers share: the run
of a worker that is lost goes on elsewhere after the last generation that it finished.
"""

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch

from collapse.errors import BookError
from collapse.experiment import (
    assets,
    corpus,
    devices,
    generations,
    loop,
    models,
    provenance,
    records,
)
from collapse.experiment.protocol import Protocol
from collapse.sweeps import carry
from collapse.sweeps.progress import OutOfTime, SweepError, Tally, Watch

if TYPE_CHECKING:  # imported where it is needed, for that takes a second
    from distributed import Client, Worker

PATIENCE = 5.0  # seconds until a silent scheduler counts as absent
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def sweep(
    protocols: Sequence[Protocol],
    scale: str = "paper",
    workers: int | None = None,
    scheduler: str | None = None,
    minutes: float | None = None,
    carried: Path | None = None,
) -> int:
    """Compute runs that differ from each other, and leave their records in the build folder.

    Args:
        workers: processes on this machine that share its processor, or have a GPU each; without
            this and `scheduler`, one run follows another in this process.
        scheduler: the address of a Dask scheduler, as in `tcp://HOST:8786`.
        minutes: until it is to stop, where one run follows another.
        carried: the folder through which finished generations and records travel; likewise.

    Returns:
        the number of threads of a run, which is part of what names its finished generations.

    Raises:
        OutOfTime: the time was up first.
        SweepError: there is no such cluster, its workers are no good, or a run stopped.
        BookError: a text or a base model cannot be had, or a run was refused; all others have ended
            by then.
    """
    alone = minutes or carried or devices.processes() > 1
    if sum(map(bool, (workers, scheduler, alone))) > 1:
        raise SweepError(
            "workers of this machine, a cluster, and what is for runs that follow one another (a "
            "time limit, a folder to carry, a launcher) exclude each other; leave out all but one"
        )
    threads, tally = torch.get_num_threads(), Tally(protocols)
    if workers or scheduler:
        with _remote(scheduler) if scheduler else _local(workers or 1) as client:
            threads = _spread(client, protocols, scale, tally)
    else:
        _one_by_one(protocols, scale, minutes, carried, tally)
    if tally.failures:
        raise tally.failures[0]
    return threads


def _one_by_one(
    runs: Sequence[Protocol], scale: str, minutes: float | None, carried: Path | None, tally: Tally
) -> None:
    def ended(run: str, number: int, seconds: float | None, key: str) -> None:
        tally.ended(run, number, seconds)
        if carried and devices.rank() == 0:
            carry.copy(generations.folder(key), carried / "generations" / key)

    watch = Watch(minutes, ended)
    if carried:
        print(f"carried here: {carry.fetch(carried)} finished generations", flush=True)
    for run in runs:
        try:
            record = loop.run(run, scale, watch)
            if carried and devices.rank() == 0:
                records.write(record, carried / "records")
        except OutOfTime:
            raise
        except Exception as error:
            if devices.processes() > 1:
                raise  # the others wait for this one in this run, and not in the next
            tally.failed(run, error)


# -- the two clusters ------------------------------------------------------------------------


@contextlib.contextmanager
def _local(workers: int) -> Iterator["Client"]:
    """A cluster of processes on this machine that ends with the sweep."""
    import dask
    from distributed import Client, LocalCluster

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    workers = min(workers, gpus or workers)  # each has one for itself
    # The processor has little to do beside a GPU; and a chapter, which has as many threads as
    # this process, finds the generations again.
    threads = torch.get_num_threads() if gpus else max(1, torch.get_num_threads() // workers)
    with (
        mock.patch.dict(os.environ),  # a nanny writes into its own process's, too
        dask.config.set({"distributed.nanny.pre-spawn-environ": dict.fromkeys(THREADS, threads)}),
        LocalCluster(
            n_workers=workers, threads_per_worker=1, host="127.0.0.1", memory_limit=0,
            dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        yield client


@contextlib.contextmanager
def _remote(address: str) -> Iterator["Client"]:
    """A cluster that is there already, and stays."""
    from distributed import Client

    try:
        client = Client(address, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise SweepError(
            f"no Dask scheduler answers at {address} within {PATIENCE:g} seconds; start one, or "
            "give the address that it prints, as in tcp://HOST:8786"
        ) from error
    with client:
        print(f"waiting for the first worker at {address} ...", flush=True)
        client.wait_for_workers(1)
        yield client


# -- the tasks -------------------------------------------------------------------------------


def _spread(client: "Client", runs: Sequence[Protocol], scale: str, tally: Tally) -> int:
    """Compute the runs on the workers of a cluster; return the threads of each."""
    from distributed import as_completed

    with _mark(assets.cache_dir()) as cache, _mark(assets.build_dir()) as build:
        marks = {"COLLAPSE_CACHE": cache, "COLLAPSE_BUILD": build}
        threads = _mustered(client, marks)
        for name in set[str]().union(*map(corpus.needed, runs)):
            corpus.load_text(name)  # fetched once, into the cache of all
        for name in {run.model for run in runs}:
            models.source(name).fetch()
        client.subscribe_topic(cache, lambda event: tally.ended(*event[1]))
        futures = {client.submit(_on_worker, marks, run, scale, pure=False): run for run in runs}
        for future in as_completed(list(futures)):
            if error := future.exception():
                tally.failed(futures[future], error)
        client.unsubscribe_topic(cache)
    return threads


@contextlib.contextmanager
def _mark(folder: Path) -> Iterator[str]:
    """A file in a folder, by which workers know it; where links lead is for each machine to say."""
    folder.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=folder.absolute(), prefix=".sweep-") as file:
        yield file.name


def _mustered(client: "Client", marks: dict[str, str]) -> int:
    """See that all workers that are there would compute the same bits; return their threads."""
    try:
        found = list(client.run(_settled, marks).values())
    except BookError:
        raise
    except Exception as error:  # whatever comes of a worker without this package
        raise SweepError(
            f"the workers cannot run this book's code ({type(error).__name__}: {error}); start "
            "them with the Python in which it is installed, at the same version"
        ) from error
    here = found[0] | {"code": provenance.numerics()["code"]}
    if unlike := [key for key in here if len({one[key] for one in [here, *found]}) > 1]:
        raise SweepError(
            f"the workers differ in {', '.join(unlike)}, from each other or from this process, and "
            "would compute other bits; give all the same checkout, packages, threads and kind of "
            "machine, and start them again"
        )
    threads, device = here["threads"], here["device"]
    print(f"workers: {len(found)}; threads of each: {threads}; on {device}", flush=True)
    return int(threads)


def _settled(marks: dict[str, str], dask_worker: "Worker") -> dict[str, str]:
    """On a worker: take a GPU, and the folders of the sweep; return `provenance.numerics`.

    Args:
        marks: a file in the cache and one in the build folder, by the variables that name these.

    Raises:
        SweepError: it does not see them, or would compute several runs at once.
    """
    name, slots = dask_worker.name, dask_worker.state.nthreads
    if torch.cuda.is_available() and isinstance(name, int):  # as a cluster on one machine has it
        torch.cuda.set_device(name % torch.cuda.device_count())
    if slots != 1:
        raise SweepError(
            f"worker {name} takes {slots} tasks at once, and a run wants a worker for itself; "
            "start the workers with --nthreads 1"
        )
    for variable, mark in marks.items():
        if not Path(mark).exists():
            raise SweepError(
                f"worker {name} does not see the folder {Path(mark).parent}; name one that all "
                f"machines share with {variable}"
            )
        os.environ[variable] = str(Path(mark).parent)
    return provenance.numerics()


def _on_worker(marks: dict[str, str], protocol: Protocol, scale: str) -> None:
    """Compute a run in the folders of the sweep."""
    from distributed import get_worker

    worker = get_worker()
    _settled(marks, worker)  # one that joined late was not mustered

    def ended(*what: Any) -> None:
        worker.log_event(marks["COLLAPSE_CACHE"], list(what))

    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        loop.run(protocol, scale, Watch(ended=ended))
