"""What runs say, by hand; and figures that come with their data, their alt text and their runs."""

import dataclasses
import io
import json
import math
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

import retention_figures
from collapse.book import figures, results
from collapse.book.results import Reference
from collapse.experiment import assets
from collapse.experiment.loop import Run
from collapse.experiment.protocol import Protocol
from collapse.measure import gauges
from collapse.measure.per_seed import PerSeed
from toy_records import make_record


def runs_of(ends: dict[int, list[float]], computed: bool = False, **fields: Any) -> list[Run]:
    """Runs whose test perplexities are given by seed."""
    return [
        Run(make_record(Protocol(generations=len(ppl), seed=seed, **fields), ppl), computed)
        for seed, ppl in ends.items()
    ]


GROWING = {0: [20.0, 24.0, 28.0], 1: [10.0, 12.0, 16.0], 2: [40.0, 44.0, 60.0]}  # 1.4, 1.6, 1.5
STABLE = {0: [20.0, 21.0, 20.0], 1: [10.0, 10.0, 8.0], 7: [5.0, 5.0, 5.0]}  # 1.0, 0.8


# -- numbers ---------------------------------------------------------------------------------


def test_a_ratio_is_last_over_first_with_students_interval() -> None:
    found = results.ratio(runs_of(GROWING))
    assert found.by_seed == pytest.approx({0: 1.4, 1: 1.6, 2: 1.5})
    middle = (1.4 * 1.6 * 1.5) ** (1 / 3)
    assert found.mean == pytest.approx(middle)
    spread = np.std(np.log([1.4, 1.6, 1.5]), ddof=1)
    factor = math.exp(4.302653 * spread / math.sqrt(3))  # t of 2 degrees of freedom at 0.975
    assert (found.low, found.high) == pytest.approx((middle / factor, middle * factor))
    assert str(found) == f"1.50 [{middle / factor:.2f}, {middle * factor:.2f}]"
    assert results.ratio(runs_of(GROWING), generation=1).by_seed[0] == pytest.approx(1.2)


def test_a_ratio_says_so_where_seeds_are_missing() -> None:
    assert str(results.ratio([])) == "not run yet"
    assert str(results.ratio(runs_of({0: [20.0, 28.0]}))) == "1.40 (one seed, no interval)"


def test_pairs_are_made_of_equal_seeds_alone() -> None:
    found = results.paired(runs_of(GROWING), runs_of(STABLE))
    assert found.by_seed == pytest.approx({0: 1.4 / 1.0, 1: 1.6 / 0.8})
    assert found.mean == pytest.approx(math.sqrt(1.4 * 2.0))
    assert str(results.paired(runs_of(GROWING), [])) == "not run yet"


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (1.45, 1.7, "direction: reproduced; size: reproduced"),
        (2.0, 2.2, "direction: reproduced; size: not reproduced, it is more"),
        (1.1, 1.2, "direction: reproduced; size: not reproduced, it is less"),
        (1.3, 1.5, "direction: reproduced; size: undecided, less and more than 1.37"),
        (0.99, 1.01, "direction: not reproduced, it stays within 2 %; size: not reproduced"),
        (0.5, 0.9, "direction: not reproduced, it falls; size: not reproduced, it is less"),
        (0.9, 1.6, "direction: undecided, less and more than 1.02 are both possible; size: und"),
        (math.nan, math.nan, "undecided, one seed gives no interval"),
    ],
)
def test_a_verdict_is_on_direction_and_size(low: float, high: float, said: str) -> None:
    measured = PerSeed({0: 1.0}, (low + high) / 2, low, high)
    assert results.verdict(measured, Reference(1.4, 1.8, "")).startswith(said)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.9, 1.1, "reproduced"), (1.1, 1.4, "undecided, "), (1.3, 1.5, "not reproduced")],
)
def test_minor_degradation_is_an_upper_bound(low: float, high: float, said: str) -> None:
    measured = PerSeed({0: 1.0, 1: 1.0}, (low + high) / 2, low, high)
    assert results.verdict(measured, results.MINOR_DEGRADATION).startswith(said)


def test_a_tail_is_told_by_seed_and_not_by_pooled_blocks() -> None:
    """Two of three seeds shrink, one grows a lot: blocks together say grown, seeds do not."""
    runs = []
    for seed, outside in enumerate((2, 30, 2)):
        made = runs_of({seed: [20.0, 24.0]})[0].record
        first = np.linspace(1.0, 2.0, 500)
        last = np.where(np.arange(500) < outside, 0.5, 1.5)
        text = np.stack([first, last]).astype(np.float16)
        arrays = {**made.arrays, "text_nll": text}
        runs.append(Run(dataclasses.replace(made, arrays=arrays), False))
    said = results.tail_in_words(runs, "below")
    assert said.startswith("has not measurably changed and holds 2.3 % [0.0, 10.3]")
    assert "(by seed: 0.4, 6.0, 0.4)" in said
    steady = [runs[1]] * 2 + [runs[1]]
    again = [
        Run(dataclasses.replace(r.record, protocol=r.record.protocol.replace(seed=s)), False)
        for s, r in enumerate(steady)
    ]
    assert results.tail_in_words(again, "below").startswith("has grown and holds 6.0 %")
    assert "one seed, no interval" in results.tail_in_words(runs[:1], "below")


def test_nothing_run_has_no_verdict() -> None:
    assert results.verdict(results.ratio([]), results.NOTHING_RETAINED) == "not run yet"


