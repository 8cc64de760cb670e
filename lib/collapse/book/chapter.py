"""One chapter: read its parameters, and check what is asked of it.

A chapter is `chapters/NAME.md`, a MyST notebook. Its first code cell is tagged `parameters` and
holds the paper's settings, one `name: type = value  # help` a line. A smaller scale is a file of
overrides, `params/SCALE.yml`, so no chapter has a branch for a test run. The cell tagged `arms`, if
there is one, says which runs the chapter shows; it computes nothing, so that they are known without
executing the chapter.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collapse.book.parameters import (
    Parameter,
    ParameterError,
    Value,
    checked_mapping,
    convert,
    mapping,
    nearest,
    parse,
    written,
)
from collapse.errors import BookError
from collapse.experiment import sources
from collapse.experiment.assets import ROOT, expanded
from collapse.experiment.protocol import COMPUTE, Arm, Protocol

if TYPE_CHECKING:  # a machine that only computes may lack it
    from nbformat import NotebookNode

# What a user may give as a path, and what makes a name of it.
NAMED = {
    "corpus": sources.name_text, "domain": sources.name_text, "model": sources.name_model,
}  # fmt: skip
SCALES = ("smoke", "laptop", "overnight", "paper")
PUBLISHED = ("paper", "overnight", "laptop")  # whose runs are committed, the best first
STAND_IN = "smollm2-135m"  # for OPT-125m, where no hub can be reached


class ChapterError(BookError):
    """A chapter cannot be found, read or executed."""


# -- reading ---------------------------------------------------------------------------------


def names(root: Path = ROOT) -> list[str]:
    """The chapters with code, in the order of the table of contents."""
    return [Path(page).name for page in pages(root) if has_code(Path(page).name, root)]


def pages(root: Path = ROOT) -> list[str]:
    """Every page of `_toc.yml`, in order, as written there: `chapters/index`, ...

    Raises:
        ParameterError: the file is no YAML.
        ChapterError: it names no page, or one that is not there.
    """

    def walk(node: Any) -> Iterable[str]:
        if isinstance(node, list):
            for item in node:
                yield from walk(item)
        elif isinstance(node, dict):
            yield from (node[key] for key in ("root", "file") if key in node)
            for item in node.values():
                yield from walk(item)

    found = list(walk(mapping(root, "_toc.yml")))
    for page in found:
        if not isinstance(page, str) or not (root / f"{page}.md").is_file():
            raise ChapterError(f"_toc.yml names the page {page!r}, but there is no {page}.md")
    if not found:
        raise ChapterError("_toc.yml names no page; restore it from git")
    return found


def read(name: str, root: Path = ROOT) -> "NotebookNode":
    """The chapter as a notebook, not executed.

    Raises:
        ChapterError: there is no such chapter, or it cannot be read.
    """
    import jupytext

    path = root / "chapters" / f"{name}.md"
    if not path.is_file():
        known = sorted(other.stem for other in path.parent.glob("*.md"))
        raise ChapterError(
            f"there is no chapter {name!r}{nearest(name, known)} (the chapters: {', '.join(known)})"
        )
    try:
        # The format is given, or jupytext would take the shell examples of a plain page for code.
        return jupytext.read(path, fmt="md:myst")
    except Exception as error:  # of YAML, of MyST, of an encoding
        said = " ".join(str(error).split())
        raise ChapterError(f"chapters/{name}.md cannot be read ({said}); mend it") from error


def has_code(name: str, root: Path = ROOT) -> bool:
    """Whether the chapter has anything to execute."""
    return any(cell.cell_type == "code" for cell in read(name, root).cells)


def title(name: str, root: Path = ROOT) -> str:
    """The chapter's first heading."""
    text = "\n".join(cell.source for cell in read(name, root).cells if cell.cell_type != "code")
    found = re.search(r"^# +(.+)$", text, flags=re.MULTILINE)
    return found[1].strip() if found else name


def parameters(name: str, root: Path = ROOT) -> dict[str, Parameter]:
    """The chapter's parameters in the order of its parameters cell; none for a page without code.

    Raises:
        ParameterError: the parameters cell is missing, or a line is not `name: type = value`.
    """
    code = [cell for cell in read(name, root).cells if cell.cell_type == "code"]
    if not code:
        return {}
    if "parameters" not in code[0].metadata.get("tags", []):
        raise ParameterError(
            f"the first code cell of chapter {name} lacks the tag 'parameters'; add it"
        )
    try:
        found = parse(code[0].source)
    except ParameterError as error:
        raise ParameterError(f"chapter {name}: {error}") from error
    if "scale" not in found:
        raise ParameterError(
            f'the parameters cell of chapter {name} lacks the line `scale: str = "paper"`; add it'
        )
    return found


