"""The figures of the two settings: with their data and their runs, and strips of text."""

import xml.etree.ElementTree as ET

import pytest
from matplotlib import pyplot as plt

import retention
import retention_figures
from collapse.book import figures, ratios
from toy_figures import (
    ARMS,
    SHOWN,
    assert_readable,
    assert_saved_as_picture_data_and_card,
    assert_says_that_nothing_is_run,
)
from toy_records import GROWING, runs_of

COLUMNS = {"test_perplexity": "perplexity", "distinct_tokens": "distinct tokens"}
REFERENCES = [retention.FROM_20_TO_28, retention.LOSING_20_TO_28]
MAKERS = {
    "perplexity": lambda: figures.perplexity(ARMS, REFERENCES, {"published": SHOWN[:1]}),
    "text_histogram": lambda: retention_figures.text_histogram(SHOWN[0]),
    "gauges": lambda: retention_figures.gauges(SHOWN[0], COLUMNS),
    "last_ratios": lambda: retention_figures.last_ratios(ARMS, [retention.MINOR_DEGRADATION]),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_a_figure_is_saved_as_picture_data_and_card(
    maker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_saved_as_picture_data_and_card(MAKERS[maker], monkeypatch)


@pytest.mark.parametrize("maker", MAKERS)
def test_every_figure_says_in_itself_what_it_shows_and_names_its_axes(maker: str) -> None:
    assert_readable(MAKERS[maker])


def test_a_figure_s_data_are_those_of_the_records() -> None:
    _, last = MAKERS["last_ratios"]()
    expected = {**ratios.ratio(ARMS["nothing retained"]).by_seed}
    found = last[last["arm"] == "nothing retained"]
    assert dict(zip(found["seed"], found["ratio"], strict=True)) == expected
    _, gauges = MAKERS["gauges"]()
    rows = SHOWN[0].record.generations
    for column in COLUMNS:
        assert gauges[column].tolist() == (rows[column] / rows[column][0]).tolist()
    _, histogram = MAKERS["text_histogram"]()
    assert histogram.groupby("generation")["share_of_blocks"].sum().tolist() == pytest.approx(
        [1, 1, 1]
    )
    plt.close("all")


@pytest.mark.parametrize("arms", [{}, {"nothing retained": []}])
def test_figures_of_runs_that_do_not_exist_say_so(
    arms: figures.Arms, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_says_that_nothing_is_run(*retention_figures.last_ratios(arms), monkeypatch)


# -- strips ----------------------------------------------------------------------------------


def test_a_strip_shows_text_and_never_markup() -> None:
    (run,) = runs_of({4: [20.0, 28.0]})
    attack = "<script>alert('x')</script> & </s> <b>"
    run.record.samples[0].update(prompt=attack, human=attack, generations=[attack, attack])
    html = retention_figures.strip(run, 0).data
    assert "<script>" not in html and "<b>" not in html
    assert html.count("&lt;script&gt;") == 4 and html.count("&amp; ¶ &lt;b&gt;") == 4
    table = ET.fromstring(html)
    heads = [cell.text for cell in table.iter("th")]
    assert heads == ["prompt", "human author", "generation 0", "generation 1"]
    assert "seed 4" in "".join(table.find("caption").itertext())  # type: ignore[union-attr]


def test_a_long_description_does_not_widen_a_figure() -> None:
    arms = {
        f"{epochs} epochs": runs_of(GROWING, computed=epochs % 2 == 0, epochs=epochs)
        for epochs in (2, 3, 4, 5)
    }
    figure, _ = retention_figures.last_ratios(arms)
    figure.canvas.draw()
    box = figure.get_tightbbox()
    assert box.width < 1.1 * figure.get_figwidth()
    plt.close(figure)
