"""The page that watches: its texts, its figure, and what it says of a committed run."""

import numpy as np
import pytest

import watch_your_own_pipeline as page
from collapse.book import chapter
from collapse.experiment import assets
from collapse.watch import Report, watch
from toy_figures import assert_readable

CACHE = assets.cache_dir()  # the ordinary one, which has the text; a test has its own


def texts(seed: int, kinds: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(f"w{word}" for word in rng.integers(0, kinds, 100)) for _ in range(60)]


@pytest.fixture(scope="module")
def reports() -> dict[str, Report]:
    """One that is quiet, and three that ring."""
    old = texts(0, 500)
    names = ("the other half", "State of the Union", "generation 0",
             "generation 5")  # fmt: skip
    return {
        name: watch(old, texts(n + 1, kinds), batch=200)
        for n, (name, kinds) in enumerate(zip(names, (500, 900, 300, 50), strict=True))
    }


def test_the_figure_is_readable_and_holds_each_change(reports: dict[str, Report]) -> None:
    assert_readable(lambda: page.change_figure(reports))
    _, data = page.change_figure(reports)
    assert len(data) == 4 * 7
    assert [page.told(one) for one in reports.values()] == ["quiet", "rings", "rings", "rings"]
    rings = (data["change"].abs() > data["limit"]).groupby(data["comparison"]).any()
    assert {name: bool(one) for name, one in rings.items()} == {
        name: one.alarm for name, one in reports.items()
    }


def test_the_table_has_a_row_for_each_text(reports: dict[str, Report]) -> None:
    shown = page.table(reports, {"State of the Union": next(iter(reports.values()))}).data
    assert shown.count("<tr>") == 4 and shown.count("rings, 0.0") == 3 and shown.count("–") == 3


def test_articles_and_halves_lose_nothing() -> None:
    lines = ["", " = A = \n", " one \n", " = = Part = = \n", " two \n", " = B = C = \n", " x \n"]
    found = page.articles(lines)
    assert found == ["".join(lines[1:5]), "".join(lines[5:])]
    one, other = page.halves([str(n) for n in range(11)], seed=1)
    assert len(one) == 5 and sorted(one + other, key=int) == [str(n) for n in range(11)]


def test_what_the_page_says_of_a_chain_is_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Generation 0 is told from people, later ones have fewer words, and divergence first falls."""
    monkeypatch.setenv("COLLAPSE_CACHE", str(CACHE))
    run, *_ = chapter.at_scale("no-retention", "laptop")
    human, elsewhere, generations = page.written(run.record)
    assert not watch(human, elsewhere, batch=500).alarm
    found = [watch(human, text, batch=500) for text in generations]
    assert all(report.alarm for report in found)
    by_name = [{one.gauge: one for one in report.gauges} for report in found]
    for gauge in ("distinct_words", "word_entropy"):
        values = [of[gauge].value for of in by_name]
        assert values == sorted(values, reverse=True)
    assert all(of["divergence"].alarm and of["divergence"].ratio < 1 for of in by_name[:5])
