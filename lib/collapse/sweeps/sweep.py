"""Many runs: one after another in this process, on workers of this machine, or on a Dask cluster.

A task is a whole run. Its finished generations lie in the cache, which all workers share: the run
of a worker that is lost goes on elsewhere after the last generation that it finished.
"""

import contextlib
import dataclasses
import functools
import json
import logging
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from collapse.errors import BookError
from collapse.experiment import assets, devices, loop, provenance
from collapse.experiment.protocol import Protocol, ProtocolError
from collapse.sweeps import carry
from collapse.sweeps.progress import Limit, OutOfTime, Tally

if TYPE_CHECKING:  # imported where it is needed, for that takes a second
    from distributed import Client, Worker

PATIENCE = 5.0  # seconds until a silent scheduler counts as absent
LOSSES = 3  # workers that a run may lose; at the next one it is given up
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class SweepError(BookError):
    """A sweep cannot start, or a run of it stopped."""


@dataclass(frozen=True)
class _Ground:
    """What a worker must share with the others."""

    cache: str
    build: str
    token: str  # the content of a file in both folders, and the topic of the progress
    numerics: dict[str, str]  # expected of the worker; before one is known, only the code


def gather(names: Sequence[str], scale: str, overrides: Mapping[str, Any]) -> list[Protocol]:
    """The runs that some chapters would compute at a scale, each once, the most valuable first.

    A chapter's own setting, which is its first arm, goes before its other arms, and all settings
    with one seed before any with the next.

    Args:
        names: of chapters; all that have arms, if none is given.

    Raises:
        BookError: a name or a parameter is refused, or a record is damaged.
    """
    from collapse.book import chapter

    if not names:
        every = chapter.names()
        names = [n for n in every if chapter.arms(n, chapter.settings(n, scale, {}))]
    wanted = [chapter.arms(n, chapter.settings(n, scale, overrides)) for n in names]
    own = {next(iter(arms.values())).protocol.arm_hash for arms in wanted if arms}
    runs = [run for arms in wanted for arm in arms.values() for run in loop.missing(arm)]
    runs.sort(key=lambda run: (run.arm_hash not in own, run.seed))
    return list({run.hash: run for run in runs}.values())


