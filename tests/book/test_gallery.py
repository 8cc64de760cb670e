"""Cards of figures, their citations, and their pages at permanent addresses."""

import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from pybtex.database import parse_string

from collapse.book import cards, chapter, execution, gallery, identity, site
from collapse.book.parameters import ParameterError
from collapse.experiment.arms import Run
from collapse.experiment.protocol import Protocol
from collapse.measure.gauges import GAUGES
from toy_records import make_record
from toys import ADDRESS, toy_site

RUNS = [Run(make_record(Protocol(seed=seed)), computed=seed == 1) for seed in (0, 1)]
TITLE = "Loss of tails & 10 % of {words}"
CAPTION = f"{TITLE}, by generation. Thin lines are seeds."


def card(runs: list[Run] = RUNS, **changes: Any) -> cards.Card:
    table = {"fig-toy.csv": ["test_perplexity"]}
    found = cards.facts("fig-toy", CAPTION, 'A "line".', table, "toys", runs)
    return found | {"title": TITLE} | changes


class Head(HTMLParser):
    """What reference managers read of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.meta: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "meta" and values.get("content"):
            self.meta.setdefault(str(values.get("name")), str(values["content"]))


# -- cards -----------------------------------------------------------------------------------


def test_a_title_is_that_of_the_registry() -> None:
    found = cards.facts("fig-one-axis", CAPTION, "A line.", {}, "toys", [])
    assert found["title"] == cards.registry().figures["fig-one-axis"].title


def test_a_card_holds_runs_protocols_and_what_columns_mean() -> None:
    found = card()
    assert [run["record"] for run in found["runs"]] == [run.record.name for run in RUNS]
    assert found["runs"][1]["protocol"]["seed"] == 1
    [column] = found["columns"]["fig-toy.csv"]
    assert (
        column["name"] == "test_perplexity" and column["meaning"] == GAUGES["test_perplexity"].label
    )
    assert json.loads(json.dumps(found)) == found


def test_a_badge_says_scale_and_whose_run_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cards.badge(card()) == "your rerun, smoke scale"  # computed here, and not published
    assert cards.badge(card(RUNS[:1])) == "smoke scale"
    monkeypatch.setattr(cards, "published", lambda: tmp_path)
    (tmp_path / RUNS[1].record.name).mkdir()
    assert cards.badge(card()) == "smoke scale"
    assert cards.badge(card([])) == "computed here"


def test_a_card_on_a_page_is_markup_and_nothing_of_the_data_is() -> None:
    attack = "<script>alert(1)</script>"
    text = cards.shown(card(origin=attack, title=attack))
    assert "<script>" not in text and "&lt;script&gt;" in text
    for suffix in ("svg", "png", "csv", "json", "bib", "ris", "csl.json"):
        assert f'href="../figures/fig-toy.{suffix}"' in text
    assert "make figure ID=fig-toy" in text and RUNS[0].record.name in text


def test_the_command_has_what_differs_from_the_usual_one() -> None:
    assert cards.command(card(scale="laptop")) == "make figure ID=fig-toy"
    assert cards.command(card(scale="paper")) == "make figure ID=fig-toy SCALE=paper"
    mine = card(scale="smoke", parameters="seed=3 epochs=1")
    assert cards.command(mine) == 'make figure ID=fig-toy PARAMS="seed=3 epochs=1" SCALE=smoke'


def test_a_value_with_blanks_or_quotes_is_quoted_in_the_command() -> None:
    own = card(scale="laptop", parameters="'corpus=my text.txt' seed=3")
    told = cards.command(own)
    assert told == """make figure ID=fig-toy PARAMS="'corpus=my text.txt' seed=3\""""
    assert shlex.split(told)[3] == "PARAMS='corpus=my text.txt' seed=3"


def test_a_generation_that_runs_begin_with_is_counted_once() -> None:
    long, other = (make_record(Protocol(seed=0, generations=3, epochs=e)) for e in (5, 4))
    begins_alike = dataclasses.replace(long.truncated(2), protocol=other.protocol)
    rows = other.generations.copy()
    rows.loc[0] = long.generations.loc[0]
    provenance = other.provenance | {"seconds": [60.0, 120.0, 240.0]}
    shares = dataclasses.replace(begins_alike, table=rows, provenance=provenance)
    first = dataclasses.replace(long, provenance=long.provenance | {"seconds": [60.0, 30.0, 30.0]})
    found = card([Run(first, computed=True), Run(shares, computed=True)])
    assert found["minutes"] == (60 + 30 + 30 + 120 + 240) / 60
    assert "took 8 minutes in all" in cards.shown(found)


def test_a_card_of_another_version_is_refused_with_the_remedy(root: Path) -> None:
    build = toy_site(root)
    old = json.loads((build / "figures/fig-toy.json").read_text())
    del old["origin"]
    (build / "figures/fig-toy.json").write_text(json.dumps(old))
    with pytest.raises(gallery.GalleryError, match="`book run toy --force`"):
        site.stage(build)


# -- figures ---------------------------------------------------------------------------------


