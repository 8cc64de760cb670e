"""One chapter: read its parameters, and check what is asked of it.

A chapter is `chapters/NAME.md`, a MyST notebook. Its first code cell is tagged `parameters` and
holds the paper's settings. A smaller scale is a file of overrides, `params/SCALE.yml`, so no
chapter has a branch for a test run. The cell tagged `arms`, if there is one, says which runs the
chapter shows; it computes nothing, so that they are known without executing the chapter.
"""

import copy
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from collapse.book.parameters import (
    ParameterError,
    Value,
    model,
    nearest,
    read_file,
    type_name,
    written,
)
from collapse.errors import BookError
from collapse.experiment import assets, sources
from collapse.experiment.arms import Run, committed, missing
from collapse.experiment.protocol import Arm, Protocol

if TYPE_CHECKING:  # a machine that only computes may lack it
    from nbformat import NotebookNode

# What a user may give as a path, and what makes a name of it.
NAMED = {
    "corpus": sources.name_text, "domain": sources.name_text, "model": sources.name_model,
}  # fmt: skip
SCALES = ("smoke", "laptop", "overnight", "paper")
PUBLISHED = ("paper", "overnight", "laptop")  # whose runs are committed, the best first
STAND_IN = "smollm2-135m"  # for OPT-125m, where no hub can be reached
OTHER = "other_"  # begins a parameter of the setting that a chapter compares its own with


class ChapterError(BookError):
    """A chapter cannot be found, read or executed."""


# -- reading ---------------------------------------------------------------------------------


def names() -> list[str]:
    """The chapters with code, in the order of the table of contents."""
    return [Path(page).name for page in pages() if has_code(Path(page).name)]


def pages() -> list[str]:
    """Every page of `_toc.yml`, in order, as written there: `chapters/index`, ...

    Raises:
        ParameterError: the file is no YAML.
        ChapterError: it names no page, or one that is not there.
    """

    def walk(node: Any) -> Iterable[str]:
        if isinstance(node, dict):
            yield from (str(node[key]) for key in ("root", "file") if key in node)
        for item in node.values() if isinstance(node, dict) else node:
            if isinstance(item, dict | list):
                yield from walk(item)

    found = list(walk(read_file("_toc.yml", dict[str, Any])))
    lost = [page for page in found if not (assets.ROOT / f"{page}.md").is_file()]
    if lost or not found:
        raise ChapterError(f"_toc.yml must name pages that there are, not {lost}; mend it")
    return found


def read(name: str) -> "NotebookNode":
    """The chapter as a notebook, not executed.

    Raises:
        ChapterError: there is no such chapter, or it cannot be read.
    """
    return copy.deepcopy(_read(name))


def _read(name: str) -> "NotebookNode":
    path = assets.ROOT / "chapters" / f"{name}.md"
    if not path.is_file():
        known = sorted(other.stem for other in path.parent.glob("*.md"))
        raise ChapterError(
            f"there is no chapter {name!r}{nearest(name, known)} (the chapters: {', '.join(known)})"
        )
    found = path.stat()
    return _parsed(path, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=64)
def _parsed(path: Path, changed: int, size: int) -> "NotebookNode":
    """The page as it was when it was last changed; shared, so not to be changed."""
    import jupytext

    try:
        # The format is given, or jupytext would take the shell examples of a plain page for code.
        return jupytext.read(path, fmt="md:myst")
    except Exception as error:  # of YAML, of MyST, of an encoding
        said = " ".join(str(error).split())
        raise ChapterError(f"chapters/{path.name} cannot be read ({said}); mend it") from error


def code(name: str) -> list[str]:
    """The source of each code cell of a chapter."""
    return [cell.source for cell in _read(name).cells if cell.cell_type == "code"]


def has_code(name: str) -> bool:
    """Whether the chapter has anything to execute."""
    return bool(code(name))


def title(name: str) -> str:
    """The chapter's first heading."""
    text = "\n".join(cell.source for cell in _read(name).cells if cell.cell_type != "code")
    found = re.search(r"^# +(.+)$", text, flags=re.MULTILINE)
    return found[1].strip() if found else name


