"""Figures of toy runs: what every figure has to be, whoever draws it."""

import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import matplotlib.image
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from collapse.book import figures
from collapse.experiment import assets
from collapse.experiment.arms import describe
from toy_records import GROWING, STABLE, runs_of, texts_in

Maker = Callable[[], tuple[Figure, pd.DataFrame]]
ARMS = {"nothing retained": runs_of(GROWING), "10% retained": runs_of(STABLE, retained=0.1)}
SHOWN = [run for runs in ARMS.values() for run in runs]


def displayed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What would go into the notebook, from now on."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(
        figures, "display", lambda data, **options: found.append({"data": data, **options})
    )
    return found


def show(maker: Maker) -> tuple[pd.DataFrame, dict[str, bytes]]:
    """Make and show a figure; its data, and its files by suffix."""
    figure, data = maker()
    figures.show(figure, data, id="fig-toy", caption="A caption.", alt="Some lines.", runs=SHOWN)
    files = sorted((assets.build_dir() / "figures").iterdir())
    assert [file.name for file in files] == [f"fig-toy.{s}" for s in ("csv", "json", "png", "svg")]
    return data, {file.suffix[1:]: file.read_bytes() for file in files}


def assert_saved_as_picture_data_and_card(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the same figure gives the same bytes."""
    outputs, before = displayed(monkeypatch), plt.get_fignums()
    data, files = show(maker)
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
    shown, links = outputs
    assert all(f"../figures/{card['id']}.{suffix}" in links["data"].data for suffix in files)
    assert all(run["record"] in links["data"].data for run in card["runs"])
    assert shown["data"]["image/svg+xml"].encode() == files["svg"]
    assert shown["metadata"]["collapse"] == {k: card[k] for k in ("id", "caption", "alt")}
    assert plt.get_fignums() == before
    assert show(maker)[1] == files


def assert_says_what_it_shows_and_names_its_axes(maker: Maker) -> None:
    """In the figure itself."""
    figure, _ = maker()
    said = texts_in(figure)
    assert "smoke scale" in said and "toy on wikitext2" in said
    for axes in figure.axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel() or axes.get_yticklabels()
    plt.close("all")


def assert_says_that_nothing_is_run(
    figure: Figure, data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the figure, and in its caption."""
    outputs = displayed(monkeypatch)
    assert "not run yet" in texts_in(figure)
    figures.show(figure, data, id="fig-none", caption="None.", alt="Nothing.", runs=[])
    assert "not run yet" in outputs[-2]["metadata"]["collapse"]["caption"]
