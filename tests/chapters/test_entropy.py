"""The chapter on entropy: what moves first, what arms say, and the verdicts on claims."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

import does_entropy_fall as entropy
import does_entropy_fall_estimators as estimators
from collapse.book import figures
from collapse.experiment.arms import Run
from collapse.experiment.protocol import Protocol
from collapse.measure import gauges, verdicts
from collapse.measure.per_seed import PerSeed, over_seeds
from toy_records import make_record, texts_in


def run_with(seed: int = 0, generations: int = 4, **columns: list[float]) -> Run:
    """A run with some columns given; a gauge's interval is its value plus and minus 0.5.

    So is its standard error.
    """
    record = make_record(Protocol(generations=generations, seed=seed))
    rows = record.generations.copy()
    for name, values in columns.items():
        rows[name] = values
        if f"{name}_low" in rows:
            rows[f"{name}_low"] = rows[name] - 0.5
            rows[f"{name}_high"] = rows[name] + 0.5
            rows[f"{name}_se"] = 0.5
    return Run(dataclasses.replace(record, table=rows), computed=False)


# -- which gauge moves first -----------------------------------------------------------------


def test_a_gauge_s_distance_is_its_change_in_standard_errors() -> None:
    run = run_with(unigram_entropy=[9.0, 8.0, 7.0, 9.0])
    moved = entropy.movements(run).set_index("gauge").loc["unigram_entropy"]
    error = math.sqrt(2) * 0.5  # of the difference of two, each with this error
    assert moved["distance"].tolist() == pytest.approx([0, -1 / error, -2 / error, 0])
    assert moved["ratio"].tolist() == pytest.approx([1, 8 / 9, 7 / 9, 1])


def test_a_perplexity_s_distance_is_that_of_its_logarithm() -> None:
    run = run_with(own_text_perplexity=[20.0, 10.0, 40.0, 20.0])
    moved = entropy.movements(run).set_index("gauge").loc["own_text_perplexity"]
    error = math.sqrt(2) * 0.5
    expected = [0, -math.log(2) / error, math.log(2) / error, 0]
    assert moved["distance"].tolist() == pytest.approx(expected)


def test_gauges_without_an_interval_are_left_out() -> None:
    without = {"self_bleu", "zipf_exponent"}
    assert set(entropy.movements(run_with())["gauge"]) == set(entropy.LABELS) - without


@pytest.mark.parametrize(
    ("distances", "expected"),
    [
        ([0, 4, 5, 9], 1),
        ([0, -4, -5, -9], 1),
        ([0, 4, 2, 9], 3),  # it came back in between
        ([0, 1, 2, 2.9], math.nan),
        ([0, 9, 9, math.nan], math.nan),  # what is not known has not moved
    ],
)
def test_a_gauge_has_moved_once_it_stays_away(distances: list[float], expected: float) -> None:
    table = pd.DataFrame({"gauge": "x", "generation": range(4), "distance": distances})
    assert entropy.first_move(table)["x"] == pytest.approx(expected, nan_ok=True)


def test_runs_in_which_one_gauge_leads_are_counted() -> None:
    first = run_with(0, own_text_perplexity=[300, 9, 9, 9], unigram_entropy=[9, 9, 9, 9])
    later = run_with(1, own_text_perplexity=[300, 300, 300, 9], unigram_entropy=[9, 5, 5, 5])
    assert entropy.leads([first, later], "own_text_perplexity", "unigram_entropy") == (
        1,
        2,
    )


# -- arms ------------------------------------------------------------------------------------


def test_a_table_of_arms_holds_values_intervals_and_ratios() -> None:
    arms = {"a": [run_with(0, predictive_entropy=[8.0, 6.0, 4.0, 2.0]), run_with(1)], "b": []}
    table = entropy.by_arm(arms, "predictive_entropy")
    assert sorted(set(table["seed"])) == [0, 1] and set(table["arm"]) == {"a"}
    mine = table[table["seed"] == 0]
    assert mine["ratio"].tolist() == [1.0, 0.75, 0.5, 0.25]
    assert mine["value_low"].tolist() == [7.5, 5.5, 3.5, 1.5]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (PerSeed({0: 0.8}, 0.8, 0.7, 0.9), "falls to 0.80 [0.70, 0.90]"),
        (PerSeed({0: 1.3}, 1.3, 1.1, 1.5), "rises to 1.30 [1.10, 1.50]"),
        (PerSeed({0: 1.0}, 1.0, 0.985, 1.015), "stays at 1.00 [0.98, 1.01]"),
        (PerSeed({0: 1.0}, 1.0, 0.85, 1.1), "is not clearly changed, at 1.00 [0.85, 1.10]"),
        (PerSeed({}, math.nan, math.nan, math.nan), "is not run yet"),
    ],
)
def test_a_ratio_in_words_has_its_direction(found: PerSeed, words: str) -> None:
    assert entropy.in_words(found) == words


def test_vocabulary_at_a_length_is_that_of_random_samples() -> None:
    run = run_with()
    counts = run.record.text_counts[-1]
    tokens, random = np.repeat(np.arange(len(counts)), counts), np.random.default_rng(0)
    drawn = [len(set(random.choice(tokens, 15, replace=False))) for _ in range(3000)]
    error = np.std(drawn) / math.sqrt(len(drawn))
    assert entropy.vocabulary(run, 15) == pytest.approx(np.mean(drawn), abs=5 * error)
    human = run.record.arrays["human_counts"]
    assert entropy.human_vocabulary(run, int(human.sum())) == pytest.approx((human > 0).sum())
    found = entropy.vocabulary_ratio([run], 15).by_seed[0]
    assert found == pytest.approx(entropy.vocabulary(run, 15) / entropy.vocabulary(run, 15, 0))


ARMS = {"one": [run_with(0), run_with(1)], "two": [run_with(2)], "none": []}
MAKERS = {
    "contexts": lambda: entropy.contexts_figure(ARMS, [entropy.GENERAL]),
    "gauges": lambda: entropy.gauges_figure(ARMS["one"]),
    "decoding": lambda: entropy.decoding_figure(ARMS),
    "vocabulary": lambda: entropy.vocabulary_figure(ARMS, ARMS["one"][0]),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_figures_say_what_they_show_and_come_with_their_data(maker: str) -> None:
    figure, data = MAKERS[maker]()
    said = texts_in(figure)
    assert "smoke scale" in said and "toy on wikitext2" in said
    assert len(data) and "seed" in data
    assert all(ax.get_xlabel() for ax in figure.axes[-2:])
    plt.close("all")


def test_the_points_of_the_gauges_figure_are_the_distances() -> None:
    figure, data = entropy.gauges_figure(ARMS["one"])
    drawn = sorted(float(x) for dots in figure.axes[0].collections for x, _ in dots.get_offsets())
    mine = data[(data["seed"] == 0) & (data["generation"] > 0)]["distance"]
    assert drawn == pytest.approx(sorted(mine), nan_ok=True)
    plt.close("all")


# -- verdicts --------------------------------------------------------------------------------


def test_always_names_where_it_does_not_fall() -> None:
    cases = {"falls": (0.8, 0.9), "rises": (1.1, 1.2), "open": (0.9, 1.1)}
    one = {name: PerSeed({0: low, 1: high}, 1.0, low, high) for name, (low, high) in cases.items()}
    falls = {"a": one["falls"], "b": one["falls"]}
    assert entropy.always_falls(falls) == "reproduced"
    said = "not reproduced, it does not fall with b"
    assert entropy.always_falls(falls | {"b": one["rises"]}) == said
    said = "undecided, it may not fall with c"
    assert entropy.always_falls(falls | {"c": one["open"]}) == said
    assert entropy.always_falls({"a": over_seeds({})}) == "not run yet"


def test_a_table_of_claims_is_safe_markup() -> None:
    claim = verdicts.Claim("<b>", "a & b", "x < 1", "0.5", "reproduced")
    html = figures.table([claim], verdicts.RULE).data
    assert "<b>" not in html and "&lt;b&gt;" in html and "a &amp; b" in html
    assert html.count("</tr>") == 2


def test_gauges_become_a_table_with_a_row_for_each() -> None:
    lines = entropy.gauges_table().splitlines()
    assert len(lines) == 2 + len(gauges.PREDICTIONS | gauges.TEXT)
    assert all(line.count("|") == 5 for line in lines)  # no formula breaks the table


# -- estimators ------------------------------------------------------------------------------


def test_zipf_s_entropy_is_its_closed_form() -> None:
    ranks = np.arange(1, 5001)
    harmonic = (1 / ranks).sum()
    # H = log2 Z + (1 / Z) sum log2(k) / k, with Z the harmonic number.
    expected = math.log2(harmonic) + (np.log2(ranks) / ranks).sum() / harmonic
    assert estimators.truth(5000) == pytest.approx(expected)


def test_a_trial_s_measures_are_those_expected_of_the_law() -> None:
    data = estimators.trial(300, [500, 4000], samples=30, seed=1)
    found = data.groupby(["measure", "length"])["value"]
    mean, error = found.mean(), found.std() / math.sqrt(30)
    for length, name in ((500, "type-token ratio"), (500, "types in 500 tokens"),
                         (4000, "type-token ratio"), (4000, "types in 500 tokens")):  # fmt: skip
        drawn = 500 if "500" in name else length
        types = (1 - (1 - estimators.zipf(300)) ** drawn).sum()
        assert mean[name, length] == pytest.approx(
            types / drawn, abs=5 * error[name, length] + 1e-9
        )
    assert mean["plug-in", 500] < mean["Miller–Madow", 500] < estimators.truth(300) + 0.1
    pd.testing.assert_frame_equal(data, estimators.trial(300, [500, 4000], samples=30, seed=1))


def test_the_figure_of_estimators_shows_the_truth() -> None:
    data = estimators.trial(300, [500, 1000], samples=2, seed=0)
    figure, drawn = estimators.figure(data, 300)
    assert f"{estimators.truth(300):.2f} bits" in texts_in(figure)
    assert drawn is data
    plt.close("all")
