"""A parameters cell as a typed model, and files of settings.

A line of the cell reads `name: type = value  # what it is [unit]`; the value is the paper's.
"""

import ast
import difflib
import json
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    create_model,
)
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


class _Once(yaml.SafeLoader):
    """YAML in which a key that is given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for index, (key, (marked, _)) in enumerate(zip(keys, node.value, strict=True)):
            if key in keys[:index]:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", marked.start_mark
                )
        return super().construct_mapping(node, deep)


def read_file(name: str, kind: Any) -> Any:
    """What a file of settings holds; that of an empty file is an empty mapping.

    Args:
        name: of the file, from the root of the book.
        kind: the type that its content must have.

    Raises:
        ParameterError: the file cannot be read, gives a key twice, or is of another type.
    """
    try:
        found = yaml.load((assets.ROOT / name).read_text(encoding="utf-8"), _Once)
        return TypeAdapter(kind).validate_python({} if found is None else found)
    except OSError as error:
        raise ParameterError(
            f"{name} cannot be read ({error.strerror}); restore it from git"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = " → ".join(map(str, first["loc"])) or "it"
        raise ParameterError(f"{name} cannot be used: {where}: {first['msg']}; mend it") from error
    except (yaml.YAMLError, ValueError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ParameterError(f"{name}{line} is not YAML that can be read: {said}") from error


def model(source: str) -> type[BaseModel]:
    """The model of a parameters cell: a field for each parameter, with default, help and unit.

    Its fields take values of their type, or texts that stand for one. An int passes for a float, a
    bool not for an int.

    Raises:
        ParameterError: a line is not `name: type = value`.
    """
    fields: dict[str, Any] = {}
    for line in source.splitlines():
        if not line.partition("#")[0].strip():
            continue
        node: Any
        try:
            [node] = ast.parse(line).body
            kind = TYPES[ast.unparse(node.annotation)]
            default = TypeAdapter(kind).validate_python(ast.literal_eval(node.value), strict=True)
        except (SyntaxError, AttributeError, KeyError, ValueError) as error:
            raise ParameterError(
                f"the parameter line `{line.strip()}` does not read `name: type = value` with a "
                f"literal value and one of the types {', '.join(TYPES)}; rewrite it"
            ) from error
        help_, _, unit = line.partition("#")[2].strip().partition(" [")
        about = Field(default, description=help_, json_schema_extra={"unit": unit.rstrip("]")})
        fields[node.target.id] = (Annotated[kind, BeforeValidator(_from_text(kind))], about)
    return create_model("Parameters", __config__=_CONFIG, **fields)


_CONFIG = ConfigDict(strict=True, allow_inf_nan=False, protected_namespaces=())


def _from_text(kind: Any) -> Callable[[Any], Any]:
    """What makes of a text a value of a type, a list as in JSON; anything else stays as it is."""
    adapter = TypeAdapter(kind, config=ConfigDict(allow_inf_nan=False))
    read = adapter.validate_strings if isinstance(kind, type) else adapter.validate_json
    return lambda value: read(value, strict=True) if isinstance(value, str) else value


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
