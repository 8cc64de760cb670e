"""The parameters of the chapters for a rerunner: type, unit, range, paper and laptop values."""

import dataclasses
from typing import Literal, get_args, get_origin

from collapse.book import chapter, release
from collapse.book.chapter import OTHER, parameters, settings
from collapse.book.parameters import type_name, written
from collapse.experiment.protocol import COMPUTE, RANGES, Protocol
from collapse.measure.per_seed import NOT_RUN


def described(name: str) -> list[tuple[str, ...]]:
    """Of each parameter name, type, unit, range, paper value, laptop value and what it is."""
    laptop = settings(name, "laptop", {})
    rows: list[tuple[str, ...]] = []
    for key, one in parameters(name).items():
        if key == "scale":
            continue
        values = (written(one.default), written(laptop[key]))
        unit = dict(one.json_schema_extra or {})["unit"]  # type: ignore[arg-type]
        about = (str(unit), limits(key, name), *values, str(one.description))
        rows.append((key, type_name(one), *about))
    return rows


def table(name: str) -> str:
    """The parameters of a chapter as a MyST table; a sentence where it has none."""
    rows = [
        f"| `{key}` | {kind} | {unit} | {limits} | `{paper}` | `{laptop}` | {about} |"
        for key, kind, unit, limits, paper, laptop, about in described(name)
    ]
    head = [
        "| parameter | type | unit | range | paper | laptop | what it is |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join(head + rows) if rows else "This page has no parameters."


def folds() -> str:
    """The tables of all chapters that have parameters, each in a fold under its title."""
    parts = []
    for name in chapter.names():
        if set(parameters(name)) - {"scale"}:
            head = f"````{{dropdown}} {chapter.title(name)}"
            parts.append(f"{head}\n`{command(name)}`\n\n{table(name)}\n````")
    return "\n\n".join(parts)


def first_lines() -> str:
    """The commands that fetch the book, where it is published, and build it, as a code block."""
    where = release.repository()
    fetch = [f"git clone https://github.com/{where} book", "cd book"] if where else []
    return "\n".join(["```bash", *fetch, "make book", "```"])


def last_line(name: str) -> str:
    """What the comparison of a chapter's own setting says if a rerun gets the published bits.

    Raises:
        RecordError: a record is damaged.
    """
    from collapse.book import compare

    runs = chapter.at_scale(name, "laptop")
    return compare.with_published(runs[0].record).sentence if runs else NOT_RUN


def limits(key: str, name: str) -> str:
    """The values that a parameter of a chapter may have, as far as they are checked beforehand."""
    key = key.removeprefix(OTHER)
    kinds = {field.name: field.type for field in dataclasses.fields(Protocol)}
    if get_origin(kinds.get(key)) is Literal:
        return ", ".join(get_args(kinds[key]))
    found = {"compute": ", ".join(COMPUTE), "seeds": "one or more, from 0"}
    if "compute" in parameters(name):  # chapters without runs use some names in another sense
        found |= {field: f"{low:,.10g} to {high:,.10g}" for field, low, high in RANGES}
    return found.get(key, "")


def command(name: str) -> str:
    """What runs a chapter, with the first parameter that a rerunner would change."""
    known = parameters(name)
    usual = settings(name, "laptop", {}) if known else {}
    # `seed` is what compute=seed computes; `seeds` says which runs are shown, and then computed.
    other = {} if usual.get("compute", "seed") == "seed" else {"seeds": "seeds=[3]"}
    examples = other | {"seed": "seed=3", "seeds": "seeds=[3]"}
    example = next((f' PARAMS="{text}"' for key, text in examples.items() if key in known), "")
    return f"make chapter NAME={name}{example}"
