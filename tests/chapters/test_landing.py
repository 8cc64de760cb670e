"""The landing page: every setting on one axis, with the numbers of the records."""

import re

import pytest

import index
from collapse.book import chapter, figures, ratios
from collapse.measure.per_seed import over_seeds
from toy_figures import assert_fit_to_publish
from toy_records import GROWING, STABLE, runs_of


def toys() -> list[index.Setting]:
    """The page's settings with runs of toys in the place of the committed ones, one without any."""
    found = []
    for number, one in enumerate(index.settings()):
        runs = runs_of(GROWING if number % 2 else STABLE) if number else []
        large = runs_of({0: [20.0, 22.0]}) if number == 1 else []
        found.append(index.Setting(one.group, one.name, one.page, one.colour, runs, large))
    return found


def test_the_axis_is_fit_to_publish(monkeypatch: pytest.MonkeyPatch) -> None:
    assert_fit_to_publish(lambda: index.axis_figure(toys()), monkeypatch, "fig-one-axis")


def test_the_axis_holds_each_seed_of_each_setting() -> None:
    _, data = index.axis_figure(toys())
    data = data.dropna(subset="seed")
    small = data[data["model"] == "small model"]
    assert set(small["setting"]) == {one.name for one in toys()[1:]}
    (one,) = (rows for name, rows in small.groupby("setting") if name == toys()[1].name)
    assert one.set_index("seed")["ratio"].to_dict() == {s: v[-1] / v[0] for s, v in GROWING.items()}
    large = data[data["model"] == "SmolLM2"]
    assert large["ratio"].tolist() == [pytest.approx(1.1)]


def test_each_setting_leads_to_a_page_and_says_what_was_run() -> None:
    shown = index.table(toys()).data
    assert set(re.findall(r'href="([\w-]+)\.html"', shown)) <= {
        page.removeprefix("chapters/") for page in chapter.pages()
    }
    assert shown.count("not run yet") == 1 and str(ratios.ratio(runs_of(GROWING))) in shown
    assert shown.count("<tr>") == len(toys())


def test_a_large_number_has_its_interval_and_its_page() -> None:
    ratio = over_seeds({0: 1.5, 1: 1.6, 2: 1.7}, ratio=True)
    shown = index.numbers(
        [(ratio, "kept & <none>", "no-retention"), (over_seeds({}), "?", "x")]
    ).data
    assert "×1.60" in shown and f"[{ratio.low:.2f}, {ratio.high:.2f}]" in shown
    assert 'href="no-retention.html"' in shown and "kept &amp; &lt;none&gt;" in shown
    assert "not run yet" in shown


def test_colours_tell_ways_of_writing_and_shares_of_human_text_apart() -> None:
    colours = [one.colour for one in index.settings() if one.group != index.KEPT]
    assert len({str(colour) for colour in colours}) == len(colours)
    assert set(figures.WRITING.values()) <= set(map(str, colours))
