"""Every number of a page, as something to cite: what it is, how certain, and where it comes from.

An executed chapter keeps its numbers beside their texts, as metadata of its outputs, which
`listing` gathers.
"""

import html
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from IPython.display import display

from collapse.errors import BookError
from collapse.measure.per_seed import NOT_RUN, PerSeed

if TYPE_CHECKING:
    from collapse.experiment.arms import Run

METADATA = "number"  # of the output that holds a glued text
WORDS = "words"  # the same, of a text that is no number, whatever digits it has
PREFIX = "application/papermill.record/"


class NumberError(BookError):
    """A number of a page has no source, or a name that is not its own."""


@dataclass(frozen=True)
class Number:
    """A number as a page shows it, and what `listing.COLUMNS` says of it."""

    text: str
    value: float
    what: str
    how: str
    unit: str = ""
    low: float = math.nan
    high: float = math.nan
    interval: str = "none"
    n: int | None = None
    records: tuple[str, ...] = ()
    origin: str = ""

    def __str__(self) -> str:
        return self.text

    def facts(self, name: str) -> dict[str, Any]:
        """What is stored of it: no nan, which JSON does not know.

        Args:
            name: on the page.

        Raises:
            NumberError: it has neither records nor an origin, or nothing says what it is.
        """
        if self.text != NOT_RUN and not (self.what and (self.records or self.origin)):
            raise NumberError(
                f"the number {name!r}, {self.text}, has no source; say what it is, and give the "
                "runs that it comes from, or its origin in words"
            )
        told = asdict(self)
        for key in ("value", "low", "high"):
            told[key] = None if math.isnan(told[key]) else float(f"{told[key]:.10g}")
        return told


def of(
    found: PerSeed,
    what: str = "",
    *,
    origin: str = "",
    unit: str = "",
    digits: int = 2,
    times: float = 1.0,
    less: float = 0.0,
    before: str = "",
    interval: bool = True,
    least: float = -math.inf,
) -> Number:
    """A mean over seeds with its interval, as a page shows it.

    Args:
        what: the number is; by default what it says of itself.
        origin: where it comes from, if not from records.
        unit: written after each of the numbers but for the ends of the interval.
        times, less: what the unit asks for, `times * (number - less)`.
        before: written before it, as ×.
        interval: whether it is part of the text.
        least: which the lower end does not go below.
    """
    mean, low, high = (times * (end - less) for end in (found.mean, found.low, found.high))
    low = max(low, least) if not math.isnan(low) else low
    space = " " if unit == "%" else ""
    form = f"{'' if digits else ','}.{digits}f"
    text = f"{before}{mean:{form}}{space}{unit if space else ''}"
    n = len(found.by_seed)
    why = "one seed" if n == 1 else "a seed at 0"
    if not n or math.isnan(found.mean):
        text = str(found)
    elif math.isnan(low):
        text += "" if unit or not interval else f" ({why}, no interval)"
    elif interval:
        text += f" [{low:{form}}, {high:{form}}]"
    how = (
        "mean of the logarithms over seeds, then the exponential"
        if found.logs
        else "mean over seeds"
    )
    kind = f"{100 * found.confidence:g} %, Student's t over seeds"
    kind += ", on the log scale" if found.logs else ""
    kind = f"none: {why}" if math.isnan(low) else kind
    return Number(
        text, mean, what or found.what, why if n == 1 else how, unit, low, high, kind, n,
        found.records, origin,
    )  # fmt: skip


def one(
    value: float,
    what: str,
    how: str,
    *,
    origin: str = "",
    runs: "Sequence[Run]" = (),
    text: str = "",
    form: str = ",.0f",
    unit: str = "",
    low: float = math.nan,
    high: float = math.nan,
    interval: str = "",
) -> Number:
    """A number without an interval over seeds; `not run yet` where it is nan and has no ends.

    Args:
        how: it was computed, which is also why there is no interval: a count, a closed form.
        origin: where it comes from, if not from runs.
        text: as it is shown, if not by the format `form`.
        low, high: where it is a range, or has an interval of a kind that `interval` names.
    """
    if math.isnan(value) and math.isnan(low):
        return Number(NOT_RUN, value, what, how, unit, origin=origin)
    space = " " if unit == "%" else ""
    text = text or f"{value:{form}}{space}{unit if space else ''}"
    kind = f"none: {how}" if math.isnan(low) else interval or f"range: {how}"
    seeds = len({run.record.protocol.seed for run in runs}) or None
    records = tuple(dict.fromkeys(run.record.name for run in runs))
    return Number(text, value, what, how, unit, low, high, kind, seeds, records, origin)


