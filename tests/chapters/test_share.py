"""The slider over the human share: its data against the runs, and the page in a browser."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import how_much_human_text as dose
import how_much_human_text_slider as slider
from browser import (
    CHROMIUM,
    assert_fit_to_play,
    assert_hidden_without_script,
    opened,
    page_of,
    served,
)
from toy_records import runs_of

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")
ENDS = {  # synthetic share -> perplexity by seed and generation
    0.0: {0: [20.0, 20.0, 20.0, 20.0], 1: [10.0, 10.0, 10.0, 10.0]},
    0.5: {0: [20.0, 23.0, 24.0, 24.0], 1: [10.0, 11.6, 12.0, 12.1]},
    1.0: {0: [20.0, 30.0, 50.0, 80.0], 1: [10.0, 14.0, 25.0, 45.0]},
}
DOSES = {share: runs_of(ends, retained=1 - share) for share, ends in ENDS.items()}


def slider_of(doses: dose.Doses) -> str:
    return slider.show(dose.grid(doses), "see").data


def test_the_data_are_ratios_to_human_text_alone_by_seed_and_generation() -> None:
    none, half, every = slider.data_of(dose.grid(DOSES))["shares"]
    assert [one["human"] for one in (none, half, every)] == ["0", "50", "100"]
    assert half["seeds"] == [[1, 1.15, 1.2, 1.2], [1, 1.16, 1.2, 1.21]]
    assert none["mean"][-1] == pytest.approx(math.sqrt(4.0 * 4.5), abs=1e-3)
    assert none["since"].startswith(f"×{math.sqrt(80 / 50 * 45 / 25):.2f} [")
    assert half["last"].startswith("20 % [")
    assert {*every["mean"]} == {1}


def test_every_place_of_the_slider_has_its_share_below_it() -> None:
    assert '<div class="ticks" aria-hidden="true">' in slider_of(DOSES)
    ticks = re.findall(r"<span>(.*?)</span>", slider_of(DOSES))
    assert ticks == [one["human"] for one in slider.data_of(dose.grid(DOSES))["shares"]]


def test_nine_shares_of_ten_generations_are_small_and_stay_data() -> None:
    chain = {seed: [20.123 + seed * n for n in range(10)] for seed in range(5)}
    many = {share / 8: runs_of(chain, retained=1 - share / 8) for share in range(9)}
    page = slider_of(many)
    start = page.index('json">') + 6
    data = page[start : page.index("</script>")]
    assert len(data) < 5000 and data.isascii() and "<" not in data
    assert len(json.loads(data)["shares"]) == 9


# -- in a browser -----------------------------------------------------------------------------


@pytest.fixture
def page_file(tmp_path: Path) -> Path:
    return page_of(tmp_path, "share.js", slider_of(DOSES))


@needs_chromium
def test_the_slider_is_moved_by_keys_from_a_server_and_from_disk(
    chromium: Any, page_file: Path
) -> None:
    with served(page_file.parent) as address:
        for url in (f"{address}/page.html", page_file.as_uri()):
            _is_moved_by_keys(chromium, url)


def _is_moved_by_keys(chromium: Any, url: str) -> None:
    with opened(chromium, url) as visit:
        page = visit.page
        said, heard = page.locator(".share-said"), page.locator(".share-heard")
        assert said.inner_text().startswith(
            "50_% human: generation 3 has 20_%_[".replace("_", "\u00a0")
        )
        assert heard.inner_text() == ""  # nobody has moved anything
        page.get_by_role("slider", name="How much of the text is human?").focus()
        page.keyboard.press("ArrowLeft")
        assert said.inner_text().startswith("Nothing human: generation 3 has ×4.24\u00a0[")
        assert heard.inner_text() == said.inner_text()
        assert page.locator("input").get_attribute("aria-valuetext") == "0 per cent human"
        _is_drawn_to_scale(page, [1, math.sqrt(1.5 * 1.4), 2.5, math.sqrt(4 * 4.5)])
        page.keyboard.press("End")
        assert said.inner_text().startswith("All human")
        _is_drawn_to_scale(page, [1, 1, 1, 1])
        assert visit.foreign == [] and visit.errors == []


def _is_drawn_to_scale(page: Any, expected: list[float]) -> None:
    """The thick line is where the ticks' labels say, on a logarithmic axis."""
    texts = [(one.text_content(), float(one.get_attribute("y")))
             for one in page.locator("svg text").all()]  # fmt: skip
    ticks = {float(text[1:]): y - 4 for text, y in texts if text.startswith("×")}
    (y1, y2), slope = (ticks[1], ticks[2]), math.log(2)
    points = page.locator("svg polyline[stroke-width='2.5']").get_attribute("points").split()
    heights = np.array([float(point.split(",")[1]) for point in points])
    assert np.exp((heights - y1) / (y2 - y1) * slope) == pytest.approx(expected, rel=0.01)
    assert page.locator("svg polyline[stroke-width='0.8']").count() == 2  # the seeds


@needs_chromium
def test_nothing_is_said_aloud_until_the_slider_comes_to_rest(
    chromium: Any, page_file: Path
) -> None:
    with opened(chromium, page_file.as_uri()) as visit:
        moved = "range => { range.value = 0; range.dispatchEvent(new Event('input')); }"
        visit.page.locator("input").evaluate(moved)
        assert "Nothing human" in visit.page.locator(".share-said").inner_text()
        assert visit.page.locator(".share-heard").inner_text() == ""
        visit.page.locator("input").dispatch_event("change")
        assert "Nothing human" in visit.page.locator(".share-heard").inner_text()


@needs_chromium
def test_it_fits_a_telephone_and_axe_finds_nothing(chromium: Any, page_file: Path) -> None:
    assert_fit_to_play(chromium, page_file.as_uri())


@needs_chromium
def test_without_a_script_or_without_runs_it_stays_hidden(chromium: Any, page_file: Path) -> None:
    assert_hidden_without_script(chromium, page_file.as_uri(), ".share")
    empty = page_file.read_text().replace(slider_of(DOSES), slider_of({}))
    page_file.write_text(empty)
    with opened(chromium, page_file.as_uri()) as visit:
        assert visit.page.locator(".share").is_hidden() and visit.errors == []
