"""Executing a chapter, all of it or up to one figure, and not twice for the same inputs."""

import hashlib
import importlib.metadata
import json
import logging
import modulefinder
import re
import shlex
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import papermill
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError

import collapse
from collapse.book import cards, folders, ledger
from collapse.book.chapter import ChapterError, changed, code, names, read, settings
from collapse.book.notebook import normalise
from collapse.book.parameters import Value, nearest, written
from collapse.errors import BookError
from collapse.experiment import assets
from collapse.experiment.assets import atomic, cache_dir, sha256_file

# What a chapter's numbers and figures depend on, besides its own text and this package.
DEPENDENCIES = (
    "torch", "transformers", "tokenizers", "numpy", "pandas", "scipy", "scikit-learn", "seaborn",
    "matplotlib", "regex",
)  # fmt: skip


def stamp(name: str, values: Mapping[str, Value], build_dir: Path) -> str:
    """SHA-256 of all that decides what an execution of the chapter gives."""
    root = assets.ROOT
    inputs = [root / "chapters" / f"{name}.md", *used(name), *root.glob("figures.yml")]
    if name == ledger.PAGE:  # other chapters get its words when pages are built
        inputs += [root / ledger.FILE, root / "references.bib"]
    inputs += [*sorted(cards.TEMPLATES.glob("*.*")), *folders.shown(root / "records")]
    inputs += [*sorted(build_dir.glob("bench-*.json")), *sorted(root.glob("params/*.yml"))]
    described = {
        "values": dict(values),
        # A page may show other chapters' settings, too.
        "parameters": [code(other)[0] for other in names()],
        "files": [[path.name, path.parent.name, sha256_file(path)] for path in inputs],
        "versions": {package: importlib.metadata.version(package) for package in DEPENDENCIES},
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def used(name: str) -> list[Path]:
    """The modules of the book that a chapter's code imports, and those that they import."""
    places = (assets.ROOT / "chapters", Path(collapse.__file__).parents[1])
    finder = modulefinder.ModuleFinder([str(place) for place in places])
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".py") as script:
        script.write("\n".join(code(name)))
        script.flush()
        finder.run_script(script.name)
    found = (vars(one)["__file__"] for key, one in finder.modules.items() if key != "__main__")
    return sorted(Path(file) for file in found if file)  # what is built in has none


def execute(
    name: str, scale: str, overrides: Mapping[str, Any], build_dir: Path, *, force: bool = False
) -> bool:
    """Execute a chapter into `build_dir/executed/NAME.ipynb`; say whether there was need to.

    Raises:
        ParameterError: the parameters are refused; no kernel has started then.
        ChapterError: the chapter stopped; `NAME.failed.ipynb` shows where, and an earlier
            `NAME.ipynb` is left as it was.
    """
    values = settings(name, scale, overrides)
    done, mark = (build_dir.resolve() / "executed" / f"{name}{end}" for end in (".ipynb", ".stamp"))
    now = stamp(name, values, build_dir)
    if not force and done.exists() and mark.exists() and mark.read_text() == now:
        return False
    notebook = _run(read(name), name, values, overrides, build_dir)
    mark.unlink(missing_ok=True)  # never an old stamp beside a new notebook
    for path, text in ((done, nbformat.writes(normalise(notebook)) + "\n"), (mark, now)):
        with atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return True


def _run(
    notebook: NotebookNode,
    name: str,
    values: Mapping[str, Value],
    overrides: Mapping[str, Any],
    build_dir: Path,
) -> NotebookNode:
    """A chapter's notebook executed; what was reached is in `NAME.failed.ipynb` if it stops."""
    logging.getLogger("papermill").setLevel(logging.ERROR)
    failed = build_dir.resolve() / "executed" / f"{name}.failed.ipynb"
    failed.parent.mkdir(parents=True, exist_ok=True)
    given = changed(name, values)
    own = {key: values[key] for key in overrides}
    told = environment(name, str(values["scale"]), own, build_dir)
    try:
        executed = papermill.execute_notebook(
            notebook,
            failed,  # saved after every cell, so that a stop leaves what was reached
            parameters=given,
            kernel_name="python3",
            kernel_manager_class=_kernel_manager(told),
            cwd=assets.ROOT / "chapters",
            progress_bar=False,
            stdout_file=sys.stdout,
            stderr_file=sys.stderr,
            execution_timeout=None,  # a generation may take hours
            coalesce_streams=True,  # how a kernel cuts its output in pieces depends on the clock
        )
    except PapermillExecutionError as error:
        said = str(error.evalue)
        if error.traceback == BookError(said)._render_traceback_():
            raise ChapterError(said) from error  # ours, and a sentence already
        said = " ".join(said.split()) or "no message"
        raise ChapterError(
            f"chapter {name} stopped with {error.ename}: {said} (see {failed})"
        ) from error
    except DeadKernelError as error:
        raise ChapterError(
            f"the kernel of chapter {name} died, most often for want of memory; close other "
            "programs or choose a smaller scale, then run the same command again"
        ) from error
    failed.unlink()
    executed.metadata["execution"] = {
        key: told[f"COLLAPSE_{key.upper()}"] for key in ("scale", "parameters")
    }
    if not set(given) - {"scale"}:  # nothing that a reader should be told
        for cell in executed.cells:
            if "injected-parameters" in cell.metadata.get("tags", []):
                cell.metadata.tags.append("remove-cell")
    return executed


def environment(
    name: str, scale: str, overrides: Mapping[str, Value], build_dir: Path
) -> dict[str, str]:
    """What the kernel of a chapter is told: where things lie, and what the cards have to say."""
    return {
        "COLLAPSE_BUILD": str(build_dir.resolve()),
        "COLLAPSE_CACHE": str(cache_dir().resolve()),
        "COLLAPSE_CHAPTER": name,
        "COLLAPSE_SCALE": scale,
        "COLLAPSE_PARAMETERS": shlex.join(f"{k}={written(v)}" for k, v in overrides.items()),
    }


def figures() -> dict[str, str]:
    """The chapter of each figure, by the identifiers in the chapters' code."""
    return {
        id: name
        for name in names()
        for source in code(name)
        for id in re.findall(r'\bid="(fig-[\w-]+)"', source)
    }


def make_figure(id: str, scale: str, overrides: Mapping[str, Any], build_dir: Path) -> Path:
    """Execute the figure's chapter up to the figure, for its files alone; return its SVG.

    Raises:
        ChapterError: no chapter has that figure, or the chapter stopped.
        ParameterError: the parameters are refused.
    """
    known = figures()
    if id not in known:
        raise ChapterError(f"there is no figure {id!r}{nearest(id, known)}")
    name = known[id]
    values, notebook = settings(name, scale, overrides), read(name)
    last = next(i for i, cell in enumerate(notebook.cells) if f'id="{id}"' in cell.source)
    notebook.cells = notebook.cells[: last + 1]
    (build_dir / "executed" / f"{name}.stamp").unlink(missing_ok=True)  # its figures may change
    _run(notebook, name, values, overrides, build_dir)
    return build_dir / "figures" / f"{id}.svg"


def _kernel_manager(environment: Mapping[str, str]) -> type[AsyncKernelManager]:
    # A kernelspec named python3 may belong to another Python of the reader's: use none.
    # The log level hides two harmless messages, about TCP and about the shutdown.
    class OwnPython(AsyncKernelManager):
        @property
        def kernel_spec(self) -> KernelSpec:
            spec = KernelSpec(**get_kernel_dict(extra_arguments=["--log-level=CRITICAL"]))
            spec.env = dict(environment)
            return spec

    return OwnPython
