"""What is played with on the page of vanishing tails, in a browser that reaches no network.

What the scripts draw is held against exact laws; how they are used, against what a reader sees.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bs4 import BeautifulSoup
from scipy import stats

import why_tails_vanish_counts as counts
import why_tails_vanish_play as play
from browser import CHROMIUM, OVERFLOW, opened, served
from collapse.book import widget
from collapse.experiment import assets
from collapse.laws import drift

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
PAGE = Path(__file__).parents[2] / "chapters" / "why-tails-vanish.md"
SEED = int(re.search(r"play\.herd\(.*?(\d+)\)", PAGE.read_text(encoding="utf-8"))[1])
SETTING = {"cats": 100, "blue": 10, "fresh": 10}
WORDS = counts.Vocabulary(
    np.array(["the", "river", "Paris", "moth", "mussel"]),
    np.array([100_000, 1200, 40, 3, 1]),
    np.zeros((1, 2, 5), int),
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page with nothing but the two things to play with."""
    folder = tmp_path_factory.mktemp("play")
    for name in ("herd.js", "words.js", "play.css"):
        shutil.copy(assets.ROOT / "_static" / name, folder)
    body = play.herd(10, 100, 200, SEED).data + play.words(WORDS).data
    (folder / "index.html").write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Play</title>'
        '<link rel="icon" href="data:,"><link rel="stylesheet" href="play.css">'
        '<meta name="viewport" content="width=device-width">'
        '<script src="herd.js"></script><script src="words.js"></script></head>'
        f"<body>{body}</body></html>",
        encoding="utf-8",
    )
    with served(folder) as found:
        yield found


@pytest.fixture
def visit(chromium: Any, address: str) -> Iterator[Any]:
    """The page, without motion, as `opened` asks for."""
    with opened(chromium, f"{address}/index.html") as found:
        yield found
        assert found.foreign == [] and found.errors == []


def drawn(visit: Any, way: str, generations: int, seed: int, herds: int) -> np.ndarray:
    """Blue cats, (herds, generations + 1), drawn by the page."""
    call = "([setting, way, n, seed, herds]) => window.herds.draw(setting, way, n, seed, herds)"
    return np.array(visit.page.evaluate(call, [SETTING, way, generations, seed, herds]))


# -- herds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [SEED, 1, 4_000_000_000])
def test_herds_drawn_by_the_page_are_lost_as_the_exact_chains_say(visit: Any, seed: int) -> None:
    laws = {
        "replace": drift.counts_law(10, 100, 100)[:, 0],
        "fresh": play.fresh_law(10, 100, 10, 100),
    }
    for way, law in laws.items():
        found = drawn(visit, way, 100, seed, 3000)
        assert (found[:, 0] == 10).all() and found.min() >= 0 and found.max() <= 100
        for n in (1, 5, 20, 100):
            lost = int((found[:, n] == 0).sum())
            assert stats.binomtest(lost, 3000, law[n]).pvalue > 1e-4, (way, n, lost)
        for n in (1, 20):  # no herd tends either way
            assert stats.ttest_1samp(found[:, n], 10).pvalue > 1e-4, (way, n)


def test_the_page_draws_whole_counts_by_the_binomial_law(visit: Any) -> None:
    first = drawn(visit, "replace", 1, 7, 20_000)[:, 1]
    law = stats.binom(100, 0.1)
    edges = [(0, 4), *((k, k) for k in range(5, 17)), (17, 100)]
    seen = [((low <= first) & (first <= high)).sum() for low, high in edges]
    expected = [20_000 * (law.cdf(high) - law.cdf(low - 1)) for low, high in edges]
    assert stats.chisquare(seen, np.array(expected) * 20_000 / sum(expected)).pvalue > 1e-4


def test_with_everything_kept_the_page_draws_as_python_does(visit: Any) -> None:
    here, there = drawn(visit, "keep", 60, 5, 4000), play.kept(10, 100, 60, 4000, 5)
    for n in (1, 10, 60):
        assert stats.ks_2samp(here[:, n], there[n]).pvalue > 1e-4
    # After two rounds the pool is a known mixture: 10 and a binomial count, out of 200.
    pool = 10 + np.arange(101)
    law = stats.binom.pmf(np.arange(101), 100, 0.1) @ stats.binom.pmf(0, 100, pool / 200)
    lost = int((drawn(visit, "keep", 2, 6, 40_000)[:, 2] == 0).sum())
    assert stats.binomtest(lost, 40_000, law).pvalue > 1e-4


