"""The figures of the two settings: with their data and their runs, and strips of text."""

import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

import retention
import retention_figures
from collapse.book import figures, ratios
from collapse.experiment.arms import Run
from toy_figures import (
    ARMS,
    SHOWN,
    assert_fit_to_publish,
    assert_says_that_nothing_is_run,
)
from toy_records import GROWING, STABLE, runs_of

REFERENCES = [retention.FROM_20_TO_28, retention.LOSING_20_TO_28]
FOUND = pd.DataFrame({
    "text": ["human", "0", "1"], "copied": [0.02, 0.2, 0.6], "repeated": [0.01, 0.3, 0.1],
})  # fmt: skip
CORNERS = {
    (epochs, share): runs_of(STABLE if share else GROWING, epochs=epochs, retained=share)
    for epochs in (5, 10)
    for share in (0.0, 0.1)
}
MAKERS = {
    "fig-no-retention-perplexity": lambda: figures.perplexity(
        ARMS, REFERENCES, {"published": SHOWN[:1]}
    ),
    "fig-no-retention-text": lambda: retention_figures.text_bands(
        {"one": SHOWN[0], "other": SHOWN[3]}
    ),
    "fig-no-retention-copies": lambda: retention_figures.copies(FOUND),
    "fig-retention-square": lambda: retention_figures.square(CORNERS),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_a_figure_is_fit_to_publish(maker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_fit_to_publish(MAKERS[maker], monkeypatch, maker)


def test_a_figure_s_data_are_those_of_the_records() -> None:
    _, last = MAKERS["fig-retention-square"]()
    expected = ratios.ratio(CORNERS[5, 0.0]).by_seed
    found = last[(last["epochs"] == 5) & (last["retained"] == 0)].dropna(subset="seed")
    assert dict(zip(found["seed"], found["ratio"], strict=True)) == expected
    _, bands = MAKERS["fig-no-retention-text"]()
    nll = SHOWN[0].record.arrays["text_nll"][1].astype(float)
    found = bands[(bands["model"] == "one") & (bands["text"] == "1")].set_index("percentile")
    assert found["block_perplexity"][50] == pytest.approx(float(np.median(np.exp(nll))))
    assert found["block_perplexity"].is_monotonic_increasing
    plt.close("all")


@pytest.mark.parametrize("corners", [{}, {(5, 0.0): []}])
def test_figures_of_runs_that_do_not_exist_say_so(
    corners: dict[tuple[int, float], list[Run]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_says_that_nothing_is_run(*retention_figures.square(corners), monkeypatch)
    assert_says_that_nothing_is_run(*retention_figures.text_bands({}), monkeypatch)


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
