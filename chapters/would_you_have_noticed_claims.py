"""What the page says of alarms in numbers, and what others claim of them."""

import math
from collections.abc import Sequence

import pandas as pd

import would_you_have_noticed as noticed
from collapse.book import numbers
from collapse.book.numbers import Number
from collapse.measure import verdicts
from collapse.measure.per_seed import NOT_RUN, PerSeed
from collapse.measure.verdicts import Claim
from would_you_have_noticed import Trial

OF_TEXT = (
    "text_perplexity_median",
    "divergence",
    "distinct_2_pooled",
    "distinct_tokens",
    "chao_shen",
)
NAMED = (0.1, 0.25)  # doses that the text names, whatever was run
WHERE = "records of this chapter"
SOON = 3  # generations


def scaled(trial: Trial, chain: str, gauge: str) -> PerSeed:
    """The mean change of a gauge in the first generations, in standard deviations of the null."""
    found = {of.seed: float(of.scaled[gauge].iloc[:SOON].mean()) for of in trial.chain(chain)}
    return trial.over(
        found, f"{noticed.GAUGES[gauge][0]}, mean change in {SOON} generations", chain
    )


def lead(trial: Trial, chain: str) -> PerSeed:
    """That change of perplexity, over the largest of the gauges of written text."""
    found = {}
    for of in trial.chain(chain):
        mean = of.scaled.iloc[:SOON].mean()
        found[of.seed] = float(mean["test_perplexity"] / max(mean[list(OF_TEXT)].max(), 1e-9))
    return trial.over(found, "perplexity's change ÷ the largest of the text's", chain, ratio=True)


def last(trial: Trial, chain: str, gauge: str) -> PerSeed:
    """The last generation's value of a gauge over that of the run-in."""
    sign = noticed.GAUGES[gauge][1]
    found = {
        of.seed: math.exp(sign * float(of.changes[gauge].iloc[-1])) for of in trial.chain(chain)
    }
    return trial.over(found, f"{noticed.GAUGES[gauge][0]}, last ÷ run-in", chain, ratio=True)


def quieter(trial: Trial, gauge: str = "test_perplexity") -> float:
    """The noise with fresh text over that with the same text again; nan without runs."""
    runs = trial.found.get("same text", [])
    if not runs or not trial.null:
        return math.nan
    fresh, same = (
        noticed.spread([noticed.signed_logs(run).iloc[1:] for run in of])[gauge]
        for of in (trial.found["null"], runs)
    )
    return float(fresh / same)


def noise(trial: Trial, gauge: str = "test_perplexity") -> float | None:
    """Standard deviation of a gauge's logarithm within null chains; None without runs."""
    rows = [noticed.signed_logs(run).iloc[1:] for run in trial.found.get("null", [])]
    return float(noticed.spread(rows)[gauge]) if rows else None


def claims(trial: Trial, dose: float = 0.25, small: float = 0.1) -> list[Claim]:
    """Claims of alarms beside what was measured."""
    much, little = f"written {dose:g}", f"written {small:g}"
    perplexity, distinct = (last(trial, much, g) for g in ("test_perplexity", "distinct_tokens"))
    first, average = lead(trial, little), scaled(trial, little, "test_perplexity")
    where = f"{100 * dose:g} % written text, last generation ÷ run-in"
    return [
        Claim("0-19", f"that perplexity, {where}", perplexity,
              verdicts.judge(perplexity, 1.10, math.inf, verdicts.CLAIM)),
        Claim("0-19b", f"distinct tokens, {where}",
              distinct, verdicts.judge(distinct, 0, 0.85, verdicts.CLAIM)),
        Claim("0-18", f"its change ÷ the largest of the written text's, each in its own noise, "
              f"{100 * small:g} % written", first, verdicts.rises(first)),
        Claim("0-11", f"change of average perplexity, in standard deviations, "
              f"{100 * small:g} % written; caught at 3", average,
              verdicts.judge(average, -math.inf, 3, verdicts.CLAIM)),
    ]  # fmt: skip


def labels(doses: Sequence[float], others: Sequence[float], cut: float) -> dict[str, str]:
    """How readers see the chains that they may choose."""
    return {
        "null": "human alone",
        **{f"written {dose:g}": f"{100 * dose:g} % written" for dose in doses},
        **{f"other subject {dose:g}": f"{100 * dose:g} % another subject" for dose in others},
        "other writing": f"written with top-p {cut:g}",
    }


def in_words(rows: pd.DataFrame, by: Sequence[str], value: str, unit: str = "") -> str:
    """Means over seeds of a figure's data, one clause a row, for its alternative text."""
    if rows.empty:
        return f"{NOT_RUN}."
    means = rows.groupby([*by], sort=False)[value].mean()
    named = ((key if isinstance(key, tuple) else (key,), mean) for key, mean in means.items())
    return "; ".join(f"{', '.join(map(str, key))}: {mean:.1f}{unit}" for key, mean in named) + "."


def numbers_of(trial: Trial, doses: Sequence[float]) -> dict[str, Number | PerSeed]:
    """Numbers for the page."""
    null, changed = trial.found.get("null", []), trial.found.get(f"written {doses[-1]:g}", [])
    found: dict[str, Number | PerSeed] = {
        "null-seeds": numbers.one(
            len(null), "chains without a change", "a count", runs=null, origin=WHERE
        ),
        "seeds": numbers.one(
            len(changed), "chains with each change", "a count", runs=changed, origin=WHERE
        ),
        "quieter": numbers.one(
            quieter(trial), "noise of perplexity with fresh text ÷ with the same text again",
            "ratio of pooled standard deviations", runs=null, form=".1f",
        ),
        "noise": numbers.share(
            noise(trial),
            "standard deviation of perplexity from one generation to the next, human text alone",
            "pooled within chains, of the logarithm", 1, runs=null,
        ),
    }  # fmt: skip
    perplexity = trial.set_to(noticed.charts()[0]) if trial.null else noticed.charts()[0]
    for dose in {*doses, *NAMED}:
        chain, name = f"written {dose:g}", f"{100 * dose:g}"
        found[f"last-{name}"] = last(trial, chain, "test_perplexity")
        found[f"distinct-{name}"] = last(trial, chain, "distinct_tokens")
        found[f"delay-{name}"] = numbers.of(trial.delay(perplexity, chain), digits=1, least=1)
    runs = trial.found.get("written 0.25", [])
    read = runs[0].record.arrays["test_nll"].shape[1] if runs else 0
    found["tokens-25"] = numbers.of(
        trial.delay(perplexity, "written 0.25"),
        "tokens of held-out text read until the alarm, 25 % written",
        times=read * (runs[0].record.protocol.block_length - 1) if runs else 1,
        digits=0, interval=False,
    )  # fmt: skip
    return found
