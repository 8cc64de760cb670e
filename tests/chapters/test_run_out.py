"""When human text runs out: the law against draws and closed forms, and the page in a browser."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import integrate, optimize, stats

import when_does_human_text_run_out as runout
import when_does_human_text_run_out_figures as drawn
from browser import (
    CHROMIUM,
    assert_fit_to_play,
    assert_hidden_without_script,
    opened,
    page_of,
)
from collapse.book.parameters import ParameterError
from collapse.measure.verdicts import AGREES, CANNOT_TELL, DISAGREES
from toy_figures import assert_readable

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")
INPUTS = runout.Inputs()
DRAWS = 100_000
CERTAIN = runout.Inputs(  # every interval has hardly any width
    **{
        name: tuple(middle * (1 + side * 1e-6) for side in (-1, 1))
        for name, middle in {
            "pages": 2e11, "page_bytes": 7000, "token_bytes": 2, "quality": 0.2, "repeats": 3,
            "page_growth": 1.03, "web_growth": 1.05, "demand_growth": 0.375, "largest": 6e12,
        }.items()
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def found() -> Any:
    return runout.draw(INPUTS, DRAWS, 7)


# -- the model -------------------------------------------------------------------------------


def test_draws_lie_in_the_intervals_that_were_given(found: Any) -> None:
    for name in runout.WORDS:
        low, high = getattr(INPUTS, name)
        outside = (1 - runout.CERTAINTY.get(name, 0.95)) / 2
        values = found[name] if name == "demand_growth" else 10 ** found[name]
        if name == "token_bytes":  # what is taken from 6 bytes
            values = 6 - values
        for share in ((values < low).mean(), (values > high).mean()):
            assert abs(share - outside) < 0.003, name


def _quantile_of_stock(share: float, worth: bool) -> float:
    """By integration over the length of a token, each input's law as scipy has it."""
    lognormal = ["pages", "page_bytes", *(("quality", "repeats") if worth else ())]
    ends = [np.log(getattr(INPUTS, name)) for name in lognormal]
    mean = sum((low + high) / 2 for low, high in ends)
    spread = math.hypot(*((high - low) / 2 / 1.959964 for low, high in ends))
    taken = stats.lognorm(s=(math.log(4) / 2) / 1.959964, scale=2)

    def below(x: float) -> float:
        def at(less: float) -> float:
            return taken.pdf(less) * stats.norm.cdf((math.log(x * (6 - less)) - mean) / spread)

        return integrate.quad(at, 0, 6)[0] / taken.cdf(6)

    return optimize.brentq(lambda log: below(math.exp(log)) - share, 25, 45)


@pytest.mark.parametrize("share", [0.025, 0.5, 0.975])
def test_stocks_have_the_quantiles_that_integration_gives(found: Any, share: float) -> None:
    for column, worth in (("raw", False), ("effective", True)):
        expected = math.exp(_quantile_of_stock(share, worth))
        assert np.quantile(found[column], share) == pytest.approx(expected, rel=0.025)


def test_the_law_gives_the_chances_that_draws_have(found: Any) -> None:
    for at in (2026, 2027, 2028, 2029.02, 2031, 2034):
        met = int((found["year"] <= at).sum())
        assert stats.binomtest(met, DRAWS, float(runout.chance(INPUTS, at))).pvalue > 1e-4, at


def test_where_all_is_certain_two_lines_cross() -> None:
    have = 2e11 * 7000 / 4 * 0.2 * 3
    expected = 2024 + math.log(have / 6e12) / math.log(10**0.375 / 1.03 / 1.05)
    for value in runout.four_fifths(CERTAIN):
        assert value == pytest.approx(expected, abs=1e-3)
    assert runout.draw(CERTAIN, 10, 0)["year"].to_numpy() == pytest.approx(expected, abs=1e-3)


def test_with_a_certain_token_quantiles_are_roots_of_a_quadratic() -> None:
    """A ratio of two normal numbers, as in Fieller 1954."""
    inputs = replace(INPUTS, token_bytes=(1.999999, 2.000001))
    law = runout.terms(inputs)
    gap, sd = law["gap"] - law["nodes"][0], (law["gap_sd"], law["pace_sd"])
    z = stats.norm.ppf(0.9)
    roots = np.roots([
        law["pace"] ** 2 - (z * sd[1]) ** 2, -2 * gap * law["pace"], gap**2 - (z * sd[0]) ** 2,
    ])  # fmt: skip
    middle, low, high = runout.four_fifths(inputs)
    assert [low, high] == pytest.approx(sorted(2024 + roots), abs=1e-3)
    assert middle == pytest.approx(2024 + gap / law["pace"], abs=1e-3)


