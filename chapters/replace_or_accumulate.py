"""What the chapter on replacing and accumulating computes of regression, and what others claim.

The laws themselves are in `regression`; the language model's runs are drawn by `figures`.
"""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import stats

from collapse.book import figures, ratios
from collapse.experiment.arms import Run, one_of
from collapse.laws import regression
from collapse.laws.regression import REGIMES, Task
from collapse.measure import verdicts
from collapse.measure.per_seed import NOT_RUN, PerSeed
from collapse.measure.verdicts import Claim, Phrases, falls, rises, stays

SHARES = (0.0, 0.01, 0.1, 0.3, 1.0)  # synthetic labels, in the scan over the number of rows
ROWS = (300, 1000, 3000, 10_000, 30_000)
FEW = Task(np.ones(10), np.full(10, 0.5), rows=100, noise=1.0)  # whose fit makes these labels
GERSTGRASSER = "Gerstgrasser et al. 2024"
KAZDAN = "Kazdan et al. 2024"
LABELS = {
    "replace": "replaced",
    "accumulate": "accumulated",
    "accumulate-subsample": "accumulated, as many drawn",
}

PLAIN = Task(np.ones(20), np.full(20, 0.5), rows=1000, noise=1.0)
RIDGE = Task(np.geomspace(4, 0.25, 20), np.full(20, 0.5), rows=1000, noise=1.0, penalty=0.2)
STILL = replace(RIDGE, fixed=True)  # the same with a total penalty that does not grow
NOTHING = float((RIDGE.eigenvalues * RIDGE.truth**2).sum()) / RIDGE.unit  # predicts zero


