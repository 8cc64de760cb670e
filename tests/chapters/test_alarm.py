"""The alarm that readers set: its data against the trial, and the page in a browser."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import toy_alarms

import would_you_have_noticed as noticed
import would_you_have_noticed_charts as alarms
import would_you_have_noticed_play as play
from browser import (
    CHROMIUM,
    assert_fit_to_play,
    assert_hidden_without_script,
    opened,
    page_of,
)

GAUGES = ("test_perplexity", "distinct_tokens")
CHAINS = {"null": "human alone", "written 0.1": "10 % written", "written 0.25": "25 % written"}
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")


@pytest.fixture(scope="module")
def trial() -> noticed.Trial:
    return noticed.Trial(toy_alarms.found())


def test_its_limits_tell_the_rate_of_false_alarms_that_the_trial_measures(
    trial: noticed.Trial,
) -> None:
    told = play.data_of(trial, GAUGES, CHAINS)["gauges"]
    for gauge, rules in zip(GAUGES, told, strict=True):
        limit, rate = rules["sum"][7]
        alarm = noticed.Alarm("", gauge, alarms.cusum, limit)
        assert rate == pytest.approx(trial.false_alarms(alarm).mean, abs=0.01)
        rates = [rate for _, rate in rules["threshold"]]
        assert rates == sorted(rates, reverse=True) and rates[-1] <= 0.1 < rates[0]


def test_it_is_small_and_stays_data(trial: noticed.Trial) -> None:
    page = play.show(trial, GAUGES, CHAINS, "see").data
    data = page[page.index('json">') + 6 : page.index("</script>")]
    assert len(data) < 20_000 and data.isascii() and "<" not in data
    assert [chain["name"] for chain in json.loads(data)["chains"]] == [*CHAINS.values()]


@pytest.fixture
def page_file(tmp_path: Path, trial: noticed.Trial) -> Path:
    return page_of(tmp_path, "alarm.js", play.show(trial, GAUGES, CHAINS, "see").data)


@needs_chromium
def test_what_is_chosen_rings_when_the_library_says(
    chromium: Any, page_file: Path, trial: noticed.Trial
) -> None:
    with opened(chromium, page_file.as_uri()) as visit:
        page = visit.page
        said, heard = page.locator(".alarm-said"), page.locator(".alarm-heard")
        assert heard.inner_text() == ""  # nobody has chosen anything
        page.locator("select[name=chain]").select_option("10 % written")
        page.locator("select[name=gauge]").select_option("distinct tokens")
        for rule, chart in (("sum", alarms.cusum), ("threshold", alarms.shewhart)):
            page.locator("select[name=rule]").select_option(rule)
            page.get_by_role("slider", name="limit").focus()
            page.keyboard.press("ArrowLeft")
            place = int(page.locator("input").input_value())
            rules = play.data_of(trial, GAUGES, CHAINS)["gauges"][1]
            limit, rate = rules[rule][place]
            alarm = noticed.Alarm("", "distinct_tokens", chart, limit, scaled=rule == "sum")
            delays = [one for one in trial.delays(alarm, "written 0.1").values() if one == one]
            words = said.inner_text()
            assert heard.inner_text() == words
            assert f"rings {rate:g} times in 100" in words
            numbers = re.findall(r"first in generation ([\d, ]+)\.", words)
            assert numbers == ([", ".join(f"{one:g}" for one in delays)] if delays else [])
        ratio = 100 * math.exp(-limit)  # distinct tokens fall
        assert page.locator("output").inner_text().replace("\u00a0", " ") == f"{ratio:.0f} %"
        page.locator("select[name=chain]").select_option("human alone")
        assert "of 8 chains" in said.inner_text()
        assert visit.foreign == [] and visit.errors == []


@needs_chromium
def test_it_fits_a_telephone_and_axe_finds_nothing(chromium: Any, page_file: Path) -> None:
    assert_fit_to_play(chromium, page_file.as_uri())


@needs_chromium
def test_without_a_script_or_without_runs_it_stays_hidden(
    chromium: Any, page_file: Path, trial: noticed.Trial
) -> None:
    assert_hidden_without_script(chromium, page_file.as_uri(), ".alarm")
    nothing = play.show(noticed.Trial({"null": []}), GAUGES, CHAINS, "see").data
    page_file.write_text(
        page_file.read_text().replace(play.show(trial, GAUGES, CHAINS, "see").data, nothing)
    )
    with opened(chromium, page_file.as_uri()) as visit:
        assert visit.page.locator(".alarm").is_hidden() and visit.errors == []
