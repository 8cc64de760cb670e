"""The page on speed: what `book bench` measured, as figures, tables and words."""

import json
import statistics
from collections.abc import Sequence
from typing import Any

import pandas as pd
from IPython.display import HTML
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from collapse.bench import growth, measurement
from collapse.bench.contestants import GENERATE, OURS, TRAINER
from collapse.book import figures
from collapse.errors import BookError
from collapse.experiment.assets import build_dir
from collapse.sweeps import plan
from collapse.sweeps.plan import Job

# What each contest is measured against: sides whose names begin like this.
RIVALS = {
    "five beams": GENERATE,
    "sampling": GENERATE,
    "training": TRAINER,
}
ASKED = {"five beams": 4.0, "sampling": 1.5, "training": 1.3}  # times the rival, set beforehand
NOT_YET = "not run yet"
SHADES = ("#0072B2", "#56B4E9", "#E69F00", "#009E73", "#F0E442", "#BBBBBB")
HATCHES = ("", "//", "..", "xx", "\\\\", "")


class SpeedError(BookError):
    """A file of measurements cannot be used."""


def read(kind: str) -> dict[str, Any] | None:
    """Measurements on `cpu` or `cuda`: those made here, else the published ones, else None.

    Raises:
        SpeedError: the file is damaged or of another version.
    """
    for path in (measurement.path(kind, build_dir()), measurement.path(kind)):
        if not path.exists():
            continue
        try:
            found = json.loads(path.read_text())
        except ValueError as error:
            raise SpeedError(f"{path} is damaged ({error}); measure again: make bench") from error
        if found.get("schema") != measurement.SCHEMA:
            raise SpeedError(f"{path} is of another version of this book; run: make bench")
        return found
    return None


def origin(found: dict[str, Any]) -> str:
    """One line that says where and when the measurements were made."""
    return (
        f"{found['model']}, {found['precision']}, blocks of {found['block_length']} tokens, on "
        f"{found['device']}; {found['rounds']} rounds, {found['date'][:10]}, commit "
        f"{(found['commit'] or 'unknown')[:8]}"
    )


def rates(found: dict[str, Any]) -> pd.DataFrame:
    """One row a contest, side and round: `tokens_per_second`, and the floor of that contest."""
    return pd.DataFrame(
        [
            {
                "contest": contest, "side": side, "round": number, "tokens_per_second": rate,
                "floor": ceiling(found, contest),
            }
            for contest, sides in found["contests"].items()
            for side, measured in sides.items()
            for number, rate in enumerate(measured)
        ]
    )  # fmt: skip


def ceiling(found: dict[str, Any], contest: str) -> float:
    """Tokens a second if nothing but products at full rate, or copies at full width, took time."""
    needed, limits = found["needed"][contest], found["limits"]
    return 1 / max(needed[what] / limits[what] for what in ("operations", "bytes"))


def bound(found: dict[str, Any], contest: str) -> str:
    """What the floor of a contest is made of: `operations` or `bytes`."""
    needed, limits = found["needed"][contest], found["limits"]
    return max(("operations", "bytes"), key=lambda what: needed[what] / limits[what])


def ratios(found: dict[str, Any], contest: str, rival: str | None = None) -> list[float]:
    """How many times as fast as a rival this book is, round by round.

    Args:
        rival: how its name begins; that of `RIVALS` if none is given.

    Raises:
        KeyError: it was not measured.
    """
    sides = found["contests"][contest]
    start = rival or RIVALS[contest]
    name = next((name for name in sides if name.startswith(start)), None)
    if name is None:
        raise KeyError(start)
    return [ours / theirs for ours, theirs in zip(sides[OURS], sides[name], strict=True)]


def in_words(values: list[float]) -> str:
    """Median and range: `4.1 (3.8 to 4.4)`."""
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def times(found: dict[str, Any] | None, contest: str, rival: str | None = None) -> str:
    """`ratios` in words, or `not run yet`."""
    try:
        return in_words(ratios(found, contest, rival)) if found else NOT_YET
    except KeyError:
        return NOT_YET


