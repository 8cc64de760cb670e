"""The ledger of claims: whole, and a build that stops where evidence is gone or says otherwise."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from scipy import stats

from collapse.book import evidence, ledger, numbers, site
from collapse.book.evidence import EvidenceError, Page
from collapse.book.ledger import Entry, Ledger, LedgerError, Numbered, Row
from collapse.book.parameters import ParameterError
from collapse.experiment import assets
from collapse.measure import verdicts
from collapse.measure.per_seed import over_seeds
from collapse.measure.verdicts import Claim
from toys import at, toy_site

LEDGER = ledger.read()
ROWS = {0: 26, 1: 21, 2: 3, 3: 12, 4: 12}  # statements of each piece, as they were noted
POINTED = [
    (entry, one)
    for entry in LEDGER.claims
    for one in entry.evidence
    if isinstance(one, Numbered | Row)
]


def number(value: float, **more: Any) -> dict[str, Any]:
    return numbers.one(value, "a number", "made up", origin="a test", **more).facts("a")


def alone(entry: Entry, one: Numbered | Row) -> Ledger:
    """The ledger with one claim, and one piece of evidence for it."""
    only = entry.model_copy(update={"evidence": [one], "chapters": []})
    return Ledger.model_construct(pieces=LEDGER.pieces, claims=[only])


def pages(one: Numbered | Row, found: Any, judged: bool = True) -> dict[str, Page]:
    """A page that has what the evidence points to, and the chapters that it may name."""
    if isinstance(one, Numbered):
        name, _, id = one.number.partition("/")
        return {name: Page({id: found}, {}, judged)}
    return {one.row: Page({}, found, judged)}


def test_every_statement_that_was_noted_has_an_entry() -> None:
    ids = {entry.id for entry in LEDGER.claims}
    noted = {f"{piece}-{n}" for piece, last in ROWS.items() for n in range(1, last + 1)}
    assert noted <= ids
    press = [e.id for e in LEDGER.claims if LEDGER.pieces[e.piece].press]
    assert {id.rstrip("abcd") for id in press} == noted


@pytest.mark.parametrize(("entry", "one"), POINTED, ids=lambda one: getattr(one, "id", ""))
def test_each_pointer_has_a_control_that_flips_its_verdict(
    entry: Entry, one: Numbered | Row
) -> None:
    """A number in its range, or rows as they were, are quiet; the control names the claim."""
    if isinstance(one, Numbered):
        holds, flips = number(sum(one.holds) / 2), number(one.flipped)
    else:
        id = one.of or entry.id
        words = {"agrees": "disagrees", "disagrees": "agrees"}
        rows = [{"id": id, "verdict": word} for word in one.gives]
        holds = {id: rows}
        flips = {id: [row | {"verdict": words.get(row["verdict"], "agrees")} for row in rows]}
    known = alone(entry, one)
    if not (isinstance(one, Row) and one.of):  # or the page would measure a claim that is not here
        evidence.check(known, pages(one, holds))
    with pytest.raises(EvidenceError, match=rf"^claim {entry.id}: .* now .*{entry.verdict}"):
        evidence.check(known, pages(one, flips))


def test_an_interval_has_to_lie_in_the_range_with_its_ends() -> None:
    one = Numbered(number="toy/a", holds=(1, 2), flipped=3)
    known = alone(LEDGER.claims[0], one)
    evidence.check(known, pages(one, number(1.5, low=1.1, high=1.9)))
    with pytest.raises(EvidenceError, match="not within 1 and 2"):
        evidence.check(known, pages(one, number(1.5, low=0.9, high=1.9)))
    # Other settings may give other numbers.
    evidence.check(known, pages(one, number(9), judged=False))


@pytest.mark.parametrize(
    ("pointer", "said"),
    [
        ({"cites": "nobody1999", "read": "abstract"}, "references.bib has no nobody1999"),
        ({"test": "tests/book/test_ledger.py::test_of_nothing"}, "no test tests/book"),
        ({"test": "tests/none.py::test_a"}, "no test tests/none.py"),
        ({"row": "toy", "gives": ["agrees"]}, "no table of chapter toy has a row"),
        ({"row": "none", "gives": ["agrees"]}, "there is no chapter none"),
        ({"number": "toy/none", "holds": [0, 1], "flipped": 2}, "no number toy/none"),
    ],
)
def test_a_pointer_that_leads_nowhere_is_named(pointer: dict[str, Any], said: str) -> None:
    told = {"id": "a-b", "piece": "p", "claim": "c", "kind": "finding", "verdict": "partly"}
    entry = Entry(**told, why="w", evidence=[pointer], checked="2026-01-01")  # type: ignore[arg-type]
    known = Ledger.model_construct(pieces={}, claims=[entry])
    with pytest.raises(EvidenceError, match=r"^claim a-b: ") as error:
        evidence.check(known, {"toy": Page({}, {}, True)})
    assert said in str(error.value)


def test_a_number_that_is_not_run_gives_no_verdict() -> None:
    entry, one = next((e, one) for e, one in POINTED if isinstance(one, Numbered))
    name, _, id = one.number.partition("/")
    absent = {numbers.METADATA: number(math.nan), "scrapbook": {"name": id}}
    output = new_output("display_data", {}, metadata=absent)
    cells = [new_markdown_cell(f"{{glue:text}}`{id}`"), new_code_cell("", outputs=[output])]
    page = evidence.page(nbformat.v4.new_notebook(cells=cells), name)
    with pytest.raises(EvidenceError, match=f"shows no number {one.number}"):
        evidence.check(alone(entry, one), {name: page._replace(judged=True)})


def test_what_a_chapter_measures_has_to_stand_in_the_ledger() -> None:
    entry = next(one for one in LEDGER.claims if one.id == "2-3")  # points to no chapter
    known = Ledger.model_construct(pieces=LEDGER.pieces, claims=[entry])
    with pytest.raises(EvidenceError, match="claim 2-3: chapter toy measures it"):
        evidence.check(known, {"toy": Page({}, {"2-3": []}, True)})
    with pytest.raises(LedgerError, match="does not know the claim '9-9'"):
        evidence.check(known, {"toy": Page({}, {"9-9": []}, True)})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"quote": "word " * 16}, "more than 15 words"),
        ({"kind": "number"}, "no number or row is its evidence"),
        ({"verdict": "true"}, "verdict"),
        ({"piece": "nobody"}, "nothing says what the piece nobody is"),
        ({"evidence": []}, "evidence"),
        ({"evidence": [{"number": "a/b", "holds": [0, 9], "flipped": 5}]}, "nothing flips"),
        ({"source_found": "yes"}, "source_found"),
    ],
)
def test_an_entry_that_lacks_something_is_refused(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    build = toy_site(tmp_path)
    whole = yaml.safe_load((tmp_path / "claims.yml").read_text())
    whole["claims"][0] |= change
    (tmp_path / "claims.yml").write_text(yaml.safe_dump(whole))
    with at(tmp_path), pytest.raises(ParameterError, match=r"^claims\.yml") as error:
        site.stage(build)
    assert said in str(error.value)


def test_a_claim_is_there_once(tmp_path: Path) -> None:
    toy_site(tmp_path)
    whole = yaml.safe_load((tmp_path / "claims.yml").read_text())
    whole["claims"] *= 2
    (tmp_path / "claims.yml").write_text(yaml.safe_dump(whole))
    with at(tmp_path), pytest.raises(ParameterError, match="doe-rises is there twice"):
        ledger.read()


# -- on pages ------------------------------------------------------------------------------------


def measured(root: Path, perplexities: list[list[float]], execution: dict[str, str]) -> Path:
    """A toy site whose chapter measures the toy's claim on runs with these perplexities."""
    build = toy_site(root)
    whole = yaml.safe_load((root / "claims.yml").read_text())
    whole["claims"][0] |= {"evidence": [{"row": "toy", "gives": ["agrees"]}]}
    (root / "claims.yml").write_text(yaml.safe_dump(whole))
    by_seed = {seed: run[-1] / run[0] for seed, run in enumerate(perplexities)}
    found = replace(over_seeds(by_seed, ratio=True), what="a rise", records=("toy",))
    with at(root):
        row = Claim("doe-rises", "last ÷ first", found, verdicts.rises(found))
        shown = ledger.table([row], "", id="tab-claims", caption="Of toys.")
    html, metadata = shown._repr_html_()
    output = new_output("display_data", {"text/html": html}, metadata={"text/html": metadata})
    path = build / "executed/toy.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(new_code_cell("tell()", outputs=[output], id="cell-claim"))
    notebook.metadata["execution"] = execution
    nbformat.write(notebook, path)
    return build


