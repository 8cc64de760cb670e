"""Pools of text and ways for human text to enter, in the language model; and what others claim."""

import pandas as pd
from matplotlib.figure import Figure

from collapse.book import figures, ratios
from collapse.book.numbers import Number
from collapse.experiment.arms import Run
from collapse.measure.per_seed import PerSeed
from collapse.measure.verdicts import CANNOT_TELL, Claim, falls, rises, stays
from replace_or_accumulate_regression import floor_claim, law_claim

WAYS = ("equal epochs", "equal steps", "as many drawn")  # of keeping all text


def kept_figure(arms: dict[str, list[Run]], rest: str) -> tuple[Figure, pd.DataFrame]:
    """Perplexity by generation: the first arm beside the others, and the others by themselves.

    Args:
        rest: a name for the others together.
    """
    made, panels = figures.canvas(2, 3.4)
    data, ends = [], []
    for index, (label, runs) in enumerate(arms.items()):
        if not runs:
            continue
        rows = ratios.table(runs).assign(setting=label)
        data.append(ratios.drawn(rows, "ratio", ["setting", "generation"]))
        colour = figures.human_share(
            float(rows.groupby("generation")["human_share"].mean().iloc[-1])
        )
        for axes in panels if index else panels[:1]:
            place = (index, len(arms))
            last = figures.seeds_and_mean(axes, rows, "ratio", place, colour)
        ends.append((f"{label.replace(', ', ',' + chr(10))}\n×{last:.2f}", last, colour))
    names = [ends[:1] + ([(rest, ends[-1][1], ends[-1][2])] if ends[1:] else []), ends[1:]]
    for axes, named in zip(panels, names, strict=True):
        axes.set(yscale="log", xlabel="generation")
        axes.set_ylabel("perplexity ÷ generation 0's")
        if named:
            figures.plain_numbers(axes.yaxis)
            figures.name_lines(axes, named)
    return made, pd.concat(data, ignore_index=True) if data else pd.DataFrame()


def rows_of(arms: dict[str, list[Run]]) -> list[dict[str, str | PerSeed | Number]]:
    """What each arm ends with, for a table."""
    return [
        {
            "setting": arm,
            "perplexity, last ÷ first": ratios.ratio(runs),
            "last ÷ the one before": ratios.ratio(runs, over=-2),
            "different tokens, last ÷ first": ratios.ratio(runs, "distinct_tokens"),
            "human share of the last text": ratios.share_in(runs, "human_share"),
        }
        for arm, runs in arms.items()
    ]


def arm_numbers(found: dict[str, list[Run]]) -> dict[str, PerSeed]:
    """How the arms end, and how they compare, seed by seed."""
    own, steps, drawn = (found[f"all kept, {way}"] for way in WAYS)
    compared = {
        "between": (drawn, steps),
        "longer": (own, steps),
        "held": (found["fixed"], found["fresh"]),
        "again": (found["redrawn"], found["fresh"]),
        "anchored": (found["replaced"], found["fixed"]),
    }
    ends = {"replaced": found["replaced"], "steps": steps}
    return {
        **{f"acc-{name}": ratios.ratio(runs) for name, runs in ends.items()},
        **{f"acc-{name}-step": ratios.ratio(runs, over=-2) for name, runs in ends.items()},
        **{f"acc-{name}": ratios.paired(*pair) for name, pair in compared.items()},
    }


# -- claims ----------------------------------------------------------------------------------


def claims(
    found: dict[str, list[Run]], laws: pd.DataFrame, risks: pd.DataFrame, percent: str
) -> list[Claim]:
    """The claims about replacing, accumulating and how human text enters.

    Args:
        found: the arms of the chapter.
        laws: the left panel of `linear_figure`.
        risks: as `scan` gives it.
        percent: the human share of the arms that retain, in words.
    """
    own, steps, drawn = (found[f"all kept, {way}"] for way in WAYS)
    replaced = found["replaced"]
    slower = ratios.paired(replaced, steps)
    between, under = ratios.paired(drawn, steps), ratios.paired(replaced, drawn)
    anchored = ratios.paired(replaced, found["fixed"])
    held = ratios.paired(found["fixed"], found["fresh"])
    calm = ratios.ratio(found["fixed"], over=-2)
    diversity = ratios.ratio(found["fixed"], "distinct_tokens")
    whole, step = ([ratios.ratio(runs, over=n) for runs in (steps, own)] for n in (0, -2))
    return [
        law_claim(laws, "all kept", "gerstgrasser-bound"),
        law_claim(laws, "replaced", "gerstgrasser-linear"),
        Claim(
            "gerstgrasser-avoids",
            "perplexity, last ÷ first, 1 for no rise: equal steps; equal epochs", *_both(whole),
        ),
        Claim(
            "gerstgrasser-stops",
            "perplexity, last ÷ the one before: equal steps; equal epochs", *_both(step),
        ),
        Claim(
            "gerstgrasser-worse",
            "growth, replaced ÷ all kept at equal steps", slower, rises(slower),
        ),
        Claim(
            "kazdan-above",
            "growth, as many drawn ÷ all kept at equal steps", between, rises(between),
        ),
        Claim(
            "kazdan-below", "growth, replaced ÷ as many drawn", under,
            rises(under),
        ),
        floor_claim(risks),
        Claim(
            "bertrand-stable",
            f"perplexity, last ÷ the one before, {percent} fixed", calm, stays(calm),
        ),
        Claim(
            "bertrand-helps", "growth, nothing kept ÷ fixed",
            anchored, rises(anchored),
        ),
        Claim(
            "alemohammad-diversity",
            f"different tokens, last ÷ first, {percent} fixed", diversity, falls(diversity),
        ),
        Claim(
            "alemohammad-fresh",
            "growth, fixed ÷ fresh", held, rises(held),
        ),
    ]  # fmt: skip


def _both(found: list[PerSeed]) -> tuple[str, str]:
    """Result and verdict on the claim that both of two ratios are 1."""
    told = {stays(one) for one in found}
    return "; ".join(map(str, found)), told.pop() if len(told) == 1 else CANNOT_TELL
