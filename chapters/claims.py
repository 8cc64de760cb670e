"""What others claim of replacing, accumulating and mixing, and what the runs say of it."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

import how_much_human_text as dose
import replace_or_accumulate as regimes
from collapse.book import results
from collapse.experiment.loop import Run
from collapse.laws import regression
from collapse.measure import per_seed
from collapse.measure.per_seed import PerSeed, falls, rises, stays
from collapse.measure.verdicts import NOT_READ, Claim
from how_much_human_text import Doses

GERSTGRASSER = "Gerstgrasser et al. 2024"
KAZDAN = "Kazdan et al. 2024"
PRESS = "“AI Self-Poisoning”, AINews, May 2026"


def of_regimes(
    found: dict[str, list[Run]], linear: pd.DataFrame, scan: pd.DataFrame, percent: str
) -> list[Claim]:
    """The claims about replacing, accumulating and how human text enters.

    Args:
        found: the arms of the chapter.
        linear: the left panel of `regimes.linear_figure`.
        scan: as `regimes.scan` gives it.
        percent: the human share of the arms that retain, in words.
    """
    steps, epochs = found["accumulated, equal steps"], found["accumulated, equal epochs"]
    drawn, replaced = found["accumulated, as many drawn"], found["replaced"]
    slower = results.paired(replaced, steps)
    between, under = results.paired(drawn, steps), results.paired(replaced, drawn)
    anchored = results.paired(replaced, found["fixed"])
    held = results.paired(found["fixed"], found["fresh"])
    fixed, fixed_step = results.ratio(found["fixed"]), results.last_step(found["fixed"])
    diversity = results.ratio(found["fixed"], "distinct_tokens")
    return [
        _law(linear, "accumulated", "with accumulated data, error stays below π²/6 of the first"),
        _law(linear, "replaced", "with replaced data, error grows linearly"),
        *(
            Claim(
                "accumulating avoids collapse", f"{GERSTGRASSER}, language models",
                f"perplexity, last ÷ first and last ÷ the one before, equal {name}",
                f"{results.ratio(runs)}; {results.last_step(runs)}",
                _both(results.ratio(runs), results.last_step(runs)),
            )
            for name, runs in (("steps", steps), ("epochs", epochs))
        ),
        Claim(
            "replacing is worse than accumulating", f"{GERSTGRASSER}, {KAZDAN}",
            "factor, replaced ÷ accumulated at equal steps", str(slower),
            rises(slower),
        ),
        Claim(
            "a sample of constant size from the pool lies above accumulation", KAZDAN,
            "factor, drawn ÷ accumulated at equal steps", str(between),
            rises(between),
        ),
        Claim(
            "and below replacement", KAZDAN, "factor, replaced ÷ drawn", str(under),
            rises(under),
        ),
        _floor(scan),
        Claim(
            "a fixed human set keeps the loop stable",
            "Bertrand et al. 2023, if the first model is good and the human share large enough",
            f"perplexity, last ÷ first and last ÷ the one before, {percent} fixed",
            f"{fixed}; {fixed_step}",
            _both(fixed, fixed_step),
        ),
        Claim(
            "a fixed human set helps", "the same", "factor, nothing retained ÷ fixed",
            str(anchored), rises(anchored),
        ),
        Claim(
            "without fresh human data diversity falls", "Alemohammad et al. 2023",
            f"distinct tokens, last ÷ first, {percent} fixed", str(diversity), falls(diversity),
        ),
        Claim(
            "fresh human data do better than fixed ones", "the same",
            "factor of perplexity, fixed ÷ fresh", str(held), rises(held),
        ),
    ]  # fmt: skip


def _law(linear: pd.DataFrame, regime: str, claim: str) -> Claim:
    rows = linear[linear["regime"] == regime]
    last = rows.iloc[-1]
    agrees = regimes.obeyed(rows)
    return Claim(
        claim, f"{GERSTGRASSER}, least squares",
        f"this chapter's regression, {int(last['generation'])} rounds",
        f"{last['measured']:.2f} ± {1.96 * last['error']:.2f}, by the law {last['law']:.2f}",
        "reproduced, all generations obey the law" if agrees else "not reproduced, they leave it",
    )  # fmt: skip


def _floor(scan: pd.DataFrame) -> Claim:
    """Risk with the most rows over that with a third of them: 1/3 where scaling goes on."""
    share = 0.3
    rows = scan[scan["share"] == share].set_index("rows")
    most, fewer = sorted(rows.index)[-1], sorted(rows.index)[-2]
    value = rows["measured"][most] / rows["measured"][fewer]
    error = value * math.hypot(*(rows["error"][n] / rows["measured"][n] for n in (most, fewer)))
    measured = PerSeed({0: value}, value, value - 1.96 * error, value + 1.96 * error)
    goes_on = per_seed.size(measured, fewer / most, fewer / most)
    verdict = {per_seed.REPRODUCED: per_seed.NOT_REPRODUCED,
               per_seed.NOT_REPRODUCED: f"{per_seed.REPRODUCED}, it levels off"}  # fmt: skip
    return Claim(
        "with a constant share of synthetic data scaling stops", "Dohmatob et al. 2024",
        f"risk with {most:,} rows ÷ with {fewer:,}, {100 * share:g} % synthetic; "
        f"{fewer / most:.2f} if scaling went on",
        f"{value:.2f} ± {1.96 * error:.2f}",
        verdict.get(goes_on, goes_on),
    )  # fmt: skip


def _both(whole: PerSeed, step: PerSeed) -> str:
    """On the claim that a chain is stable: over its whole length, and at its end."""
    return f"whole chain: {stays(whole)}; last step: {stays(step)}"


def of_doses(found: Doses, tested: pd.DataFrame, end: int) -> list[Claim]:
    """The claims about how much synthetic text does harm, and how much human text is needed.

    Args:
        tested: as `dose.equivalence` gives it for perplexity.
        end: the last generation.
    """
    grid = dose.grid(found)
    small = [share for share in sorted(found) if 0 < share <= 0.1]
    repetition = dose.equivalence(grid, "moving_type_token_ratio")
    half = min((s for s in found if 0 < s < 1), key=lambda s: abs(s - 0.5))

    def cell(share: float, generation: int, column: str = "test_perplexity") -> PerSeed:
        return dose.change(grid, share, generation, column)

    by_share = cell(1.0, 1) / cell(half, 1)
    by_generation = cell(1.0, end) / cell(1.0, 1)
    least = _least_settled()
    pace = {column: dose.acceleration(found[1.0], column) for column in ("nats", "points")}

    def each(told: Callable[[float], str]) -> str:
        return "; ".join(f"{100 * share:g} %: {told(share)}" for share in small) or per_seed.NOT_RUN

    return [
        Claim(
            "even small percentages of synthetic data raise error", PRESS,
            "change of perplexity by synthetic share, last generation",
            each(lambda share: dose.told(tested, share, end)), NOT_READ,
        ),
        Claim(
            "and cut lexical diversity", PRESS,
            "distinct tokens by synthetic share, ÷ those with none, last generation",
            each(lambda share: str(cell(share, end, "distinct_tokens"))), NOT_READ,
        ),
        Claim(
            "two per cent of synthetic text led to “toxic repetition”", PRESS,
            "change of the moving type-token ratio, which repetition lowers, 2 % synthetic",
            dose.told(repetition, 0.02, end), NOT_READ,
        ),
        Claim(
            "scores fall (a table in which generation and share rise together)", PRESS,
            f"perplexity: all ÷ {100 * half:g} % synthetic, generation 1; "
            "last generation ÷ 1, all synthetic",
            f"{by_share}; {by_generation}", NOT_READ,
        ),
        Claim(
            "degradation is not linear, it accelerates", PRESS,
            "growth from generation to generation, synthetic text alone: of loss, nats; of "
            "perplexity ÷ that of generation 0",
            f"{pace['nats']}; {pace['points']}", NOT_READ,
        ),
        Claim(
            "the best weight of human data is 0.618", "He et al. 2025; half human, half synthetic",
            "variance at which a chain settles, least at a weight of",
            f"{least:.3f} by the law",
            "reproduced, for a mean, as a weight and not as a share"
            if abs(least - regression.GOLDEN) < 0.001
            else "not reproduced",
        ),
    ]  # fmt: skip


def best_mixture(found: Doses, tested: pd.DataFrame, end: int) -> str:
    """Whether any mixture is better than human text alone, at equal length of text."""
    ends = tested[tested["generation"] == end]
    if not dose.best_human_share(found) or ends.empty:
        return "not run yet"
    if ends["low"].isna().all():
        return "undecided, as one seed gives no interval"
    better = ends[ends["high"] < 0]
    if len(better):
        return f"better with {100 * (1 - better['share'].iloc[0]):g} % human text than with all"
    return "no mixture tried is better than human text alone"


def _least_settled() -> float:
    weights = np.linspace(0.01, 1, 9901)
    return float(weights[np.argmin(regression.settled(weights))])
