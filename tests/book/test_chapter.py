"""Chapters: what is asked of one is checked before a kernel starts; equal runs give equal bytes."""

import ast
import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, get_origin

import nbformat
import pytest
from click.testing import CliRunner
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pydantic import ValidationError

import index
from collapse import cli
from collapse.book import chapter, execution, parameters
from collapse.book.notebook import normalise
from collapse.experiment import records
from collapse.experiment.arms import Run
from collapse.experiment.assets import ROOT
from collapse.experiment.protocol import Protocol, ProtocolError
from toy_records import make_record
from toys import at, make_book


@pytest.fixture
def book(root: Path) -> Path:
    return make_book(root)


def test_parameters_carry_type_default_help_and_unit(book: Path) -> None:
    found = chapter.parameters("toy")
    assert {key: parameters.type_name(one) for key, one in found.items()} == {
        "scale": "str", "generations": "int", "lr": "float", "seeds": "list[int]",
        "names": "list[str]", "decoding": "str", "quiet": "bool",
    }  # fmt: skip
    assert (found["lr"].default, found["lr"].description) == (2e-5, "peak learning rate")
    assert found["generations"].description == "models in the chain"
    assert found["generations"].json_schema_extra == {"unit": "models"}
    assert found["seeds"].default == [0, 1]
    assert found["quiet"].description == ""


def test_a_page_of_prose_has_no_parameters(book: Path) -> None:
    assert chapter.parameters("index") == {}
    assert chapter.names() == ["toy"]
    assert chapter.title("toy") == "A toy chapter"


def test_a_page_that_was_changed_is_read_again_and_no_reader_changes_it(book: Path) -> None:
    chapter.read("toy").cells.clear()
    assert chapter.title("toy") == "A toy chapter"
    path = book / "chapters/toy.md"
    path.write_text(path.read_text().replace("A toy chapter", "Another chapter"))
    assert chapter.title("toy") == "Another chapter"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"generatoins": 3}, "has no parameter 'generatoins'; did you mean 'generations'?"),
        ({"lr": "fast"}, "takes a value of type float, not 'fast'; write for example lr=2e-05"),
        ({"generations": "2.5"}, "takes a value of type int"),
        ({"generations": True}, "takes a value of type int"),
        ({"quiet": "2"}, "takes a value of type bool"),
        ({"seeds": "3"}, "write for example seeds=[0,1]"),
        ({"seeds": ["x"]}, "takes a value of type list[int]"),
        ({"decoding": 3}, "takes a value of type str"),
        ({"generations": "0"}, "generations=0 is out of range"),
        ({"decoding": "bean"}, "decoding='bean' is not one of: beam, sample, greedy"),
        ({"scale": "laptop"}, "choose it with --scale"),
    ],
)
def test_a_wrong_override_is_refused_in_one_sentence(
    book: Path, overrides: dict[str, object], said: str
) -> None:
    with pytest.raises(parameters.ParameterError) as refusal:
        chapter.check("toy", overrides)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("1e-4", "float", 1e-4),
        ("3", "float", 3.0),
        ("010", "int", 10),
        ("007", "str", "007"),
        ("true", "bool", True),
        ("[0, 1]", "list[int]", [0, 1]),
        ("[1, 0.5]", "list[float]", [1.0, 0.5]),
        ('["no", "yes"]', "list[str]", ["no", "yes"]),
        ("[1, 1e-3]", "list[int]", None),
        ("nan", "float", None),
        ("[1", "list[int]", None),
    ],
)
def test_a_text_is_read_as_a_value_of_the_type(text: str, kind: str, value: object) -> None:
    default = {"int": 1, "float": 1.0, "str": "x", "bool": False}.get(kind, [])
    model = parameters.model(f"x: {kind} = {default!r}")
    if value is None:
        with pytest.raises(ValidationError):
            model(x=text)
    else:
        found = model(x=text).x
        assert found == value and type(found) is type(value)


def test_overrides_win_over_the_scale_and_the_scale_over_the_paper(root: Path) -> None:
    laptop = """
        all: {lr: 1e-3, seeds: [7]}
        toy: {generations: 3, seeds: [8]}
    """
    make_book(root, laptop=laptop)
    values = chapter.settings("toy", "laptop", {"generations": "2"})
    assert (values["generations"], values["lr"], values["seeds"]) == (2, 1e-3, [8])
    assert values["scale"] == "laptop"
    assert chapter.changed("toy", values).keys() == {"scale", "generations", "lr", "seeds"}
    paper = chapter.settings("toy", "paper", {})
    assert chapter.changed("toy", paper) == {}


