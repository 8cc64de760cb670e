"""A parameters cell: `name: type = value  # help` a line, and values of the declared types."""

import ast
import difflib
import io
import json
import re
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from collapse.errors import BookError

TYPES = ("int", "float", "str", "bool", "list[int]", "list[float]", "list[str]")

Value = int | float | str | bool | list[int] | list[float] | list[str]


class ParameterError(BookError):
    """A chapter was asked for something that its parameters do not allow."""


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell; `default` is the paper's value."""

    name: str
    type: str
    default: Value
    help: str


class Scalars(yaml.SafeLoader):
    """YAML with the scalars of version 1.2: `1e-4` is a float, `no` a string, `010` is ten.

    A key that is given twice is an error, as in YAML of any version.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """The mapping of a node, in which each key stands once."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for index, (key, (marked, _)) in enumerate(zip(keys, node.value, strict=True)):
            if key in keys[:index]:
                mark = marked.start_mark
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", mark
                )
        return super().construct_mapping(node, deep)


Scalars.yaml_implicit_resolvers = {}
for _kind, _pattern in (
    ("null", r"(?:~|null|)$"),
    ("bool", r"(?:true|True|false|False)$"),
    ("int", r"[-+]?[0-9]+$"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"),
):
    Scalars.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(_pattern), None)
Scalars.add_constructor(
    "tag:yaml.org,2002:int", lambda loader, node: int(loader.construct_scalar(node))
)


def mapping(root: Path, name: str) -> dict[str, Any]:
    """The mapping that a file of settings holds; an empty one for an empty file.

    Raises:
        ParameterError: the file cannot be read, or is no mapping with each key once.
    """
    try:
        found = yaml.load((root / name).read_text(encoding="utf-8"), Scalars)
    except OSError as error:
        raise ParameterError(
            f"{name} cannot be read ({error.strerror}); restore it from git"
        ) from error
    except (yaml.YAMLError, ValueError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ParameterError(f"{name}{where} is not YAML that can be read: {said}") from error
    return checked_mapping({} if found is None else found, name)


def checked_mapping(found: Any, what: str) -> dict[str, Any]:
    """`found`, if it is a mapping with names for keys.

    Args:
        what: names it where it is refused.

    Raises:
        ParameterError: it is not.
    """
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise ParameterError(f"{what} must hold lines `name: value`, not {found!r}; mend it")
    return found


def parse(source: str) -> dict[str, Parameter]:
    """The parameters that the source of a parameters cell declares, in order.

    Raises:
        ParameterError: a line is not `name: type = value`.
    """
    found: dict[str, Parameter] = {}
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise ParameterError(f"the parameters cell is not Python ({error}); mend it") from error
    comments = {
        token.start[0]: token.string.lstrip("# ").strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    for node in statements:
        try:
            if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
                raise TypeError
            kind = ast.unparse(node.annotation)
            if kind not in TYPES or node.value is None:
                raise TypeError
            default = convert(ast.literal_eval(node.value), kind)
        except (TypeError, ValueError) as error:
            raise ParameterError(
                f"the parameter line `{ast.unparse(node)}` does not read `name: type = value` "
                f"with a literal value and one of the types {', '.join(TYPES)}; rewrite it"
            ) from error
        help_ = comments.get(node.end_lineno or 0, "")
        found[node.target.id] = Parameter(node.target.id, kind, default, help_)
    return found


def convert(value: Any, kind: str) -> Value:
    """`value` as a parameter of type `kind`; text for anything but a `str` is read as YAML 1.2.

    Raises:
        TypeError: the value is not of that type. An int passes for a float, a bool not for an int.
    """
    if isinstance(value, str) and kind != "str":
        try:
            value = yaml.load(value, Scalars)
        except yaml.YAMLError as error:
            raise TypeError(str(error)) from error
    if kind.startswith("list["):
        if not isinstance(value, list):
            raise TypeError(f"{value!r} is not a list")
        inner = kind.removeprefix("list[").removesuffix("]")
        return [convert(item, inner) for item in value]  # type: ignore[return-value]
    if kind == "float" and type(value) is int:
        return float(value)
    if type(value).__name__ != kind:
        raise TypeError(f"{value!r} is not of type {kind}")
    return value


def written(value: Value) -> str:
    """A value as one would write it after `-p name=`."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def nearest(name: str, names: Iterable[str]) -> str:
    """The clause `; did you mean 'x'?`, or nothing where no name resembles `name`."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