@pytest.mark.parametrize(
    ("reference", "low", "high"),
    [
        (results.FROM_20_TO_28, 28 / 20, 28 / 20),
        (results.LOSING_20_TO_28, (34 + 20) / 34, (34 + 28) / 34),
        (results.MINOR_DEGRADATION, 1, 42 / 34),
        (results.NOTHING_RETAINED, 28 / 20, (34 + 28) / 34),
    ],
)
def test_the_paper_s_ranges_follow_from_its_numbers(
    reference: Reference, low: float, high: float
) -> None:
    assert (reference.low, reference.high) == pytest.approx((low, high), abs=0.005)


def test_tails_are_the_shares_outside_the_central_98_percent_of_generation_0() -> None:
    (run,) = runs_of({0: [20.0, 28.0]})
    first = np.arange(1000) / 1000
    second = np.concatenate([np.full(300, -1.0), np.full(600, 0.5), np.full(100, 2.0)])
    run.record.arrays["text_nll"] = np.stack([first, second]).astype(np.float16)
    found = results.tails(run)
    assert found["below"].tolist() == pytest.approx([0.01, 0.3], abs=0.002)
    assert found["above"].tolist() == pytest.approx([0.01, 0.1], abs=0.002)
    assert found["median"].tolist() == pytest.approx([math.exp(0.5)] * 2, rel=2e-3)


def test_the_table_holds_every_row_of_every_seed() -> None:
    table = results.table(runs_of(GROWING))
    assert table[["seed", "generation"]].values.tolist() == [
        [seed, generation] for seed in GROWING for generation in range(3)
    ]
    assert table["ratio"].tolist() == pytest.approx([1, 1.2, 1.4, 1, 1.2, 1.6, 1, 1.1, 1.5])


def test_a_summary_holds_means_over_seeds() -> None:
    runs = runs_of(GROWING)
    found = results.summary(runs, "lost_")
    assert found["lost_seeds"] == 3 and found["lost_end"] == 2
    assert found["lost_test_first"] == pytest.approx(70 / 3)
    assert found["lost_test_last"] == pytest.approx(104 / 3)
    assert found["lost_ratio"] == str(results.ratio(runs))
    assert all(name.startswith("lost_") for name in found)


def test_a_description_names_scale_model_corpus_decoding_seeds_and_origins() -> None:
    mixed = runs_of({0: [2.0, 3.0], 2: [2.0, 3.0]}) + runs_of({1: [2.0, 3.0]}, computed=True)
    said = results.describe(mixed)
    for part in (
        "smoke scale", "toy on wikitext2", "7 training blocks", "beam search with 5 beams",
        "seed 1 computed in this build", "seeds 0, 2 from committed records",
    ):  # fmt: skip
        assert part in said
    sampled = runs_of({0: [2.0]}, decoding="sample", temperature=0.7, top_p=0.9)
    assert "sampling at T=0.7, top-p 0.9" in results.describe(sampled)
    assert "greedy decoding" in results.describe(runs_of({0: [2.0]}, decoding="greedy"))
    assert results.describe([]) == "not run yet"


# -- figures ---------------------------------------------------------------------------------

ARMS = {"nothing retained": runs_of(GROWING), "10% retained": runs_of(STABLE, retained=0.1)}
SHOWN = [run for runs in ARMS.values() for run in runs]
COLUMNS = {"test_perplexity": "perplexity", "distinct_tokens": "distinct tokens"}
MAKERS = {
    "perplexity": lambda: figures.perplexity(
        ARMS, [results.FROM_20_TO_28, results.LOSING_20_TO_28], {"published": SHOWN[:1]}
    ),
    "text_histogram": lambda: retention_figures.text_histogram(SHOWN[0]),
    "gauges": lambda: retention_figures.gauges(SHOWN[0], COLUMNS),
    "last_ratios": lambda: retention_figures.last_ratios(ARMS, [results.MINOR_DEGRADATION]),
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
    assert card["caption"] == f"A caption. *Shown: {results.describe(SHOWN)}.*"
    assert [run["fingerprint"] for run in card["runs"]] == [r.record.fingerprint for r in SHOWN]
    assert card["runs"][0]["protocol"] == SHOWN[0].record.protocol.to_dict()
    shown, links = displayed
    assert all(f"../figures/{card['id']}.{suffix}" in links["data"].data for suffix in files)
    assert all(run["record"] in links["data"].data for run in card["runs"])
    assert shown["data"]["image/svg+xml"].encode() == files["svg"]
    assert shown["metadata"]["collapse"] == {k: card[k] for k in ("id", "caption", "alt")}
    assert not plt.get_fignums()


@pytest.mark.parametrize("maker", MAKERS)
def test_the_same_figure_is_the_same_bytes(maker: str, displayed: list[dict[str, Any]]) -> None:
    one, two = show(maker, assets.build_dir())[1], show(maker, assets.build_dir())[1]
    assert one == two


def test_a_figure_s_data_are_those_of_the_records() -> None:
    _, data = MAKERS["perplexity"]()
    assert data["arm"].unique().tolist() == ["nothing retained", "10% retained", "published"]
    lost = data[data["arm"] == "nothing retained"]
    assert lost["test_perplexity"].tolist() == [value for ppl in GROWING.values() for value in ppl]
    _, ratios = MAKERS["last_ratios"]()
    expected = {**results.ratio(ARMS["nothing retained"]).by_seed}
    found = ratios[ratios["arm"] == "nothing retained"]
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


def texts_in(figure: Any) -> str:
    return " ".join(text.get_text() for text in figure.findobj(plt.Text))


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


def test_the_columns_of_a_record_are_documented() -> None:
    assert all(text and not text.endswith(".") for text in gauges.COLUMNS.values())


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