@pytest.mark.parametrize(
    ("laptop", "said"),
    [
        ("toi: {lr: 1e-3}", "does not exist; did you mean 'toy'?"),
        ("toy: {epoch: 1}", "params/laptop.yml: chapter toy has no parameter 'epoch'"),
        (
            "all: {sceds: [1]}",
            "parameter 'sceds', which does not exist; did you mean 'seeds'?",
        ),
        ("toy: {generations: 0}", "params/laptop.yml: chapter toy: generations=0 is out of range"),
        ("all: {scale: smoke}", "choose it with --scale"),
    ],
)
def test_a_wrong_scale_file_is_refused(root: Path, laptop: str, said: str) -> None:
    make_book(root, laptop=laptop)
    with pytest.raises(parameters.ParameterError) as refusal:
        chapter.settings("toy", "laptop", {})
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    "line", ["n = 3", "n: int = 'x'", "n: complex = 1", "n: int = 1 + x", "n: int"]
)
def test_a_malformed_parameter_line_is_refused(book: Path, line: str) -> None:
    path = book / "chapters/toy.md"
    path.write_text(path.read_text().replace("quiet: bool = False", line))
    with pytest.raises(parameters.ParameterError, match="does not read `name: type = value`"):
        chapter.parameters("toy")


def test_a_page_without_code_is_not_executed(book: Path) -> None:
    with pytest.raises(chapter.ChapterError, match="nothing to execute"):
        execution.execute("index", "laptop", {}, book / "_build")


def test_an_unknown_chapter_is_refused_with_the_nearest_name(book: Path) -> None:
    with pytest.raises(chapter.ChapterError, match="did you mean 'toy'"):
        chapter.read("toyy")


def test_the_command_line_refuses_in_one_sentence_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise parameters.ParameterError("chapter toy has no parameter 'x'")

    monkeypatch.setattr(cli.pages, "run_chapters", refuse)
    done = CliRunner().invoke(cli.main, ["run", "toy", "-p", "x=1"])
    assert done.exit_code == 2
    assert done.output == "Error: chapter toy has no parameter 'x'\n"
    assert CliRunner().invoke(cli.main, ["run", "toy", "-p", "x"]).exit_code == 2


def test_the_arms_of_a_chapter_are_those_of_its_cell_and_none_without_one(root: Path) -> None:
    make_book(root)
    values = chapter.settings("toy", "laptop", {"seeds": "[4, 2]"})
    assert chapter.arms("toy", values) == {}
    tagged = ":tags: [arms]\n\nfrom collapse.experiment.protocol import Arm, Protocol\n"
    make_book(root, tagged + 'arms = {"own": Arm(Protocol.among(globals()), seeds, "none")}')
    (arm,) = chapter.arms("toy", values).values()
    assert [(run.seed, run.generations) for run in arm.runs()] == [(0, 3), (2, 3), (4, 3)]
    make_book(root, tagged + "print()")
    with pytest.raises(chapter.ChapterError, match="must set `arms` to a mapping of Arms"):
        chapter.arms("toy", values)


# -- executing -------------------------------------------------------------------------------


def executed_notebook(stdout: list[str], started: str) -> nbformat.NotebookNode:
    """What papermill could leave behind: timings, host paths, random ids, cut-up streams."""
    figure = {"id": "fig-a", "caption": "A *line*.", "alt": "A straight line."}
    injected = new_code_cell("generations = 3", metadata={"tags": ["injected-parameters"]})
    shown = [new_output("stream", name="stdout", text=text) for text in stdout]
    shown.insert(1, new_output("stream", name="stderr", text=f"warning of {started}\n"))
    shown.append(new_output("display_data", {"image/png": "AA"}, metadata={"collapse": figure}))
    shown.append(new_output("display_data", {"text/html": "<p>card</p>"}))
    plot = new_code_cell("plot()", outputs=shown, execution_count=2)
    notebook = new_notebook(cells=[new_markdown_cell("# Title"), injected, plot])
    for cell in notebook.cells:
        cell.metadata["papermill"] = {"start_time": started}
    notebook.metadata.papermill = {"output_path": f"/home/{started}/x.ipynb"}
    notebook.metadata.jupytext = {"formats": "md:myst"}
    notebook.metadata.language_info = {"name": "python", "version": "3.11.7"}
    return notebook


def test_normalised_notebooks_of_equal_runs_are_equal_bytes() -> None:
    one = normalise(executed_notebook(["a\n"], "monday"))
    two = normalise(executed_notebook(["a\n"], "tuesday"))
    assert nbformat.writes(one) == nbformat.writes(two)
    assert nbformat.writes(normalise(one)) == nbformat.writes(one)
    for word in ("monday", "papermill", "jupytext", "3.11.7", "stderr"):
        assert word not in nbformat.writes(one)
    nbformat.validate(one)


