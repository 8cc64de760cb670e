"""The figures of dose, response and recovery, which `how_much_human_text` computes."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import how_much_human_text as dose
from collapse.book import figures, ratios
from collapse.experiment.arms import Run
from collapse.laws import drift
from collapse.measure.per_seed import PerSeed

_WORSE = LinearSegmentedColormap.from_list("worse", ["#FFFFFF", "#F2C6A0", "#C4500F", "#5A1F00"])
_DIVERSITY = {
    "distinct_tokens": "different tokens written",
    "tail_coverage": "rare human tokens still written",
}


def percent(share: float) -> str:
    """A human share in words, as figures have it."""
    return f"{100 * share:g} %" if share else "none"


def map_figure(doses: dose.Doses) -> tuple[Figure, pd.DataFrame]:
    """How much worse than with human text alone, by human share and generation, with its value."""
    found = dose.grid(doses)
    shares = [share for share in sorted(set(found["share"])) if share]
    made, axes = figures.canvas(height=1.1 + 0.4 * max(len(shares), 3))
    worst = max(float(found["test_perplexity_change"].max()), 1.1) if len(found) else 2.0
    last = int(found["generation"].max()) if len(found) else 1
    for row, share in enumerate(shares):
        for number in range(1, last + 1):
            cell = dose.change(found, share, number, "test_perplexity")
            _cell(axes, (number, row), cell, worst)
    axes.set(xlim=(0.5, last + 0.5), ylim=(max(len(shares), 1) - 0.5, -0.5))
    axes.set_xticks(range(1, last + 1))
    axes.set_yticks(range(len(shares)), [percent(round(1 - share, 9)) for share in shares])
    axes.set(xlabel="generation", ylabel="human share of its text")
    axes.tick_params(length=0)
    axes.grid(False)
    for side in axes.spines.values():
        side.set_visible(False)
    return made, _drawn(found[(found["share"] > 0) & (found["generation"] > 0)], "test_perplexity")


def _drawn(found: pd.DataFrame, column: str, measure: list[str] | None = None) -> pd.DataFrame:
    """Cells of `dose.grid` as figures draw them: seeds, and means with intervals over them."""
    rows = found.assign(
        retained=(1 - found["share"]).round(9), ratio_to_human=found[f"{column}_change"],
        measure=column,
    )  # fmt: skip
    return ratios.drawn(rows, "ratio_to_human", [*(measure or []), "retained", "generation"])


def _cell(axes: Axes, place: tuple[int, int], cell: PerSeed, worst: float) -> None:
    """A cell in as many strips as there are seeds, each as dark as that seed is worse."""
    (x, y), values = place, [cell.by_seed[seed] for seed in sorted(cell.by_seed)]
    wide = 0.96 / len(values)
    for index, value in enumerate(values):
        corner = (x - 0.48 + index * wide, y - 0.46)
        shade = _shade(value, worst)
        axes.add_patch(Rectangle(corner, wide, 0.92, color=shade, lw=0.3))
    frame = Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, fill=False, edgecolor="#CCCCCC", lw=0.6)
    axes.add_patch(frame)
    dark = float(np.dot(to_rgb(_shade(cell.mean, worst)), (0.3, 0.6, 0.1))) < 0.55
    axes.text(x, y, value_in_short(cell), ha="center", va="center",
              color="white" if dark else figures.INK)  # fmt: skip


def _shade(value: float, worst: float) -> tuple[float, float, float, float]:
    # The root shows the small ones: 1 per cent is told from 3, and 100 from 400.
    return _WORSE(math.sqrt(max(math.log(value), 0) / math.log(worst)))


def value_in_short(cell: PerSeed) -> str:
    """A ratio without its interval, as `dose.worse` tells it."""
    value = str(dose.worse(PerSeed({0: cell.mean}, cell.mean, math.nan, math.nan)))
    return value.partition(" (")[0] if "×" in value else f"+{value}".replace("+-", "−")


def diversity_figure(doses: dose.Doses, shares: list[float]) -> tuple[Figure, pd.DataFrame]:
    """Two measures of diversity by generation, a line for each of some synthetic shares."""
    found = dose.grid(doses)
    made, panels = figures.canvas(2, 3.2, sharey=True)
    ends: dict[str, list] = {column: [] for column in _DIVERSITY}
    for axes, (column, title) in zip(panels, _DIVERSITY.items(), strict=True):
        for index, share in enumerate(shares):
            rows = found[found["share"] == share]
            if rows.empty:
                continue
            rows = rows.assign(ratio=rows[f"{column}_change"])
            colour = figures.human_share(1 - share)
            place = (index, len(shares))
            last = figures.seeds_and_mean(axes, rows, "ratio", place, colour)
            ends[column].append((percent(round(1 - share, 9)), last, colour))
        axes.set_yscale("log")
        axes.set(title=title, xlabel="generation")
        axes.axhline(1, color="#333333", lw=1)
    for axes, column in zip(panels, _DIVERSITY, strict=True):  # now that both reach as far
        figures.plain_numbers(axes.yaxis)
        figures.name_lines(axes, ends[column])
        axes.set_ylabel("÷ with human text alone")
    shown = found[found["share"].isin(shares)]
    return made, pd.concat([_drawn(shown, name, ["measure"]) for name in _DIVERSITY])


def equivalence_figure(doses: dose.Doses, end: int) -> tuple[Figure, pd.DataFrame]:
    """Change of perplexity in the last generation, with the margin as a band; hollow: the first."""
    found = dose.grid(doses)
    tested = dose.equivalence(found)
    shares = [share for share in sorted(doses) if share]
    made, axes = figures.canvas(height=1.2 + 0.4 * len(shares))
    margin = 100 * dose.MARGIN
    axes.axvspan(-margin, margin, color=figures.BAND, alpha=0.25, lw=0, zorder=0)
    axes.axvline(0, color="#333333", lw=1)
    for _, row in tested.iterrows():
        place, first = shares.index(row["share"]), row["generation"] == 1
        if row["generation"] == end:
            known = {dose.WITHIN: "o", dose.CANNOT_TELL: "s"}
            shape = {"marker": known.get(row["verdict"], "D"),
                     "color": figures.human_share(1 - row["share"])}  # fmt: skip
            cell = found[(found["share"] == row["share"]) & (found["generation"] == end)]
            seeds = 100 * (cell["test_perplexity_change"] - 1)
            axes.plot(seeds, [place + 0.22] * len(seeds), "|", ms=7, color="#333333")
            axes.plot([row["low"], row["high"]], [place] * 2, lw=2.2, color=shape["color"])
            axes.plot(row["change"], place, ms=7, **shape)
            axes.text(1.02, place, f"{row['change']:+.1f} %".replace("-", "−"), va="center",
                      transform=axes.get_yaxis_transform())  # fmt: skip
        elif first:
            axes.plot(row["change"], place - 0.25, "o", ms=5, mfc="none", color="#777777")
    axes.set_xscale("symlog", linthresh=5)
    axes.set_xticks([0, 2, 5, 20, 100], ["0", "2", "5", "20", "100"])
    axes.minorticks_off()
    axes.set_xlim(left=-3)
    axes.set_yticks(range(len(shares)), [percent(round(1 - share, 9)) for share in shares])
    axes.set_ylim(max(len(shares), 1) - 0.4, -0.6)
    axes.set(xlabel="perplexity against human text alone (%)", ylabel="human share of the text")
    axes.text(0, 1.01, "less than 2 %", ha="center", transform=axes.get_xaxis_transform())
    return made, _tests(found, tested, end)


def _tests(found: pd.DataFrame, tested: pd.DataFrame, end: int) -> pd.DataFrame:
    """What is drawn of the tests: means in the first and the last generation, seeds in the last."""
    columns = ["retained", "generation", "seed", "ratio_to_human", "low", "high", "verdict"]
    of_all = tested[tested["generation"].isin([1, end])]
    ends = {name: 1 + of_all[name] / 100 for name in ("low", "high")}
    means = of_all.assign(ratio_to_human=1 + of_all["change"] / 100, **ends)
    last = found[(found["generation"] == end) & (found["share"] > 0)]
    seeds = last.assign(ratio_to_human=last["test_perplexity_change"])
    rows = pd.concat([means, seeds.astype({"seed": "Int64"})], ignore_index=True)
    rows["retained"] = (1 - rows["share"]).round(9)
    return rows.reindex(columns=columns).sort_values(["retained", "generation", "seed"])


def pace_figure(arms: dict[float, list[Run]]) -> tuple[Figure, pd.DataFrame]:
    """How much worse each generation is than the one before, by synthetic share."""
    made, axes = figures.canvas()
    parts, ends = [], []
    for index, (share, runs) in enumerate(arms.items()):
        rows = dose.increments(runs)
        if len(rows):
            ratio = np.exp(rows["nats"].astype(float))
            rows = rows.assign(retained=round(1 - share, 9), ratio=ratio, ratio_to_previous=ratio)
            parts.append(ratios.drawn(rows, "ratio_to_previous", ["retained", "generation"]))
            colour = figures.human_share(1 - share)
            place = (index, len(arms))
            last = figures.seeds_and_mean(axes, rows, "ratio", place, colour)
            name = f"{percent(round(1 - share, 9))} human" if share < 1 else "nothing human"
            ends.append((name, last, colour))
    axes.axhline(1, color="#333333", lw=1)
    axes.set_xlabel("generation")
    axes.set_ylabel("perplexity on human text,\ntimes that of the generation before")
    figures.name_lines(axes, ends)
    return made, pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def recovery_figure(mended: dose.Mended, rounds: int) -> tuple[Figure, pd.DataFrame]:
    """Perplexity by epoch of the recovery after some rounds of collapse, a line for an amount."""
    amounts = sorted({blocks for _, blocks in mended})
    made, axes = figures.canvas(height=3.6)
    parts, ends, originals = [], [], []
    for index, blocks in enumerate(amounts):
        runs = mended.get((rounds, blocks), [])
        rows = [dose.curve(run).assign(seed=run.record.protocol.seed) for run in runs]
        if not rows:
            continue
        data = pd.concat(rows, ignore_index=True)
        colour = ("#3F7CC4", "#2560A6", "#0B3C8C")[max(index - len(amounts), -3)]
        place = (index, len(amounts))
        end = figures.seeds_and_mean(axes, data, "perplexity", place, colour, by="epoch")
        named = data.assign(human_blocks=blocks, valid_perplexity=data["perplexity"])
        parts.append(ratios.drawn(named, "valid_perplexity", ["human_blocks", "epoch"]))
        back = 100 * dose.regained(runs).mean
        told = f"{blocks:,} blocks" + ("" if math.isnan(back) else f":\n{back:.0f} % taken back")
        ends.append((told, end, colour))
        originals += [float(run.record.generations["valid_perplexity"].iloc[0]) for run in runs]
    if originals:
        axes.axhline(np.mean(originals), color="black", lw=1.2, ls=":")
    axes.set_yscale("log")
    axes.set(xlabel="passes over the human text", ylabel="perplexity on human text")
    if originals:
        figures.plain_numbers(axes.yaxis)
        ends.append(("generation 0", float(np.mean(originals)), figures.INK))
        parts.append(pd.DataFrame([{"valid_perplexity": np.mean(originals)}]))
    figures.name_lines(axes, ends)
    return made, pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def scar_figure(mended: dose.Mended, rounds: int) -> tuple[Figure, pd.DataFrame]:
    """Mended models beside models that never collapsed and were shown the same human text."""
    amounts = sorted({blocks for before, blocks in mended if before == rounds})
    made, axes = figures.canvas(height=1.1 + 0.45 * max(len(amounts), 2))
    rows = []
    for place, blocks in enumerate(amounts):
        scar = dose.beside(mended[rounds, blocks], mended.get((0, blocks), []))
        if scar.by_seed:
            figures.seeds_and_interval(axes, place, scar, figures.COLOURS[0], "o")
            axes.text(1.02, place, str(scar), va="center", transform=axes.get_yaxis_transform())
        rows += [(blocks, seed, value) for seed, value in scar.by_seed.items()]
    axes.axvline(1, color="#333333", lw=1)
    axes.set_yticks(range(len(amounts)), [f"{blocks:,} blocks" for blocks in amounts])
    axes.set_ylim(max(len(amounts), 1) - 0.4, -0.6)
    axes.set(xlabel="perplexity ÷ that without a collapse", ylabel="human text after it")
    data = pd.DataFrame(rows, columns=["human_blocks", "seed", "ratio_to_uncollapsed"])
    return made, ratios.drawn(data, "ratio_to_uncollapsed", ["human_blocks"])


def weight_figure(chains: int, seed: int) -> tuple[Figure, pd.DataFrame]:
    """Error of a mean by the weight of human data among as many synthetic ones."""
    made, axes = figures.canvas()
    weights = np.linspace(0.05, 1, 96)
    laws = {
        "a chain, fresh human\ndata each time": drift.weighed_variance(weights),
        "one generation after\na perfect model": drift.weighed_variance(weights, 0.0),
    }
    parts, ends = [], []
    for index, (label, values) in enumerate(laws.items()):
        colour = figures.COLOURS[index]
        axes.plot(weights, values, color=colour, ls=figures.LINES[index], lw=2)
        ends.append((label, 1.0 + 0.06 * (1 - 2 * index), colour))
        parts.append(pd.DataFrame({"setting": label, "human_weight": weights, "law": values}))
    random = np.random.default_rng(seed)
    for weight in (0.2, 0.4, 0.618, 0.8, 1.0):
        found = 4 * drift.weigh(weight, 4, 40, chains, random) ** 2
        mean, reach = found.mean(), 1.96 * found.std(ddof=1) / math.sqrt(chains)
        axes.errorbar(weight, mean, reach, marker="o", color=figures.COLOURS[0], capsize=3)
        point = {"setting": next(iter(laws)), "human_weight": weight, "measured": mean}
        parts.append(pd.DataFrame([point | {"low": mean - reach, "high": mean + reach}]))
    for place, label in ((0.5, "½"), (drift.GOLDEN, "0.618")):
        axes.axvline(place, color=figures.BAND, lw=1.4, ls=(0, (4, 2)), zorder=0)
        axes.text(place, 1.01, label, ha="right" if place == 0.5 else "left",
                  transform=axes.get_xaxis_transform())  # fmt: skip
    axes.set(ylim=(0.3, 2.2), xlabel="weight of the human half of the data",
             ylabel="variance of the mean,\ntimes that of the human half alone")  # fmt: skip
    figures.name_lines(axes, ends)
    return made, pd.concat(parts, ignore_index=True)
