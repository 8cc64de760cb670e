"""Every number of a page has an address and a source, and is in the files as it is on the page."""

import csv
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from scipy import stats

from collapse.book import figures, listing, numbers, ratios, tables
from collapse.experiment import assets
from collapse.measure.per_seed import PerSeed, over_seeds
from toy_records import GROWING, STABLE, runs_of
from toys import RISE, glued


def told(text: str) -> float:
    """The first number of a text."""
    found = re.search(r"[−+-]?\d[\d,]*(\.\d+)?", text)
    assert found is not None, text
    return float(found[0].replace("−", "-").replace(",", ""))


def digits(text: str) -> int:
    """How many of its digits stand after the point."""
    found = re.search(r"\d\.(\d+)", text)
    return len(found[1]) if found else 0


# -- one number ------------------------------------------------------------------------------


def test_a_number_over_seeds_says_of_what_it_is_and_where_it_is_from() -> None:
    runs = runs_of(GROWING)
    number = numbers.of(ratios.ratio(runs))
    assert number.text == str(ratios.ratio(runs)) and number.n == 3
    assert number.records == tuple(run.record.name for run in runs)
    assert number.what.startswith("perplexity on human test blocks, last generation ÷ generation 0")
    assert number.interval == "95 %, Student's t over seeds, on the log scale"
    both = numbers.of(ratios.paired(runs, runs_of(STABLE, retained=0.1)))
    assert set(both.records) > set(number.records) and both.what.count(" ÷ (") == 1
    (one,) = runs_of({0: [20.0, 28.0]})
    assert numbers.of(ratios.ratio([one])).interval == "none: one seed"
    assert numbers.of(ratios.ratio([])).text == "not run yet"


@pytest.mark.parametrize(
    ("options", "text", "value", "low"),
    [
        ({}, "0.98 [0.97, 0.99]", 0.98, 0.97),
        ({"unit": "%", "times": 100, "digits": 0}, "98 % [97, 99]", 98, 97),
        ({"times": 1e5, "digits": 0}, "98,000 [97,000, 99,000]", 98_000, 97_000),
        ({"unit": "%", "times": 100, "less": 1, "digits": 1}, "-2.0 % [-3.0, -1.0]", -2, -3),
        ({"before": "×"}, "×0.98 [0.97, 0.99]", 0.98, 0.97),
        ({"interval": False}, "0.98", 0.98, 0.97),
        ({"least": 0.975}, "0.98 [0.97, 0.99]", 0.98, 0.975),
    ],
)
def test_the_value_is_in_the_unit_that_the_text_has(
    options: dict[str, Any], text: str, value: float, low: float
) -> None:
    found = numbers.of(PerSeed({0: 0.98, 1: 0.98}, 0.98, 0.97, 0.99), "a share", **options)
    assert (found.text, found.value, found.low) == (text, pytest.approx(value), pytest.approx(low))


def test_a_number_without_an_interval_says_why() -> None:
    count = numbers.one(1200, "cats", "a count", origin="a herd")
    assert (count.text, count.interval) == ("1,200", "none: a count")
    span = numbers.one(math.nan, "epochs", "least and greatest", origin="x", text="2 to 5", low=2,
                       high=5)  # fmt: skip
    assert span.interval == "range: least and greatest" and span.facts("span")["value"] is None
    assert numbers.one(math.nan, "cats", "a count").text == "not run yet"


@pytest.mark.parametrize(
    "number",
    [
        "5.25",
        numbers.one(5.25, "a rise", "computed"),
        numbers.one(5.25, "", "computed", origin="a law"),
        over_seeds({0: 5.25}),
    ],
)
def test_a_number_without_a_source_is_refused_by_name(number: Any) -> None:
    with pytest.raises(numbers.NumberError, match=r"the number 'rise'.*has no source"):
        figures.glue({"rise": number})
    if not isinstance(number, str):
        with pytest.raises(numbers.NumberError, match="toy-a-rise"):
            figures.table([{"of": "a", "rise": number}], id="tab-toy", caption="A toy.")


# -- of a chapter ----------------------------------------------------------------------------


def executed(*outputs: Any, text: str = "{glue:text}`rise`") -> Any:
    return new_notebook(cells=[new_markdown_cell(text), new_code_cell("", outputs=list(outputs))])