def verdict(found: dict[str, Any] | None, contest: str) -> str:
    """Whether the median reaches what was asked for beforehand."""
    if not found:
        return NOT_YET
    reached = statistics.median(ratios(found, contest)) >= ASKED[contest]
    return "reached" if reached else "not reached"


def share_of_floor(found: dict[str, Any] | None, contest: str) -> str:
    """This book's median rate as a share of the floor's."""
    if not found:
        return NOT_YET
    median = statistics.median(found["contests"][contest][OURS])
    return f"{median / ceiling(found, contest):.0%}"


def at_most(found: dict[str, Any] | None, contest: str) -> str:
    """How many times as fast it would be if nothing but products with weights took time."""
    return f"{1 / found['profiles'][contest]['products with weights']:.1f}" if found else NOT_YET


def table(found: dict[str, Any] | None, kind: str) -> HTML:
    """Every side of every contest: tokens a second, times this book's rival, share of the floor.

    Args:
        kind: of machine, for the sentence that stands in for a table that is missing.
    """
    if not found:
        return HTML(f"<p>On {kind}: {NOT_YET}.</p>")
    rows = []
    for contest, sides in found["contests"].items():
        for side, measured in sides.items():
            median = statistics.median(measured)
            rival = next(n for n in sides if n.startswith(RIVALS[contest]))
            pairs = [one / two for one, two in zip(measured, sides[rival], strict=True)]
            rows.append(
                {
                    "contest": contest,
                    "who": side,
                    "tokens a second": f"{median:,.0f} ({min(measured):,.0f} to "
                    f"{max(measured):,.0f})",
                    f"times {' or '.join(dict.fromkeys(RIVALS.values()))}": in_words(pairs),
                    "share of the floor": f"{median / ceiling(found, contest):.0%}",
                }
            )
    return HTML(pd.DataFrame(rows).to_html(index=False, classes="overview", border=0))


def whole_runs(found: dict[str, Any] | None, jobs: Sequence[Job]) -> list[dict[str, str]]:
    """What runs take at the measured rates, and what they would at the floor: rows of a table.

    Scoring was not measured: it counts as a third of training, as its operations do.

    Args:
        jobs: runs of the measured model; empty where nothing was measured.
    """
    if not found:
        return []
    rows, length = [], found["block_length"]
    ways = {
        "here": {name: statistics.median(found["contests"][name][OURS]) for name in RIVALS},
        "floor": {name: ceiling(found, name) for name in RIVALS},
    }
    for job in jobs:
        todo = plan.work(job)
        trained = length * (todo.trained + todo.scored / 3)
        hours = {
            way: (trained / rate["training"] + length * todo.written / rate["five beams"]) / 3600
            for way, rate in ways.items()
        }
        rows.append(
            {
                "a run of": f"{job.protocol.epochs} epochs, {job.protocol.mixture}",
                "models": str(job.protocol.generations),
                "minutes": f"{60 * hours['here']:,.0f}",
                "hours of the machine": f"{hours['here']:,.2f}",
                "at the floor": f"{hours['floor']:,.2f}",
                "share of the floor": f"{hours['floor'] / hours['here']:.0%}",
            }
        )
    return rows


def utilisation(found: dict[str, Any] | None) -> list[dict[str, str]]:
    """Of each contest the share of the machine's operations and of its bytes: rows of a table.

    The first is what is called model-FLOP utilisation, against the rate that a large product
    reaches here and not against the number of a data sheet.
    """
    rows = []
    for contest in RIVALS if found else ():
        rate = statistics.median(found["contests"][contest][OURS])
        used = {what: rate * found["needed"][contest][what] for what in ("operations", "bytes")}
        rows.append(
            {
                "contest": contest,
                "tokens a second": f"{rate:,.0f}",
                "operations": f"{used['operations'] / found['limits']['operations']:.0%}",
                "bytes": f"{used['bytes'] / found['limits']['bytes']:.0%}",
            }
        )
    return rows


# -- figures ---------------------------------------------------------------------------------


