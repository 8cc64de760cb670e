"""Progress of a run, and of a sweep, in lines of text, with an estimate of the time left."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from collapse.errors import BookError
from collapse.experiment.protocol import Protocol

Progress = Callable[[str, int, int], None]  # told what is done, how much of it, of how much
SILENCE = 10.0  # seconds between two lines
TRAINING_SHARE = 0.8  # of one generation's time, roughly; the rest is writing


def in_words(seconds: float) -> str:
    """Seconds as a person says them: `about 4 min`."""
    if seconds >= 172_800:
        return f"about {seconds / 86400:.0f} days"
    if seconds >= 5400:
        return f"about {seconds / 3600:.1f} h"
    return f"about {seconds / 60:.0f} min" if seconds >= 90 else f"about {seconds:.0f} s"


class OutOfTime(BookError):
    """The time that was given would end in the middle of the next generation."""


@dataclass
class Limit:
    """When to stop: a generation that is not likely to be finished by then is not started.

    ends: seconds, of the clock that `now` reads.
    longest: seconds of the longest generation so far.
    """

    ends: float
    longest: float = 0.0

    def reserve(self) -> None:
        """Refuse a generation for which there is no time, as far as the longest so far tells.

        Raises:
            OutOfTime: there is not.
        """
        left = self.ends - now()
        if self.longest > left:
            raise OutOfTime(
                f"a generation takes {in_words(self.longest)}, and {in_words(max(left, 0))} are "
                "left; what is finished is kept, so give the same command again"
            )


def now() -> float:
    """Seconds of a clock that does not go backwards."""
    return time.monotonic()


class Clock:
    """Tells how far a run is: at most one line in ten seconds, and one a generation."""

    def __init__(self, protocol: Protocol, limit: Limit | None = None) -> None:
        self.protocol = protocol
        self.limit = limit or Limit(math.inf)
        self.began = self.spoke = time.perf_counter()
        self.since = now()  # the start of the generation at hand
        self.number = 0
        self.first: int | None = None  # generation computed here

    def announce(self) -> None:
        """Say what is about to be computed."""
        p = self.protocol
        print(
            f"seed {p.seed}: {p.generations} generations, {p.epochs} epochs, "
            f"{p.mixture}, decoding by {p.decoding}",
            flush=True,
        )

    def stored(self) -> None:
        """The generation that was started is computed and stored."""
        self.limit.longest = max(self.limit.longest, now() - self.since)

    def start(self, number: int) -> None:
        """A generation is about to be computed."""
        self.number, self.since = number, now()
        if self.first is None:
            self.first, self.began = number, time.perf_counter()

    def tell(self, what: str, done: int, total: int) -> None:
        """Part of a generation is done: of its `training` or its `writing`."""
        now = time.perf_counter()
        if now - self.spoke < SILENCE:
            return
        self.spoke = now
        inside = {
            "training": TRAINING_SHARE * done / total,
            "writing": TRAINING_SHARE + (1 - TRAINING_SHARE) * done / total,
        }[what]
        first = self.first or 0
        fraction = (self.number - first + inside) / (self.protocol.generations - first)
        left = (now - self.began) * (1 - fraction) / fraction
        print(
            f"  generation {self.number} of 0-{self.protocol.generations - 1}, {what} "
            f"{done / total:.0%}, {in_words(left)} left in this run",
            flush=True,
        )

    def generation_done(self, number: int, perplexity: float) -> None:
        """A generation is finished, or was found finished."""
        origin = "done" if self.first is not None and number >= self.first else "from the cache"
        print(
            f"  generation {number}: test perplexity {perplexity:.1f} ({origin})",
            flush=True,
        )


class Tally:
    """Tells how far a sweep of runs is: one line whenever a generation of any of them ends."""

    def __init__(
        self, protocols: Iterable[Protocol], workers: Iterable[str] = ("this one",)
    ) -> None:
        self.left = {p.hash: set(range(p.generations)) for p in protocols}
        self.total = sum(len(numbers) for numbers in self.left.values())
        self.done = 0
        self.workers = set(workers)  # names; one that joins later is counted when it is heard of
        self.seconds: list[float] = []  # of the generations computed in this sweep

    def ended(self, run: str, number: int, seconds: float | None, worker: str = "this one") -> None:
        """A generation is finished, or, with `seconds` None, was found finished.

        A generation is counted once, though a run that lost its worker tells of it again.
        """
        self.workers.add(worker)
        if number not in self.left[run]:
            return
        self.left[run].remove(number)
        self.done += 1
        if seconds is not None:
            self.seconds.append(seconds)
        line = f"{self.done} of {self.total} generations"
        if self.seconds and any(self.left.values()):
            line += f", {in_words(self.seconds_left())} left"
        print(line, flush=True)

    def gave_up(self, run: str) -> None:
        """A run failed: nothing more of it will end."""
        self.left[run].clear()

    def seconds_left(self) -> float:
        """Of the whole sweep: a chain cannot be shared by workers, different chains can."""
        chains = [len(numbers) for numbers in self.left.values()]
        rounds = max(sum(chains) / len(self.workers), *chains)
        return rounds * sum(self.seconds) / len(self.seconds)
