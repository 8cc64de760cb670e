"""Many runs: one after another in this process, on workers of this machine, or on a Dask cluster.

A task is a whole run. Its finished generations lie in the cache, which all workers share: the run
of a worker that is lost goes on elsewhere after the last generation that it finished.
"""

import contextlib
import logging
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from collapse.errors import BookError
from collapse.experiment import assets, devices, loop, provenance, records
from collapse.experiment.protocol import Protocol, ProtocolError
from collapse.sweeps import carry
from collapse.sweeps.progress import OutOfTime, Tally, Watch

if TYPE_CHECKING:  # imported where it is needed, for that takes a second
    from distributed import Client, Worker

PATIENCE = 5.0  # seconds until a silent scheduler counts as absent
LOSSES = 3  # workers that a run may lose; at the next one it is given up
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class SweepError(BookError):
    """A sweep cannot start, or a run of it stopped."""


def sweep(
    protocols: Sequence[Protocol],
    scale: str = "paper",
    workers: int | None = None,
    scheduler: str | None = None,
    limit: float | None = None,
    carried: Path | None = None,
) -> int:
    """Compute runs that differ from each other, and leave their records in the build folder.

    Args:
        workers: processes on this machine that share its processor, or have a GPU each; without
            this and `scheduler`, one run follows another in this process.
        scheduler: the address of a Dask scheduler, as in `tcp://HOST:8786`.
        limit: when to stop, by the clock of `progress.now`, where one run follows another.
        carried: the folder through which finished generations and records travel; likewise.

    Returns:
        the number of threads of a run, which is part of what names its finished generations.

    Raises:
        OutOfTime: the limit came first.
        SweepError: there is no such cluster, its workers are no good, or a run stopped.
        BookError: a run was refused; all others have ended by then.
    """
    if workers and scheduler:
        raise SweepError(f"the cluster at {scheduler} has workers of its own; leave out {workers=}")
    if (workers or scheduler) and devices.processes() > 1:
        raise SweepError(
            f"the {devices.processes()} processes of a launcher share each run, and workers do "
            "not; leave out either the launcher or the workers"
        )
    if (workers or scheduler) and (limit or carried):
        raise SweepError(
            "a time limit and a folder to carry are for runs that follow one another; leave out "
            "either them or the workers"
        )
    threads, failures = torch.get_num_threads(), list[BookError]()
    tally = Tally(protocols)

    def failed(protocol: Protocol, error: BaseException) -> None:
        failures.append(_told(protocol, error))
        tally.gave_up(protocol.hash)

    if workers or scheduler:
        with _remote(scheduler) if scheduler else _local(workers or 1) as client:
            threads = _spread(client, protocols, scale, tally, failed)
    else:
        _one_by_one(protocols, scale, limit, carried, tally, failed)
    if failures:
        raise failures[0]
    return threads


def _one_by_one(
    protocols: Sequence[Protocol], scale: str, limit: float | None, carried: Path | None,
    tally: Tally, failed: Callable[[Protocol, BaseException], None],
) -> None:  # fmt: skip
    def ended(run: str, number: int, seconds: float | None, key: str) -> None:
        tally.ended(run, number, seconds)
        if carried:
            carry.store(carried, key)

    left, watch = list(protocols), Watch(limit, ended)
    if carried:
        for protocol in protocols:  # said before anything is computed
            try:
                carry.check(protocol)
            except ProtocolError as error:
                failed(protocol, error)
                left.remove(protocol)
        print(f"carried here: {carry.fetch(carried)} finished generations", flush=True)
    for protocol in left:
        try:
            record = loop.run(protocol, scale, watch)
            if carried:
                records.write(record, carried / "records")
        except OutOfTime:
            raise
        except Exception as error:
            failed(protocol, error)


def _told(protocol: Protocol, error: BaseException) -> BookError:
    """The failure of a run as a sentence, said at once, for the other runs go on."""
    name = f"run {protocol.hash} (seed {protocol.seed})"
    if isinstance(error, BookError):
        told = error
    elif losses := getattr(error, "allowed_failures", None):  # of Dask's KilledWorker
        told = SweepError(
            f"{name} lost {losses + 1} workers, most often for want of memory; use fewer workers "
            "or a smaller scale, then run the same command again"
        )
    else:
        first = " ".join(str(error).split()) or "no message"
        told = SweepError(
            f"{name} stopped with {type(error).__name__}: {first}; run the same command again, "
            "and if it stops again `book run` shows where"
        )
        told.__cause__ = error
    print(f"{name} failed: {told}", flush=True)
    return told


# -- the two clusters ------------------------------------------------------------------------


