"""Figures of the alarms: false alarms against delay, changes by gauge, and their course."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

import would_you_have_noticed as noticed
import would_you_have_noticed_charts as alarms
from collapse.book import figures, numbers
from collapse.book.numbers import Number
from collapse.measure.per_seed import NOT_RUN
from would_you_have_noticed import Alarm, Trial

SHOWN = ("test_perplexity", "text_perplexity_median", "divergence", "distinct_tokens", "chao_shen")
COLOURS = dict(zip(SHOWN, ("#0072B2", "#B8860B", "#009E73", "#D55E00", "#A0529A"), strict=True))
MANY = 20  # false alarms in a hundred generations, the most that are shown
SPARSE = 0.1  # false alarms in a hundred generations that stand for this many or fewer


def plane(trial: Trial, doses: Sequence[float]) -> tuple[Figure, pd.DataFrame]:
    """False alarms against the delay, a panel a dose: CUSUMs with any limit, thresholds as stars.

    Returns:
        the figure and its data: one row a panel, alarm and limit.
    """
    figure, panels = figures.canvas(len(doses), height=4.0, squeeze=False, sharey=True)
    rows = []
    for axes, dose in zip(panels[0], doses, strict=True):
        chain, ends = f"written {dose:g}", []
        if not trial.null:
            continue
        longest = max((len(of.evidence) for of in trial.chain(chain)), default=1)
        for alarm in (one for one in noticed.charts() if one.gauge in SHOWN):
            name, curve = noticed.GAUGES[alarm.gauge][0], _curve(trial, alarm, chain)
            rows.append(curve.assign(written=dose, alarm=name, rule="running sum"))
            colour = COLOURS[alarm.gauge]
            axes.plot(curve["false_alarms"], curve["delay"], color=colour, lw=2)
            usual = trial.delay(trial.set_to(alarm), chain).mean
            ends.append((usual, name, colour))
        for alarm in noticed.thresholds():
            rate, delay = trial.false_alarms(alarm).mean, trial.delay(alarm, chain).mean
            published = noticed.THRESHOLDS[alarm.gauge][1]
            rows.append(
                pd.DataFrame(
                    {
                        "false_alarms": [rate], "delay": [delay], "rings_at": [alarm.limit],
                        "written": [dose], "alarm": [alarm.label],
                        "rule": ["published threshold" if published else "our threshold"],
                    }
                )
            )  # fmt: skip
            colour = COLOURS[alarm.gauge]
            axes.plot(max(rate, SPARSE), delay, "*", ms=14, mew=1.2, mec=colour,
                      mfc=colour if published else "none", clip_on=False, zorder=4)  # fmt: skip
        axes.set_xscale("log")
        axes.set(
            xlim=(SPARSE, MANY), ylim=(0.8, longest + 0.3), title=f"{100 * dose:g} % written text"
        )
        axes.set_xlabel("false alarms in 100 generations")
        axes.xaxis.set_major_formatter(FuncFormatter(_rate))
        ticks = range(1, longest + 1)
        axes.set_yticks(ticks, [*map(str, ticks[:-1]), f"{longest}\nor never"])
    for place, (_, name, colour) in enumerate(
        sorted(ends) if trial.null else []
    ):  # the soonest first
        axes.text(1.03, 0.9 - 0.08 * place, name, color=colour,
                  transform=axes.transAxes)  # fmt: skip
    panels[0, 0].set_ylabel("generations until the alarm")
    return figure, pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def _rate(value: float, _: object) -> str:
    return f"≤{value:g}" if value <= SPARSE else f"{value:g}"


def _curve(trial: Trial, alarm: Alarm, chain: str) -> pd.DataFrame:
    """Rate of false alarms and mean delay at rising limits."""
    limits = np.geomspace(trial.set_to(alarm, SPARSE / 100).limit, 0.2, 32)
    tried = [Alarm(alarm.label, alarm.gauge, alarm.chart, float(limit)) for limit in limits]
    rows = pd.DataFrame(
        {
            "false_alarms": 100 * alarms.rates(trial.long(alarm), alarm.chart, limits).mean(1),
            "delay": [trial.delay(one, chain).mean for one in tried],
            "rings_at": limits,
        }
    )
    rows["false_alarms"] = rows["false_alarms"].clip(lower=SPARSE)
    return rows[rows["false_alarms"] <= MANY]


def by_gauge(trial: Trial, kinds: dict[str, list[tuple[str, str]]]) -> tuple[Figure, pd.DataFrame]:
    """How far each gauge moves in the first three generations, in its own noise.

    Args:
        kinds: title of a panel -> its chains, each with how readers see it.
    """
    figure, panels = figures.canvas(len(kinds), height=4.8, squeeze=False, sharey=True)
    rows = []
    for axes, (title, chains) in zip(panels[0], kinds.items(), strict=True):
        for place, (chain, label) in enumerate(chains):
            for row, (gauge, (name, _)) in enumerate(noticed.GAUGES.items()):
                values = {
                    of.seed: float(of.scaled[gauge].iloc[:3].mean()) for of in trial.chain(chain)
                }
                height = row + 0.22 * (place - (len(chains) - 1) / 2)
                colour, marker = figures.COLOURS[place], figures.MARKERS[place]
                axes.plot(
                    [*values.values()], [height] * len(values), "o", ms=3, mfc="none", color=colour
                )
                if values:
                    axes.plot(np.mean([*values.values()]), height, marker, color=colour, ms=7,
                              label=label if not row else None)  # fmt: skip
                rows += [
                    {
                        "kind": title,
                        "chain": label,
                        "gauge": name,
                        "seed": seed,
                        "scaled_change": value,
                    }
                    for seed, value in values.items()
                ]
        axes.axvline(0, color=figures.BAND, lw=1)
        axes.axvline(3, color=figures.BAND, lw=1.5, ls=(0, (4, 2)))
        axes.set_xscale("symlog", linthresh=3)
        axes.set(title=title, xlabel="standard deviations")
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−"))
        )
        axes.set_yticks(range(len(noticed.GAUGES)), [name for name, _ in noticed.GAUGES.values()])
        axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.16), ncols=2, handletextpad=0.1,
                    columnspacing=0.8, borderpad=0)  # fmt: skip
        axes.margins(x=0.12)
    panels[0, 0].invert_yaxis()
    return figure, pd.DataFrame(rows)


def course(trial: Trial, doses: Sequence[float]) -> tuple[Figure, pd.DataFrame]:
    """The two gauges with a published threshold, by generation after the change."""
    shown = [name for name, (_, published) in noticed.THRESHOLDS.items() if published]
    figure, panels = figures.canvas(len(shown), height=3.8)
    rows = []
    for axes, gauge in zip(panels, shown, strict=True):
        name = noticed.GAUGES[gauge][0]
        ends = _courses(axes, trial, gauge, doses, rows)
        limit = noticed.THRESHOLDS[gauge][0]
        axes.axhline(100 * limit, color=figures.PAPER, lw=1.5, ls=(0, (4, 2)))
        ends.append((f"alarm as published:\n{100 * limit:.0f} %", 100 * limit, figures.PAPER))
        axes.set(title=name, xlabel="generations after the change")
        axes.set_ylabel("% of the five generations before")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figures.name_lines(axes, ends)
    return figure, pd.DataFrame(rows)


def _courses(
    axes: Axes, trial: Trial, gauge: str, doses: Sequence[float], rows: list[dict[str, object]]
) -> list[tuple[str, float, object]]:
    sign, ends = noticed.GAUGES[gauge][1], []
    after = [len(of.evidence) for dose in doses for of in trial.chain(f"written {dose:g}")]
    longest = max(after, default=0)
    chains = {"null": ("human alone", figures.BAND)} | {
        f"written {dose:g}": (f"{100 * dose:g} % written", figures.human_share(1 - dose))
        for dose in doses
    }
    for chain, (label, colour) in chains.items():
        lines = []
        for of in trial.chain(chain):
            values = 100 * np.exp(sign * of.changes[gauge].to_numpy()[:longest])
            lines.append(values)
            x = np.arange(1, len(values) + 1)
            axes.plot(x, values, color=colour, lw=0.7, alpha=0.6)
            rows += [
                {"gauge": noticed.GAUGES[gauge][0], "chain": label, "seed": of.seed,
                 "generation": int(n), "per_cent": float(v)} for n, v in zip(x, values, strict=True)
            ]  # fmt: skip
        if lines and chain != "null":
            shortest = min(map(len, lines))
            mean = np.mean([line[:shortest] for line in lines], axis=0)
            axes.plot(np.arange(1, shortest + 1), mean, color=colour, lw=2)
            ends.append((label, float(mean[-1]), colour))
        elif lines:
            ends.append((label, float(np.mean([line[-1] for line in lines])), figures.PAPER))
    return ends


def table(trial: Trial, found: Sequence[Alarm], chains: Mapping[str, str]) -> list[dict[str, Any]]:
    """For each alarm its false alarms, and in how many runs of a chain it rings within three.

    Args:
        chains: name in the trial -> how readers see it.
    """
    rows = []
    for alarm in found:
        row = {"alarm": alarm.label, "false alarms in 100 generations": rate(trial, alarm)}
        for chain, label in chains.items():
            delays = trial.delays(alarm, chain)
            soon = sum(delay <= 3 for delay in delays.values())
            row[label] = f"{soon} of {len(delays)}" if delays else NOT_RUN
        rows.append(row)
    return rows


def rate(trial: Trial, alarm: Alarm) -> Number | str:
    """False alarms in a hundred generations; in words where they are too few to be told."""
    found = numbers.of(trial.false_alarms(alarm), digits=1, least=0)
    return f"fewer than {SPARSE:g}" if found.value < SPARSE else found
