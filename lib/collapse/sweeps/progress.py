"""How far a run or a sweep is, in lines of text with the time left; and the end of a time limit."""

import math
import time
from collections.abc import Callable, Iterable
from statistics import mean

from collapse.errors import BookError
from collapse.experiment import devices
from collapse.experiment.loop import Observer
from collapse.experiment.protocol import Protocol
from collapse.sweeps import plan
from collapse.sweeps.plan import in_words

SILENCE = 10.0  # seconds between two lines
now = time.monotonic  # a clock that does not go backwards


class OutOfTime(BookError):
    """The time that was given would end in the middle of the next generation."""


class SweepError(BookError):
    """A sweep cannot start, or a run of it stopped."""


class Watch(Observer):
    """Refuses runs that do not fit, tells how far they are, and stops them in time.

    It prints at most one line in ten seconds, and one a generation.

    Args:
        minutes: a generation that would not end by then, as far as the longest so far tells, is not
            begun.
        ended: is called after each generation with the run's hash, and number, seconds and key of
            `Observer.after_generation`.
    """

    def __init__(
        self,
        minutes: float | None = None,
        ended: Callable[[str, int, float | None, str], None] | None = None,
    ) -> None:
        self.limit = now() + 60 * (math.inf if minutes is None else minutes)
        self.ended = ended
        self.longest = 0.0  # seconds of a generation so far

    def before_run(self, protocol: Protocol) -> None:
        """Say what is asked for, if it fits."""
        plan.check(plan.jobs([protocol]))
        self.run, self.last = protocol.hash, protocol.generations - 1
        self.took: list[float] = []  # seconds of each generation computed in this run
        self.spoke = now()
        print(
            f"seed {protocol.seed}: {protocol.generations} generations, {protocol.epochs} epochs, "
            f"{protocol.mixture}, decoding by {protocol.decoding}",
            flush=True,
        )

    def before_generation(self, number: int) -> None:
        """Begin a generation, if there is time for it; else raise `OutOfTime`."""
        self.number, self.since = number, now()
        left = self.limit - self.since
        if devices.broadcast(self.longest > left):  # or some would begin it and wait for the rest
            raise OutOfTime(
                f"a generation takes {in_words(self.longest)}, and {in_words(max(left, 0))} are "
                "left; what is finished is kept, so give the same command again"
            )

    def during_generation(self, what: str, done: int, total: int) -> None:
        """Tell how much of a generation is done, and how long the rest takes at the pace so far."""
        if now() - self.spoke < SILENCE:
            return
        self.spoke = now()
        line = f"  generation {self.number} of 0-{self.last}, {what} {done / total:.0%}"
        if self.took:
            rest = mean(self.took) * (self.last + 1 - self.number) - (self.spoke - self.since)
            line += f", {in_words(max(rest, 0))} left in this run"
        elif what == "training":  # the first thing that a generation does
            rest = (self.spoke - self.since) * (total - done) / done
            line += f", {in_words(rest)} left of it"
        print(line, flush=True)

    def after_generation(
        self, number: int, seconds: float | None, key: str, perplexity: float
    ) -> None:
        """Tell that a generation is finished, or was found finished."""
        if seconds is not None:
            self.took.append(now() - self.since)
            self.longest = max(self.longest, self.took[-1])
        origin = "from the cache" if seconds is None else "done"
        print(f"  generation {number}: test perplexity {perplexity:.1f} ({origin})", flush=True)
        if self.ended is not None:
            self.ended(self.run, number, seconds, key)


class Tally:
    """Tells how far a sweep of runs is: one line whenever a generation of any of them ends."""

    def __init__(self, protocols: Iterable[Protocol]) -> None:
        self.left = {p.hash: set(range(p.generations)) for p in protocols}
        self.total = sum(map(len, self.left.values()))
        self.began, self.done, self.computed = now(), 0, 0
        self.failures: list[BookError] = []

    def ended(self, run: str, number: int, seconds: float | None, *_: object) -> None:
        """A generation is finished, or, with `seconds` None, was found finished.

        It is counted once, though a run that lost its worker tells of it again.
        """
        if number not in self.left[run]:
            return
        self.left[run].remove(number)
        self.done, self.computed = self.done + 1, self.computed + (seconds is not None)
        line, left = f"{self.done} of {self.total} generations", sum(map(len, self.left.values()))
        if self.computed and left:  # at the pace so far, however many compute
            line += f", {in_words((now() - self.began) / self.computed * left)} left"
        print(line, flush=True)

    def failed(self, protocol: Protocol, error: BaseException) -> None:
        """A run failed: nothing more of it will end. It is told at once, for the others go on."""
        name = f"run {protocol.hash} (seed {protocol.seed})"
        if not isinstance(error, BookError):
            what = " ".join(str(error).split()) or "no message"
            error = SweepError(
                f"{name} stopped with {type(error).__name__}: {what}; run the same command again, "
                "and if it stops again `book run` shows where"
            )
        print(f"{name} failed: {error}", flush=True)
        self.left[protocol.hash].clear()
        self.failures.append(error)
