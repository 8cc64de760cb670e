"""The web and the crowd: shares against sources and closed forms, the rising loop, the sliders."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import is_it_already_happening as web
import is_it_already_happening_studies as studied
import who_wrote_the_training_data as crowd
from browser import (
    CHROMIUM,
    assert_fit_to_play,
    assert_hidden_without_script,
    opened,
    page_of,
)
from collapse.book import chapter
from collapse.experiment import training_text
from collapse.experiment.assets import ROOT
from collapse.laws import exposure, prevalence
from collapse.measure.verdicts import AGREES, CANNOT_TELL, DISAGREES, NOT_RUN
from toy_figures import assert_fit_to_publish
from toy_records import runs_of

NAME = "is-it-already-happening"
NEW = [0.36, 0.48, *[0.5] * 6]
READINGS = {"flow": NEW, "index": exposure.pages(NEW, 10, 1.26), "stock": exposure.pages(NEW, 10)}
HUMAN = {name: [1 - 0.82 * share for share in shares] for name, shares in READINGS.items()}
CONTROL = runs_of({0: [30.0, *[20.0] * 8], 1: [30.0, *[10.0, 40.0] * 4], 2: [30.0, *[20.0] * 8]})


def chains(of: list[float]) -> Any:
    """Chains whose ratio to the control is given from generation 1 on, with a little noise."""
    noise = {0: 0.999, 1: 1.0, 2: 1.001}
    return runs_of({seed: [30.0, *(20 * one * noise[seed] for one in of)] for seed in noise})


STRAIGHT = [math.exp(0.02 * n) for n in range(1, 9)]
BENT = [math.exp(0.003 * n**2) for n in range(1, 9)]
FLAT = [1.1] * 8
LOOPS = {"flow": chains(FLAT), "index": chains(STRAIGHT), "stock": chains(BENT)}
STUDIES = studied.estimates(2000)


# -- shares -----------------------------------------------------------------------------------


def test_counts_are_those_of_the_shares_that_are_printed() -> None:
    """Each count is a whole number of texts that rounds to the share."""
    for study in studied.STUDIES:
        if study.count:
            flagged, of = study.count
            assert round(flagged / of, 3) == round(study.share[0], 3), study.name
        for count, printed in ((study.caught, 0.994), (study.false, 0.042)):
            assert count is None or round(count[0] / count[1], 3) == printed


def test_months_of_seventeen_sites_are_the_published_percentages() -> None:
    published = [17.65, 23.53, 23.53, 23.53, 23.53, 5.88, 11.76, 17.65, 17.65, 23.53, 23.53, 35.29]
    assert [round(100 * k / studied.SITES, 2) for k in studied.DOLEZAL_YEAR] == published
    assert prevalence.wilson((6, 17)) == pytest.approx((0.173, 0.587), abs=5e-4)


def test_half_of_what_is_new_is_a_tenth_of_what_is_there() -> None:
    """Against sums written out: three years' pages of thirteen, of equal number or growing."""
    growing = web.stocks([0.36, 0.48, 0.5], 10, [0.0, 0.1])
    assert growing[0.0] == pytest.approx((0.36 + 0.48 + 0.5) / 13)
    top = 0.36 * 1.1**10 + 0.48 * 1.1**11 + 0.5 * 1.1**12
    assert growing[0.1] == pytest.approx(top / ((1.1**13 - 1) / 0.1))


def test_a_mixture_holds_what_the_web_does_times_its_web() -> None:
    rows = web.exposures(READINGS, {0.0: 0.1}, 0.82, 3)
    assert str(rows[0]["of the training mixture"]) == "41 %"  # 0.82 of one half
    assert str(rows[-1]["of the training mixture"]) == "8 %"
    assert sum(web.LLAMA.values()) == 100