def test_overtraining_acts_by_its_root() -> None:
    middle = runout.quantile(INPUTS, 0.5)
    pace = 0.375 - math.log10(math.sqrt(1.02 * 1.04 * 1.1))
    for factor in (5, 100):
        moved = runout.quantile(replace(INPUTS, overtraining=factor), 0.5) - middle
        assert moved == pytest.approx(-math.log10(factor) / 2 / pace, abs=0.03)
    # The paper: one year for five times, which is sqrt(5) times the data (its note 23).
    assert runout.quantile(replace(INPUTS, overtraining=5), 0.5) == pytest.approx(
        middle - 1, abs=0.1
    )


def test_demand_by_compute_is_a_line_where_all_is_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {2025: (25.9, 25.9, 25.9), 2030: (28.9, 28.9, 28.9), 2040: (30, 30, 30)}
    monkeypatch.setattr(runout, "COMPUTE", table)

    def lacks(at: float) -> float:
        compute = 10 ** (25.9 + 0.6 * (at - 2025))
        parameters = math.sqrt(compute / 120)  # 6 N D with D = 20 N
        have = 2e11 * 7000 / 4 * 0.2 * 3 * (1.03 * 1.05) ** (at - 2024)
        return math.log(20 * parameters / have)

    years = np.arange(2024, 2030, 0.05)
    chances = runout.compute_chance(CERTAIN, years, 20, 0)
    meets = optimize.brentq(lacks, 2024, 2030)
    assert years[np.argmax(chances > 0)] == pytest.approx(meets, abs=0.051)
    assert {*chances} == {0, 1}


def test_shares_of_the_variance_are_those_of_the_linear_part(found: Any) -> None:
    """The delta method: slope of the year in each input, times that input's deviation."""
    middle = {name: float(found[name].median()) for name in runout.WORDS}
    parts = {}
    for name in runout.WORDS:
        step = 0.01 * found[name].std()
        slope = (
            runout.year(middle | {name: middle[name] + step})
            - runout.year(middle | {name: middle[name] - step})
        ) / (2 * step)
        parts[name] = (slope * found[name].std()) ** 2
    told = runout.assumptions(INPUTS, found).set_index("input")["share"]
    for name, part in parts.items():
        assert told[name] == pytest.approx(part / sum(parts.values()), abs=0.05), name
    assert 0.8 < told.sum() <= 1.01
    assert {*told.index[:2]} == {"pages", "demand_growth"}


def test_an_assumption_moves_the_year_from_one_end_to_the_other(found: Any) -> None:
    """Two lines cross, all other inputs at their medians."""
    told = runout.assumptions(INPUTS, found).set_index("input")
    middle = {name: math.sqrt(math.prod(getattr(INPUTS, name))) for name in runout.WORDS}
    middle["demand_growth"] = 10 ** (sum(INPUTS.demand_growth) / 2)
    for name in runout.WORDS:
        for column, end in zip(("low", "high"), getattr(INPUTS, name), strict=True):
            at = middle | {name: 10**end if name == "demand_growth" else end}
            taken = at["token_bytes"]
            if name == "token_bytes":  # the low end is that of a token's bytes
                taken = sum(INPUTS.token_bytes) - end
            have = at["pages"] * at["page_bytes"] / (6 - taken) * at["quality"] * at["repeats"]
            pace = at["demand_growth"] / at["page_growth"] / at["web_growth"]
            expected = 2024 + math.log(have / at["largest"]) / math.log(pace)
            assert told.loc[name, column] == pytest.approx(expected, abs=1e-6), name


def test_a_training_set_on_the_line_leaves_the_median_where_it_was() -> None:
    law = INPUTS.law("largest")[0], INPUTS.law("demand_growth")[0]
    on_it = 10 ** (law[0] + 2.5 * law[1])
    middle = runout.quantile(INPUTS, 0.5)
    assert runout.from_training_set(INPUTS, 2026.5, on_it) == pytest.approx(middle, abs=0.02)
    ten = runout.from_training_set(INPUTS, 2026.5, 10 * on_it)
    assert ten < middle - 2.5


