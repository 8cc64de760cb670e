"""Ways of writing side by side: chains, the grid of temperature by top-p, and laws beside them."""

import collections
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from scipy import optimize

from collapse.book import figures, numbers, ratios
from collapse.book.numbers import Number
from collapse.experiment import corpus
from collapse.experiment.arms import Run
from collapse.laws import drift
from collapse.measure import verdicts
from collapse.measure.verdicts import Claim

Ways = Mapping[str, list[Run]]  # way of writing -> runs that differ by seed alone
Cell = tuple[float, float]  # temperature, top-p
HUMAN_TEXT, REDRAWN = "human text", "drawn anew,\nby the law"  # lines beside ways of writing
HOTTEST = 3.0  # of the temperatures at which a border is looked for
MEASURES = {
    "perplexity": "test_perplexity",
    "entropy": "predictive_entropy",
    "rare": "tail_coverage",
}


# -- chains ----------------------------------------------------------------------------------


def perplexity_figure(models: Mapping[str, Ways]) -> tuple[Figure, pd.DataFrame]:
    """Perplexity on human text as a multiple of generation 0's, a panel for each model."""
    figure, panels = figures.canvas(len(models), height=3.5, squeeze=False)
    parts = []
    for axes, (model, ways) in zip(panels[0], models.items(), strict=True):
        parts.append(_chains(axes, ways, "ratio", model))
        axes.set_yscale("log")
        figures.plain_numbers(axes.yaxis)
        _finish(axes, model, ways, "ratio", lambda end: f"×{end:.2f}")
    panels[0, 0].set_ylabel("perplexity on human text,\ntimes that of generation 0")
    return figure, pd.concat(parts, ignore_index=True)


def rare_figure(models: Mapping[str, Ways], whole: str) -> tuple[Figure, pd.DataFrame]:
    """The rare human tokens still written, a panel for each model.

    Dotted: what would be left if generation 0's text were drawn anew, token by token.

    Args:
        whole: the way of writing that draws from the whole distribution.
    """
    figure, panels = figures.canvas(len(models), height=3.5, squeeze=False)
    parts = []
    for axes, (model, ways) in zip(panels[0], models.items(), strict=True):
        rows = _chains(axes, ways, "tail_coverage", model)
        lines = [(HUMAN_TEXT, human_coverage(ways), (0, (5, 2)), figures.PAPER)]
        if ways.get(whole):
            left = resampled(ways[whole])
            lines.append((REDRAWN, left, ":", figures.INK))
        parts.append(rows)
        ends = []
        for name, values, dash, colour in lines:
            values = np.broadcast_to(values, rows["generation"].max() + 1)
            axes.plot(range(len(values)), values, ls=dash, lw=1.5, color=colour)
            ends.append((name, float(values[-1]), colour))
            line = {"generation": range(len(values)), "tail_coverage": values}
            parts.append(pd.DataFrame({"model": model, "setting": name, **line}))
        axes.set_ylim(0, 1.02 * max(rows["tail_coverage"].max(), *(end for _, end, _ in ends)))
        axes.yaxis.set_major_formatter(PercentFormatter(1, 0, symbol=" %"))
        _finish(axes, model, ways, "tail_coverage", lambda end: "", ends)
    panels[0, 0].set_ylabel("rare human tokens still written")
    return figure, pd.concat(parts, ignore_index=True)


def _chains(axes: Axes, ways: Ways, column: str, model: str) -> pd.DataFrame:
    """Draw a column by generation; the data, with the ways of writing as `setting`."""
    parts = []
    for way, runs in ways.items():
        if runs:
            rows = ratios.table(runs).assign(model=model, setting=way)
            place = (list(figures.WRITING).index(way), 1)
            figures.seeds_and_mean(axes, rows, column, place, figures.WRITING[way])
            parts.append(ratios.drawn(rows, column, ["model", "setting", "generation"]))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _finish(axes, model, ways, column, told, more=()) -> None:  # type: ignore[no-untyped-def]
    """Title, axis of generations, and names where the lines end."""
    ends = list(more)
    for way, runs in ways.items():
        if runs:
            end = figures.mean_over_seeds(ratios.table(runs), column).iloc[-1]
            value = told(end)
            ends.append((f"{way}\n{value}" if value else way, end, figures.WRITING[way]))
    axes.set_title(model[:1].upper() + model[1:])
    axes.set_xlabel("generation")
    figures.name_lines(axes, ends)


def human_coverage(ways: Ways) -> float:
    """The rare tokens in as much human text, which continues the same prompts."""
    return next(
        run.record.corpus["human_text"]["tail_coverage"] for runs in ways.values() for run in runs
    )


def resampled(runs: Sequence[Run]) -> np.ndarray:
    """Rare human tokens still expected if generation 0's tokens were drawn anew and anew.

    By the law of Galton and Watson for rare kinds, the mean over seeds: (generations,).
    """
    found = []
    for run in runs:
        facts = run.record.facts()[0]
        counts = run.record.text_counts[0][facts.rare]
        found.append(1 - drift.lost_by(counts, run.record.protocol.generations - 1).mean(1))
    return np.mean(found, axis=0)