def test_the_region_holds_the_share_and_its_correction() -> None:
    assert (STUDIES["allowed_low"] <= STUDIES["share"]).all()
    assert (STUDIES["share_up_to"] <= STUDIES["allowed_high"]).all()
    fixed = STUDIES.dropna(subset="corrected")
    assert len(fixed) and (fixed["corrected"] < fixed["share"]).all()


# -- the rising loop ----------------------------------------------------------------------------


def test_the_chains_follow_the_plan_s_table() -> None:
    plan = (ROOT / f"plans/{NAME}.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (flow|index|stock) \|.*\| ([\d., ]+) \|$", plan, re.MULTILINE)
    found = chapter.arms(NAME, chapter.settings(NAME, "laptop", {}))
    assert len(rows) == 3
    for name, shares in rows:
        protocol = found[name].protocol
        planned = [float(share) for share in shares.split(", ")]
        assert protocol.schedule == pytest.approx([1 - 0.82 * s for s in planned], abs=0.005)
        assert (protocol.retains, protocol.train_blocks, protocol.epochs) == ("fresh", 256, 3)


@pytest.mark.parametrize("scale", ["smoke", "laptop", "overnight", "paper"])
def test_no_share_comes_to_none_or_to_all(scale: str) -> None:
    values = chapter.settings(NAME, scale, {})
    for arm in chapter.arms(NAME, values).values():
        training_text.check_shares(int(values["train_blocks"]), arm.protocol)


def test_a_control_is_the_mean_of_its_generations_on_the_log_scale() -> None:
    rows = web.against(LOOPS["flow"], CONTROL)
    assert rows["generation"].min() == 1  # the first generation has read nothing yet
    assert rows["ratio"].to_numpy() == pytest.approx(1.1, rel=0.002)  # √(10 · 40) is 20


def test_a_straight_line_has_no_acceleration_and_a_square_has_some() -> None:
    found = {name: web.responses(runs, CONTROL) for name, runs in LOOPS.items()}
    assert found["index"]["early"].mean == pytest.approx(math.exp(0.02 * 3.5))
    assert found["index"]["level"].mean == pytest.approx(math.exp(0.02 * 7.5))
    assert found["index"]["acceleration"].mean == pytest.approx(math.exp(0.02 * 0.5))
    assert found["stock"]["acceleration"].mean == pytest.approx(
        math.exp(0.003 * ((49 + 64) / 2 - (9 + 16)))
    )
    assert found["flow"]["acceleration"].high < 1


def test_verdicts_flip_with_what_they_are_on() -> None:
    def told(loops: web.Loops, studies: pd.DataFrame, measured: list[float]) -> list[str]:
        said = {name: web.responses(runs, CONTROL) for name, runs in loops.items()}
        return [claim.verdict for claim in web.claims(studies, measured, said)]

    here = told(LOOPS, STUDIES, NEW[:3])
    assert here[:3] == [CANNOT_TELL, DISAGREES, AGREES]
    assert here[3] == DISAGREES and here[5:] == [AGREES, AGREES]
    up = STUDIES.copy()
    up["corrected_low"] = 0.6
    swapped = {"flow": LOOPS["stock"], "index": LOOPS["index"], "stock": chains([1.0] * 8)}
    there = told(swapped, up, [0.1, 0.3, 0.6])
    assert there[:2] == [AGREES, AGREES]
    assert there[3] == AGREES and there[5:] == [DISAGREES, DISAGREES]
    none = told({key: [] for key in LOOPS}, STUDIES, NEW[:3])
    assert set(none[3:]) == {NOT_RUN}


# -- the crowd ----------------------------------------------------------------------------------


def test_the_ends_of_the_crowd_are_two_cutoffs() -> None:
    found = crowd.table(2000)
    assert prevalence.wilson((15, 46)) == pytest.approx((0.209, 0.470), abs=5e-4)
    assert [round(100 * found["share"][n]) for n in (0, 2)] == [33, 46]
    assert next(claim.verdict for claim in crowd.claims(found)) == AGREES
    other = found.assign(share=found["share"] / 2)
    assert next(claim.verdict for claim in crowd.claims(other)) == DISAGREES