# -- checking --------------------------------------------------------------------------------


def check(name: str, overrides: Mapping[str, Any], root: Path = ROOT) -> dict[str, Value]:
    """All parameters of a chapter with some overridden, each of the declared type and in range.

    Raises:
        ParameterError: an unknown name, a wrong type, a value out of range, or `scale`.
    """
    known = parameters(name, root)
    values = {parameter.name: parameter.default for parameter in known.values()}
    for key, value in overrides.items():
        if key not in known:
            raise ParameterError(
                f"chapter {name} has no parameter {key!r}{nearest(key, known)} "
                f"(its parameters: {', '.join(known) or 'none'})"
            )
        if key == "scale":
            raise ParameterError(
                f"scale={value} cannot be set as a parameter, for it decides which overrides "
                f"apply; choose it with --scale {', '.join(SCALES)}"
            )
        kind = known[key].type
        try:
            values[key] = convert(value, kind)
        except TypeError as error:
            raise ParameterError(
                f"parameter {key!r} of chapter {name} takes a value of type {kind}, "
                f"not {value!r}; write for example {key}={written(known[key].default)}"
            ) from error
    _check_runs(name, values)
    _check_files(values)
    in_protocol = {field.name for field in dataclasses.fields(Protocol)} & set(values)
    try:
        Protocol(**{key: values[key] for key in values if key in in_protocol})  # type: ignore[arg-type]
    except ValueError as error:
        raise ParameterError(f"chapter {name}: {error}") from error
    return values


def _check_runs(name: str, values: Mapping[str, Any]) -> None:
    """What every chapter means by `seeds`, `compute` and the epochs and share of another arm."""
    seeds = values.get("seeds", [0])
    if not seeds or min(seeds) < 0:
        raise ParameterError(f"chapter {name}: seeds={seeds} must be one or more numbers from 0 up")
    if values.get("compute", "all") not in COMPUTE:
        raise ParameterError(
            f"chapter {name}: compute={values['compute']!r} is not one of: {', '.join(COMPUTE)}"
        )
    other = {"epochs": "other_epochs", "retained": "other_retained"}
    try:
        Protocol(**{field: values[key] for field, key in other.items() if key in values})
    except ValueError as error:
        raise ParameterError(f"chapter {name}, the setting to compare with: {error}") from error


def _check_files(values: Mapping[str, Any]) -> None:
    """Names of texts and models."""
    for key in ("corpus", "model", "domain"):
        if not values.get(key, key):
            raise ParameterError(f"{key}= names nothing; give a name or a path, or leave it out")
        expanded(str(values.get(key, "")), key)  # refuses the home of an unknown user


def scale_overrides(name: str, scale: str, root: Path = ROOT) -> dict[str, Any]:
    """What `params/SCALE.yml` overrides in a chapter; nothing at scale `paper`.

    Raises:
        ParameterError: the scale is unknown, or its file is malformed or names an unknown chapter
            or parameter.
    """
    if scale not in SCALES:
        raise ParameterError(f"there is no scale {scale!r}; choose one of {', '.join(SCALES)}")
    if scale == "paper":
        return {}
    sections = {
        section: checked_mapping(values or {}, f"params/{scale}.yml, under `{section}`,")
        for section, values in mapping(root, f"params/{scale}.yml").items()
    }
    common = sections.pop("all", {})
    chapters = names(root)
    for section in sections:
        if section not in chapters:
            raise ParameterError(
                f"params/{scale}.yml has a section for the chapter {section!r}, which does not "
                f"exist{nearest(section, chapters)}"
            )
    declared = {key for chapter in chapters for key in parameters(chapter, root)}
    for key in common:
        if key not in declared:
            raise ParameterError(
                f"params/{scale}.yml overrides {key!r} under `all`, but no chapter has that "
                f"parameter{nearest(key, declared)}"
            )
    mine = parameters(name, root)
    return {key: common[key] for key in common if key in mine} | sections.get(name, {})