def test_figures_are_lifted_and_injected_cells_hidden() -> None:
    cells = normalise(executed_notebook(["a\n"], "monday")).cells
    assert cells[1].metadata["tags"] == ["injected-parameters", "hide-input"]
    assert cells[2].metadata["mystnb"] == {
        "figure": {"name": "fig-a", "caption": "A *line*."},
        "image": {"alt": "A straight line."},
    }
    assert [output.output_type for output in cells[2].outputs] == ["stream", "display_data"]
    assert cells[3].outputs[0]["data"] == {"text/html": "<p>card</p>"}
    assert "mystnb" not in cells[3].metadata
    assert [cell.id for cell in cells] == ["cell-0001", "cell-0002", "cell-0003", "cell-0004"]


def test_parameters_that_tell_a_reader_nothing_are_not_shown() -> None:
    tags = ["injected-parameters", "remove-cell"]
    told = new_notebook(cells=[new_code_cell("scale = 'laptop'", metadata={"tags": tags})])
    assert normalise(told).cells[0].metadata["tags"] == tags


def test_a_chapter_is_executed_once_for_the_same_settings(root: Path, tmp_path: Path) -> None:
    code = "import os, sys; print(generations, lr, os.environ['COLLAPSE_BUILD'], sys.executable)"
    make_book(root, code)
    build = tmp_path / "build"
    done = build / "executed/toy.ipynb"
    assert execution.execute("toy", "laptop", {"lr": "1e-3"}, build)
    first = done.read_bytes()
    assert f"3 0.001 {build}" in first.decode()
    assert not (build / "executed/toy.failed.ipynb").exists()
    assert not execution.execute("toy", "laptop", {"lr": "1e-3"}, build)
    assert execution.execute("toy", "laptop", {"lr": "1e-3"}, build, force=True)
    assert done.read_bytes() == first
    (root / "records/new.json").write_text("{}")
    assert execution.execute("toy", "laptop", {"lr": "1e-3"}, build)


def test_what_a_cell_prints_is_one_output_however_it_was_cut(root: Path, tmp_path: Path) -> None:
    code = "import sys, time\nfor part in 'abc':\n    print(part, flush=True)\n"
    code += "    print('seen', file=sys.stderr, flush=True)\n    time.sleep(0.3)"
    make_book(root, code)
    execution.execute("toy", "laptop", {}, tmp_path / "build")
    last = nbformat.read(tmp_path / "build/executed/toy.ipynb", as_version=4).cells[-1]
    assert [(one.name, one.text) for one in last.outputs] == [("stdout", "a\nb\nc\n")]


def test_a_failing_chapter_says_why_and_leaves_the_earlier_result(
    root: Path, tmp_path: Path
) -> None:
    make_book(root, "assert generations < 5, 'too long a chain'")
    build = tmp_path / "build"
    execution.execute("toy", "laptop", {}, build)
    before = (build / "executed/toy.ipynb").read_bytes()
    with pytest.raises(chapter.ChapterError, match="AssertionError: too long a chain") as failure:
        execution.execute("toy", "laptop", {"generations": 9}, build)
    assert "\n" not in str(failure.value)
    assert (build / "executed/toy.failed.ipynb").exists()
    assert (build / "executed/toy.ipynb").read_bytes() == before


@pytest.mark.parametrize(
    "error",
    [
        "bench.measured.BenchError",
        "book.chapter.ParameterError",
        "book.gallery.GalleryError",
        "book.site.SiteError",
    ],
)
def test_any_refusal_of_the_book_s_crosses_the_kernel_as_its_sentence(
    root: Path, tmp_path: Path, error: str
) -> None:
    room, module, name = error.split(".")
    sentence = "the bench file is damaged;\nmeasure again"
    code = f"from collapse.{room} import {module}\n\nraise {module}.{name}({sentence!r})"
    make_book(root, code)
    with pytest.raises(chapter.ChapterError) as failure:
        execution.execute("toy", "laptop", {}, tmp_path / "build")
    assert str(failure.value) == sentence


def test_an_error_of_several_lines_is_told_whole(root: Path, tmp_path: Path) -> None:
    make_book(root, "raise ValueError('two shapes differ:\\n  (3,)\\n  (4,)')")
    with pytest.raises(chapter.ChapterError, match=r"ValueError: two shapes differ: \(3,\) \(4,\)"):
        execution.execute("toy", "laptop", {}, tmp_path / "build")


