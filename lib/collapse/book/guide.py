"""The parameters of a chapter as rerunners are told of them."""

import dataclasses
from typing import Literal, NamedTuple, get_args, get_origin

from collapse.book.chapter import OTHER, parameters, settings
from collapse.book.parameters import type_name, written
from collapse.experiment.protocol import COMPUTE, RANGES, Protocol


class Parameter(NamedTuple):
    """A parameter of a chapter; its values are in words, as one would write them."""

    name: str
    kind: str
    paper: str
    laptop: str
    limits: str
    about: str


def described(name: str) -> list[Parameter]:
    """The parameters of a chapter, in the order of its parameters cell."""
    laptop = settings(name, "laptop", {})
    found = []
    for key, one in parameters(name).items():
        if key != "scale":
            told = str(one.description)
            unit = str(dict(one.json_schema_extra or {})["unit"])  # type: ignore[arg-type]
            about = told if unit in told else f"{told} ({unit})"
            values = written(one.default), written(laptop[key])
            found.append(Parameter(key, type_name(one), *values, limits(key, name), about))
    return found


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