def test_the_site_refuses_what_was_glued_past_the_book_without_a_source() -> None:
    for text in ("5.25", "5"):
        with pytest.raises(numbers.NumberError, match="'rise' of chapter toy"):
            listing.gathered(executed(glued("rise", text)), "toy")
    assert listing.gathered(executed(glued("rise", "agrees")), "toy") == []
    assert listing.gathered(executed(glued("rise", "OPT-125m", words=True)), "toy") == []


def test_two_numbers_of_a_chapter_have_two_addresses() -> None:
    facts = numbers.of(RISE).facts("a b")
    both = [glued(name, "1.5", number=facts) for name in ("a b", "a-b")]
    with pytest.raises(numbers.NumberError, match="#n-a-b"):
        listing.gathered(executed(*both, text="{glue:text}`a b` {glue:text}`a-b`"), "toy")


def test_no_chapter_glues_past_the_book() -> None:
    for path in sorted((assets.ROOT / "chapters").iterdir()):
        if path.suffix in (".md", ".py") and "import glue" in path.read_text(encoding="utf-8"):
            # A table in Markdown is no number.
            assert path.name == "does_entropy_fall_measures.py"


# -- of a site -------------------------------------------------------------------------------


def test_a_number_of_a_toy_is_at_its_address_and_in_both_files(toy_pages: Path) -> None:
    html = toy_pages / "_build/html"
    rows = list(csv.DictReader(io.StringIO((html / "numbers.csv").read_text(encoding="utf-8"))))
    assert list(rows[0]) == list(listing.COLUMNS)
    assert [row["id"] for row in rows] == ["toy/rise", "toy/toy-a-b-ratio"]
    (row, _) = rows
    assert (row["value"], row["low"], row["high"], row["n"]) == ("1.5", "1.25", "1.75", "2")
    assert (row["what"], row["records"]) == (RISE.what, "toy-s0")
    listed = json.loads((html / "numbers.json").read_text(encoding="utf-8"))["numbers"]
    assert [one["address"] for one in listed] == [row["address"] for row in rows]
    assert (listed[0]["value"], listed[0]["records"]) == (1.5, ["toy-s0"])
    page, _, id = row["address"].partition("#")
    soup = BeautifulSoup((html / page).read_text(encoding="utf-8"), "html.parser")
    (found,) = soup.select(f"data#{id}.number")
    assert found["value"] == "1.5" and found.get_text() == row["text"].replace(" ", "\u00a0")
    assert found.a["href"] == f"#{id}" and "n = 2" in found.a["title"]
    again = [one for one in soup.select("data.number") if one.a["href"] == f"#{id}"]
    assert [one.get("id") for one in again] == [id, None]
    numbers_page = (html / "numbers.html").read_text(encoding="utf-8")
    assert f'href="{row["address"]}"' in numbers_page


def test_a_table_of_a_toy_has_number_caption_rows_and_csv(toy_pages: Path) -> None:
    html = toy_pages / "_build/html"
    soup = BeautifulSoup((html / "chapters/toy.html").read_text(encoding="utf-8"), "html.parser")
    table = soup.select_one("table#tab-toy")
    assert table is not None and "Table 1.1" in table.caption.get_text()
    assert "A toy's rise." in table.caption.get_text()
    assert "Table 1.1" in soup.select_one("a[href='#tab-toy']").get_text()
    assert [row.get("id") for row in table.select("tbody tr")] == ["tab-toy-a-b", "tab-toy-a-b-2"]
    link = table.select_one("caption a.table-csv")["href"]
    text = (html / "chapters" / link).resolve().read_text(encoding="utf-8")
    assert list(csv.reader(io.StringIO(text))) == [
        ["of", "ratio", "ratio: value", "ratio: low", "ratio: high"],
        ["a & b", "1.50 [1.25, 1.75]", "1.5", "1.25", "1.75"],
        ["a & b", "not run yet", "", "", ""],
    ]


def test_two_rows_have_two_addresses_whatever_their_names(tmp_path: Path) -> None:
    for names in (["1-2", "1"], ["1", "1-2", "1"], ["a 2", "a", "a"], ["a", "a", "a-2", "a"]):
        rows = [{"of": name, "n": 1} for name in names]
        shown = tables.marked(tables.table(rows, id="tab-x", caption="c").data, tmp_path)
        ids = [row["id"] for row in BeautifulSoup(shown, "html.parser").select("tbody tr")]
        assert len(set(ids)) == len(names)


