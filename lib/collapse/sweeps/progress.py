"""How far a run or a sweep is, in lines of text with the time left; and the end of a time limit."""

import math
import time
from collections.abc import Callable, Iterable

from collapse.errors import BookError
from collapse.experiment.loop import Observer
from collapse.experiment.protocol import Protocol
from collapse.sweeps import plan
from collapse.sweeps.plan import in_words

SILENCE = 10.0  # seconds between two lines
TRAINING_SHARE = 0.8  # of one generation's time, roughly; the rest is writing


class OutOfTime(BookError):
    """The time that was given would end in the middle of the next generation."""


def now() -> float:
    """Seconds of a clock that does not go backwards."""
    return time.monotonic()


class Watch(Observer):
    """Refuses runs that do not fit, tells how far they are, and stops them in time.

    It prints at most one line in ten seconds, and one a generation.

    Args:
        limit: when to stop, by the clock of `now`: a generation that would not end by then, as far
            as the longest so far tells, is not begun.
        ended: is called after each generation with the run's hash, the number, the seconds, None
            where it was found finished, and its key.
    """

    def __init__(
        self,
        limit: float | None = None,
        ended: Callable[[str, int, float | None, str], None] | None = None,
    ) -> None:
        self.limit, self.ended = math.inf if limit is None else limit, ended
        self.longest = 0.0  # seconds of a generation so far

    def before_run(self, protocol: Protocol) -> None:
        """Say what is asked for, if it fits.

        Raises:
            FitError: it does not.
            BookError: its text is not here, or too short.
        """
        plan.check(plan.jobs([protocol]))
        self.run, self.last = protocol.hash, protocol.generations - 1
        self.first: int | None = None  # generation computed here
        self.spoke = now()
        print(
            f"seed {protocol.seed}: {protocol.generations} generations, {protocol.epochs} epochs, "
            f"{protocol.mixture}, decoding by {protocol.decoding}",
            flush=True,
        )

    def before_generation(self, number: int) -> None:
        """Begin a generation, if there is time for it.

        Raises:
            OutOfTime: there is not.
        """
        self.number, self.since = number, now()
        if self.first is None:  # computed in this run
            self.first, self.began = number, self.since
        left = self.limit - self.since
        if self.longest > left:
            raise OutOfTime(
                f"a generation takes {in_words(self.longest)}, and {in_words(max(left, 0))} are "
                "left; what is finished is kept, so give the same command again"
            )

    def during_generation(self, what: str, done: int, total: int) -> None:
        """Tell how much of a generation is done, and the time left in the run."""
        if self.first is None or now() - self.spoke < SILENCE:
            return
        self.spoke = now()
        share = TRAINING_SHARE * done / total
        if what == "writing":
            share = TRAINING_SHARE + (1 - TRAINING_SHARE) * done / total
        fraction = (self.number - self.first + share) / (self.last + 1 - self.first)
        left = (self.spoke - self.began) * (1 - fraction) / fraction
        print(
            f"  generation {self.number} of 0-{self.last}, {what} {done / total:.0%}, "
            f"{in_words(left)} left in this run",
            flush=True,
        )

    def after_generation(
        self, number: int, seconds: float | None, key: str, perplexity: float
    ) -> None:
        """Tell that a generation is finished, or was found finished."""
        if seconds is not None:
            self.longest = max(self.longest, now() - self.since)
        origin = "from the cache" if seconds is None else "done"
        print(f"  generation {number}: test perplexity {perplexity:.1f} ({origin})", flush=True)
        if self.ended is not None:
            self.ended(self.run, number, seconds, key)


class Tally:
    """Tells how far a sweep of runs is: one line whenever a generation of any of them ends."""

    def __init__(self, protocols: Iterable[Protocol], workers: Iterable[str] = ("",)) -> None:
        self.left = {p.hash: set(range(p.generations)) for p in protocols}
        self.total = sum(len(numbers) for numbers in self.left.values())
        self.workers, self.done = set(workers), 0  # names; more may join
        self.seconds: list[float] = []  # of the generations computed in this sweep

    def ended(self, run: str, number: int, seconds: float | None, worker: str = "") -> None:
        """A generation is finished, or, with `seconds` None, was found finished.

        It is counted once, though a run that lost its worker tells of it again.
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