def test_a_reader_s_matplotlibrc_changes_no_figure(tmp_path: Path) -> None:
    code = (
        "import hashlib; from collapse.book import figures; from matplotlib import pyplot as plt\n"
        "figures.style(); figure, axes = plt.subplots(); axes.plot([1, 2], [3, 1], label='a')\n"
        "axes.legend(); kinds = [figures.rendered(figure, kind) for kind in ('svg', 'png')]\n"
        "print([hashlib.sha256(one).hexdigest() for one in kinds])"
    )
    (tmp_path / "matplotlibrc").write_text(
        "savefig.facecolor: red\nsvg.fonttype: none\nlines.antialiased: False\n"
        "axes.linewidth: 5\nlegend.loc: center\nsavefig.pad_inches: 1\npath.sketch: (1, 2, 3)\n"
    )
    places = [os.environ, os.environ | {"MATPLOTLIBRC": str(tmp_path)}]
    plain, own = (
        subprocess.run([sys.executable, "-c", code], env=place, capture_output=True, text=True)
        for place in places
    )
    assert plain.returncode == 0 and plain.stdout == own.stdout


# -- pages -----------------------------------------------------------------------------------


def test_a_figure_has_a_page_that_reference_managers_can_read(toy_pages: Path) -> None:
    folder = toy_pages / "_build/html/figures"
    text = (folder / "fig-toy.html").read_text(encoding="utf-8")
    me, meta = identity.read(), Head(text).meta
    address = f"{ADDRESS}/figures/fig-toy.html"
    assert meta["citation_title"] == "A line of a toy"
    assert meta["citation_author"] == me.by
    assert meta["citation_publication_date"] == str(me.released).replace("-", "/")
    assert meta["citation_public_url"] == address
    assert 'href="../chapters/toy.html"' in text
    entry = parse_string((folder / "fig-toy.bib").read_text(), "bibtex").entries["fig-toy"]
    assert entry.fields["url"] == address
    [listed] = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    assert (listed["id"], listed["chapter"], listed["topics"]) == ("fig-toy", "toy", ["toys"])
    assert (folder / listed["page"]).exists() and (folder / listed["files"]["svg"]).exists()
    assert "Ask Jane." in (folder / "fig-old.html").read_text(encoding="utf-8")
    assert "fig-toy.html" in (folder / "index.html").read_text(encoding="utf-8")


def test_a_figure_has_one_number_and_one_name_everywhere(toy_pages: Path) -> None:
    for page in ("chapters/toy", "figures/fig-toy"):
        text = (toy_pages / f"_build/html/{page}.html").read_text(encoding="utf-8")
        [strip] = BeautifulSoup(text, "html.parser").select(".figure-strip")
        assert strip.a is not None and strip.a.get_text() == "Figure 1.1 · fig-toy"
        assert len(re.findall(r"Figure 1\.1", text)) >= 2  # in the caption, or where it is from
        opened = strip.find_all("details", open=True)
        assert len(strip.find_all("details")) == 3 and len(opened) in (0, 3)


def test_a_run_after_the_date_of_publication_is_refused_with_the_remedy(root: Path) -> None:
    build = toy_site(root)
    file = build / "figures/fig-toy.json"
    shown = card(RUNS[:1])["runs"][0] | {"published": True}
    shown["provenance"]["date"] = "2999-01-01T00:00:00Z"
    old = json.loads(file.read_text())
    file.write_text(json.dumps(old | {"runs": [shown | {"computed_in_this_build": True}]}))
    site.stage(build)  # what a reader computes is always newer
    file.write_text(json.dumps(old | {"runs": [shown]}))
    told = f"fig-toy shows the run {shown['record']} of 2999-01-01; raise date-released"
    with pytest.raises(gallery.GalleryError, match=re.escape(told)):
        site.stage(build)


def test_a_figure_that_is_not_registered_is_refused(root: Path) -> None:
    build = toy_site(root)
    (root / "figures.yml").write_text("figures: {}\n")
    with pytest.raises(gallery.GalleryError, match="does not know the figure fig-toy of chapter"):
        site.stage(build)
    (root / "figures.yml").write_text("figures: {fig-toy: {title: A}}\n")
    with pytest.raises(ParameterError, match=r"figures.yml .* fig-toy → topics: Field required"):
        site.stage(build)


def test_a_figure_without_a_card_is_refused_with_the_remedy(root: Path) -> None:
    build = toy_site(root)
    (build / "figures/fig-toy.json").unlink()
    with pytest.raises(gallery.GalleryError, match="`book run toy --force`"):
        site.stage(build)


def test_every_figure_of_the_chapters_is_registered_and_no_other() -> None:
    assert set(execution.figures()) == set(cards.registry().figures)


def test_no_figure_is_both_there_and_gone() -> None:
    assert not set(cards.registry().figures) & set(cards.registry().gone)


def test_every_figure_s_identifier_is_named_where_it_is_discussed() -> None:
    for id, name in execution.figures().items():
        text = "\n".join(cell.source for cell in chapter.read(name).cells)
        assert re.search(rf"{{numref}}`{id}`", text), id