def share(value: float | None, what: str, how: str, digits: int = 0, **source: Any) -> Number:
    """A share in per cent, as `one`; `not run yet` where there is none."""
    told = math.nan if value is None else 100 * value
    return one(told, what, how, form=f".{digits}f", unit="%", **source)


# -- into the text of a page -----------------------------------------------------------------


def glue(found: Mapping[str, Number | PerSeed | str]) -> None:
    """Have the text of a page know numbers, by their names, with where they come from; and words.

    Raises:
        NumberError: a number has no source, or a text has digits, so that it is one.
    """
    for name, given in found.items():
        number = of(given) if isinstance(given, PerSeed) else given
        if isinstance(number, Number):
            _glue(name, number.text, {METADATA: number.facts(name)})
        elif re.search(r"\d", number):
            raise NumberError(
                f"the number {name!r} ({number}) has no source; give it as a Number that says its "
                "runs or its origin, or, if it is a name or a sentence, to `figures.words`"
            )
        else:
            words({name: number})


def words(found: Mapping[str, str]) -> None:
    """Have the text of a page know names, dates and sentences, which are no numbers of its data."""
    for name, text in found.items():
        _glue(name, text, {WORDS: True})


def _glue(name: str, text: str, metadata: dict[str, Any]) -> None:
    """As `myst_nb.glue`, with metadata beside it, and without loading all of Sphinx."""
    marked = {"scrapbook": {"name": name, "mime_prefix": PREFIX}, **metadata}
    display({f"{PREFIX}text/plain": repr(text)}, raw=True, metadata=marked)


# -- on a page -------------------------------------------------------------------------------


def anchor(name: str) -> str:
    """The address of a number on its page, by the name that it is glued with."""
    return "n-" + slug(name)


def slug(text: str, most: int = 60) -> str:
    """A text as part of an address: its letters and digits, in lower case, with hyphens."""
    return re.sub(r"[^\w]+", "-", text.lower()).strip("-")[:most].rstrip("-")


def said(number: dict[str, Any]) -> str:
    """What a number says when it is pointed at, in a few lines.

    Args:
        number: as `Number.facts` gives it.
    """
    unit = f" {number['unit']}" if number["unit"] else ""
    lines = [f"{number['what'][:1].upper()}{number['what'][1:]}."]
    if number["value"] is not None:
        lines.append(f"Value: {number['value']:.6g}{unit}.")
    if number["low"] is not None:
        ends = f"{number['low']:.4g} to {number['high']:.4g}{unit}"
        lines.append(f"Interval: {ends} ({number['interval']}).")
    else:
        lines.append(f"No interval: {number['interval'].removeprefix('none: ')}.")
    lines.append(f"n = {number['n']}." if number["n"] else "")
    return "\n".join(line for line in lines if line)


def opened(number: dict[str, Any], id: str, name: str) -> str:
    """The beginning of a number in HTML, which `CLOSED` ends.

    Args:
        number: as `Number.facts` gives it.
        id: its address on the page; empty where it stands there for a second time.
        name: of the address that it links to.
    """
    ends = "".join(
        f' data-{key}="{number[key]:.8g}"'
        for key in ("low", "high", "n")
        if number[key] is not None
    )
    value = "" if number["value"] is None else f"{number['value']:.8g}"
    own = f' id="{id}"' if id else ""
    told = html.escape(said(number)).replace("\n", "&#10;")
    return f'<data{own} class="number" value="{value}"{ends}><a href="#{name}" title="{told}">'


CLOSED = "</a></data>"