@contextlib.contextmanager
def _local(workers: int) -> Iterator["Client"]:
    """A cluster of processes on this machine that ends with the sweep."""
    import dask
    from distributed import Client, LocalCluster

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpus and workers > gpus:
        print(f"each worker wants a GPU for itself, and this machine has {gpus}", flush=True)
        workers = gpus
    # The processor has little to do beside a GPU; and a chapter, which has as many threads as
    # this process, finds the generations again.
    threads = torch.get_num_threads() if gpus else max(1, torch.get_num_threads() // workers)
    before = dict(os.environ)
    settings = {
        "distributed.nanny.pre-spawn-environ": dict.fromkeys(THREADS, threads),
        "distributed.scheduler.allowed-failures": LOSSES,
    }
    try:
        with (
            dask.config.set(settings),
            LocalCluster(
                n_workers=workers, threads_per_worker=1, host="127.0.0.1", memory_limit=0,
                dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL,
            ) as cluster,
            Client(cluster) as client,
        ):  # fmt: skip
            yield client
    finally:  # a nanny writes into its own process's environment, too
        os.environ.clear()
        os.environ.update(before)


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
        if not client.scheduler_info()["workers"]:
            print(f"waiting for the first worker at {address} ...", flush=True)
            client.wait_for_workers(1)
        yield client


# -- the tasks, and what all workers have in common --------------------------------------------


@dataclass(frozen=True)
class _Ground:
    """What a worker must share with the others."""

    folders: dict[str, str]  # cache and build folder, by the variables that name them
    token: str  # names a file in both folders, and the topic of the progress
    numerics: dict[str, str]  # expected of the worker; before one is known, only the code


def _spread(
    client: "Client", protocols: Sequence[Protocol], scale: str,
    tally: Tally, failed: Callable[[Protocol, BaseException], None],
) -> int:  # fmt: skip
    """Compute the runs on the workers of a cluster; return the threads of each."""
    from distributed import as_completed

    with _marked() as ground:
        found = _mustered(client, ground)
        ground = replace(ground, numerics=found[0][1])
        tally.workers = {name for name, _ in _mustered(client, ground)}
        threads, device = ground.numerics["threads"], ground.numerics["device"]
        print(f"workers: {len(found)}; threads of each: {threads}; on {device}", flush=True)
        print("one of them prepares text and base model first", flush=True)
        client.subscribe_topic(ground.token, lambda event: tally.ended(*event[1]))
        first = {
            p: client.submit(_on_worker, ground, p, pure=False)
            for p in {loop.groundwork(p) for p in protocols}
        }
        futures = {
            client.submit(_on_worker, ground, p, scale, first[loop.groundwork(p)], pure=False): p
            for p in protocols
        }
        for future in as_completed(list(futures)):
            if error := future.exception():
                failed(futures[future], error)
        client.unsubscribe_topic(ground.token)
    return int(threads)


@contextlib.contextmanager
def _marked() -> Iterator[_Ground]:
    """Leave a mark in the cache and in the build folder, by which workers know them."""
    token = f".sweep-{uuid.uuid4().hex}"
    # Absolute, but with their links: where they lead is for each machine to say.
    folders = {
        "COLLAPSE_CACHE": assets.cache_dir().absolute(),
        "COLLAPSE_BUILD": assets.build_dir().absolute(),
    }
    try:
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / token).touch()
        named = {variable: str(folder) for variable, folder in folders.items()}
        yield _Ground(named, token, {"code": provenance.numerics()["code"]})
    finally:
        for folder in folders.values():
            (folder / token).unlink(missing_ok=True)


def _mustered(client: "Client", ground: _Ground) -> list[tuple[str, dict[str, str]]]:
    """What `_settled` gives of each worker that is there."""
    try:
        return list(client.run(_settled, ground).values())
    except BookError:
        raise
    except Exception as error:  # whatever comes of a worker without this package
        raise SweepError(
            f"the workers cannot run this book's code ({type(error).__name__}: {error}); start "
            "them with the Python in which it is installed, at the same version"
        ) from error


def _settled(ground: _Ground, dask_worker: "Worker") -> tuple[str, dict[str, str]]:
    """On a worker: take a GPU, and see whether this is one of the workers of the sweep.

    Returns:
        the worker's name, and `provenance.numerics` there.

    Raises:
        SweepError: it is not.
    """
    name, slots = dask_worker.name, dask_worker.state.nthreads
    if torch.cuda.is_available() and isinstance(name, int):  # as a cluster on one machine has it
        torch.cuda.set_device(name % torch.cuda.device_count())
    if slots != 1:
        raise SweepError(
            f"worker {name} takes {slots} tasks at once, and a run wants a worker for itself; "
            "start the workers with --nthreads 1"
        )
    for variable, folder in ground.folders.items():
        if not (Path(folder) / ground.token).exists():
            raise SweepError(
                f"worker {name} does not see the folder {folder}; name one that all machines "
                f"share with {variable}"
            )
    numerics = provenance.numerics()
    for key, expected in ground.numerics.items():
        if numerics[key] != expected:
            raise SweepError(
                f"worker {name} has another version of {key} ({numerics[key][:20]} instead of "
                f"{expected[:20]}) and would compute other bits; give all workers the same "
                "checkout, packages and kind of machine, and start them again"
            )
    return str(name), numerics


def _on_worker(
    ground: _Ground, protocol: Protocol, scale: str | None = None, prepared: None = None
) -> None:
    """Compute a run in the folders of the sweep; without a scale have only its text and base."""
    from distributed import get_worker

    worker = get_worker()
    name, _ = _settled(ground, worker)  # one that joined late was not mustered

    def ended(run: str, number: int, seconds: float | None, key: str) -> None:
        worker.log_event(ground.token, [run, number, seconds, name])

    os.environ.update(ground.folders)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        if scale is None:
            loop.prepare(protocol)
        else:
            loop.run(protocol, scale, Watch(ended=ended))