RISING, FALLING = (
    [[20, 30, 40], [20, 31, 41], [20, 30, 39]],
    [[40, 30, 20], [41, 31, 20], [39, 30, 20]],
)


def test_a_flipped_record_stops_the_build_and_names_the_claim(tmp_path: Path) -> None:
    with at(tmp_path / "rising") as root:
        staged = site.stage(measured(root, RISING, evidence.AS_PUBLISHED))
        (row,) = json.loads((staged / "_public/claims.json").read_text())["claims"]
        assert row["id"] == "doe-rises"
        assert "every-claim.html#claim-doe-rises" in (staged / "chapters/toy.ipynb").read_text()
        # Other words for a claim are on the pages without executing anything again.
        words = (root / "claims.yml").read_text().replace("A toy rises", "Toys rise & shine")
        (root / "claims.yml").write_text(words)
        for paper in (False, True):
            again = (site.stage(root / "_build", paper) / "chapters/toy.ipynb").read_text()
            assert "Toys rise &amp; shine." in again and "A toy rises" not in again
    with at(tmp_path / "falling") as root:
        build = measured(root, FALLING, evidence.AS_PUBLISHED)
        with pytest.raises(
            EvidenceError, match="claim doe-rises: chapter toy now gives “disagrees”"
        ):
            site.stage(build)
    with at(tmp_path / "smoke") as root:  # where other settings may give other verdicts
        site.stage(measured(root, FALLING, evidence.AS_PUBLISHED | {"scale": "smoke"}))


def test_cards_are_safe_markup_and_say_what_evidence_is_by_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = measured(tmp_path, RISING, evidence.AS_PUBLISHED)
    whole = yaml.safe_load((tmp_path / "claims.yml").read_text())
    whole["claims"][0] |= {"claim": "<b>A & b</b>"}
    (tmp_path / "claims.yml").write_text(yaml.safe_dump(whole))
    monkeypatch.setattr(assets, "ROOT", tmp_path)
    toy = evidence.page(nbformat.read(build / "executed/toy.ipynb", as_version=4), "toy")
    shown = new_output("display_data", {"text/html": ledger.cards().data})
    page = nbformat.v4.new_notebook(cells=[new_code_cell("", outputs=[shown])])
    evidence.complete(page, ledger.PAGE, ledger.read(), {"toy": toy})
    html = page.cells[0].outputs[0].data["text/html"]
    assert "<b>" not in html and "&lt;b&gt;A &amp; b" in html
    assert 'href="toy.html#tab-claims-doe-rises"' in html and "last ÷ first: 2.00" in html
    logs = np.log([40 / 20, 41 / 20, 39 / 20])
    low, high = np.exp(stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs)))
    assert f"{np.exp(logs.mean()):.2f} [{low:.2f}, {high:.2f}] (agrees)" in html
