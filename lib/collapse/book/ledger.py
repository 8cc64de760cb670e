"""The ledger of claims: what was said, what was found of it, and what follows.

`claims.yml` has an entry for each claim. Its evidence points to sources, numbers, rows of tables,
and tests. A chapter shows what it measured of claims as a table (`table`); the page
`every-claim` shows all of them (`cards`). That the one still follows from the other is seen to by
`evidence`, when pages are built.
"""

import datetime
import html
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from IPython.display import HTML
from pybtex.database import parse_string
from pydantic import BaseModel, Discriminator, Field, Tag, model_validator

from collapse.book import cards as templates
from collapse.book import chapter, tables
from collapse.book.parameters import read_file
from collapse.errors import BookError
from collapse.experiment import assets
from collapse.measure.verdicts import Claim

FILE, PAGE = "claims.yml", "every-claim"
SAME = "the same"  # of a claim that is measured once more, in the next row
QUOTED = 15  # words of others that an entry may repeat
Verdict = Literal[
    "supported", "partly", "contradicted", "cannot tell", "no source found", "not testable"
]
Kind = Literal["number", "finding", "attribution", "quotation", "existence", "opinion", "forecast"]
VERDICTS: tuple[str, ...] = Verdict.__args__  # type: ignore[attr-defined]


class LedgerError(BookError):
    """A chapter names a claim that the ledger does not know."""


class _Strict(BaseModel, extra="forbid"):
    pass


class Cited(_Strict):
    """A source, by its key in `references.bib`: where in it, and how much of it we read."""

    cites: str
    where: str = ""
    read: Literal["in full", "abstract", "a stored copy", "not seen"]


class Numbered(_Strict):
    """A number of a page: the range in which the verdict stands, and a value that flips it."""

    number: str
    holds: tuple[float, float]
    flipped: float

    @model_validator(mode="after")
    def _flips(self) -> "Numbered":
        if self.holds[0] <= self.flipped <= self.holds[1]:
            raise ValueError(f"flipped {self.flipped:g} lies inside holds, so that nothing flips")
        return self


class Row(_Strict):
    """What a chapter measured of the claim, by the words that its table gives, row by row.

    of: another claim, which says the same of what was measured.
    """

    row: str
    of: str = ""
    gives: list[str] = Field(min_length=1)


class Tested(_Strict):
    """A test of the book."""

    test: str


class Looked(_Strict):
    """What was looked for, and where."""

    looked: str


def _form(given: Any) -> str:
    """By which of its keys a piece of evidence is told from others."""
    keys = given if isinstance(given, dict) else vars(given)
    forms = ("cites", "number", "row", "test", "looked")
    return next((key for key in forms if key in keys), "")


Evidence = Annotated[
    Annotated[Cited, Tag("cites")]
    | Annotated[Numbered, Tag("number")]
    | Annotated[Row, Tag("row")]
    | Annotated[Tested, Tag("test")]
    | Annotated[Looked, Tag("looked")],
    Discriminator(_form),
]


class Entry(_Strict):
    """A claim. claim: in our words; quote: in theirs; why: the verdict is what it is."""

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    piece: str
    claim: str = Field(max_length=160)
    quote: str = ""
    kind: Kind
    source: str = ""
    verdict: Verdict
    why: str
    evidence: list[Evidence] = Field(min_length=1)
    chapters: list[str] = []
    checked: datetime.date

    @model_validator(mode="after")
    def _fits(self) -> "Entry":
        if len(self.quote.split()) > QUOTED:
            raise ValueError(f"the quotation of {self.id} has more than {QUOTED} words")
        if self.kind == "number" and not any(isinstance(e, Numbered | Row) for e in self.evidence):
            raise ValueError(f"{self.id} is of kind number, but no number or row is its evidence")
        return self

    @property
    def subjects(self) -> list[str]:
        """The chapters that it concerns."""
        measured = [one.row for one in self.evidence if isinstance(one, Row)]
        named = [one.number.split("/")[0] for one in self.evidence if isinstance(one, Numbered)]
        return [name for name in dict.fromkeys([*measured, *named, *self.chapters]) if name != PAGE]


class Piece(_Strict):
    """Where claims were made. about: what it is, and how we know it; press: or a paper."""

    title: str
    about: str = ""
    address: str = ""
    press: bool = False


class Ledger(_Strict):
    """All of `claims.yml`."""

    pieces: dict[str, Piece]
    claims: Annotated[list[Entry], Field(min_length=1)]

    @model_validator(mode="after")
    def _agrees(self) -> "Ledger":
        ids = [entry.id for entry in self.claims]
        if twice := {id for id in ids if ids.count(id) > 1}:
            raise ValueError(f"the claim {min(twice)} is there twice")
        if unknown := {entry.piece for entry in self.claims} - set(self.pieces):
            raise ValueError(f"nothing says what the piece {min(unknown)} is")
        return self

    def of(self, id: str) -> Entry:
        """The entry of a claim.

        Raises:
            LedgerError: there is none.
        """
        for entry in self.claims:
            if entry.id == id:
                return entry
        raise LedgerError(f"{FILE} does not know the claim {id!r}; add it, or mend its name")


def read() -> Ledger:
    """The ledger.

    Raises:
        ParameterError: `claims.yml` cannot be read, or an entry lacks something.
    """
    found: Ledger = read_file(FILE, Ledger)
    return found


# -- in a chapter ------------------------------------------------------------------------------


def table(rows: Sequence[Claim], below: str, *, id: str, caption: str) -> HTML:
    """What was measured of claims, as a table whose claims lead to the ledger.

    Args, and what it looks like: as `tables.table`.

    Raises:
        LedgerError: a claim is not in the ledger.
    """
    known = read()
    shown, before = [], ""
    for row in rows:
        entry = known.of(row.id)
        said = SAME if row.id == before else entry.claim
        where = f'data-row="{row.id}" href="{PAGE}.html#{anchor(row.id)}"'
        link = HTML(f"<a {where}>{html.escape(said)}</a>")
        shown.append({"claim": link, "source": known.pieces[entry.piece].title, **vars(row)})
        del shown[-1]["id"]
        before = row.id
    made = tables.table(shown, below, id=id, caption=caption)
    results = [vars(row) | {"table": id, "result": str(row.result)} for row in rows]
    return HTML(made.data, metadata={**(made.metadata or {}), "claims": results})


def anchor(id: str) -> str:
    """The address of a claim on the page of all."""
    return f"claim-{id}"


def cards() -> HTML:
    """All claims, to be searched by piece, verdict and chapter.

    What their evidence is by now is filled in when pages are built.
    """
    known = read()
    names = {name for entry in known.claims for name in entry.subjects}
    page = templates.rendered(
        "claims.html", ledger=known, verdicts=VERDICTS, sources=sources(), anchor=anchor,
        titles={name: chapter.title(name) for name in names},
    )  # fmt: skip
    return HTML(page)


def sources() -> dict[str, str]:
    """Whom a text names for each source of `references.bib`, as "Keisha et al. 2025"."""
    known = parse_string((assets.ROOT / "references.bib").read_text("utf-8"), "bibtex")
    found = {}
    for key, entry in known.entries.items():
        people = [" ".join(person.last_names).strip("{}") for person in entry.persons["author"]]
        others = " et al." if len(people) > 2 else f" and {people[1]}" if len(people) == 2 else ""
        found[key] = f"{people[0]}{others} {entry.fields.get('year', '')}".strip()
    return found