def _model(name: str) -> type[BaseModel]:
    first = next((cell for cell in _read(name).cells if cell.cell_type == "code"), None)
    if first is None:
        return BaseModel
    try:
        found = _modelled(first.source)
    except ParameterError as error:
        raise ParameterError(f"chapter {name}: {error}") from error
    if "parameters" not in first.metadata.get("tags", []) or "scale" not in found.model_fields:
        raise ParameterError(
            f"the first code cell of chapter {name} must have the tag 'parameters' and the line "
            '`scale: str = "paper"`; mend it'
        )
    return found


_modelled = functools.lru_cache(maxsize=64)(model)


def parameters(name: str) -> dict[str, FieldInfo]:
    """The chapter's parameters in the order of its parameters cell; none for a page without code.

    Raises:
        ParameterError: the parameters cell is missing, or a line is not `name: type = value`.
    """
    return _model(name).model_fields


# -- checking --------------------------------------------------------------------------------


def check(name: str, overrides: Mapping[str, Any]) -> dict[str, Value]:
    """All parameters of a chapter with some overridden, each of the declared type and in range.

    Raises:
        ParameterError: an unknown name, a wrong type, a value out of range, or `scale`.
    """
    known = parameters(name)
    for key in sorted(overrides.keys() - known.keys()):
        raise ParameterError(
            f"chapter {name} has no parameter {key!r}{nearest(key, known)} "
            f"(its parameters: {', '.join(known) or 'none'})"
        )
    if "scale" in overrides:
        raise ParameterError(
            f"scale={overrides['scale']} cannot be set as a parameter, for it decides which "
            f"overrides apply; choose it with --scale {', '.join(SCALES)}"
        )
    try:
        values = dict(_model(name)(**overrides))
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0])
        raise ParameterError(
            f"parameter {key!r} of chapter {name} takes a value of type {type_name(known[key])}, "
            f"not {overrides[key]!r}; write for example {key}={written(known[key].default)}"
        ) from error
    for key in {*NAMED, "seeds"} & values.keys():
        if not values[key]:
            raise ParameterError(f"{key}={values[key]} names nothing; give one, or leave it out")
    other = {key.removeprefix(OTHER): values[key] for key in values if key.startswith(OTHER)}
    for what, given in (("", values), (", the setting to compare with", other)):
        try:
            Arm(Protocol.among(given), values.get("seeds", [0]), values.get("compute", "none"))
        except ValueError as error:
            raise ParameterError(f"chapter {name}{what}: {error}") from error
    return values


def _of_scale(name: str, scale: str) -> dict[str, Any]:
    """What `params/SCALE.yml` overrides in a chapter; nothing at scale `paper`."""
    if scale == "paper":
        return {}
    file = f"params/{scale}.yml"
    found = read_file(file, dict[str, dict[str, Any] | None])
    sections = {section: values or {} for section, values in found.items()}
    common, chapters = sections.pop("all", {}), names()
    declared = {key for chapter in chapters for key in parameters(chapter)}
    for what, given, known in (("chapter", sections, chapters), ("parameter", common, declared)):
        for key in sorted(given.keys() - set(known)):
            raise ParameterError(
                f"{file} names the {what} {key!r}, which does not exist{nearest(key, known)}"
            )
    mine = parameters(name)
    return {key: common[key] for key in common if key in mine} | sections.get(name, {})


def settings(name: str, scale: str, overrides: Mapping[str, Any]) -> dict[str, Value]:
    """All parameters of a chapter at a scale: paper values, then the scale's, then the overrides.

    Raises:
        ParameterError: as `check` does, or the scale's file is malformed or names an unknown
            chapter or parameter.
        ChapterError: the page has no code.
        AssetError: a text or a model of the user's cannot be read.
    """
    if not has_code(name):
        raise ChapterError(f"page {name} has no code, so there is nothing to execute")
    from_scale = _of_scale(name, scale)
    try:
        check(name, from_scale)
    except ParameterError as error:
        raise ParameterError(f"params/{scale}.yml: {error}") from error
    values = check(name, from_scale | dict(overrides)) | {"scale": scale}
    for key, named in NAMED.items():
        if key in values:
            values[key] = named(str(values[key]))
    return values