def test_a_chapter_is_executed_again_for_another_matplotlib_or_bench_file(
    book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = chapter.settings("toy", "laptop", {})
    stamps = [execution.stamp("toy", values, tmp_path)]
    (book / "records/.DS_Store").write_text("left by a file manager")
    assert execution.stamp("toy", values, tmp_path) == stamps[0]
    (tmp_path / "bench-cpu.json").write_text("{}")
    stamps.append(execution.stamp("toy", values, tmp_path))
    version = execution.importlib.metadata.version
    newer = {"matplotlib": "99.0"}
    monkeypatch.setattr(
        execution.importlib.metadata, "version", lambda name: newer.get(name) or version(name)
    )
    stamps.append(execution.stamp("toy", values, tmp_path))
    assert len(set(stamps)) == 3


NUMBERLESS = {"IPython", "myst_nb", "accelerate", "filelock", "huggingface_hub", "tqdm"}


def test_a_chapter_is_executed_again_for_every_package_that_computes_its_numbers() -> None:
    rooms = ("laws", "measure", "experiment", "watch")
    modules = [
        *(ROOT / "chapters").glob("*.py"),
        *(path for room in rooms for path in (ROOT / "lib/collapse" / room).glob("*.py")),
    ]
    tops = set()
    for module in modules:
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            named = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            named += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            tops |= {name.partition(".")[0] for name in named}
    tops -= {*sys.stdlib_module_names, "", "collapse", *(module.stem for module in modules)}
    used = {name.replace("sklearn", "scikit-learn") for name in tops - NUMBERLESS}
    assert used and used <= {*execution.DEPENDENCIES}


def test_one_figure_is_made_without_what_comes_after_it(root: Path, tmp_path: Path) -> None:
    first = "folder = __import__('pathlib').Path(__import__('os').environ['COLLAPSE_BUILD'])"
    cells = [
        f"{first}\n(folder / 'figures').mkdir(parents=True, exist_ok=True)",
        "def show(id): (folder / 'figures' / f'{id}.svg').write_text(f'{generations}')",
        'show(id="fig-one")',
        'show(id="fig-two")',
        "raise SystemExit('what comes after was executed')",
    ]
    code = "\n```\n\n```{code-cell} python\n".join(cells)
    make_book(root, code)
    build = tmp_path / "build"
    assert execution.figures() == {"fig-one": "toy", "fig-two": "toy"}
    made = execution.make_figure("fig-one", "laptop", {"generations": "4"}, build)
    assert made.read_text() == "4"
    assert not (build / "figures/fig-two.svg").exists()
    assert not list((build / "executed").iterdir())
    with pytest.raises(chapter.ChapterError, match="no figure 'fig-tow'; did you mean 'fig-two'"):
        execution.make_figure("fig-tow", "laptop", {}, build)
    with pytest.raises(parameters.ParameterError, match="has no parameter 'x'"):
        execution.make_figure("fig-one", "laptop", {"x": "1"}, build)


# -- the book's own chapters -----------------------------------------------------------------

# Where a chapter's own setting is not the first one of the paper, which is the default.
SAMPLED = {"train_blocks": 1500, "generations": 9, "decoding": "sample", "top_p": 0.9}
OWN: dict[str, dict[str, Any]] = {
    "no-retention": {},
    "ten-percent-retention": {"epochs": 10, "retained": 0.1},
    "does-entropy-fall": {},
    "how-is-the-text-written": {},
    "replace-or-accumulate": {"train_blocks": 18000, "retained": 0.1},
    "how-much-human-text": {"train_blocks": 18000},
    "would-you-have-noticed": SAMPLED,
    "is-it-already-happening": SAMPLED,
}


def test_the_cells_of_chapters_that_run_are_the_protocol_with_their_own_settings() -> None:
    running = [name for name in chapter.names() if "compute" in chapter.parameters(name)]
    assert set(running) == set(OWN)
    asked = {"corpus", "generations", "lr", "batch", "seed"}  # by every one of them
    for name in running:
        found = chapter.parameters(name)
        fields = {one.name: one for one in dataclasses.fields(Protocol) if one.name in found}
        assert asked | ({"beams"} if found["decoding"].default == "beam" else set()) <= set(fields)
        for key, one in fields.items():
            kind = str if get_origin(one.type) is Literal else one.type
            assert found[key].annotation is kind, (name, key)
            assert found[key].default == OWN[name].get(key, one.default), (name, key)


def test_the_analysis_of_one_chapter_decides_the_stamp_of_no_other(tmp_path: Path) -> None:
    source = execution.assets.ROOT
    for name in ("chapters", "params", "_toc.yml", "figures.yml", "claims.yml", "references.bib"):
        (tmp_path / name).symlink_to(source / name)
    (tmp_path / "chapters").unlink()
    (tmp_path / "chapters").mkdir()
    for path in (source / "chapters").iterdir():
        (tmp_path / "chapters" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "records").mkdir()

    def stamps() -> dict[str, str]:
        return {name: execution.stamp(name, {}, tmp_path) for name in chapter.names()}

    with at(tmp_path):
        before = stamps()
        with (tmp_path / "chapters/does_entropy_fall.py").open("a") as file:
            file.write("\n# A remark.\n")
        after = stamps()
        (tmp_path / "params").unlink()  # pages show the settings of other scales, and chapters
        (tmp_path / "params").mkdir()
        scaled = stamps()
        page = tmp_path / "chapters/no-retention.md"
        page.write_text(page.read_text().replace("epochs: int = 5 ", "epochs: int = 6 ", 1))
        again = stamps()
    assert [name for name in before if before[name] != after[name]] == ["does-entropy-fall"]
    for one, other in ((after, scaled), (scaled, again)):
        assert all(one[name] != other[name] for name in one)


def test_no_module_of_the_book_needs_torch_to_be_imported() -> None:
    folder = Path(execution.__file__).parent
    modules = ", ".join(f"collapse.book.{path.stem}" for path in sorted(folder.glob("[!_]*.py")))
    code = f"import sys, collapse.book, collapse.cli, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_the_stand_in_is_shown_where_the_paper_s_model_has_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "published", lambda: tmp_path)
    values = chapter.settings("no-retention", "paper", {})
    paper = Protocol.among(values)
    assert chapter.recorded(values) == []
    assert not any(one.runs or one.large for one in index.settings())
    stand_in = paper.replace(model="smollm2-135m")
    records.write(make_record(stand_in, scale="paper"), tmp_path)
    (found,) = chapter.recorded(values)
    assert found.record.protocol == stand_in
    records.write(make_record(paper, scale="paper"), tmp_path)
    (found,) = chapter.recorded(values)
    assert found.record.protocol == paper
    assert chapter.recorded(values | {"model": "tiny"}) == []


def test_the_best_published_scale_is_in_front_unless_a_rerun_asks_for_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "published", lambda: tmp_path)
    usual, night = (
        Protocol.among(chapter.settings("no-retention", scale, {}))
        for scale in ("laptop", "overnight")
    )

    def front(protocol: Protocol, seed: int = 0, scale: str = "laptop") -> tuple[str, list[str]]:
        own = [Run(make_record(protocol.replace(seed=seed), scale=scale), computed=True)]
        runs, behind = chapter.front("no-retention", scale, protocol, own)
        return runs[0].record.provenance["scale"], list(behind)

    assert front(usual) == ("laptop", [])
    records.write(make_record(night, scale="overnight"), tmp_path)
    assert front(usual) == ("overnight", ["laptop scale"])
    assert front(usual.replace(epochs=2)) == ("laptop", ["overnight scale"])
    assert front(usual, seed=9) == ("laptop", ["overnight scale"])
    assert front(usual, scale="smoke") == ("smoke", ["overnight scale"])
    assert front(night, scale="overnight") == ("overnight", [])
    records.write(make_record(usual, scale="laptop"), tmp_path)
    assert front(usual.replace(epochs=2)) == ("laptop", ["overnight scale", "laptop scale"])
    assert chapter.front("no-retention", "paper", Protocol(), [])[0][0].record.protocol == night


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("how-much-human-text", {"shares": "[0,1]"}, "must hold 0, 1 and something between"),
        ("how-much-human-text", {"shares": "[0,0.5,1,1.5]"}, "must hold 0, 1 and something"),
        ("how-much-human-text", {"mend_after": "[]"}, "must hold 0, the control"),
        ("how-much-human-text", {"mend_after": "[2]"}, "must hold 0, the control"),
        ("how-much-human-text", {"mend_blocks": "[]"}, "must hold numbers of blocks"),
        ("how-much-human-text", {"generations": 2}, "give at least 3"),
        ("replace-or-accumulate", {"retained": 0}, "leaves no mixture to look at"),
        ("replace-or-accumulate", {"chains": 0}, "leave nothing to compare"),
        ("replace-or-accumulate", {"train_blocks": 0}, "train_blocks=0 trains on all of it"),
    ],
)
def test_what_a_chapter_cannot_show_is_refused_before_anything_is_computed(
    name: str, given: dict[str, object], said: str
) -> None:
    with pytest.raises(ProtocolError, match=said):
        chapter.arms(name, chapter.settings(name, "laptop", given))
