"""The parameters of the chapters for a rerunner: type, unit, range, paper and laptop values."""

import dataclasses
from pathlib import Path
from typing import Literal, get_args, get_origin

from collapse.book import chapter
from collapse.book.parameters import Parameter, written
from collapse.experiment.assets import ROOT
from collapse.experiment.protocol import COMPUTE, RANGES, Protocol

UNITS = {
    "train_blocks": "blocks of 64 tokens",
    "eval_blocks": "blocks of 64 tokens",
    "generations": "models",
    "epochs": "passes",
    "other_epochs": "passes",
    "retained": "share",
    "shares": "shares",
    "mend_after": "generations",
    "mend_blocks": "blocks of 64 tokens",
    "other_retained": "share",
    "beams": "sequences",
    "top_p": "probability",
    "lr": "per step of AdamW",
    "lr_end": "per step of AdamW",
    "batch": "blocks",
    "blue": "cats",
    "cats": "cats",
    "herds": "herds",
    "draws": "draws",
    "chains": "chains",
    "mixed": "draws",
    "evolutions": "generations",
    "steps": "steps",
}
_ALIASES = {"other_epochs": "epochs", "other_retained": "retained", "domain": "corpus"}


def table(name: str, root: Path = ROOT) -> str:
    """The parameters of a chapter as a MyST table; a sentence where it has none."""
    laptop = chapter.settings(name, "laptop", {}, root)
    rows = [
        f"| `{one.name}` | {one.type} | {UNITS.get(one.name, '')} | {limits(one, name)} "
        f"| `{written(one.default)}` | `{written(laptop[one.name])}` | {one.help} |"
        for one in chapter.parameters(name, root).values()
        if one.name != "scale"
    ]
    if not rows:
        return "This page has no parameters."
    head = [
        "| parameter | type | unit | range | paper | laptop | what it is |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join(head + rows)


def limits(parameter: Parameter, name: str) -> str:
    """The values that a parameter of a chapter may have, as far as they are checked beforehand."""
    field = _ALIASES.get(parameter.name, parameter.name)
    kinds = {one.name: one.type for one in dataclasses.fields(Protocol)}
    if get_origin(kinds.get(field)) is Literal:
        return ", ".join(get_args(kinds[field]))
    if field == "compute":
        return ", ".join(COMPUTE)
    if field == "seeds":
        return "one or more, from 0"
    # Chapters without runs use some names in another sense.
    if "compute" in chapter.parameters(name):
        for other, low, high in RANGES:
            if other == field:
                return f"{_plain(low)} to {_plain(high)}"
    return ""


def _plain(number: float) -> str:
    return f"{int(number):,}" if number == int(number) else f"{number:g}"


def command(name: str) -> str:
    """What runs a chapter, with the first parameter that a rerunner would change."""
    known = chapter.parameters(name)
    examples = {"seed": "seed=3", "seeds": "seeds=[3]"}
    example = next((f' PARAMS="{text}"' for key, text in examples.items() if key in known), "")
    return f"make chapter NAME={name}{example}"
