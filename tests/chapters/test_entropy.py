"""The chapter on entropy: what moves first, what settings say, and the verdicts on claims."""

import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

import does_entropy_fall as entropy
import does_entropy_fall_estimators as estimators
import does_entropy_fall_measures as measures
from collapse.book import figures
from collapse.experiment.arms import Run
from collapse.experiment.protocol import Protocol
from collapse.measure import gauges
from toy_figures import assert_readable, assert_saved_as_picture_data_and_card
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
    moved = measures.movements(run).set_index("measure").loc["unigram_entropy"]
    error = math.sqrt(2) * 0.5  # of the difference of two, each with this error
    assert moved["distance"].tolist() == pytest.approx([0, -1 / error, -2 / error, 0])
    assert moved["ratio"].tolist() == pytest.approx([1, 8 / 9, 7 / 9, 1])


def test_a_perplexity_s_distance_is_that_of_its_logarithm() -> None:
    run = run_with(own_text_perplexity=[20.0, 10.0, 40.0, 20.0])
    moved = measures.movements(run).set_index("measure").loc["own_text_perplexity"]
    error = math.sqrt(2) * 0.5
    expected = [0, -math.log(2) / error, math.log(2) / error, 0]
    assert moved["distance"].tolist() == pytest.approx(expected)


def test_gauges_without_an_interval_are_left_out() -> None:
    expected = {name for name in gauges.PREDICTIONS | gauges.TEXT if f"{name}_se" in gauges.COLUMNS}
    assert {"self_bleu", "zipf_exponent"} & expected == set()
    assert set(measures.movements(run_with())["measure"]) == expected | {"test_perplexity"}


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
    table = pd.DataFrame({"measure": "x", "generation": range(4), "distance": distances})
    assert measures.first_move(table)["x"] == pytest.approx(expected, nan_ok=True)


def test_runs_in_which_one_gauge_leads_are_counted() -> None:
    first = run_with(0, own_text_perplexity=[300, 9, 9, 9], unigram_entropy=[9, 9, 9, 9])
    later = run_with(1, own_text_perplexity=[300, 300, 300, 9], unigram_entropy=[9, 5, 5, 5])
    ahead = measures.leads([first, later], "own_text_perplexity", "unigram_entropy")
    assert (ahead.text, ahead.value) == ("1 of 2", 1)


def test_what_moved_at_once_did_so_in_every_run() -> None:
    moving = [300.0, 9, 9, 9]
    both = [run_with(seed, overconfidence=moving, distinct_tokens=moving) for seed in (0, 1)]
    third = run_with(2, overconfidence=moving, distinct_tokens=[300, 300, 9, 9])
    assert {"overconfidence", "distinct_tokens"} <= set(measures.at_once(both))
    assert "distinct_tokens" not in measures.at_once([*both, third])
    numbers, alt = measures.told({"one way": [*both, third], "another": []})
    assert numbers["ent-early"].value == len(measures.at_once([*both, third]))
    assert numbers["ent-late"].text == "not run yet" and "not run yet with another" in alt


# -- arms ------------------------------------------------------------------------------------


def test_a_table_of_arms_holds_ratios() -> None:
    arms = {"a": [run_with(0, predictive_entropy=[8.0, 6.0, 4.0, 2.0]), run_with(1)], "b": []}
    table = entropy.by_arm(arms, "predictive_entropy")
    assert sorted(set(table["seed"])) == [0, 1] and set(table["setting"]) == {"a"}
    mine = table[table["seed"] == 0]
    assert mine["ratio"].tolist() == [1.0, 0.75, 0.5, 0.25]


def test_a_table_of_settings_has_ratios_of_the_last_generation_to_the_first() -> None:
    runs = [run_with(n, predictive_entropy=[8, 6, 5, 8 * end], overconfidence=[1, 2, 3, gap])
            for n, (end, gap) in enumerate([(0.5, 4.0), (2.0, 6.0)])]  # fmt: skip
    two, one, none = entropy.rows({"two\nseeds": runs, "one": runs[:1], "none": []})
    assert two["setting"] == "two seeds"
    assert str(two["entropy on human text"]).startswith(
        "1.00 ["
    )  # the mean of 1/2 and 2, as logarithms
    assert two["over-confidence, bits"] == "1.00 to 5.00"
    assert str(one["entropy on human text"]) == "0.50"
    assert str(none["entropy on human text"]) == none["over-confidence, bits"] == "not run yet"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "nothing human, five beams"),
        ({"decoding": "sample"}, "nothing human, temperature 1"),
        ({"decoding": "sample", "top_p": 0.9, "retained": 0.1}, "a tenth human, top-p 0.9"),
        ({"decoding": "sample", "temperature": 0.7}, "nothing human, temperature 0.7"),
        ({"decoding": "greedy", "retained": 0.25}, "25 % human, greedy"),
    ],
)
def test_a_setting_is_named_by_what_is_kept_and_how_text_is_written(
    changes: dict[str, Any], words: str
) -> None:
    record = make_record(Protocol(generations=2).replace(**changes))
    arms = entropy.by_setting([Run(record, computed=False)])
    assert [name.replace("\n", " ") for name in arms] == [words]
    way = words.partition(", ")[2]
    assert (way in figures.WRITING) == (way != "greedy")


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


