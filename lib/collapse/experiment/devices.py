"""Work that threads of one process share, and processes that share one run.

Several GPUs work on one run as several processes, one each, started by `torchrun`: each
trains on its share of every batch and writes its share of the text. All hold all results; only the
first one stores them and speaks.
"""

import contextlib
import itertools
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


def slices(rows: int, number: int) -> list[slice]:
    """Rows in a number of slices of nearly one size."""
    edges = np.linspace(0, rows, number + 1).round().astype(int).tolist()
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


@contextlib.contextmanager
def side_by_side(workers: int) -> Iterator[Map]:
    """A `map` by a number of threads, among which the cores are shared out.

    The many small products of a step gain less from a second core than a second batch does.
    """
    if workers == 1:
        yield map
        return
    cores = torch.get_num_threads()
    each = max(1, cores // workers)
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(each,)) as pool:
        try:
            yield pool.map
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(cores)


def processes() -> int:
    """How many processes share a run: 1 unless a launcher started several."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this process among them, from 0."""
    return _state().process_index if processes() > 1 else 0


def shard(rows: int) -> slice:
    """The rows that fall to this process."""
    return slices(rows, processes())[rank()]


def all_reduce(values: torch.Tensor) -> None:
    """The sum over the processes, in place, in each of them."""
    if processes() > 1:
        _state()
        torch.distributed.all_reduce(values)


def all_gather(rows: np.ndarray) -> np.ndarray:
    """The rows of all processes, in their order, in each of them."""
    if processes() == 1:
        return rows
    from accelerate.utils import gather_object

    return np.concatenate(gather_object([rows]))


def broadcast(value: Any) -> Any:
    """What the first process has, in each of them; they wait for it."""
    if processes() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0]


def first_process_first() -> contextlib.AbstractContextManager[None]:
    """The others enter when the first one has left: what it stored in the cache they find there."""
    return _state().main_process_first() if processes() > 1 else contextlib.nullcontext()


@contextlib.contextmanager
def one_speaks() -> Iterator[None]:
    """Processes other than the first print nothing."""
    if rank() == 0:
        yield
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def end_with_parent() -> None:
    """End this process, an `initializer` of whose pool this is, as soon as its parent has ended.

    A parent that is killed can tell its children nothing, and a pool's wait for ever.
    """

    def end_after(parent: Any) -> None:
        parent.join()  # on a pipe, which the system closes however the parent ends
        os._exit(1)

    if parent := multiprocessing.parent_process():
        threading.Thread(target=end_after, args=(parent,), daemon=True).start()


def _state() -> Any:
    """What `accelerate` knows of the processes; it gives each of them its GPU."""
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())