def test_the_same_seed_draws_the_same_herds_and_another_one_others(visit: Any) -> None:
    one, again, other = (drawn(visit, "replace", 20, seed, 100) for seed in (1, 1, 2))
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_the_herds_shown_first_look_like_the_law(visit: Any) -> None:
    shown, law = drawn(visit, "replace", 200, SEED, 100), drift.counts_law(10, 100, 200)
    assert abs((shown == 0).mean(0) - law[:, 0]).max() < 0.08
    assert abs((shown[:, -1] == 100).mean() - law[-1, -1]) < 0.03
    # The large one is lost while it is about as likely as not that one is.
    assert shown[0, -1] == 0 and 0.35 < law[(shown[0] > 0).sum(), 0] < 0.65


def lost_of(text: str) -> int:
    return int(re.search(r"Without a blue cat: (\d+) of these 100 herds", text)[1])


def test_the_herds_are_moved_by_keys_and_say_what_they_show(visit: Any) -> None:
    box = visit.page.locator(".play-herd")
    shown = drawn(visit, "replace", 200, SEED, 100)
    assert lost_of(box.inner_text()) == (shown[:, 200] == 0).sum()
    assert box.locator("g.lost").count() == (shown[:, 200] == 0).sum()
    box.locator("input[type=range]").focus()
    visit.page.keyboard.press("Home")
    for _ in range(7):
        visit.page.keyboard.press("ArrowRight")
    assert f"Generation 7: {shown[0][7]} of the 100 cats" in box.inner_text()
    assert box.locator("circle.blue").count() == shown[0][7]
    assert lost_of(box.inner_text()) == (shown[:, 7] == 0).sum()
    visit.page.keyboard.press("End")
    box.get_by_label("the last herd alone").focus()
    visit.page.keyboard.press("ArrowDown")  # to the next way of drawing
    kept = drawn(visit, "fresh", 200, SEED, 100)
    assert lost_of(box.inner_text()) == (kept[:, 200] == 0).sum()
    assert play.percent(play.fresh_law(10, 100, 10, 200)[-1]) in box.inner_text()


def test_new_herds_are_others(visit: Any) -> None:
    box = visit.page.locator(".play-herd")
    bars = "[...document.querySelectorAll('.play-herd-all rect.blue')]"
    heights = f"() => {bars}.map(bar => bar.height.baseVal.value)"
    box.locator("input[type=range]").fill("12")
    before = visit.page.evaluate(heights)
    box.get_by_role("button", name="New herds").click()
    after = visit.page.evaluate(heights)
    assert len(before) == 100 and before != after


def test_nothing_moves_by_itself_where_a_reader_wants_no_motion(visit: Any) -> None:
    box = visit.page.locator(".play-herd")
    assert box.get_by_role("button", name="Play").count() == 0
    button = box.get_by_role("button", name="Ten generations on")
    button.press("Enter")  # from the end it begins anew
    assert "Generation 10:" in box.inner_text()
    visit.page.wait_for_timeout(400)
    assert "Generation 10:" in box.inner_text()
    button.press("Enter")
    assert "Generation 20:" in box.inner_text()


def test_play_runs_to_a_pause_and_is_not_read_aloud_meanwhile(chromium: Any, address: str) -> None:
    with opened(chromium, f"{address}/index.html") as visit:
        visit.page.emulate_media(reduced_motion="no-preference")
        box = visit.page.locator(".play-herd")
        said, time = box.locator(".play-said"), box.locator("input[type=range]")
        assert said.get_attribute("aria-live") == "polite"
        box.get_by_role("button", name="Play").click()
        assert said.get_attribute("aria-live") == "off"
        visit.page.wait_for_function(
            "() => { const n = Number(document.querySelector('input[type=range]').value);"
            " return n >= 3 && n < 200; }"
        )
        box.get_by_role("button", name="Pause").press("Enter")
        stopped = time.input_value()
        visit.page.wait_for_timeout(300)
        assert time.input_value() == stopped and f"Generation {stopped}:" in said.inner_text()
        assert said.get_attribute("aria-live") == "polite"
        time.fill("197")
        box.get_by_role("button", name="Play").click()
        box.get_by_role("button", name="Play").wait_for()  # it stops at the end by itself
        assert time.input_value() == "200" and visit.errors == []