def test_a_row_s_link_stands_in_the_line_of_its_name(tmp_path: Path) -> None:
    rows = [("th", "a", "b"), ("td", "x", "−1")]
    body = "".join(f"<tr><{t}><p>{a}</p></{t}><{t}><p>{b}</p></{t}></tr>" for t, a, b in rows)
    told = tables.marked(f'<table id="tab-a">{body}</table>', tmp_path, "../figures/")
    link = BeautifulSoup(told, "html.parser").select_one("tr#tab-a-x td > p > a.row-link")
    assert link is not None and link["href"] == "#tab-a-x"
    assert (tmp_path / "tab-a.csv").read_text(encoding="utf-8") == "a,b\nx,-1\n"


def shown(site: Path) -> dict[str, dict[str, str]]:
    """The rows of `numbers.csv` of a built site, by address."""
    text = (site / "html/numbers.csv").read_text(encoding="utf-8")
    return {row["address"]: row for row in csv.DictReader(io.StringIO(text))}


def test_every_number_of_the_book_is_at_its_address_as_the_file_has_it(smoke_site: Path) -> None:
    rows, seen = shown(smoke_site), set()
    for page in sorted({address.partition("#")[0] for address in rows}):
        text = (smoke_site / "html" / page).read_text(encoding="utf-8")
        soup = BeautifulSoup(text, "html.parser")
        for found in soup.select("data.number[id]"):
            row = rows[f"{page}#{found['id']}"]
            seen.add(row["address"])
            assert " ".join(found.get_text().split()) == re.sub(
                r"(?<=[ \[])-(?=\d)", "−", row["text"]
            )
            if row["value"]:
                exact = float(row["value"])
                assert float(str(found["value"])) == pytest.approx(exact, rel=1e-6)
                half = 0.5 * 10.0 ** -digits(row["text"])
                assert abs(told(row["text"]) - exact) <= half * (1 + 1e-6), row["id"]
            assert row["what"] and row["how"] and (row["records"] or row["origin"])
    assert seen == rows.keys()


def test_every_table_with_numbers_has_an_address(smoke_site: Path) -> None:
    for path in sorted((smoke_site / "html/chapters").glob("*.html")):
        soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for table in soup.select("article table.table:has(data), article table.overview"):
            assert str(table.get("id", "")).startswith("tab-"), path.name


# -- once more, by NumPy and SciPy alone -------------------------------------------------------


def ends_of(record: Path) -> tuple[int, float, float]:
    """Seed, and test perplexity of the first and of the last generation, of a record's files."""
    facts = json.loads((record / "record.json").read_text(encoding="utf-8"))
    with np.load(record / "arrays.npz") as arrays:
        losses = arrays["test_nll"].astype(np.float64).mean(axis=1)
    return facts["protocol"]["seed"], math.exp(losses[0]), math.exp(losses[-1])


def recomputed(records: list[Path]) -> tuple[float, float, float]:
    """Mean of last ÷ first over seeds, on the log scale, with Student's 95 % interval."""
    logs = np.log([last / first for _, first, last in map(ends_of, records)])
    half = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs))
    return tuple(np.exp([logs.mean(), logs.mean() - half, logs.mean() + half]))


MEASURE = "perplexity on human test blocks, last generation ÷ generation 0: "


def test_headline_ratios_follow_from_the_records_alone(smoke_site: Path) -> None:
    """Those of the landing page, which shows the committed runs at every scale."""
    compared = 0
    for row in shown(smoke_site).values():
        records = [assets.ROOT / "records" / name for name in row["records"].split()]
        if not (row["id"].startswith("index/") and row["what"].startswith(MEASURE)):
            continue
        if " ÷ (" in row["what"].removeprefix(MEASURE) or not row["low"]:
            continue
        again = [float(row[key]) for key in ("value", "low", "high")]
        assert again == pytest.approx(recomputed(records), rel=1e-6), row["id"]
        assert int(row["n"]) == len(records)
        compared += 1
    assert compared >= 12
