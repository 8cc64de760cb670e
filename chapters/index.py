"""What the landing page shows: every setting of the book on one axis, from committed records."""

import html
from dataclasses import dataclass

import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

import retention
from collapse.book import chapter, figures, ratios
from collapse.experiment import arms
from collapse.experiment.arms import Run
from collapse.experiment.protocol import Arm, Protocol
from collapse.measure.per_seed import PerSeed


@dataclass(frozen=True)
class Setting:
    """One setting of the small model, and of SmolLM2 where it was run; lists may be empty.

    group: the choice that it belongs to, as a heading; page: the chapter that tells of it.
    """

    group: str
    name: str
    page: str
    colour: object
    runs: list[Run]
    large: list[Run]

    @property
    def ratio(self) -> PerSeed:
        """Perplexity on human text, last generation over generation 0."""
        return ratios.ratio(self.runs)


WRITTEN, HUMAN, KEPT = "How it is written", "How much is human", "What is kept"


def settings() -> list[Setting]:
    """All settings, in the order of the figure, with their committed laptop runs."""
    values = chapter.settings("no-retention", "laptop", {})
    usual, seeds = Protocol.among(values), values["seeds"]
    beams = chapter.at_scale("no-retention", "overnight")

    def of(**changes: object) -> list[Run]:
        return arms.committed(Arm(usual.replace(**changes), seeds, "none"))

    def written(name: str, large: list[Run], **changes: object) -> Setting:
        page = "how-is-the-text-written"
        return Setting(WRITTEN, name, page, figures.WRITING[name], of(**changes), large)

    def human(share: float, name: str, large: list[Run]) -> Setting:
        page, colour = "how-much-human-text", figures.human_share(share)
        return Setting(HUMAN, name, page, colour, of(retained=share), large)

    def kept(name: str, **changes: object) -> Setting:
        return Setting(KEPT, name, "replace-or-accumulate", figures.INK, of(**changes), [])

    tenth = chapter.at_scale("ten-percent-retention", "overnight")
    return [
        written("temperature 1", retention.whole(beams), temperature=1.0, top_p=1.0),
        written("top-p 0.9", [], temperature=1.0, top_p=0.9),
        written("temperature 0.7", [], temperature=0.7, top_p=1.0),
        written("five beams", beams, decoding="beam"),
        human(0.0, "none of it", []),
        human(0.1, "a tenth", tenth),
        human(0.5, "a half", []),
        human(0.75, "three quarters", []),
        human(0.95, "all but a twentieth", []),
        kept("the newest text"),
        kept("as much, of all text", regime="accumulate-subsample"),
        kept("all text", regime="accumulate"),
    ]


def all_human() -> list[Run]:
    """The small model's chain in which every generation learns from human text alone."""
    values = chapter.settings("no-retention", "laptop", {})
    only = Protocol.among(values).replace(retained=1.0)
    return arms.committed(Arm(only, values["seeds"], "none"))


def axis_figure(found: list[Setting]) -> tuple[Figure, pd.DataFrame]:
    """Every setting's ratio on one axis: circles are seeds, diamonds means with their intervals.

    Squares are SmolLM2's means.

    Returns:
        the figure and its data: one row a setting, model and seed.
    """
    figure, axes = figures.canvas(height=5.2)
    places, labels, heads, data = [], [], [], []
    place = -1.0
    for number, setting in enumerate(found):
        if not number or setting.group != found[number - 1].group:
            place += 1.0
            heads.append((place, setting.group))
        place += 1.0
        places.append(place)
        labels.append(setting.name)
        for model, runs in (("small model", setting.runs), ("SmolLM2", setting.large)):
            data += [
                {"group": setting.group, "setting": setting.name, "model": model,
                 "seed": seed, "ratio": value}
                for seed, value in ratios.ratio(runs).by_seed.items()
            ]  # fmt: skip
        ratio = setting.ratio
        if ratio.by_seed:
            axes.plot([ratio.low, ratio.high], [place] * 2, color=setting.colour, lw=2)
            axes.plot(ratio.mean, place, "D", ms=7, color=setting.colour)
            values = list(ratio.by_seed.values())
            axes.plot(values, [place] * len(values), "o", ms=4, mfc="white", color="#333333")
            axes.text(1.02, place, f"×{ratio.mean:.2f}", transform=axes.get_yaxis_transform(),
                      va="center", color=setting.colour)  # fmt: skip
        if setting.large:
            axes.plot(ratios.ratio(setting.large).mean, place, "s", ms=7, mfc="none", mew=1.8,
                      color=figures.PAPER)  # fmt: skip
    axes.set(xscale="log", ylim=(place + 0.6, -0.7))
    axes.set_yticks([*places, *(at for at, _ in heads)], [*labels, *(name for _, name in heads)])
    for label in axes.get_yticklabels()[len(places) :]:
        label.set_fontweight("bold")
    axes.tick_params(axis="y", length=0)
    figures.plain_numbers(axes.xaxis)
    axes.axvline(1, color=figures.INK, lw=1)
    axes.grid(False, axis="y")
    axes.set_xlabel("perplexity on human text,\nlast generation ÷ generation 0")
    return figure, pd.DataFrame(data)


def numbers(told: list[tuple[PerSeed, str, str]]) -> HTML:
    """A few large numbers, each with its interval, what it is of, and the page that tells more."""
    items = "".join(
        f'<a class="number" href="{page}.html"><b><data value="{ratio.mean:.8g}">'
        f"×{ratio.mean:.2f}</data></b>"
        f"<span>{html.escape(str(ratio).partition(' ')[2])}</span>{html.escape(what)}</a>"
        if ratio.by_seed
        else f'<a class="number" href="{page}.html"><b>not run yet</b>{html.escape(what)}</a>'
        for ratio, what, page in told
    )
    return HTML(f'<div class="numbers">{items}</div>')


def table(found: list[Setting]) -> HTML:
    """The figure's numbers, each with a link to its page."""
    rows = [
        {"setting": HTML(f'<a href="{one.page}.html">{html.escape(one.name)}</a>'),
         "choice": one.group, "small model": one.ratio,
         "SmolLM2": ratios.ratio(one.large) if one.large else ""}
        for one in found
    ]  # fmt: skip
    caption = (
        "Perplexity on human text, last generation ÷ generation 0, in every setting of the book, "
        "with 95 % intervals over seeds."
    )
    return figures.table(rows, id="tab-one-axis", caption=caption)