def test_intervals_that_are_none_are_refused() -> None:
    for wrong in ({"pages": (2, 1)}, {"quality": (0, 0.4)}, {"repeats": (2,)}):
        with pytest.raises(ParameterError, match=f"{next(iter(wrong))}=.* is no interval"):
            runout.Inputs(**wrong)
    with pytest.raises(ParameterError, match="overtraining=0 must be a positive factor"):
        runout.Inputs(overtraining=0)


# -- what others say, and the page -----------------------------------------------------------


def verdicts_of(inputs: runout.Inputs) -> list[str]:
    return [one.verdict for one in runout.claims(inputs, runout.draw(inputs, DRAWS, 0))]


def test_what_is_printed_is_reproduced_and_each_verdict_can_be_flipped() -> None:
    stock, worth, years, median, sooner, later = verdicts_of(runout.Inputs())
    assert {stock, worth, years, sooner, later} == {AGREES} and median == CANNOT_TELL
    fewer = verdicts_of(runout.Inputs(pages=(75e8, 1e11)))
    assert fewer[:3] == [DISAGREES] * 3
    slow = verdicts_of(runout.Inputs(demand_growth=(0.1, 0.2)))
    assert slow[2] == slow[4] == slow[5] == DISAGREES


def test_the_figures_can_be_read_wide_and_narrow(found: Any) -> None:
    by_year = drawn.chances(INPUTS, 2000, 0)
    assert_readable(lambda: drawn.meeting_figure(drawn.bands(INPUTS, found), by_year))
    table = runout.assumptions(INPUTS, found)
    assert_readable(lambda: drawn.assumptions_figure(table, 2029.0))


def test_the_median_read_off_a_grid_is_at_most_a_step_early() -> None:
    late = runout.quantile(INPUTS, 0.5) - drawn.grid_year(INPUTS)
    assert 0 <= late <= 24 / 99


def test_cases_change_what_they_say() -> None:
    rows = {row["assumption"]: row["as likely as not by"].value for row in runout.cases(INPUTS)}
    first = rows["as in the public code"]
    earlier = ("5 times", "100 times", "largest set", "everything read once", "half as much")
    for name, year in rows.items():
        if name.startswith(earlier):
            assert year < first, name
    assert rows["training sets double every year"] > first


# -- in a browser ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runout")
    return page_of(folder, "runout.js", drawn.play(INPUTS, "see").data)


@needs_chromium
def test_the_page_computes_what_python_does(chromium: Any, page_file: Path) -> None:
    call = """([choice, share]) => window.runout.quantile(
        JSON.parse(document.querySelector('.runout script').textContent), choice, share)"""
    quality, growth = 20.0, 10**0.375
    with opened(chromium, page_file.as_uri()) as visit:
        for factor, percent, times in ((1, quality, growth), (30, 5, 1.7), (1, 60, 4.0)):
            part, shift = percent / quality, math.log10(times / growth)
            inputs = runout.Inputs(
                overtraining=factor,
                quality=tuple(end * part for end in INPUTS.quality),
                demand_growth=tuple(end + shift for end in INPUTS.demand_growth),
            )
            choice = {"overtraining": factor, "quality": percent, "growth": times}
            for share in (0.1, 0.5, 0.9):
                there = visit.page.evaluate(call, [choice, share])
                assert there == pytest.approx(runout.quantile(inputs, share), abs=0.03)
        assert visit.foreign == [] and visit.errors == []


@needs_chromium
def test_three_sliders_are_moved_by_keys_and_say_what_follows(
    chromium: Any, page_file: Path
) -> None:
    with opened(chromium, page_file.as_uri()) as visit:
        page = visit.page
        said, heard = page.locator(".runout-said"), page.locator(".runout-heard")
        assert "Demand meets the stock by 2029.0" in said.inner_text()
        assert "between 2027.4 and 2031.2" in said.inner_text()  # as in the table
        assert heard.inner_text() == ""  # nobody has moved anything
        page.get_by_role("slider", name="tokens per parameter").focus()
        page.keyboard.press("End")
        assert "by 2026.1 as likely as not" in said.inner_text()
        assert heard.inner_text() == said.inner_text()
        page.get_by_role("slider", name="growth of training sets").focus()
        page.keyboard.press("Home")
        assert page.locator("input").nth(2).get_attribute("aria-valuetext") == "1.3"
        assert visit.foreign == [] and visit.errors == []


@needs_chromium
def test_it_fits_a_telephone_and_is_hidden_without_a_script(chromium: Any, page_file: Path) -> None:
    assert_fit_to_play(chromium, page_file.as_uri())
    assert_hidden_without_script(chromium, page_file.as_uri(), ".runout")
