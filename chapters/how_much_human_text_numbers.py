"""The numbers in the text on dose and recovery, by the names that the text has for them."""

import math
from collections.abc import Sequence

import pandas as pd

import how_much_human_text as dose
from collapse.book import numbers
from collapse.book.numbers import Number
from collapse.experiment.arms import Run
from collapse.laws import drift
from collapse.measure.per_seed import PerSeed


def told(
    doses: dose.Doses, mended: dose.Mended, rounds: int, end: int
) -> dict[str, Number | PerSeed | str]:
    """All that the text says of the runs, by name."""
    tested, amounts = dose.equivalence(dose.grid(doses)), sorted({n for _, n in mended})
    tests = [run for runs in doses.values() for run in runs]
    return (
        dose_numbers(doses, end)
        | equivalence_numbers(tested, end, tests)
        | recovery_numbers(mended, rounds, amounts)
    )


def in_per_cent(share: PerSeed) -> Number:
    """A share with its interval, in per cent."""
    return numbers.of(share, unit="%", times=100, digits=0)


def _set(value: float, what: str, unit: str = "") -> Number:
    """A number that was chosen, not measured."""
    form = ".6g" if unit else ",.0f"
    return numbers.one(
        value, what, "a setting", origin="parameters of the page", unit=unit, form=form
    )


def dose_numbers(doses: dose.Doses, end: int) -> dict[str, Number | PerSeed | str]:
    """How much worse, by share, and whether it still grows; the middle share is called half."""
    found, middle = dose.grid(doses), dose.middle(doses)
    tenth = max(share for share in doses if share < 1)
    told: dict[str, Number | PerSeed | str] = {"dose-end": _set(end, "the last generation")}
    for name, share in (("all", 1.0), ("tenth", tenth), ("half", middle)):
        steps = {"later": min(2, end), "step": end - 1}
        told |= {
            f"dose-{name}-human": _set(100 * round(1 - share, 9), "human share of the text", "%"),
            f"dose-{name}-worse": dose.worse(dose.change(found, share, end, "test_perplexity")),
            f"dose-{name}-first": dose.worse(dose.change(found, share, 1, "test_perplexity")),
        }
        for key, before in steps.items():
            since = dose.since(found, share, before, end)
            what = (
                f"perplexity against human text alone, generation {end} ÷ generation {before}: "
                f"{100 * share:g} % synthetic"
            )
            told[f"dose-{name}-{key}"] = numbers.of(since, what, before="×")
        for column, short in (("distinct_tokens", "distinct"), ("tail_coverage", "tail")):
            told[f"dose-{name}-{short}"] = in_per_cent(dose.change(found, share, end, column))
    return told


def equivalence_numbers(
    tested: pd.DataFrame, end: int, runs: Sequence[Run]
) -> dict[str, Number | PerSeed | str]:
    """Up to which synthetic share a change is ruled out, and from which one it is certain."""
    found: dict[str, Number | PerSeed | str] = {
        "eq-margin": numbers.share(
            dose.MARGIN, "change of perplexity that counts as none", "a choice",
            origin="this book's margin",
        )
    }  # fmt: skip
    for name, generation in (("first", 1), ("last", end)):
        shares = dose.certain_up_to(tested, generation), dose.certain_from(tested, generation)
        for word, share in zip(("within", "above"), shares, strict=True):
            which = "largest" if word == "within" else "least"
            found[f"eq-{name}-{word}"] = (
                "no share"
                if math.isnan(share)
                else numbers.one(
                    100 * share,
                    f"{which} synthetic share whose change is {word} the margin, "
                    f"generation {generation}",
                    "two one-sided tests at 5 %, share by share",
                    runs=runs,
                    unit="%",
                    form=".6g",
                )
            )
    return found


def weight_numbers(data: pd.DataFrame, origin: str) -> dict[str, Number]:
    """Where simulated chains settle; `data` as `weight_figure` gives it."""
    simulated = data.dropna(subset="measured").set_index("human_weight")
    what = "variance of a mean, times that of the human half alone, human weight"
    found = {
        "mix-law": numbers.one(
            drift.weighed_variance(drift.GOLDEN), f"{what} {drift.GOLDEN:.3f}", "a closed form",
            origin="the law of a weighed mean in a chain", form=".2f",
        )
    }  # fmt: skip
    for name, weight in (("mix-golden", 0.618), ("mix-one", 1.0)):
        row = simulated.loc[weight]
        found[name] = numbers.one(
            row["measured"], f"{what} {weight:g}", "mean over simulated chains", origin=origin,
            form=".2f", low=row["low"], high=row["high"],
            interval="95 %, normal, over simulated chains",
        )  # fmt: skip
    return found


def recovery_numbers(
    mended: dose.Mended, rounds: int, amounts: list[int]
) -> dict[str, Number | PerSeed | str]:
    """What is regained after the most rounds of collapse, with the least and the most text."""
    runs = [run for runs in mended.values() for run in runs]
    first = runs[0].record.corpus["blocks"]["train"] if runs else math.nan
    told: dict[str, Number | PerSeed | str] = {
        "mend-rounds": _set(rounds, "rounds with nothing human before the recovery"),
        "mend-large": _set(amounts[-1], "human blocks of the largest recovery"),
        "mend-small": _set(amounts[0], "human blocks of the smallest recovery"),
        "mend-first": numbers.one(
            first, "human blocks that generation 0 learnt from", "a setting", runs=runs[:1]
        ),
    }
    for name, blocks in (("large", amounts[-1]), ("small", amounts[0])):
        told[f"mend-{name}-back"] = in_per_cent(dose.regained(mended[rounds, blocks]))
        told[f"mend-{name}-scar"] = dose.worse(
            dose.beside(mended[rounds, blocks], mended[0, blocks])
        )
    return told