def stated(path: Path) -> list[Protocol]:
    """The runs that a file states: a JSON list, each as `Protocol.to_dict` gives it.

    Raises:
        SweepError: it is no such file.
        ProtocolError: a value in it is refused.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
        if not isinstance(found, list):
            raise ValueError("they are no list")
        return [Protocol.from_dict(values) for values in found]
    except ProtocolError:
        raise
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise SweepError(
            f"the runs in {path} cannot be read ({error}); give a JSON list of protocols"
        ) from error


def sweep(
    protocols: Sequence[Protocol],
    scale: str = "paper",
    workers: int | None = None,
    scheduler: str | None = None,
    limit: Limit | None = None,
    carried: Path | None = None,
) -> int:
    """Compute runs that differ from each other, and leave their records in the build folder.

    Args:
        workers: processes on this machine that share its processor, or have a GPU each; without
            this and `scheduler`, one run follows another in this process.
        scheduler: the address of a Dask scheduler, as in `tcp://HOST:8786`.
        limit: when to stop, where one run follows another.
        carried: the folder through which finished generations and records travel; likewise.

    Returns:
        the number of threads of a run, which is part of what names its finished generations.

    Raises:
        OutOfTime: the limit came first.
        SweepError: there is no such cluster, its workers do not see the same folders or run
            other code, or a run stopped.
        BookError: a run was refused; all others have ended by then.
    """
    if workers and scheduler:
        raise SweepError(
            f"a cluster at {scheduler} has its own workers; leave out workers={workers}"
        )
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
    if scheduler:
        with _remote(scheduler) as client:
            threads, failures = _spread(client, protocols, scale)
    elif workers:
        with _local(workers) as client:
            threads, failures = _spread(client, protocols, scale)
    else:
        failures = _one_by_one(protocols, scale, limit, carried)
        threads = torch.get_num_threads()
    if failures:
        raise failures[0]
    return threads


def _one_by_one(
    protocols: Sequence[Protocol], scale: str, limit: Limit | None, carried: Path | None
) -> list[BookError]:
    tally, failures = Tally(protocols), []
    left = list(protocols)
    if carried:
        for protocol in protocols:  # said before anything is computed
            try:
                carry.check(protocol)
            except ProtocolError as error:
                failures.append(_told(protocol, error))
                tally.gave_up(protocol.hash)
                left.remove(protocol)
        print(f"carried here: {carry.fetch(carried)} finished generations", flush=True)

    def ended(run: str, number: int, seconds: float | None, key: str) -> None:
        tally.ended(run, number, seconds)
        if carried:
            carry.store(carried, key)

    for protocol in left:
        try:
            record = loop.run(protocol, scale, functools.partial(ended, protocol.hash), limit)
            if carried:
                carry.store_record(carried, record)
        except OutOfTime:
            raise
        except Exception as error:
            failures.append(_told(protocol, error))
            tally.gave_up(protocol.hash)
    return failures


def _told(protocol: Protocol, error: BaseException) -> BookError:
    """The failure of a run as a sentence, said at once, for the other runs go on."""
    name = f"run {protocol.hash} (seed {protocol.seed})"
    told = error if isinstance(error, BookError) else None
    allowed = getattr(error, "allowed_failures", None)  # of Dask's KilledWorker
    if allowed is not None:
        told = SweepError(
            f"{name} lost {allowed + 1} workers, most often for want of memory; use fewer workers "
            "or a smaller scale, then run the same command again"
        )
    if told is None:
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
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    settings = {
        # Dask's own would give one thread to each worker, and make freeing memory slow.
        "distributed.nanny.pre-spawn-environ": {},
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


def _spread(
    client: "Client", protocols: Sequence[Protocol], scale: str
) -> tuple[int, list[BookError]]:
    """Compute the runs on the workers of a cluster; return the threads of each and the failures."""
    from distributed import as_completed

    with _marked() as ground:
        names, ground = _muster(client, ground)
        threads = int(ground.numerics["threads"])
        device = ground.numerics["device"]
        print(f"workers: {len(names)}; threads of each: {threads}; on {device}", flush=True)
        print("one of them prepares text and base model first", flush=True)
        tally, failures = Tally(protocols, names), []
        client.subscribe_topic(ground.token, lambda event: tally.ended(*event[1]))
        first = {
            p: client.submit(_prepare, ground, p, pure=False)
            for p in {loop.groundwork(p) for p in protocols}
        }
        futures = {
            client.submit(_run, ground, p, scale, first[loop.groundwork(p)], pure=False): p
            for p in protocols
        }
        for future in as_completed(list(futures)):
            error = future.exception()
            if error is not None:
                failures.append(_told(futures[future], error))
                tally.gave_up(futures[future].hash)
        client.unsubscribe_topic(ground.token)
    return threads, failures


# -- what the workers have in common ---------------------------------------------------------


@contextlib.contextmanager
def _marked() -> Iterator[_Ground]:
    """Leave a mark in the cache and in the build folder, by which workers know them."""
    # Absolute, but with its links: where they lead is for each machine to say.
    cache, build = assets.cache_dir().absolute(), assets.build_dir().absolute()
    token = f"sweep-{uuid.uuid4().hex}"
    marks = [folder / f".{token}" for folder in (cache, build)]
    try:
        for mark in marks:
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.write_text(token)
        code = {"code": provenance.numerics()["code"]}
        yield _Ground(str(cache), str(build), token, code)
    finally:
        for mark in marks:
            mark.unlink(missing_ok=True)


def _muster(client: "Client", ground: _Ground) -> tuple[list[str], _Ground]:
    """Check the workers that are there; return their names, and what is expected of any other."""
    try:
        found = client.run(_settle, ground)
        first = next(iter(found.values()))
        ground = dataclasses.replace(ground, numerics=first[1])
        client.run(_settle, ground)
    except BookError:
        raise
    except Exception as error:  # whatever comes of a worker without this package
        raise SweepError(
            f"the workers cannot run this book's code ({type(error).__name__}: {error}); start "
            "them with the Python in which it is installed, at the same version"
        ) from error
    return [name for name, _ in found.values()], ground


def _settle(ground: _Ground, dask_worker: "Worker") -> tuple[str, dict[str, str]]:
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
    for variable, folder in (("COLLAPSE_CACHE", ground.cache), ("COLLAPSE_BUILD", ground.build)):
        if not (Path(folder) / f".{ground.token}").exists():
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


# -- the tasks -------------------------------------------------------------------------------


@contextlib.contextmanager
def _on_worker(ground: _Ground) -> Iterator["Worker"]:
    """A worker in the folders of the sweep, saying nothing by itself."""
    from distributed import get_worker

    worker = get_worker()
    _settle(ground, worker)  # one that joined late was not mustered
    os.environ.update(COLLAPSE_CACHE=ground.cache, COLLAPSE_BUILD=ground.build)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield worker


def _prepare(ground: _Ground, protocol: Protocol) -> None:
    with _on_worker(ground):
        loop.prepare(protocol)


def _run(ground: _Ground, protocol: Protocol, scale: str, prepared: None) -> None:
    with _on_worker(ground) as worker:

        def ended(number: int, seconds: float | None, key: str) -> None:
            worker.log_event(ground.token, [protocol.hash, number, seconds, str(worker.name)])

        loop.run(protocol, scale, ended)