def kept_and_left(data: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Of the data of `rare_figure`, the last generation: by model and way the share that is still
    written, the mean over seeds; and by model what the law leaves."""
    last = data[(data["generation"] == data["generation"].max()) & data["seed"].isna()]
    shares = last.set_index(["model", "setting"])["tail_coverage"]
    others = shares.index.isin([HUMAN_TEXT, REDRAWN], level="setting")
    return shares[~others], shares[shares.index.isin([REDRAWN], level="setting")].droplevel(1)


def entropy_figure(ways: Ways) -> tuple[Figure, pd.DataFrame]:
    """Entropy of predictions, last generation over generation 0, by way of writing."""
    figure, panels = figures.canvas(2, height=0.9 + 0.5 * len(ways), sharey=True)
    columns = {"predictive_entropy": "On human text", "own_text_entropy": "On its own text"}
    data = []
    for axes, (column, title) in zip(panels, columns.items(), strict=True):
        for row, (way, runs) in enumerate(ways.items()):
            if runs:
                ratio = ratios.ratio(runs, column)
                figures.seeds_and_interval(axes, row, ratio, figures.WRITING[way], "D")
                data += [
                    {"measure": column, "setting": way, "seed": seed, "ratio": value}
                    for seed, value in ratio.by_seed.items()
                ]
        axes.axvline(1, color=figures.INK, lw=1)
        axes.set_title(title)
        axes.set_xlabel("last generation ÷ generation 0")
    panels[0].set_yticks(range(len(ways)), list(ways))
    panels[0].set_ylim(len(ways) - 0.5, -0.5)
    return figure, ratios.drawn(pd.DataFrame(data), "ratio", ["measure", "setting"])


# -- the grid --------------------------------------------------------------------------------


def grid(cells: Mapping[Cell, list[Run]]) -> pd.DataFrame:
    """One row a cell and seed: the last generation over generation 0.

    Columns: `temperature`, `top_p`, `seed`, and of `MEASURES` `perplexity` and `entropy` as ratios
    to generation 0 and `rare` as the share in the last generation.
    """
    rows = []
    for (temperature, top_p), runs in cells.items():
        for run in runs:
            table = run.record.generations
            row = {"temperature": temperature, "top_p": top_p, "seed": run.record.protocol.seed}
            for name, column in MEASURES.items():
                last, first = float(table[column].iloc[-1]), float(table[column].iloc[0])
                row[name] = last if name == "rare" else last / first
            rows.append(row)
    return pd.DataFrame(rows, columns=["temperature", "top_p", "seed", *MEASURES])


def cell_means(found: pd.DataFrame) -> pd.DataFrame:
    """The cells' means over seeds, of ratios on the log scale, indexed by temperature and top-p."""
    logs = found.assign(**{name: np.log(found[name]) for name in ("perplexity", "entropy")})
    means = logs.groupby(["temperature", "top_p"])[list(MEASURES)].mean()
    return means.assign(**{name: np.exp(means[name]) for name in ("perplexity", "entropy")})


def cell_numbers(cells: Mapping[Cell, list[Run]]) -> dict[str, Number]:
    """Numbers of the grid for the page: of the two cells in which temperature 1.2 meets a cut."""
    deep, light = (cells.get((1.2, cut), []) for cut in (0.8, 0.9))
    return {
        "cell-entropy": numbers.of(ratios.ratio(deep, MEASURES["entropy"]), interval=False),
        "cell-perplexity": numbers.of(ratios.ratio(deep), interval=False),
        "best": numbers.of(ratios.ratio(light), interval=False),
        "cell-rare": ratios.share_in(deep, MEASURES["rare"]),
        "warm-rare": ratios.share_in(light, MEASURES["rare"]),
    }


def grid_figure(found: pd.DataFrame, border: Mapping[float, float]) -> tuple[Figure, pd.DataFrame]:
    """Perplexity and entropy over the grid, with the border of a law; cells have their numbers.

    Args:
        found: of `grid`.
        border: top-p -> the temperature at which the law's entropy does not change.
    """
    figure, (left, right) = figures.canvas(2, height=3.9)
    means = cell_means(found)
    for axes, column, title, colours, centre in (
        (left, "perplexity", "Perplexity on human text", "Oranges", None),
        (right, "entropy", "Entropy on human text", "PuOr_r", 1.0),
    ):
        table = means[column].unstack("top_p")
        logs = np.log(table.to_numpy())
        far = np.nanmax(np.abs(logs))
        low, high = (-far, far) if centre else (0.0, 1.25 * np.nanmax(logs))
        axes.imshow(logs, cmap=colours, vmin=low, vmax=high, origin="lower", aspect="auto")
        for (row, place), value in np.ndenumerate(table.to_numpy()):
            strong = abs(logs[row, place]) > 0.72 * far
            axes.text(place, row - 0.22, "–" if math.isnan(value) else f"×{value:.2f}", ha="center",
                      va="center", color="white" if strong else "#222222")  # fmt: skip
        axes.set_title(title)
        axes.set_xticks(range(table.shape[1]), [f"{top_p:g}" for top_p in table.columns])
        axes.set_yticks(range(table.shape[0]), [f"{t:g}" for t in table.index])
        axes.set_xlabel("top-p (1 = nothing cut)")
        axes.grid(False)
        if centre:
            inside = {cut: t for cut, t in border.items() if t <= table.index.max()}
            x = np.interp(list(inside), table.columns, range(table.shape[1]))
            y = np.interp(list(inside.values()), table.index, range(table.shape[0]))
            axes.plot(x, y, color=figures.INK, lw=2, ls="--")
    left.set_ylabel("temperature")
    parts = [
        ratios.drawn(
            found.assign(measure=MEASURES[name], ratio=found[name]), "ratio",
            ["measure", "temperature", "top_p"],
        )
        for name in ("perplexity", "entropy")
    ]  # fmt: skip
    line = {"temperature": list(border.values()), "top_p": list(border), "law": 1.0}
    return figure, pd.concat([*parts, pd.DataFrame({"measure": MEASURES["entropy"], **line})])


def claims(ways: Ways, hot: list[Run], hottest: float) -> list[Claim]:
    """What is said of entropy and of rare words, beside the ways of writing.

    Args:
        hot: the runs at the highest temperature with nothing cut.
    """
    entropy = {way: ratios.ratio(runs, "predictive_entropy") for way, runs in ways.items()}
    heated = ratios.ratio(hot, "predictive_entropy")
    rare = ratios.ratio(ways["temperature 1"], "tail_coverage")
    falling = [
        ("said-entropy-falls", "temperature 1"),
        ("said-entropy-falls", "top-p 0.9"),
        ("marchi-narrows", "temperature 0.7"),
    ]
    return [
        *(
            Claim(id, f"entropy on human text, {way}", entropy[way],
                  verdicts.falls(entropy[way]))
            for id, way in falling
        ),
        Claim("marchi-spreads", f"entropy on human text, temperature {hottest:g}", heated,
              verdicts.rises(heated)),
        Claim("shumailov-rare-words",
              "rare tokens still written, temperature 1, last ÷ first", rare,
              verdicts.falls(rare)),
    ]  # fmt: skip


# -- the law: a chain of words that is sharpened in each round -----------------------------------


def transitions(name: str, words: int) -> tuple[np.ndarray, np.ndarray]:
    """The chain of the commonest words of a text: (shares of its states, rows of next words).

    Only pairs of two such words count; a word that no such word follows is left out.
    """
    lines = corpus.load_text(name).splits["train"]
    tokens = [word for line in lines for word in line.split()]
    common = {w: n for n, (w, _) in enumerate(collections.Counter(tokens).most_common(words))}
    counts = np.zeros((words, words))
    states = np.array([common.get(word, -1) for word in tokens])
    both = (states[:-1] >= 0) & (states[1:] >= 0)
    np.add.at(counts, (states[:-1][both], states[1:][both]), 1)
    counts = counts[counts.sum(1) > 0]
    return counts.sum(1) / counts.sum(), counts / counts.sum(1, keepdims=True)


def sharpened(rows: np.ndarray, temperature: float, top_p: float) -> np.ndarray:
    """Distributions as they are written with: raised to 1 / T, then cut to the nucleus (Holtzman
    et al. 2020), the fewest of the likeliest kinds that hold `top_p`."""
    powers = (rows / rows.max(1, keepdims=True)) ** (1 / temperature)
    powers /= powers.sum(1, keepdims=True)
    if top_p < 1:
        order = np.argsort(-powers, axis=1)
        ordered = np.take_along_axis(powers, order, 1)
        ordered[ordered.cumsum(1) - ordered >= top_p] = 0  # what lies before holds enough
        np.put_along_axis(powers, order, ordered, 1)
        powers /= powers.sum(1, keepdims=True)
    return powers


def law(weights: np.ndarray, rows: np.ndarray, cell: Cell, rounds: int) -> float:
    """Entropy of the next word on human text after so many rounds, over that before them.

    Each model learns exactly the distribution that the text was written with. Without a cut row i
    is then p_i^(T^-n), normalised.
    """
    before = _entropy(rows) @ weights
    for _ in range(rounds):
        rows = sharpened(rows, *cell)
    return float(_entropy(rows) @ weights / before)


def _entropy(rows: np.ndarray) -> np.ndarray:
    return -(rows * np.log2(np.where(rows > 0, rows, 1))).sum(1)


def border(
    weights: np.ndarray, rows: np.ndarray, cuts: Sequence[float], rounds: int
) -> dict[float, float]:
    """Top-p -> the temperature at which heat makes up for a cut, so that the entropy is as before.

    Without the cuts for which no temperature up to `HOTTEST` does.
    """

    def off(temperature: float, top_p: float) -> float:
        return law(weights, rows, (temperature, top_p), rounds) - 1

    made_up = [top_p for top_p in cuts if off(HOTTEST, top_p) > 0]
    return {top_p: float(optimize.brentq(off, 0.5, HOTTEST, (top_p,), 1e-3)) for top_p in made_up}