def contests(found: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """Tokens a second of each side, every round a dot, medians as bars, floors as lines."""
    figures.style()
    data = rates(found)
    names = list(found["contests"])
    heights = [len(found["contests"][name]) for name in names]
    figure, axes = plt.subplots(
        len(names), 1, figsize=(9.2, 1.1 + 0.42 * sum(heights) + 0.5 * len(names)),
        layout="constrained", gridspec_kw={"height_ratios": heights},
    )  # fmt: skip
    for axis, name in zip(axes, names, strict=True):
        sides = found["contests"][name]
        for row, (side, measured) in enumerate(sides.items()):
            ours = side == OURS
            median = statistics.median(measured)
            axis.barh(row, median, 0.62, color=figures.COLOURS[0] if ours else "#BBBBBB")
            axis.plot(measured, [row] * len(measured), "o", mfc="white", mec="black", ms=5)
        axis.axvline(ceiling(found, name), color=figures.COLOURS[1], ls="--")
        axis.set_yticks(range(len(sides)), list(sides))
        axis.invert_yaxis()
        axis.set_xlim(0)
        axis.grid(axis="y", visible=False)
        axis.set_title(f"{name} (dashed: the floor)", loc="left", fontsize=12)
    axes[-1].set_xlabel("tokens per second")
    return figure, data


def profiles(found: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """Where this book's time goes, one bar a contest."""
    figures.style()
    shares = pd.DataFrame(found["profiles"]).T
    figure, axis = plt.subplots(figsize=(9.2, 3.4), layout="constrained")
    left = pd.Series(0.0, shares.index)
    for kind, colour, hatch in zip(shares, SHADES, HATCHES, strict=True):
        bars = axis.barh(
            shares.index, shares[kind], 0.6, left, color=colour, hatch=hatch, label=kind,
            edgecolor="white",
        )  # fmt: skip
        shown = [f"{share:.0%}" if share >= 0.05 else "" for share in shares[kind]]
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.2, "alpha": 0.8}
        axis.bar_label(bars, shown, label_type="center", fontsize=10, color="black", bbox=box)
        left += shares[kind]
    axis.invert_yaxis()
    axis.set_xlim(0, 1)
    axis.set_xlabel("share of the time of one thread")
    axis.grid(axis="y", visible=False)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    data = shares.rename_axis("contest").reset_index()
    return figure, data


def growing(found: dict[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """Seconds against size, doubly logarithmic, with the line of proportional growth."""
    figures.style()
    labels = {
        "tokens": "training tokens", "generations": "generations", "seeds": "seeds",
        "operations": "operations, by model size",
    }  # fmt: skip
    figure, axes = plt.subplots(1, 4, figsize=(11, 3.2), layout="constrained")
    data = []
    for axis, (name, label) in zip(axes, labels.items(), strict=True):
        points = found["growth"][name]
        x, y = zip(*points, strict=True)
        data += [{"with": name, "size": size, "seconds": seconds} for size, seconds in points]
        axis.loglog(x, y, "o", mfc="none", color=figures.COLOURS[0])
        first = statistics.median(seconds for size, seconds in points if size == min(x))
        axis.loglog([min(x), max(x)], [first, first * max(x) / min(x)], "--", color="#666666")
        axis.minorticks_off()
        sizes = sorted(set(x))
        axis.set_xticks(sizes, [f"{size:.0e}" if size > 1e6 else f"{size:g}" for size in sizes])
        axis.tick_params("x", labelrotation=45)
        axis.set_yticks([t for t in (0.2, 0.5, 1, 2, 5, 10, 20, 50) if min(y) / 2 < t < 2 * max(y)])
        axis.yaxis.set_major_formatter("{x:g}")
        axis.set_xlabel(label)
        axis.set_title(f"slope {growth.slope(points)}", fontsize=11)
    axes[0].set_ylabel("seconds")
    return figure, pd.DataFrame(data)


def slope(found: dict[str, Any] | None, name: str) -> str:
    """A measured slope with its interval, or `not run yet`."""
    return str(growth.slope(found["growth"][name])) if found else NOT_YET


def spent(found: dict[str, Any] | None, contest: str, kind: str) -> str:
    """A share of the profile."""
    return f"{found['profiles'][contest][kind]:.0%}" if found else NOT_YET
