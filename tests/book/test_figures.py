"""The book's own figure comes with its data, its alt text and its runs, and says which ones."""

import itertools

import numpy as np
import pytest
from matplotlib import pyplot as plt
from scipy import stats

from collapse.book import figures
from collapse.experiment.arms import describe
from collapse.measure.verdicts import Reference
from toy_figures import (
    ARMS,
    SHOWN,
    assert_readable,
    assert_saved_as_picture_data_and_card,
    assert_says_that_nothing_is_run,
)
from toy_records import GROWING, runs_of


def test_a_description_names_scale_model_corpus_decoding_seeds_and_origins() -> None:
    mixed = runs_of({0: [2.0, 3.0], 2: [2.0, 3.0]}) + runs_of({1: [2.0, 3.0]}, computed=True)
    said = describe(mixed)
    for part in (
        "smoke scale", "toy on wikitext2", "7 training blocks", "beam search with 5 beams",
        "seed 1 computed in this build", "seeds 0, 2 from committed records",
    ):  # fmt: skip
        assert part in said
    sampled = runs_of({0: [2.0]}, decoding="sample", temperature=0.7, top_p=0.9)
    assert "sampling at T=0.7, top-p 0.9" in describe(sampled)
    assert "greedy decoding" in describe(runs_of({0: [2.0]}, decoding="greedy"))
    assert describe([]) == "not run yet"


# -- figures ---------------------------------------------------------------------------------


def perplexity() -> tuple[plt.Figure, object]:
    references = [Reference(1.0, 1.0, "a line"), Reference(1.2, 1.4, "a band")]
    return figures.perplexity(ARMS, references, {"published": SHOWN[:1]})


def test_a_figure_is_saved_as_picture_data_and_card(monkeypatch: pytest.MonkeyPatch) -> None:
    assert_saved_as_picture_data_and_card(perplexity, monkeypatch)


def test_a_figure_s_data_are_those_of_the_records() -> None:
    _, data = perplexity()
    names = ["published", "nothing retained", "10 % retained", "a line", "a band"]
    assert data["setting"].unique().tolist() == names
    lost = data[data["setting"] == "nothing retained"].sort_values(["seed", "generation"])
    seeds = [value / ppl[0] for ppl in GROWING.values() for value in ppl]
    assert lost["ratio"][lost["seed"].notna()].tolist() == pytest.approx(seeds)
    last = lost[lost["seed"].isna()].iloc[-1]
    logs = np.log([ppl[-1] / ppl[0] for ppl in GROWING.values()])
    interval = stats.ttest_1samp(logs, 0).confidence_interval(0.95)
    expected = np.exp([logs.mean(), interval.low, interval.high])
    assert last[["ratio", "low", "high"]].tolist() == pytest.approx(expected)
    assert data.set_index("setting").loc["a band", ["low", "high"]].tolist() == [1.2, 1.4]
    plt.close("all")


def test_a_figure_can_be_read_on_a_page_and_on_a_telephone() -> None:
    assert_readable(perplexity)


def test_the_ticks_of_a_generation_axis_are_whole_numbers() -> None:
    figure, _ = perplexity()
    assert all(float(tick).is_integer() for axes in figure.axes for tick in axes.get_xticks())
    plt.close("all")


@pytest.mark.parametrize("arms", [{}, {"nothing retained": []}])
def test_a_figure_of_runs_that_do_not_exist_says_so(
    arms: figures.Arms, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_says_that_nothing_is_run(*figures.perplexity(arms), monkeypatch)


@pytest.mark.parametrize(
    ("low", "high"), [(0.86, 1.05), (1, 5.3), (50, 340), (1, 2e6), (0.9, 1.5), (0.1, 1e5)]
)
def test_a_logarithmic_axis_is_labelled_where_one_can_read_it(low: float, high: float) -> None:
    figure, axes = plt.subplots(figsize=(3.6, 3), layout="constrained")
    axes.plot([low, high], [1, 2])
    axes.set_xscale("log")
    figures.plain_numbers(axes.xaxis)
    figure.canvas.draw()
    inside = [
        label
        for label in axes.get_xticklabels()
        if axes.get_xlim()[0] <= label.get_position()[0] <= axes.get_xlim()[1]
    ]
    boxes = sorted(label.get_window_extent().extents[[0, 2]].tolist() for label in inside)
    assert len(boxes) >= 2
    assert all(one[1] < other[0] for one, other in itertools.pairwise(boxes))
    assert all("e" not in label.get_text() for label in inside)
    plt.close(figure)
