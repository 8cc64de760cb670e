"""Whether runs fit into the memory and onto the disk of this machine, asked before any compute."""

import functools
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import torch

from collapse.errors import BookError
from collapse.experiment import models, scoring
from collapse.experiment.assets import build_dir, cache_dir
from collapse.sweeps import work
from collapse.sweeps.units import in_bytes
from collapse.sweeps.work import Job

SPARE = 200 * 2**20  # bytes of disk that are to stay free


class FitError(BookError):
    """What is asked for does not fit into the memory or onto the disk of this machine."""


def check(jobs: Sequence[Job]) -> None:
    """Refuse runs that cannot fit, before anything is computed.

    Memory is that of one run, since they run one after another; disk that of all together.

    Raises:
        FitError: it names what is needed, what there is and the largest setting that fits.
    """
    if not jobs:
        return
    if models.device().type == "cuda":
        _fit(jobs, _most(work.model_memory), _gpu_memory(), ("beams",), "GPU memory")
        _fit(jobs, _most(work.token_memory), _main_memory(), ("train_blocks",), "memory")
    else:
        _fit(jobs, _most(work.memory), _main_memory(), ("train_blocks",), "memory")
    disks: dict[int, list[tuple[Path, Callable[[Job], int]]]] = {}
    for folder, share in ((cache_dir(), work.cached_bytes), (build_dir(), work.recorded_bytes)):
        disks.setdefault(os.stat(_existing(folder)).st_dev, []).append((folder, share))
    for parts in disks.values():
        folder = parts[0][0]

        def stored(jobs: Sequence[Job], parts: list = parts) -> int:
            return SPARE + sum(share(job) for job in jobs for _, share in parts)

        _fit(jobs, stored, _disk(folder), ("train_blocks", "generations"), f"disk at {folder}")


def _fit(
    jobs: Sequence[Job],
    need: Callable[[Sequence[Job]], int],
    there: int,
    levers: tuple[str, ...],
    what: str,
) -> None:
    """Refuse what needs more than there is, naming the largest value of each lever that fits."""
    if need(jobs) <= there:
        return

    def largest(name: str, others: Sequence[Job]) -> int:
        highest = max(job.setting(name) for job in jobs)
        return _largest(lambda value: need(_lowered(others, name, value)) <= there, highest)

    advice = [f"{name}={largest(name, jobs)}" for name in levers if largest(name, jobs)]
    if not advice:  # all but the first as low as can be
        least = functools.reduce(lambda low, name: _lowered(low, name, 1), levers[1:], jobs)
        smallest = _lowered(least, levers[0], 1)
        if need(smallest) > there:
            raise FitError(
                f"model={jobs[0].protocol.model!r} needs {in_bytes(need(smallest))} of {what} "
                f"where {in_bytes(there)} are free, even with the least of "
                f"{' and '.join(levers)}; choose a smaller model or a larger machine"
            )
        value = largest(levers[0], least) or 1
        advice = [" with ".join([f"{levers[0]}={value}", *(f"{name}=1" for name in levers[1:])])]
    asked = [f"{name}={max(job.setting(name) for job in jobs)}" for name in levers]
    raise FitError(
        f"{' with '.join(asked)} needs {in_bytes(need(jobs))} of {what} where {in_bytes(there)} "
        f"are free; give at most {' or '.join(advice)}"
    )


def _lowered(jobs: Sequence[Job], name: str, value: int) -> list[Job]:
    return [job.lowered(name, value) for job in jobs]


def _largest(fits: Callable[[int], bool], below: int) -> int:
    """The largest number from 1 to less than `below` that fits, or 0; what fits less fits more."""
    low, high = 0, below  # `low` fits, or is 0; `high` does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _most(need: Callable[[Job], int]) -> Callable[[Sequence[Job]], int]:
    return lambda jobs: max(need(job) for job in jobs)


def _main_memory() -> int:
    """Bytes that are free, or held by this process, whose place the run takes."""
    return psutil.virtual_memory().available + psutil.Process().memory_info().rss


def _gpu_memory() -> int:
    """Bytes that are free, or held by this process, whose place the run takes."""
    return scoring.free_memory() + torch.cuda.memory_allocated()


def _disk(folder: Path) -> int:
    return shutil.disk_usage(_existing(folder)).free


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    folder = folder.resolve()
    return next(path for path in (folder, *folder.parents) if path.exists())
