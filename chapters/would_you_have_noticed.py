"""Alarms on chains with and without a change: what rings, how soon, and how often for nothing."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

import would_you_have_noticed_charts as alarms
from collapse.book import ratios
from collapse.experiment.arms import Run
from collapse.measure.alarms import sign_evidence
from collapse.measure.per_seed import PerSeed, over_seeds

Found = Mapping[str, list[Run]]  # chain -> runs that differ by seed alone
RUN_IN = 5  # generations before the change that a gauge is compared with
ONCE_IN = 50  # generations, of the false alarms that limits are set to
LONG = 2000  # generations drawn from a null chain to count its alarms
MARGIN = 0.01  # of a block's loss, which a block must exceed to have got worse
# Column -> how readers see it, and the direction that collapse is said to take.
GAUGES = {
    "test_perplexity": ("perplexity on human text", 1),
    "text_perplexity_median": ("perplexity of its text", -1),
    "divergence": ("distance to human text", 1),
    "distinct_2_pooled": ("distinct pairs", -1),
    "distinct_tokens": ("distinct tokens", -1),
    "chao_shen": ("entropy of its text", -1),
    "predictive_entropy": ("entropy of predictions", -1),
}
BOTH = ("test_perplexity", "distinct_tokens")
TOGETHER = ("test_perplexity", "divergence", "distinct_tokens", "text_perplexity_median")
# Column -> a ratio to the run-in; whether a source gives the number.
THRESHOLDS = {
    "test_perplexity": (1.10, True), "distinct_tokens": (0.85, True),
    "chao_shen": (0.98, False), "divergence": (1.10, False),
}  # fmt: skip
CHARTS = {  # how readers see it -> the chart, and its usual limit
    "3 standard deviations": (alarms.shewhart, 3.0), "running sum": (alarms.cusum, 4.0),
    "weighted mean": (alarms.ewma, 2.7),
}  # fmt: skip


# -- changes ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Series:
    """What happens in one chain after its run-in, a row a generation.

    changes: of each gauge, the signed logarithm of its ratio to the run-in.
    scaled: the same in standard deviations of the null.
    evidence: logarithm of the e-value of each generation.
    """

    chain: str
    seed: int
    changes: pd.DataFrame
    scaled: pd.DataFrame
    evidence: np.ndarray


def series(found: Found) -> list[Series]:
    """Each chain of which the null of its seed is known, and a second null to scale it by."""
    null = {run.record.protocol.seed: run for run in found["null"]}
    logs = {seed: signed_logs(run).iloc[1:] for seed, run in null.items()}
    made = []
    for chain, runs in found.items():
        for run in runs:
            seed = run.record.protocol.seed
            others = [rows for other, rows in logs.items() if other != seed]
            if seed not in null or not others or chain == "same text":
                continue
            after = slice(RUN_IN + 1 if chain == "null" else 1, None)
            changes = signed_logs(run).iloc[after] - logs[seed].iloc[:RUN_IN].mean()
            made.append(
                Series(
                    chain, seed, changes.reset_index(drop=True),
                    (changes / (spread(others) * math.sqrt(1 + 1 / RUN_IN))).reset_index(drop=True),
                    _evidence(run, null[seed], after),
                )
            )  # fmt: skip
    return made


def signed_logs(run: Run) -> pd.DataFrame:
    """The signed logarithm of each gauge, a row a generation."""
    rows = run.record.generations
    return pd.DataFrame({name: sign * np.log(rows[name]) for name, (_, sign) in GAUGES.items()})


def spread(chains: Sequence[pd.DataFrame]) -> pd.Series:
    """Standard deviation of each gauge within chains, pooled over them."""
    squares = sum(((rows - rows.mean()) ** 2).sum() for rows in chains)
    return (squares / sum(len(rows) - 1 for rows in chains)) ** 0.5


def _evidence(run: Run, null: Run, after: slice) -> np.ndarray:
    losses = run.record.arrays["test_nll"][after].astype(np.float64)
    before = null.record.arrays["test_nll"][1 : RUN_IN + 1].astype(np.float64).mean(0)
    worse = (losses - before > MARGIN).sum(1)
    return sign_evidence(worse, len(before))


# -- alarms ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Alarm:
    """A rule: which chart of which numbers, and its limit."""

    label: str
    gauge: str  # a column of `GAUGES`, or `evidence`, `any`, `four`, `both`
    chart: alarms.Chart
    limit: float
    scaled: bool = True

    def numbers(self, of: Series, reference: np.ndarray) -> np.ndarray:
        """What the chart reads of a chain."""
        if self.gauge == "evidence":
            return of.evidence
        if self.gauge == "any":
            return of.scaled.max(axis=1).to_numpy()
        if self.gauge == "both":
            return of.scaled[list(BOTH)].min(axis=1).to_numpy()
        if self.gauge == "four":
            return alarms.hotelling(of.scaled[list(TOGETHER)].to_numpy(), reference)
        return (of.scaled if self.scaled else of.changes)[self.gauge].to_numpy()


class Trial:
    """All chains, and how alarms fare on them."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.series = series(found)
        self.null = [of for of in self.series if of.chain == "null"]
        self.reference = (
            np.concatenate([of.scaled[list(TOGETHER)].to_numpy() for of in self.null])
            if self.null else np.zeros((0, len(TOGETHER)))
        )  # fmt: skip

    def chain(self, name: str) -> list[Series]:
        return [of for of in self.series if of.chain == name]

    def over(
        self, by_seed: Mapping[int, float], what: str, chain: str, ratio: bool = False
    ) -> PerSeed:
        """A number of each run of a chain, over seeds, with what it is and its records."""
        runs = self.found.get(chain, []) + (self.found["null"] if chain != "null" else [])
        return over_seeds(by_seed, ratio, what=f"{what}: {chain}", records=ratios.names(runs))

    def long(self, alarm: Alarm) -> np.ndarray:
        """For each seed a long null: its generations drawn again and again, (generations, seeds).

        They inherit nothing from each other, so one order is as likely as another.
        """
        drawn = [
            np.random.default_rng(of.seed).integers(len(of.evidence), size=LONG) for of in self.null
        ]
        numbers = [alarm.numbers(of, self.reference) for of in self.null]
        found = np.zeros((LONG, len(drawn)))
        for at, (each, rows) in enumerate(zip(numbers, drawn, strict=True)):
            found[:, at] = each[rows]
        return found

    def false_alarms(self, alarm: Alarm) -> PerSeed:
        """How often it rings for nothing, in a hundred generations."""
        found = 100 * alarms.rates(self.long(alarm), alarm.chart, np.array([alarm.limit]))[0]
        seeds = (of.seed for of in self.null)
        told = f"false alarms in 100 generations, {alarm.label}"
        return self.over(dict(zip(seeds, map(float, found), strict=True)), told, "null")

    def set_to(self, alarm: Alarm, rate: float = 1 / ONCE_IN) -> Alarm:
        """The same alarm, with the limit at which it rings so often for nothing."""
        limit = alarms.limit_for(self.long(alarm), alarm.chart, rate)
        return Alarm(alarm.label, alarm.gauge, alarm.chart, limit, alarm.scaled)

    def delays(self, alarm: Alarm, chain: str) -> dict[int, float]:
        """By seed, in which generation after the change it rings; nan where it never does."""
        found = {}
        for of in self.chain(chain):
            rings = alarms.alarms(alarm.numbers(of, self.reference), alarm.chart, alarm.limit)
            found[of.seed] = float(rings.argmax() + 1) if rings.any() else math.nan
        return found

    def delay(self, alarm: Alarm, chain: str) -> PerSeed:
        """The same with as many generations as there are where it never rings."""
        longest = max((len(of.evidence) for of in self.chain(chain)), default=0)
        by_seed = self.delays(alarm, chain)
        found = {seed: longest if math.isnan(delay) else delay for seed, delay in by_seed.items()}
        return self.over(found, f"generations until the alarm, {alarm.label}", chain)


