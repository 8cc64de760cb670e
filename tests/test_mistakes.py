"""Mistakes that users make, each command fed a dozen: one sentence, before anything is computed."""

import errno
import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from collapse import cli
from collapse.book import cards, chapter, execution
from collapse.book.parameters import ParameterError
from collapse.cli import options
from collapse.errors import BookError
from collapse.sweeps import plan
from toys import make_book

WRITING = {
    "run": ["no-retention"],
    "build": [],
    "recompute": [],
    "figure": ["fig-one-axis"],
    "sweep": ["no-retention"],
    "compare": ["no-retention"],
    "assets": [],
    "bench": [],
    "site": [],
    "pdf": [],
    "release": [],
    "notebooks": [],
}
CHAPTER = "no-retention"
PARAMETERS = {
    "no value": (["seed"], "-p seed gives no value"),
    "no name": (["=3"], "has no parameter ''"),
    "twice": (["seed=1", "seed=2"], "'seed' is given twice, as '1' and as '2'"),
    "misspelt": (["sede=1"], "did you mean 'seed'?"),
    "blank": (["seed =1"], "did you mean 'seed'?"),
    "type": (["seed=one"], "takes a value of type int"),
    "range": (["retained=7"], "out of range"),
    "choice": (["decoding=bean"], "is not one of: beam"),
    "scale": (["scale=paper"], "choose it with --scale"),
    "empty": (["model="], "model= names nothing"),
    "home": (["corpus=~nobody-here/a.txt"], "corpus=~nobody-here/a.txt names a home folder"),
    "markup": (["model=/nowhere/a$b$"], "is no folder here"),
    "long": (["corpus=" + "x" * 300], "cannot read the corpus"),
}


def refused(arguments: list[str], **environment: str) -> str:
    """What a command says, which is one sentence."""
    done = CliRunner().invoke(cli.main, arguments, env=environment)
    assert done.exit_code == 2, (done.output, done.exception)
    assert isinstance(done.exception, SystemExit)
    assert done.output.startswith("Error: ") and done.output.count("\n") == 1, done.output
    return done.output


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is computed, fetched or built."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("something was begun")

    monkeypatch.setattr(execution, "_run", never)
    for name in (
        "sweeps.sweep.sweep",
        "book.compare.of_chapter",
        "experiment.corpus.load_text",
        "bench.measurement.measure",
        "book.site.stage",
    ):
        monkeypatch.setattr(f"collapse.{name}", never)


@pytest.mark.parametrize("command", WRITING)
def test_folders_are_seen_to_before_anything_is_computed(
    command: str, tmp_path: Path, alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").touch()
    deep = str(tmp_path / "/".join(["x" * 250] * 16))
    for place, said in [
        (f"{tmp_path}/file", "cannot be used (File exists); mend it, or name another with"),
        (f"{tmp_path}/file/below", "cannot be used (Not a directory)"),
        ("/proc/none/below", "cannot be used (No such file or directory)"),
        (f"{tmp_path}/{'x' * 300}", "cannot be used (File name too long)"),
        (deep, "cannot be used (File name too long)"),
        ("~nobody-here/x", "=~nobody-here/x names a home folder that is not known here"),
    ]:
        for variable in ("COLLAPSE_BUILD", "COLLAPSE_CACHE"):
            told = refused([command, *WRITING[command]], **{variable: place})
            assert said in told and variable in told
    told = refused([command, *WRITING[command]], COLLAPSE_BUILD=str(tmp_path / "thesis"))
    assert "holds 'chapter.tex', which this book did not make" in told
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    assert "home folder of this user cannot be determined" in refused([command, *WRITING[command]])


@pytest.mark.parametrize("command", ["run", "figure", "sweep", "plan", "compare"])
def test_parameters_are_refused_in_one_sentence(command: str, alone: None) -> None:
    what = "fig-no-retention-text" if command == "figure" else CHAPTER
    for given, said in PARAMETERS.values():
        options = [word for one in given for word in ("-p", one)]
        assert said in refused([command, what, *options]), given
    told = refused([command, what], BOOK_PARAMS="corpus='my text.txt")
    assert "put a value with blanks into quotes" in told
    told = refused([command, what], BOOK_PARAMS="'corpus=~nobody-here/my text.txt' seed=3")
    assert "corpus=~nobody-here/my text.txt" in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "no-retentoin"], "did you mean 'no-retention'?"),
        (["run", "index.md"], "there is no chapter 'index.md'"),
        (["run", ""], "there is no chapter ''"),
        (["figure", "fig-one-axi"], "did you mean 'fig-one-axis'?"),
        (["sweep", "nothing"], "there is no chapter 'nothing'"),
        (["sweep", "--scheduler", ""], "--scheduler is given without a value"),
        (["sweep", "--carry", ""], "--carry is given without a value"),
        (["pack", "--to", ""], "--to is given without a value"),
        (["plan", "nothing"], "there is no chapter 'nothing'"),
        (["plan", CHAPTER, "-p", "corpus=none.txt"], "none.txt"),
        (["verify", "nothing"], "has no record.json"),
        (["verify", "~nobody-here"], "has no record.json"),
        (["compare", "nothing"], "there is no record 'nothing'"),
        (["compare", "~nobody-here", "nothing"], "there is no record '~nobody-here'"),
        (["site"], "has not been executed"),
        (["release"], "there are no pages to release yet"),
        (["notebooks"], "give CITATION.cff a line repository-code"),
    ],
)
def test_what_is_not_there_is_named(arguments: list[str], said: str) -> None:
    assert said in refused(arguments)


