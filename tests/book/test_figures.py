"""Figures that come with their data, their alt text and their runs, and say which ones."""

import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import matplotlib.image
import pandas as pd
import pytest
from matplotlib import pyplot as plt

import retention
import retention_figures
from collapse.book import figures, ratios
from collapse.experiment import assets
from collapse.experiment.arms import describe
from toy_records import GROWING, STABLE, runs_of, texts_in


def test_a_description_names_scale_model_corpus_decoding_seeds_and_origins() -> None:
    mixed = runs_of({0: [2.0, 3.0], 2: [2.0, 3.0]}) + runs_of({1: [2.0, 3.0]}, computed=True)
    said = describe(mixed)
    for part in (
        "smoke scale", "toy on wikitext2", "7 training blocks", "beam search with 5 beams",
        "seed 1 computed in this build", "seeds 0, 2 from committed records",
    ):  # fmt: skip
        assert part in said
    sampled = runs_of({0: [2.0]}, decoding="sample", temperature=0.7, top_p=0.9)
    assert "sampling at T=0.7, top-p 0.9" in describe(sampled)
    assert "greedy decoding" in describe(runs_of({0: [2.0]}, decoding="greedy"))
    assert describe([]) == "not run yet"


# -- figures ---------------------------------------------------------------------------------

ARMS = {"nothing retained": runs_of(GROWING), "10% retained": runs_of(STABLE, retained=0.1)}
SHOWN = [run for runs in ARMS.values() for run in runs]
COLUMNS = {"test_perplexity": "perplexity", "distinct_tokens": "distinct tokens"}
MAKERS = {
    "perplexity": lambda: figures.perplexity(
        ARMS, [retention.FROM_20_TO_28, retention.LOSING_20_TO_28], {"published": SHOWN[:1]}
    ),
    "text_histogram": lambda: retention_figures.text_histogram(SHOWN[0]),
    "gauges": lambda: retention_figures.gauges(SHOWN[0], COLUMNS),
    "last_ratios": lambda: retention_figures.last_ratios(ARMS, [retention.MINOR_DEGRADATION]),
}


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What would go into the notebook."""
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr(
        figures, "display", lambda data, **options: shown.append({"data": data, **options})
    )
    return shown


def show(maker: str, folder: Path) -> tuple[pd.DataFrame, dict[str, bytes]]:
    """Make and show a figure; its data, and its files by suffix."""
    figure, data = MAKERS[maker]()
    figures.show(figure, data, id="fig-toy", caption="A caption.", alt="Some lines.", runs=SHOWN)
    files = sorted((folder / "figures").iterdir())
    assert [file.name for file in files] == [f"fig-toy.{s}" for s in ("csv", "json", "png", "svg")]
    return data, {file.suffix[1:]: file.read_bytes() for file in files}


@pytest.mark.parametrize("maker", MAKERS)
def test_a_figure_is_saved_as_picture_data_and_card(
    maker: str, displayed: list[dict[str, Any]]
) -> None:
    data, files = show(maker, assets.build_dir())
    assert ET.fromstring(files["svg"]).tag.endswith("svg")
    picture = matplotlib.image.imread(io.BytesIO(files["png"]))
    assert picture.shape[1] > 800 and picture.std() > 0.01
    read = pd.read_csv(io.BytesIO(files["csv"]))
    pd.testing.assert_frame_equal(read, data.reset_index(drop=True), check_dtype=False)
    card = json.loads(files["json"])
    assert (card["id"], card["alt"]) == ("fig-toy", "Some lines.")
    assert card["caption"] == f"A caption. *Shown: {describe(SHOWN)}.*"
    assert [run["fingerprint"] for run in card["runs"]] == [r.record.fingerprint for r in SHOWN]
    assert card["runs"][0]["protocol"] == SHOWN[0].record.protocol.to_dict()
    shown, links = displayed
    assert all(f"../figures/{card['id']}.{suffix}" in links["data"].data for suffix in files)
    assert all(run["record"] in links["data"].data for run in card["runs"])
    assert shown["data"]["image/svg+xml"].encode() == files["svg"]
    assert shown["metadata"]["collapse"] == {k: card[k] for k in ("id", "caption", "alt")}
    assert not plt.get_fignums()
    assert show(maker, assets.build_dir())[1] == files  # the same figure, the same bytes


def test_a_figure_s_data_are_those_of_the_records() -> None:
    _, data = MAKERS["perplexity"]()
    assert data["arm"].unique().tolist() == ["nothing retained", "10% retained", "published"]
    lost = data[data["arm"] == "nothing retained"]
    assert lost["test_perplexity"].tolist() == [value for ppl in GROWING.values() for value in ppl]
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


@pytest.mark.parametrize("maker", MAKERS)
def test_every_figure_says_in_itself_what_it_shows_and_names_its_axes(maker: str) -> None:
    figure, _ = MAKERS[maker]()
    said = texts_in(figure)
    assert "smoke scale" in said and "toy on wikitext2" in said
    for axes in figure.axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel() or axes.get_yticklabels()
    plt.close("all")


def test_the_ticks_of_a_generation_axis_are_whole_numbers() -> None:
    figure, _ = MAKERS["perplexity"]()
    assert all(float(tick).is_integer() for axes in figure.axes for tick in axes.get_xticks())
    plt.close("all")


@pytest.mark.parametrize("arms", [{}, {"nothing retained": []}])
def test_figures_of_runs_that_do_not_exist_say_so(
    arms: figures.Arms, displayed: list[dict[str, Any]]
) -> None:
    for figure, data in (figures.perplexity(arms), retention_figures.last_ratios(arms)):
        assert "not run yet" in texts_in(figure)
        figures.show(figure, data, id="fig-none", caption="None.", alt="Nothing.", runs=[])
    assert "not run yet" in displayed[-2]["metadata"]["collapse"]["caption"]


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