def linear(
    problems: dict[str, tuple[Task, str]], generations: int, chains: int, seed: int
) -> pd.DataFrame:
    """Law and simulation of some regimes, in units of the risk of generation 0's least squares.

    Args:
        problems: label -> task and regime.

    Columns: `regime`, `generation`, `law`, `measured` and its standard `error` over chains.
    """
    parts = []
    for label, (problem, regime) in problems.items():
        random = np.random.default_rng(seed)
        found = regression.simulate(problem, regime, generations, chains, random) / problem.unit
        parts.append(
            pd.DataFrame(
                {
                    "regime": label,
                    "generation": np.arange(generations + 1),
                    "law": regression.risk(problem, regime, generations) / problem.unit,
                    "measured": found.mean(0),
                    "error": found.std(0, ddof=1) / math.sqrt(chains),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def scan(chains: int, seed: int) -> pd.DataFrame:
    """Risk by the number of rows for several constant shares of synthetic labels.

    Columns: `share`, `rows`, `law`, `measured`, `error`; in units of the risk of the model that
    made the labels, which was fitted to the 100 human rows of `FEW`.
    """
    parts = []
    unit = float(regression.floor(0.0, FEW.rows, FEW))
    for share in SHARES:
        for rows in ROWS:
            random = np.random.default_rng([seed, rows])  # all shares see the same data
            found = regression.simulate_floor(share, rows, FEW, chains, random) / unit
            law = float(regression.floor(share, rows, FEW)) / unit
            error = found.std(ddof=1) / math.sqrt(chains)
            parts.append((share, rows, law, found.mean(), error))
    return pd.DataFrame(parts, columns=["share", "rows", "law", "measured", "error"])


def linear_figure(generations: int, chains: int, seed: int) -> tuple[Figure, pd.DataFrame]:
    """Risk by generation for least squares and for ridge; points are simulated, lines are laws."""
    figures.style()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4.6), layout="constrained")
    plain = {LABELS[regime]: (PLAIN, regime) for regime in REGIMES}
    shrunk = {LABELS[regime]: (RIDGE, regime) for regime in REGIMES}
    shrunk["accumulated, total penalty fixed"] = (STILL, "accumulate")
    parts = {
        panel: linear(problems, generations, chains, seed)
        for panel, problems in (("left", plain), ("right", shrunk))
    }
    _by_regime(left, parts["left"], "Least squares")
    _by_regime(right, parts["right"], f"Ridge, penalty {RIDGE.penalty:g} a row")
    left.axhline(math.pi**2 / 6, color="black", lw=1.2, ls=":")
    left.annotate("π²/6", (generations, math.pi**2 / 6), va="bottom", ha="right", fontsize=10)
    left.set_ylabel("risk ÷ that of one fit to human labels")
    right.legend(fontsize=9, loc="center right", bbox_to_anchor=(1, 0.2))
    return figure, figures.panels(**parts)


def linear_numbers(data: pd.DataFrame) -> dict[str, str]:
    """What the text says of the regressions, by name; `data` as `linear_figure` gives it."""
    rounds = data["generation"].max()
    ends = data[data["generation"] == rounds].set_index(["panel", "regime"])
    plain, shrunk = ends.loc["left"], ends.loc["right"]
    start = data[(data["panel"] == "right") & (data["generation"] == 0)]["law"].iloc[0]
    numbers = {
        "reg-rounds": str(rounds),
        "ridge-still": f"{shrunk['measured']['accumulated, total penalty fixed']:.1f}",
        "ridge-first": f"{start:.1f}",
        "ridge-zero": f"{NOTHING:.0f}",
    }
    for regime, name in zip(LABELS.values(), ("rep", "acc", "sub"), strict=True):
        numbers |= {
            f"reg-{name}": f"{plain['measured'][regime]:.2f}",
            f"reg-{name}-law": f"{plain['law'][regime]:.2f}",
            f"ridge-{name}": f"{shrunk['measured'][regime]:.0f}",
        }
    return numbers


def scan_numbers(data: pd.DataFrame) -> dict[str, str]:
    """What the text says of constant shares, by name; `data` as `scan` gives it."""
    most = data["rows"].max()
    risks = data[data["rows"] == most].set_index("share")["measured"]
    names = {0.0: "none", 0.01: "one", 0.1: "ten", 0.3: "third"}
    found = {f"scan-{name}": f"{risks[share]:.4f}" for share, name in names.items()}
    return found | {"scan-rows": f"{most:,}"}


def obeyed(data: pd.DataFrame) -> bool:
    """Whether no simulated point is farther from its law than chance allows, at 5 % over all."""
    far = ((data["measured"] - data["law"]).abs() / data["error"]).max()
    return bool(far < stats.norm.isf(0.025 / len(data)))


def scan_figure(chains: int, seed: int) -> tuple[Figure, pd.DataFrame]:
    """Risk by the number of rows, for several constant shares of synthetic labels."""
    figures.style()
    data = scan(chains, seed)
    unit = float(regression.floor(0.0, FEW.rows, FEW))
    figure, axes = plt.subplots(figsize=(7.6, 4.6), layout="constrained")
    for index, (share, rows) in enumerate(data.groupby("share")):
        colour, marker = figures.COLOURS[index % 4], "osD^v"[index]
        line = (*figures.LINES, (0, (1, 1)))[index]
        many = np.geomspace(rows["rows"].min(), 1e6, 60)
        law = regression.floor(float(share), many, FEW) / unit
        axes.plot(many, law, color=colour, ls=line, lw=2)
        axes.errorbar(
            rows["rows"], rows["measured"], 1.96 * rows["error"], color=colour, marker=marker,
            ms=7, ls="", capsize=3, label=f"{100 * float(share):g} % synthetic",
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="rows that are fitted",
             ylabel="risk ÷ that of the model that made the labels")  # fmt: skip
    axes.legend(fontsize=9)
    return figure, data


def _by_regime(axes: Axes, data: pd.DataFrame, title: str) -> None:
    for index, (regime, rows) in enumerate(data.groupby("regime", sort=False)):
        colour = figures.COLOURS[index]
        axes.plot(rows["generation"], rows["law"], color=colour, ls=figures.LINES[index], lw=2)
        axes.errorbar(
            rows["generation"], rows["measured"], 1.96 * rows["error"], color=colour,
            marker=figures.MARKERS[index], ls="", ms=5, capsize=2, label=str(regime),
        )  # fmt: skip
    axes.set(yscale="log", xlabel="generation (0 = fitted to human labels)", title=title)
    figures.plain_numbers(axes.yaxis)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


# -- numbers in the text ---------------------------------------------------------------------


def short(arm: str) -> str:
    """The name of an arm in the names of its numbers: `equal-steps`."""
    return arm.replace("accumulated, ", "").replace(" ", "-")


def pool_numbers(found: dict[str, list[Run]], seed: int) -> dict[str, str]:
    """How pools of text compare, seed by seed, and how much of them is human in one run."""
    own, steps, drawn = (
        found[f"accumulated, {way}"] for way in ("equal epochs", "equal steps", "as many drawn")
    )

    def left(runs: list[Run]) -> str:
        if not runs:
            return NOT_RUN
        return f"{one_of(runs, seed).record.generations['human_share'].iloc[-1]:.2f}"

    return {
        "acc-slower": str(ratios.paired(found["replaced"], steps)),
        "acc-between": str(ratios.paired(drawn, steps)),
        "acc-under": str(ratios.paired(found["replaced"], drawn)),
        "acc-longer": str(ratios.paired(own, steps)),
        "acc-left-pool": left(steps),
        "acc-left-drawn": left(drawn),
    }


def entering_numbers(found: dict[str, list[Run]]) -> dict[str, str]:
    """How the ways compare in which human text enters, seed by seed, and what they do to kinds."""
    held = ratios.paired(found["fixed"], found["fresh"])
    return {
        "ent-held": str(held),
        "ent-held-word": rises(held),
        "ent-again": str(ratios.paired(found["redrawn"], found["fresh"])),
        "ent-anchored": str(ratios.paired(found["replaced"], found["fixed"])),
        **{
            f"ent-{arm}-distinct": str(ratios.ratio(found[arm], "distinct_tokens"))
            for arm in ("replaced", "fixed", "fresh")
        },
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
    steps, epochs = found["accumulated, equal steps"], found["accumulated, equal epochs"]
    drawn, replaced = found["accumulated, as many drawn"], found["replaced"]
    slower = ratios.paired(replaced, steps)
    between, under = ratios.paired(drawn, steps), ratios.paired(replaced, drawn)
    anchored = ratios.paired(replaced, found["fixed"])
    held = ratios.paired(found["fixed"], found["fresh"])
    diversity = ratios.ratio(found["fixed"], "distinct_tokens")
    return [
        _law(laws, "accumulated", "with accumulated data, error stays below π²/6 of the first"),
        _law(laws, "replaced", "with replaced data, error grows linearly"),
        *(
            Claim(
                "accumulating avoids collapse", f"{GERSTGRASSER}, language models",
                f"perplexity, last ÷ first and last ÷ the one before, equal {name}",
                *_stable(runs),
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
        _floor(risks),
        Claim(
            "a fixed human set keeps the loop stable",
            "Bertrand et al. 2023, if the first model is good and the human share large enough",
            f"perplexity, last ÷ first and last ÷ the one before, {percent} fixed",
            *_stable(found["fixed"]),
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


def _law(laws: pd.DataFrame, regime: str, claim: str) -> Claim:
    rows = laws[laws["regime"] == regime]
    last = rows.iloc[-1]
    agrees = obeyed(rows)
    return Claim(
        claim, f"{GERSTGRASSER}, least squares",
        f"this chapter's regression, {int(last['generation'])} rounds",
        f"{last['measured']:.2f} ± {1.96 * last['error']:.2f}, by the law {last['law']:.2f}",
        "reproduced, all generations obey the law" if agrees else "not reproduced, they leave it",
    )  # fmt: skip


def _floor(risks: pd.DataFrame) -> Claim:
    """Risk with the most rows over that with a third of them: 1/3 where scaling goes on."""
    share = 0.3
    rows = risks[risks["share"] == share].set_index("rows")
    most, fewer = sorted(rows.index)[-1], sorted(rows.index)[-2]
    value = rows["measured"][most] / rows["measured"][fewer]
    error = value * math.hypot(*(rows["error"][n] / rows["measured"][n] for n in (most, fewer)))
    measured = PerSeed({0: value}, value, value - 1.96 * error, value + 1.96 * error)
    off = f"{verdicts.REPRODUCED}, it levels off"
    phrases = Phrases(off, verdicts.NOT_REPRODUCED, off, verdicts.CLAIM.across)
    return Claim(
        "with a constant share of synthetic data scaling stops", "Dohmatob et al. 2024",
        f"risk with {most:,} rows ÷ with {fewer:,}, {100 * share:g} % synthetic; "
        f"{fewer / most:.2f} if scaling went on",
        f"{value:.2f} ± {1.96 * error:.2f}",
        verdicts.size(measured, fewer / most, fewer / most, phrases),
    )  # fmt: skip


def _stable(runs: list[Run]) -> tuple[str, str]:
    """Result and verdict on the claim that a chain is stable, over its length and at its end."""
    whole, step = ratios.ratio(runs), ratios.ratio(runs, over=-2)
    return f"{whole}; {step}", f"whole chain: {stays(whole)}; last step: {stays(step)}"