ARMS = {"one": [run_with(0), run_with(1)], "two\nlines": [run_with(2)], "none": []}
FOUND = {
    "general": ARMS["one"], "domain": [run_with(2), run_with(3)],
    "half": [run_with(4), run_with(5)], "quarter": [], "whole": [],
}  # fmt: skip
MAKERS = {
    "falls": lambda: entropy.falls_figure(ARMS),
    "shares": lambda: entropy.falls_figure(entropy.named(FOUND, *FOUND), shares=True),
    "gauges": lambda: measures.gauges_figure({"one": ARMS["one"], "another": ARMS["two\nlines"]}),
    "gauges of one arm": lambda: measures.gauges_figure({"one": ARMS["one"], "another": []}),
    "vocabulary": lambda: entropy.vocabulary_figure(ARMS, 15),
    "estimators": lambda: estimators.page()[:2],
}


@pytest.mark.parametrize("maker", MAKERS)
def test_figures_can_be_read_on_a_page_and_on_a_telephone(maker: str) -> None:
    assert_readable(MAKERS[maker])


@pytest.mark.parametrize(
    ("maker", "id"),
    [("falls", "fig-entropy-domain"), ("gauges", "fig-entropy-gauges"),
     ("vocabulary", "fig-entropy-vocabulary")],
)  # fmt: skip
def test_figures_come_with_their_data(maker: str, id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_saved_as_picture_data_and_card(MAKERS[maker], monkeypatch, id)
    assert "seed" in MAKERS[maker]()[1]
    plt.close("all")


def test_the_numbers_of_the_strips_are_the_distances_clipped() -> None:
    far = run_with(unigram_entropy=[9.0, 90.0, 9.2, -90.0])
    figure, data = measures.gauges_figure({"one": [far]})
    rows = {label.get_text(): n for n, label in enumerate(figure.axes[0].get_yticklabels())}
    row = rows[measures.LABELS["unigram_entropy"]]
    numbers = {text.get_position()[0]: text.get_text() for text in figure.axes[0].texts
               if text.get_position()[1] == row}  # fmt: skip
    assert [numbers[n] for n in (1, 2, 3)] == ["+50", "0", "−50"]
    mine = data[data["measure"] == "unigram_entropy"]["standard_errors"]
    assert mine.tolist() == pytest.approx(np.array([0, 81, 0.2, -99]) / math.sqrt(0.5))
    plt.close("all")


def test_the_last_column_says_when_each_run_moved() -> None:
    seeds = [run_with(n, distinct_tokens=[50, *([50] * n), *([9] * (3 - n))]) for n in range(4)]

    def told(runs: list[Run]) -> set[str]:
        figure, _ = measures.gauges_figure({"one": runs})
        return {text.get_text() for text in figure.axes[0].texts}

    assert "1 2 3" in told(seeds[:3]) and "1 2 –" in told([*seeds[:2], seeds[3]])
    assert "1…–" in told(seeds)
    plt.close("all")


def test_shares_of_vocabulary_are_of_human_text_s() -> None:
    run = run_with()
    data = entropy.vocabularies({"a": [run]}, 15)
    last = data[data["generation"] == 3].set_index("measure")["of_human_text"]
    assert last[entropy.SIZES[0]] == entropy.vocabulary(run, 15) / entropy.human_vocabulary(run, 15)
    bits = run.record.generations["miller_madow"].iloc[-1] - 1.5  # human text has 1.5 bits
    assert last[entropy.SIZES[1]] == pytest.approx(2**bits)


# -- verdicts --------------------------------------------------------------------------------


def test_claims_turn_when_the_runs_do() -> None:
    """The negative control: with the settings exchanged, the verdicts are others."""

    def runs(*ends: float) -> list[Run]:
        return [run_with(n, predictive_entropy=[8, 8, 8, 8 * end]) for n, end in enumerate(ends)]

    low, same = runs(0.60, 0.61, 0.60), runs(1.0, 1.001, 0.999)
    found = {"general": low, "whole": same, "half": same, "quarter": same, "domain": same}

    def verdicts_on(found: entropy.Found) -> list[str]:
        return [claim.verdict for claim in entropy.claims(found, 15) if claim.id != "0-13"]

    assert verdicts_on(found) == ["agrees", "disagrees", "agrees", "agrees", "source not read"]
    swapped = found | {"general": same, "whole": low, "half": low}
    assert verdicts_on(swapped) == [
        "disagrees", "agrees", "disagrees", "disagrees", "source not read",
    ]  # fmt: skip
    nothing = verdicts_on(found | {"whole": [], "half": []})
    assert nothing == ["agrees", *["not run yet"] * 3, "source not read"]


def test_every_number_of_the_page_is_a_number_an_interval_or_a_name() -> None:
    said = {key: str(one) for key, one in entropy.said(FOUND, ARMS["one"][0]).items()}
    assert said["ent-whole-human"] == said["ent-gap-last"] == "not run yet"
    assert said["ent-models"] == "4" and said["ent-seeds"] == "2"
    assert all(len(words) < 40 for words in said.values())


def test_gauges_become_a_table_with_a_row_for_each() -> None:
    lines = measures.gauges_table().splitlines()
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
    assert f"truth, {estimators.truth(300):.2f} bits" in texts_in(figure)
    plug_in = data.set_index(["measure", "length"])["value"]["plug-in", 500]
    found = drawn.set_index(["measure", "length"]).loc[("plug-in", 500)]
    assert found.tolist() == pytest.approx([plug_in.mean(), plug_in.min(), plug_in.max()])
    assert drawn["mean"].iloc[-1] == estimators.truth(300)
    plt.close("all")
