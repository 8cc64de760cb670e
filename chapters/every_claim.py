"""How many of the press's claims have which verdict, and in which piece they stand."""

import collections
import html
from collections.abc import Iterable

import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from collapse.book import figures, ledger, numbers
from collapse.book.ledger import Entry, Ledger, Piece
from collapse.book.numbers import Number

# Filled darker, the firmer a verdict is against the claim; the counts stand in the circles.
SHADES = dict(zip(ledger.VERDICTS, ("#CFE8DF", "#E4ECD2", "#F2B8A0", "#E3E3E3", "#F7DFC8",
                                    "#EEEEEE"), strict=True))  # fmt: skip


RULE = (
    "Supported: source and data say it. Partly: right with a correction that matters. "
    "Contradicted: they say otherwise, or its arithmetic is wrong. Cannot tell: it can be tested, "
    "and what there is does not settle it. No source found: we looked, and say where. Not "
    "testable: an opinion, a forecast, or nothing that data here can settle."
)


def of_press(found: Ledger) -> list[Entry]:
    """The claims of the press, without those of papers."""
    return [entry for entry in found.claims if found.pieces[entry.piece].press]


def counts(entries: Iterable[Entry]) -> dict[str, int]:
    """How many claims have each of the verdicts."""
    given = [entry.verdict for entry in entries]
    return {verdict: given.count(verdict) for verdict in ledger.VERDICTS}  # type: ignore[arg-type]


def counted(found: Ledger) -> pd.DataFrame:
    """A row for each piece of the press and verdict: `piece`, `verdict`, `claims`."""
    rows = [
        (piece.title, verdict, count)
        for key, piece in found.pieces.items()
        if piece.press
        for verdict, count in counts(e for e in found.claims if e.piece == key).items()
    ]
    return pd.DataFrame(rows, columns=["piece", "verdict", "claims"])


def figure(found: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """A circle for each piece and verdict, its area the number of claims, which stands in it."""
    made, axes = figures.canvas(height=4)
    pieces, words = list(found["piece"].unique()), list(ledger.VERDICTS)
    for row in found[found["claims"] > 0].itertuples():
        at = pieces.index(row.piece), words.index(row.verdict)
        axes.scatter(*at, s=75 * row.claims, color=SHADES[row.verdict], ec=figures.INK, lw=0.8)
        axes.annotate(str(row.claims), at, ha="center", va="center", color=figures.INK)
    axes.set_xticks(range(len(pieces)), pieces, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(words)), words)
    axes.set(xlim=(-0.6, len(pieces) - 0.4), ylim=(len(words) - 0.4, -0.6))
    axes.tick_params(length=0)
    axes.grid(axis="y", lw=0.5, color=figures.BAND, alpha=0.5)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)
    return made, found


def pieces(found: Ledger) -> list[dict[str, object]]:
    """A row for each piece of the press: what it is, and how it is known to us."""
    press = {key: piece for key, piece in found.pieces.items() if piece.press}
    first = {entry.piece: entry.id.split("-")[0] for entry in found.claims}

    def named(piece: Piece) -> HTML:
        told = html.escape(piece.title)
        return HTML(f'<a href="{piece.address}">{told}</a>' if piece.address else told)

    return [
        {"piece": named(piece), "claims": f"{first[key]}-1 and so on", "what it is": piece.about}
        for key, piece in press.items()
    ]


def in_words(found: pd.DataFrame) -> str:
    """The figure's data, a clause a piece."""
    return "; ".join(
        f"{piece}: "
        + ", ".join(f"{row.claims} {row.verdict}" for row in rows.itertuples() if row.claims)
        for piece, rows in found.groupby("piece", sort=False)
    )


def numbers_of(found: Ledger) -> dict[str, Number]:
    """How many claims there are, and how many of the press have which verdict."""
    press = of_press(found)
    lacking = collections.Counter(e.piece for e in press if e.verdict == "no source found")

    def count(value: int, what: str) -> Number:
        return numbers.one(value, what, "a count", origin=ledger.FILE)

    given = counts(press)
    return {
        "all": count(len(found.claims), "claims in the ledger"),
        "press": count(len(press), "claims of the press"),
        "lacking": count(given["no source found"], "claims of the press without a source found"),
        "lacking-one": count(max(lacking.values()), "of them, in the piece that has most"),
        **{
            word: count(given[word], f"claims of the press with the verdict: {word}")
            for word in ("supported", "partly", "contradicted")
        },
    }