def thresholds() -> list[Alarm]:
    """Those of the press: a ratio to the run-in, in the direction of collapse."""
    return [
        Alarm(f"{GAUGES[name][0]} {'above' if ratio > 1 else 'below'} {100 * ratio:.0f} %", name,
              alarms.shewhart, abs(math.log(ratio)), scaled=False)
        for name, (ratio, _) in THRESHOLDS.items()
    ]  # fmt: skip


def charts(chart: str = "running sum") -> list[Alarm]:
    """One kind of chart for each gauge, at its usual limit."""
    rule, limit = CHARTS[chart]
    return [Alarm(f"{label}, {chart}", name, rule, limit) for name, (label, _) in GAUGES.items()]


def several() -> list[Alarm]:
    """Rules that read several gauges or blocks; each has Shewhart's rate of false alarms.

    The largest of all with Bonferroni's limit, T² with the limit of the χ² distribution.
    """
    tail = stats.norm.sf(3)
    return [
        Alarm("any gauge", "any", alarms.shewhart, stats.norm.isf(tail / len(GAUGES))),
        Alarm("four gauges together", "four", alarms.shewhart, stats.chi2.isf(tail, len(TOGETHER))),
        Alarm("pairs of held-out blocks", "evidence", alarms.e_detector, math.log(ONCE_IN)),
    ]


def both() -> Alarm:
    """The smaller of two gauges that collapse moves and nothing else that was tried moves both."""
    return Alarm("perplexity and distinct tokens, both", "both", alarms.cusum, 1.0)
