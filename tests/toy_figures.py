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


def show(maker: Maker, id: str) -> tuple[pd.DataFrame, dict[str, bytes]]:
    """Make and show a figure; its data, and its files by what follows its identifier."""
    figure, data = maker()
    figures.show(figure, data, id=id, caption="A caption.", alt="Some lines.", runs=SHOWN)
    files = sorted((assets.build_dir() / "figures").iterdir())
    kinds = ("-all.csv", ".csv", ".datapackage.json", ".json", ".narrow.svg", ".png", ".svg")
    assert [file.name for file in files] == [f"{id}{kind}" for kind in kinds]
    return data, {file.name.removeprefix(id).lstrip("."): file.read_bytes() for file in files}


def assert_saved_as_picture_data_and_card(
    maker: Maker, monkeypatch: pytest.MonkeyPatch, id: str = "fig-toy"
) -> None:
    """And the same figure gives the same bytes.

    Args:
        id: of the figure in `figures.yml`, where it has columns of its own.
    """
    outputs, before = displayed(monkeypatch), plt.get_fignums()
    data, files = show(maker, id)
    assert ET.fromstring(files["svg"]).tag.endswith("svg")
    picture = matplotlib.image.imread(io.BytesIO(files["png"]))
    assert picture.shape[1] > 800 and picture.std() > 0.01
    assert_data_are_described(id, data, files)
    card = json.loads(files["json"])
    assert (card["id"], card["alt"]) == (id, "Some lines.")
    assert (card["caption"], card["origin"]) == ("A caption.", describe(SHOWN))
    assert [run["fingerprint"] for run in card["runs"]] == [r.record.fingerprint for r in SHOWN]
    assert Protocol.from_dict(card["runs"][0]["protocol"]) == SHOWN[0].record.protocol
    shown, links = outputs
    told = links["data"].data
    assert all(f"../figures/{id}.{kind}" in told for kind in ("svg", "png", "csv", "json"))
    assert all(run["record"] in links["data"].data for run in card["runs"])
    assert shown["data"]["image/svg+xml"].encode() == files["svg"]
    assert shown["metadata"]["collapse"] == {k: card[k] for k in ("id", "caption", "alt")}
    assert plt.get_fignums() == before
    assert show(maker, id)[1] == files


def assert_data_are_described(id: str, data: pd.DataFrame, files: dict[str, bytes]) -> None:
    """What is drawn is in one file, all gauges of the runs in another, with what columns hold."""
    read = pd.read_csv(io.BytesIO(files["csv"]), keep_default_na=False, na_values=[""])
    flat = data.reset_index(drop=True).replace(r"\s*\n\s*", " ", regex=True)
    pd.testing.assert_frame_equal(read, flat.astype(read.dtypes), rtol=5.1e-6)
    gauges = pd.read_csv(io.BytesIO(files["-all.csv"]))
    records = {run.record.name: run.record for run in SHOWN}
    for name, rows in gauges.groupby("record"):
        expected = records.pop(str(name)).generations.reset_index(drop=True)
        found = rows.reset_index(drop=True)[list(expected)]
        pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=5.1e-6)
    assert not records
    package = json.loads(files["datapackage.json"])
    assert [one["path"] for one in package["resources"]] == [f"{id}.csv", f"{id}-all.csv"]
    for resource, kind in zip(package["resources"], ("csv", "-all.csv"), strict=True):
        fields = resource["schema"]["fields"]
        header = files[kind].decode().partition("\n")[0]
        assert [one["name"] for one in fields] == header.split(",")
        assert all(one["description"] and one["unit"] for one in fields)


def assert_fit_to_publish(
    maker: Maker, monkeypatch: pytest.MonkeyPatch, id: str = "fig-toy"
) -> None:
    """What every figure has to be: saved with all that belongs to it, and readable."""
    assert_saved_as_picture_data_and_card(maker, monkeypatch, id)
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
