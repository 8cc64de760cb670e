"""A parameters cell as a typed model, and files of settings.

A line of the cell reads `name: type = value  # what it is [unit]`; the value is the paper's.
"""

import ast
import difflib
import io
import json
import re
import tokenize
from collections.abc import Iterable
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, create_model
from pydantic.fields import FieldInfo

from collapse.errors import BookError
from collapse.experiment import assets

Value = int | float | str | bool | list[int] | list[float] | list[str]

TYPES: dict[str, Any] = {
    "int": int, "float": float, "str": str, "bool": bool,
    "list[int]": list[int], "list[float]": list[float], "list[str]": list[str],
}  # fmt: skip


class ParameterError(BookError):
    """A chapter was asked for something that its parameters do not allow."""


class Scalars(yaml.SafeLoader):
    """YAML with the scalars of version 1.2: `1e-4` is a float, `no` a string, `010` is ten.

    A key that is given twice is an error, as in YAML of any version.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """The mapping of a node, in which each key stands once."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for index, (key, (marked, _)) in enumerate(zip(keys, node.value, strict=True)):
            if key in keys[:index]:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", marked.start_mark
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


def mapping(name: str) -> dict[str, Any]:
    """The mapping that a file of settings holds; an empty one for an empty file.

    Args:
        name: of the file, from the root of the book.

    Raises:
        ParameterError: the file cannot be read, or is no mapping with each key once.
    """
    try:
        found = yaml.load((assets.ROOT / name).read_text(encoding="utf-8"), Scalars)
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


def _typed(value: Any) -> Any:
    """Text as YAML 1.2 reads it; anything else as it is."""
    try:
        return yaml.load(value, Scalars) if isinstance(value, str) else value
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def model(source: str) -> type[BaseModel]:
    """The model of a parameters cell: a field for each parameter, with default, help and unit.

    Its fields take values of their type, or texts that YAML 1.2 reads as such. An int passes for a
    float, a bool not for an int.

    Raises:
        ParameterError: a line is not `name: type = value`.
    """
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise ParameterError(f"the parameters cell is not Python ({error}); mend it") from error
    comments = {
        token.start[0]: token.string.lstrip("# ").strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    fields: dict[str, Any] = {}
    for node in statements:
        try:
            if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
                raise ValueError("another statement")
            kind = TYPES[ast.unparse(node.annotation)]
            value = ast.literal_eval(node.value or node.target)  # no value is refused as a name is
            default = TypeAdapter(kind).validate_python(value, strict=True)
        except (KeyError, ValueError) as error:
            raise ParameterError(
                f"the parameter line `{ast.unparse(node)}` does not read `name: type = value` "
                f"with a literal value and one of the types {', '.join(TYPES)}; rewrite it"
            ) from error
        help_, _, unit = comments.get(node.end_lineno or 0, "").partition(" [")
        about = Field(default, description=help_, json_schema_extra={"unit": unit.rstrip("]")})
        fields[node.target.id] = (kind if kind is str else Annotated[kind, _TEXT], about)
    return create_model("Parameters", __config__=_CONFIG, **fields)


_TEXT = BeforeValidator(_typed)
_CONFIG = ConfigDict(strict=True, extra="forbid", protected_namespaces=())


def type_name(field: FieldInfo) -> str:
    """The type of a parameter as it stands in the cell."""
    return next(name for name, kind in TYPES.items() if kind == field.annotation)


def written(value: Value) -> str:
    """A value as one would write it after `-p name=`."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def nearest(name: str, names: Iterable[str]) -> str:
    """The clause `; did you mean 'x'?`, or nothing where no name resembles `name`."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
