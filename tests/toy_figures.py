"""Figures of toy runs: what every figure has to be, whoever draws it."""

import io
import itertools
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import matplotlib.image
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.text import Text

from collapse.book import figures
from collapse.experiment import assets
from collapse.experiment.arms import describe
from collapse.experiment.protocol import Protocol
from toy_records import GROWING, STABLE, runs_of, texts_in

Maker = Callable[[], tuple[Figure, pd.DataFrame]]
ARMS = {"nothing retained": runs_of(GROWING), "10 % retained": runs_of(STABLE, retained=0.1)}
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
    assert [file.name for file in files] == [
        f"fig-toy.{s}" for s in ("csv", "json", "narrow.svg", "png", "svg")
    ]
    return data, {file.name.partition(".")[2]: file.read_bytes() for file in files}


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
    assert (card["caption"], card["origin"]) == ("A caption.", describe(SHOWN))
    assert [run["fingerprint"] for run in card["runs"]] == [r.record.fingerprint for r in SHOWN]
    assert Protocol.from_dict(card["runs"][0]["protocol"]) == SHOWN[0].record.protocol
    shown, links = outputs
    told = links["data"].data
    assert all(f"../figures/{card['id']}.{kind}" in told for kind in files if "narrow" not in kind)
    assert all(run["record"] in links["data"].data for run in card["runs"])
    assert shown["data"]["image/svg+xml"].encode() == files["svg"]
    assert shown["metadata"]["collapse"] == {k: card[k] for k in ("id", "caption", "alt")}
    assert plt.get_fignums() == before
    assert show(maker)[1] == files


def assert_fit_to_publish(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What every figure has to be: saved with all that belongs to it, and readable."""
    assert_saved_as_picture_data_and_card(maker, monkeypatch)
    assert_readable(maker)


def assert_readable(maker: Maker) -> None:
    """On a page and on a telephone: axes have names, and texts are whole, large and not crossed."""
    figure, _ = maker()
    for form in (figure, figures.narrow(figure)):
        form.canvas.draw()
        width, height = form.get_size_inches() * form.dpi
        boxes = []
        for text in _texts(form):
            x0, y0, x1, y1 = box = text.get_window_extent().extents
            where = f"{text.get_text()!r} in a figure of {width:.0f} pixels"
            assert text.get_size() * 4 / 3 >= 11, f"{where} has {text.get_size()} points"
            assert -1 <= x0 and x1 <= width + 1 and -1 <= y0 and y1 <= height + 1, f"{where} is cut"
            boxes.append((text.get_text(), box))
        for (one, a), (other, b) in itertools.combinations(boxes, 2):
            wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
            assert wide < 2 or high < 3, f"{one!r} lies over {other!r} at {width:.0f} pixels"
    for axes in figure.axes:  # each for itself, as on a telephone
        assert axes.get_xlabel() or axes.get_xticklabels()
        assert axes.get_ylabel() or axes.get_yticklabels()
    plt.close("all")


def _texts(figure: Figure) -> list[Text]:
    """What is written in a figure, of the labels of ticks those that are drawn."""
    ticks = [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
    drawn = {label for axis in ticks for tick in axis._update_ticks()
             for label in (tick.label1, tick.label2)}  # fmt: skip
    every = {
        label
        for axis in ticks
        for label in (*axis.get_ticklabels(), *axis.get_ticklabels(minor=True))
    }
    return [
        text
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and (text in drawn or text not in every)
    ]


def assert_says_that_nothing_is_run(
    figure: Figure, data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the figure, and in its caption."""
    outputs = displayed(monkeypatch)
    figures.show(figure, data, id="fig-none", caption="None.", alt="Nothing.", runs=[])
    assert "not run yet" in texts_in(figure)
    assert "not run yet" in outputs[-1]["data"].data  # in the line below