def settings(
    name: str, scale: str, overrides: Mapping[str, Any], root: Path = ROOT
) -> dict[str, Value]:
    """All parameters of a chapter at a scale: paper values, then the scale's, then the overrides.

    Raises:
        ParameterError: as `check` and `scale_overrides` do.
        ChapterError: the page has no code.
        AssetError: a text or a model of the user's cannot be read.
    """
    if not has_code(name, root):
        raise ChapterError(f"page {name} has no code, so there is nothing to execute")
    from_scale = scale_overrides(name, scale, root)
    try:
        check(name, from_scale, root)
    except ParameterError as error:
        raise ParameterError(f"params/{scale}.yml: {error}") from error
    values = check(name, from_scale | dict(overrides), root) | {"scale": scale}
    for key, named in NAMED.items():
        if key in values:
            values[key] = named(str(values[key]))
    return values


def changed(name: str, values: Mapping[str, Value], root: Path = ROOT) -> dict[str, Value]:
    """Those of `values` that differ from the paper's."""
    known = parameters(name, root)
    return {key: value for key, value in values.items() if value != known[key].default}


def arms(name: str, values: Mapping[str, Value], root: Path = ROOT) -> dict[str, Arm]:
    """What the chapter's cell tagged `arms` makes of some settings; none without such a cell.

    Args:
        values: all parameters of the chapter, as `settings` gives them.

    Raises:
        ChapterError: the cell stops, or does not set `arms` to a mapping of Arms.
    """
    for cell in read(name, root).cells:
        if "arms" in cell.metadata.get("tags", []):
            cell_of = f"the cell tagged 'arms' of chapter {name}"
            namespace: dict[str, Any] = dict(values)
            try:
                exec(compile(cell.source, f"<arms of chapter {name}>", "exec"), namespace)
            except BookError:
                raise
            except Exception as error:
                said = " ".join(f"{type(error).__name__}: {error}".split())
                raise ChapterError(f"{cell_of} stops with {said}; mend it") from error
            if "arms" not in namespace:
                raise ChapterError(f"{cell_of} sets no `arms`; mend it")
            found = namespace["arms"]
            if not isinstance(found, dict) or not all(isinstance(a, Arm) for a in found.values()):
                raise ChapterError(f"{cell_of} must set `arms` to a mapping of Arms; mend it")
            return found
    return {}


def wanted(names_: Sequence[str], scale: str, overrides: Mapping[str, Any]) -> list[Protocol]:
    """The runs that some chapters would compute at a scale, each once, the most valuable first.

    A chapter's own setting, which is its first arm, goes before its other arms, and all settings
    with one seed before any with the next.

    Args:
        names_: of chapters; all that have arms, if none is given.

    Raises:
        BookError: a name or a parameter is refused, or a record is damaged.
    """
    from collapse.experiment import loop

    if not names_:
        names_ = [n for n in names() if arms(n, settings(n, scale, {}))]
    found = [arms(name, settings(name, scale, overrides)) for name in names_]
    own = {next(iter(each.values())).protocol.arm_hash for each in found if each}
    runs = [run for each in found for arm in each.values() for run in loop.missing(arm)]
    runs.sort(key=lambda run: (run.arm_hash not in own, run.seed))
    return list({run.hash: run for run in runs}.values())


def recorded(values: Mapping[str, Any]) -> list[Any]:
    """The committed `loop.Run`s of a chapter's own setting.

    Where none is of the paper's model those of its stand-in count, which a machine without a model
    hub can have; a record says by itself which model it is of.

    Args:
        values: all parameters of the chapter, as `settings` gives them.
    """
    from collapse.experiment import loop

    protocol = Protocol.among(dict(values))
    stand_in = [STAND_IN] if protocol.model == Protocol().model else []
    for model in [protocol.model, *stand_in]:
        runs = loop.arm(Arm(protocol.replace(model=model), values["seeds"], "none"))
        if runs:
            return runs
    return []


def published(name: str, protocol: Protocol, root: Path = ROOT) -> dict[str, list[Any]]:
    """The committed runs of a chapter's own settings at scales other than the one at hand.

    Args:
        protocol: what the chapter computes; an arm that it belongs to is left out.

    Returns:
        label -> `loop.Run`s; a scale without records is left out.
    """
    found = {}
    for scale in PUBLISHED:
        runs = recorded(settings(name, scale, {}, root))
        if runs and runs[0].record.protocol.arm_hash != protocol.arm_hash:
            found[f"published, {scale} scale"] = runs
    return found