def test_the_numbers_below_the_slider_stand_where_its_handle_stops(visit: Any) -> None:
    box = visit.page.locator(".play-herd")
    assert box.locator(".ticks span").all_inner_texts() == ["0", "50", "100", "150", "200"]
    bar = box.locator("input[type=range]").bounding_box()
    handle = 16  # pixels, in Chromium
    for k, tick in enumerate(box.locator(".ticks span").all()):
        place = tick.bounding_box()
        stop = bar["x"] + handle / 2 + k / 4 * (bar["width"] - handle)
        assert place["x"] + place["width"] / 2 == pytest.approx(stop, abs=3)


def test_no_script_lets_a_number_and_its_sign_part() -> None:
    scripts = {path.name: path.read_text() for path in (assets.ROOT / "_static").glob("*.js")}
    assert "\\u00a0%" in scripts["herd.js"]
    assert [name for name, code in scripts.items() if re.search(r"[})] %", code)] == []


# -- words -----------------------------------------------------------------------------------


def test_the_page_reckons_with_words_as_the_law_does(visit: Any) -> None:
    for count in (1, 2, 7, 40, 1200):
        lost = drift.lost_by(count, 100)
        here = visit.page.evaluate("c => [1, 10, 100].map(n => window.words.gone(c, n))", count)
        assert here == pytest.approx(lost[[1, 10, 100]].tolist(), rel=1e-9, abs=1e-12)
        assert visit.page.evaluate("c => window.words.halfLife(c)", count) == play.half_life(count)


@pytest.mark.parametrize(
    ("typed", "found"), [("mussel", "mussel"), ("PARIS", "Paris"), (" The ", "the")]
)
def test_a_word_is_found_and_told_as_the_table_tells_it(visit: Any, typed: str, found: str) -> None:
    box = visit.page.locator(".play-words")
    box.get_by_label("a word").fill(typed)
    row = box.locator("tr.asked")
    count = int(WORDS.counts[WORDS.words.tolist().index(found)])
    cells = row.inner_text().split("\t")
    lost = drift.lost_by(count, 100)
    assert cells[:2] == [found, f"{count:,}"]
    assert cells[3:] == [play.percent(lost[n]) for n in (1, 10, 100)]
    assert f"“{found}” occurs" in box.inner_text()
    same = box.locator("tbody tr:not(.asked)").filter(has_text=found)  # as Python wrote it
    if same.count():
        assert same.first.inner_text().split("\t") == cells


def test_a_word_that_is_not_known_is_said_not_to_be(visit: Any) -> None:
    box = visit.page.locator(".play-words")
    box.get_by_label("a word").fill("<b>xyzzy</b>")
    assert "not on the list" in box.inner_text() and not box.locator("tr.asked").is_visible()
    assert box.locator("b").count() == 0
    box.get_by_label("a word").fill("")
    assert "not on the list" not in box.inner_text()
    box.get_by_role("button", name="Any").press("Enter")
    assert box.locator("tr.asked").is_visible()


# -- for everyone ----------------------------------------------------------------------------


def test_both_fit_a_telephone_and_stand_still_in_print(visit: Any) -> None:
    visit.page.set_viewport_size({"width": 390, "height": 800})
    assert visit.page.evaluate(OVERFLOW) <= 0
    for control in visit.page.locator("button:visible, input:visible").all():
        box = control.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    visit.page.emulate_media(media="print")
    assert visit.page.locator("form:visible").count() == 0
    assert visit.page.locator(".play-herd svg").first.is_visible()
    assert visit.page.locator("table:visible").count() == 2


def test_without_scripts_tables_say_the_same(chromium: Any, address: str) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/index.html")
    assert page.locator("form:visible").count() == 0
    assert page.locator("table:visible").count() == 2
    law = play.without_blue(10, 100, 200, 10)["replace"]
    assert f"200\t{play.percent(law[-1])}" in page.locator(".play-herd table").inner_text()
    assert page.locator("circle.blue").count() == 10
    context.close()


def test_no_word_of_the_data_ends_their_script() -> None:
    words = ["</script><script>alert(1)</script>", "<!--", "é & \u2028"]
    [script] = BeautifulSoup(widget.script(words), "html.parser").contents
    assert json.loads(script.string) == words


def test_a_page_that_the_scripts_know_nothing_of_is_left_alone(
    chromium: Any, address: str, tmp_path: Path
) -> None:
    data = json.dumps({"nothing": 1})
    with opened(chromium, f"{address}/index.html") as visit:
        html = f"<p>plain</p><script type='application/json'>{data}</script>"
        visit.page.set_content(f"<script src='{address}/herd.js'></script>{html}")
        assert visit.page.inner_text("p") == "plain" and visit.errors == []
