"""What columns of data files hold: said of every one, in words for readers and for programs."""

import csv
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from collapse.book import cards, columns, figures, gallery, site
from collapse.book.columns import Column, ColumnError
from collapse.book.parameters import ParameterError
from collapse.measure.gauges import COLUMNS
from toy_figures import ARMS, displayed
from toys import toy_site

TELLS_A_UNIT = re.compile(
    r"share, 0 to 1|ratio|tokens|blocks|bits|nats|number|text|no unit|that of "
)


def header(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file))


# -- meanings ----------------------------------------------------------------------------------


def test_every_column_of_the_table_of_gauges_has_a_unit_and_a_meaning() -> None:
    found = columns.described(COLUMNS)
    assert [one["name"] for one in found] == list(COLUMNS)
    assert all(one["meaning"] and TELLS_A_UNIT.search(one["unit"]) for one in found)
    by_name = {one["name"]: one for one in found}
    assert by_name["predictive_entropy_low"]["unit"] == "bits"
    assert by_name["tail_coverage"]["unit"] == "share, 0 to 1"


def test_what_a_figure_says_of_a_column_goes_before_what_all_say() -> None:
    [one] = columns.described(["low"], {"low": Column("cats", "the fewest")})
    assert one == {"name": "low", "unit": "cats", "meaning": "the fewest"}
    assert columns.described(["low"])[0]["unit"] != "cats"


def test_a_column_that_nothing_explains_is_refused_with_the_remedy() -> None:
    with pytest.raises(ColumnError, match=r"'height' of fig-x.csv .* figures.yml"):
        columns.described(["seed", "height"], {}, "fig-x.csv")


def test_a_figure_with_a_column_that_nothing_explains_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    displayed(monkeypatch)
    figure, data = figures.perplexity(ARMS)
    told = {"id": "fig-toy", "caption": "A caption.", "alt": "Lines.", "origin": "toys"}
    with pytest.raises(ColumnError, match=r"'height' of fig-toy.csv"):
        figures.show(figure, data.assign(height=1), **told)
    with pytest.raises(ColumnError, match=r"'height' of fig-toy-all.csv"):
        figures.show(figure, data, everything=data.assign(height=1), **told)
    figures.show(figure, data, **told)


def test_a_meaning_without_a_unit_is_refused(root: Path) -> None:
    toy_site(root)
    (root / "figures.yml").write_text(
        "figures: {fig-toy: {title: A, topics: [], columns: {x: [b]}}}"
    )
    with pytest.raises(ParameterError, match=r"fig-toy → columns → x"):
        cards.registry()


def test_no_word_is_explained_twice_alike() -> None:
    own = [one.columns for one in cards.registry().figures.values()]
    alike = {
        name for entry in own for name, said in entry.items() if columns.KNOWN.get(name) == said
    }
    assert not alike


def test_a_word_has_one_unit_in_all_figures() -> None:
    units = {name: {said.unit} for name, said in columns.KNOWN.items()}
    for entry in cards.registry().figures.values():
        for name, said in entry.columns.items():
            units.setdefault(name, set()).add(said.unit)
    of_the_figure = {"low", "high", "law", "measured"}  # in the unit of what it simulates
    assert {name for name, found in units.items() if len(found) > 1} <= of_the_figure


# -- files -------------------------------------------------------------------------------------


def test_numbers_have_six_digits_and_texts_one_line() -> None:
    table = pd.DataFrame({"a": [1 / 3, 2001.0], "b": ["one,\n two", "c"], "seed": [1, None]})
    text = columns.written(table.astype({"seed": "Int64"}))
    assert text == 'a,b,seed\n0.333333,"one, two",1\n2001,c,\n'


def test_a_page_says_what_columns_hold(toy_pages: Path) -> None:
    folder = toy_pages / "_build/html/figures"
    page = BeautifulSoup((folder / "fig-toy.html").read_text(encoding="utf-8"), "html.parser")
    rows = [
        [cell.get_text() for cell in row.find_all(["th", "td"])]
        for row in page.select(".figure-columns tbody tr")
    ]
    assert [row[0] for row in rows] == header(folder / "fig-toy.csv")
    assert rows[1] == ["y", "share, 0 to 1", "height of the line"]
    links = {str(link["href"]) for link in page.select("article a[href]")}
    assert {"fig-toy.csv", "fig-toy.datapackage.json"} <= links
    assert "{doc}" not in page.get_text()  # what follows is no part of the table


def test_a_card_without_a_word_on_columns_is_of_another_version(root: Path) -> None:
    build = toy_site(root)
    card = json.loads((build / "figures/fig-toy.json").read_text())
    (build / "figures/fig-toy.json").write_text(json.dumps(card | {"columns": {"x": "a place"}}))
    with pytest.raises(gallery.GalleryError, match="`book run toy --force`"):
        site.stage(build)


def test_every_published_column_is_explained(smoke_site: Path) -> None:
    folder, used = smoke_site / "figures", {}
    for path in sorted(folder.glob("*.csv")):
        id = path.stem.removesuffix("-all")
        card = json.loads((folder / f"{id}.json").read_text(encoding="utf-8"))
        package = json.loads((folder / f"{id}.datapackage.json").read_text(encoding="utf-8"))
        [resource] = [one for one in package["resources"] if one["path"] == path.name]
        names = header(path)
        assert [one["name"] for one in card["columns"][path.name]] == names
        assert [one["name"] for one in resource["schema"]["fields"]] == names
        assert not [name for name in names if name.startswith("Unnamed")]
        used.setdefault(id, set()).update(names)
    registered = cards.registry().figures
    unused = {id: set(registered[id].columns) - names for id, names in used.items() if names}
    assert not {id: names for id, names in unused.items() if names}


def faults(folder: Path) -> list[str]:
    """What Frictionless finds wrong with the data packages in a folder and with their tables."""
    frictionless = pytest.importorskip("frictionless", reason="frictionless is not installed")
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # it reads nothing outside
        for path in sorted(folder.glob("*.datapackage.json")):
            report = frictionless.Package(path.name).validate()
            assert len(report.tasks) == len(json.loads(path.read_text())["resources"])
            found += [f"{path.name}: {fault}" for fault in report.flatten(["type", "note"])]
    return found


def test_a_table_that_is_not_as_described_is_found(root: Path) -> None:
    folder = toy_site(root) / "figures"
    assert faults(folder) == []
    (folder / "fig-toy.csv").write_text("x,y\n1,high\n")
    assert "type-error" in faults(folder)[0]


def test_data_packages_are_valid(smoke_site: Path) -> None:
    assert faults(smoke_site / "figures") == []