def test_counts_of_errors_give_the_printed_scores() -> None:
    """Accuracy, macro recall and macro precision as the authors' notebook prints them."""
    printed = (
        (crowd.READINGS[0], crowd.SEEN, 0.9910714285714286, 0.9838709677419355, 0.9939024390243902),
        (crowd.READINGS[2], crowd.UNSEEN, 0.9770114942528736, 0.9731481481481481,
         0.9731481481481481),
    )  # fmt: skip
    for reading, right, accuracy, recall, precision in printed:
        assert reading.caught and reading.false
        (hits, machines), (wrong, humans) = reading.caught, reading.false
        passed = humans - wrong
        assert right == (hits + passed, machines + humans)
        assert (hits + passed) / (machines + humans) == pytest.approx(accuracy)
        assert (hits / machines + passed / humans) / 2 == pytest.approx(recall)
        assert (hits / (hits + wrong) + passed / (passed + machines - hits)) / 2 == pytest.approx(
            precision
        )


def test_a_counter_of_words_that_knows_the_source_fails_on_new_ones() -> None:
    """Toy texts whose writer shows only in a word that belongs to one source."""
    rows = [
        {"text": f"topic{source} mark{source}{'ab'[machine]} filler{copy}", "HITId": source,
         "labels": ("real", "synthetic")[machine]}
        for source in range(8) for machine in (0, 1) for copy in range(8)
    ]  # fmt: skip
    found = crowd.accuracies(pd.DataFrame(rows))
    assert found["mixed"][0] / found["mixed"][1] > 0.95
    assert found["apart"][0] / found["apart"][1] < 0.75


# -- figures ------------------------------------------------------------------------------------

MAKERS = {
    "fig-prevalence": lambda: studied.forest(STUDIES),
    "fig-flow-stock": lambda: web.readings_figure(READINGS, 3),
    "fig-rising": lambda: web.loop_figure(LOOPS, CONTROL, HUMAN),
    "fig-crowd": lambda: crowd.figure(crowd.table(2000)),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_a_figure_is_fit_to_publish(maker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_fit_to_publish(MAKERS[maker], monkeypatch, maker)


# -- the sliders, in a browser --------------------------------------------------------------------

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")


@pytest.fixture
def page_file(tmp_path: Path) -> Path:
    return page_of(tmp_path, "prevalence.js", studied.sliders(0.503, 0.994, 0.042, "try").data)


@needs_chromium
def test_the_sliders_correct_as_the_law_does_and_fit_a_telephone(
    chromium: Any, page_file: Path
) -> None:
    with opened(chromium, page_file.as_uri()) as visit:
        page = visit.page
        said, heard = page.locator(".prevalence-said"), page.locator(".prevalence-heard")
        assert heard.inner_text() == "" and "48.4\u00a0%" in said.inner_text()
        move = "(range, value) => { range.value = value; range.dispatchEvent(new Event('input'));"
        for shares in np.random.default_rng(0).uniform((0.2, 0.6, 0), (0.6, 1, 0.2), (12, 3)):
            given = [round(float(share), 3) for share in shares]
            for range_, share in zip(page.locator("input").all(), given, strict=True):
                range_.evaluate(f"{move} }}", f"{100 * share:.1f}")
            there = prevalence.corrected(*given)
            told = float(re.findall(r"Then ([\d.]+)", said.inner_text())[0])
            assert told == pytest.approx(100 * there, abs=0.06)
        page.locator("input").first.evaluate(f"{move} }}", "3")
        assert heard.inner_text() == ""  # nothing is said until a slider rests
        page.get_by_role("slider", name="The detector flags").focus()
        page.keyboard.press("Home")
        assert said.inner_text().startswith("False alarms alone")
        assert heard.inner_text() == said.inner_text()
    assert_fit_to_play(chromium, page_file.as_uri())
    assert_hidden_without_script(chromium, page_file.as_uri(), ".prevalence")