def changed(name: str, values: Mapping[str, Value]) -> dict[str, Value]:
    """Those of `values` that differ from the paper's."""
    known = parameters(name)
    return {key: value for key, value in values.items() if value != known[key].default}


# -- runs ------------------------------------------------------------------------------------


def arms(name: str, values: Mapping[str, Value]) -> dict[str, Arm]:
    """What the chapter's cell tagged `arms` makes of some settings; none without such a cell.

    Args:
        values: all parameters of the chapter, as `settings` gives them.

    Raises:
        ChapterError: the cell stops, or does not set `arms` to a mapping of Arms.
    """
    tagged = (cell for cell in _read(name).cells if "arms" in cell.metadata.get("tags", []))
    if (cell := next(tagged, None)) is None:
        return {}
    what = f"the cell tagged 'arms' of chapter {name}"
    namespace: dict[str, Any] = dict(values)
    try:
        exec(compile(cell.source, f"<arms of chapter {name}>", "exec"), namespace)
    except BookError:
        raise
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise ChapterError(f"{what} stops with {said}; mend it") from error
    found = namespace.get("arms")
    if not isinstance(found, dict) or not all(isinstance(arm, Arm) for arm in found.values()):
        raise ChapterError(f"{what} must set `arms` to a mapping of Arms; mend it")
    return found


def wanted(names_: Sequence[str], scale: str, overrides: Mapping[str, Any]) -> list[Protocol]:
    """The runs that some chapters would compute at a scale, each once, the most valuable first.

    A chapter's own setting, which is its first arm, goes before its other arms, and all settings
    with one seed before any with the next.

    Args:
        names_: of chapters; all that have arms, if none is given.

    Raises:
        BookError: a name or a parameter is refused, or a record is damaged.
    """
    if not names_:
        names_ = [n for n in names() if arms(n, settings(n, scale, {}))]
    found = [arms(name, settings(name, scale, overrides)) for name in names_]
    own = {next(iter(each.values())).protocol.arm_hash for each in found if each}
    runs = [run for each in found for arm in each.values() for run in missing(arm)]
    runs.sort(key=lambda run: (run.arm_hash not in own, run.seed))
    return list({run.hash: run for run in runs}.values())


def recorded(values: Mapping[str, Any]) -> list[Run]:
    """The committed runs of a chapter's own setting.

    Where none is of the paper's model those of its stand-in count, which a machine without a model
    hub can have; a record says by itself which model it is of.

    Args:
        values: all parameters of the chapter, as `settings` gives them.
    """
    protocol = Protocol.among(dict(values))
    stand_in = [STAND_IN] if protocol.model == Protocol().model else []
    for base in [protocol.model, *stand_in]:
        if runs := committed(Arm(protocol.replace(model=base), values["seeds"], "none")):
            return runs
    return []


def at_scale(name: str, scale: str) -> list[Run]:
    """The committed runs of a chapter's own setting at a scale."""
    return recorded(settings(name, scale, {}))


def front(
    name: str, scale: str, protocol: Protocol, runs: list[Run]
) -> tuple[list[Run], dict[str, list[Run]]]:
    """The runs that a page is about, and those of other scales to be drawn behind them.

    Where a scale was chosen and nothing else, the best published runs are in front. A rerun with
    other parameters or seeds is about its own.

    Args:
        runs: of the setting at hand.

    Returns:
        the runs in front, and scale -> runs behind; a scale without runs is left out.
    """
    by_scale = {other: at_scale(name, other) for other in PUBLISHED}
    usual: Mapping[str, Any] = settings(name, scale, {})
    if (
        scale in PUBLISHED
        and protocol.arm_hash == Protocol.among(dict(usual)).arm_hash
        and all(run.record.protocol.seed in usual["seeds"] for run in runs)
    ):
        by_scale[scale] = runs or by_scale[scale]
        runs = next((found for found in by_scale.values() if found), [])
    own = runs[0].record.protocol.arm_hash if runs else protocol.arm_hash
    behind = {
        f"{other} scale": found
        for other, found in by_scale.items()
        if found and found[0].record.protocol.arm_hash != own
    }
    return runs, behind