# -- the disk, and pipes ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "cannot use the disk: No space left"),
        (OSError(errno.EACCES, "Permission denied", "/x"), "cannot use /x: Permission denied;"),
    ],
)
def test_what_the_system_refuses_is_told_with_the_remedy(
    error: OSError, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(chapter, "names", fail)
    told = refused(["list"])
    assert said in told and "COLLAPSE_BUILD" in told


def test_a_reader_that_hears_enough_is_no_mistake() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import collapse.cli as b; b.main(['list'])"],
        stdout=_closed(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert done.stderr == ""


def _closed() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


# -- files of settings -----------------------------------------------------------------------

MALFORMED = ["a: [", "- a", "3", "a: 1\na: 2", "a: {b: 1, b: 2}", "\t", "{[]: 1}", "1: a"]


@pytest.mark.parametrize("text", [*MALFORMED, "toy: 3", "toy: [generations]", b"\xff\xfe\x00"])
@pytest.mark.parametrize("name", ["params/laptop.yml", "_toc.yml", "figures.yml"])
def test_a_malformed_file_of_settings_is_named(root: Path, name: str, text: str | bytes) -> None:
    make_book(root)
    reads: dict[str, Callable[[], object]] = {
        "params/laptop.yml": lambda: chapter.settings("toy", "laptop", {}),
        "_toc.yml": lambda: chapter.names(),
        "figures.yml": lambda: cards.registry(),
    }
    (root / name).write_bytes(text.encode() if isinstance(text, str) else text)
    if name == "figures.yml" and text in ("toy: 3", "toy: [generations]"):
        text = text.replace("toy", "figures")
        (root / name).write_text(text)
    with pytest.raises(BookError) as refusal:
        reads[name]()
    assert name in str(refusal.value) and "\n" not in str(refusal.value)
    (root / name).unlink()
    with pytest.raises(BookError, match=f"{name} cannot be read"):
        reads[name]()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("toy: {generations: 3}\ntoy: {lr: 1}", "line 2 .* the key 'toy' is given twice"),
        ("all: {lr: 1}\ntoy:\n  generations: 3\n  lr: 1\n  generations: 4", "line 5 .* twice"),
    ],
)
def test_a_key_given_twice_is_named_with_its_line(root: Path, text: str, said: str) -> None:
    make_book(root, laptop=text)
    with pytest.raises(ParameterError, match=said):
        chapter.settings("toy", "laptop", {})


@pytest.mark.parametrize(
    "entry", ["3", "[a]", "{title: A}", "{title: A, topics: a}", "{title: A, topics: [a], x: 1}"]
)
def test_a_malformed_entry_of_the_figures_is_named(root: Path, entry: str) -> None:
    (root / "figures.yml").write_text(f"figures: {{fig-a: {entry}}}")
    with pytest.raises(ParameterError, match=r"figures.yml cannot be used: figures → fig-a"):
        cards.registry()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("arms = {", "stops with SyntaxError"),
        ("arms = {'own': Arn(1)}", "stops with NameError: name 'Arn' is not defined"),
        ("arms = 1 / 0", "stops with ZeroDivisionError"),
        ("import nothing_of_that_name", "stops with ModuleNotFoundError"),
        ("arms = [1]", "must set `arms` to a mapping of Arms"),
        ("arms = {'own': 3}", "must set `arms` to a mapping of Arms"),
        ("arm = {}", "must set `arms` to a mapping of Arms"),
    ],
)
def test_a_mistake_in_a_cell_of_arms_is_told(root: Path, code: str, said: str) -> None:
    make_book(root, f":tags: [arms]\n\n{code}")
    values = chapter.settings("toy", "laptop", {})
    with pytest.raises(chapter.ChapterError, match="'arms' of chapter toy") as refusal:
        chapter.arms("toy", values)
    assert said in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "config",
    ['{"model_type": "mamba"}', '{"model_type": "rwkv"}', '{"model_type": "none-such"}', "[1]",
     '{"model_type": "opt", "num_attention_heads": 0}', '{"model_type": "opt", "hidden_size": "a"}',
     '{"model_type": "gemma3"}', '{"model_type": "ctrl"}', "{}", "no JSON"],
)  # fmt: skip
def test_an_architecture_that_the_planner_does_not_know_stops_no_plan(
    tmp_path: Path, config: str
) -> None:
    (tmp_path / "config.json").write_text(config)
    assert plan.shape_of(str(tmp_path)) is None


def test_pairs_keep_what_stands_behind_the_first_equals_sign() -> None:
    assert options.pairs(["a=1=2", "b="]) == {"a": "1=2", "b": ""}
