"""Texts and models of one's own: another content is another name, another place is not."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from collapse.book import chapter, execution
from collapse.errors import BookError
from collapse.experiment import assets, bases, corpus, loop, models, records, sources
from collapse.experiment.assets import AssetError
from collapse.experiment.protocol import Protocol, ProtocolError

LINES = [f"rain and wind {number} .\n" for number in range(30)]


def write(path: Path, content: str | bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


@pytest.fixture
def weather(tmp_path: Path) -> str:
    return write(tmp_path / "mine" / "weather.txt", "".join(LINES))


def test_a_text_is_named_by_file_and_content_and_not_by_place(weather: str, tmp_path: Path) -> None:
    name = sources.name_text(weather)
    content = json.dumps("".join(LINES)).encode()
    assert name == f"weather.txt@{hashlib.sha256(content).hexdigest()[:12]}"
    assert sources.name_text(write(tmp_path / "copy" / "weather.txt", "".join(LINES))) == name
    assert sources.name_text(name) == name
    assert sources.label(name) == "weather.txt"
    assert str(tmp_path) not in corpus.load_text(weather).name


def test_equal_content_under_another_name_is_the_same_and_edited_content_is_not(
    weather: str, tmp_path: Path
) -> None:
    first = sources.name_text(weather)
    other = sources.name_text(write(tmp_path / "copy.txt", "".join(LINES)))
    assert other != first and sources.same(first, other)
    write(Path(weather), "".join([*LINES, "snow\n"]))
    assert not sources.same(first, sources.name_text(weather))
    assert sources.same("sotu", "sotu") and not sources.same("sotu", "wikitext2")


def test_an_edited_text_leaves_the_earlier_experiment_s_record(
    toy: Protocol, lines: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "weather.txt"
    made = []
    for text in (lines, lines[::-1]):
        path.write_text("".join(text), encoding="utf-8")
        made.append(loop.run(toy.replace(corpus=sources.name_text(str(path)), generations=1)))
    assert len(records.list_records(records.built())) == 2
    folder = records.built() / made[0].name
    said = "".join(
        path.read_text() for path in folder.iterdir() if path.suffix in (".json", ".csv")
    )
    assert made[0].base["name"] == "toy-opt"
    assert str(tmp_path.parent.parent) not in said  # no record holds a path
    for record in made:
        stored = records.find(record.protocol, records.built())
        assert stored is not None and stored.fingerprint == record.fingerprint


def test_an_edited_model_is_another_and_the_earlier_one_stays_what_it_was(
    toy: Protocol, model_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "toy-opt"
    shutil.copytree(model_folder, folder)
    config = folder / "config.json"

    def edit(**changes: float) -> None:
        config.write_text(json.dumps(json.loads(config.read_text()) | changes))

    assert sources.name_model(str(folder)) == toy.model
    edit(dropout=0.5)
    name = sources.name_model(str(folder))
    assert not sources.same(name, toy.model)
    edit(dropout=0.25)
    assert not sources.same(sources.name_model(str(folder)), name)
    assert [models.load(one).model.config.dropout for one in (toy.model, name)] == [0.1, 0.5]
    for copy in (sources.model_folder(name), sources.model_folder(toy.model)):
        (copy / "config.json").write_text(config.read_text())  # and never one in another's place
    with pytest.raises(AssetError, match=r"model toy-opt@\w+ .* was changed there; give the path"):
        models.load(name)
    assert sources.name_model(str(model_folder)) == toy.model  # the remedy mends it
    assert models.load(toy.model).model.config.dropout == 0.1


@pytest.mark.parametrize("field", ["corpus", "model"])
def test_a_run_by_path_is_refused(
    toy: Protocol, weather: str, model_folder: Path, field: str
) -> None:
    path = {"corpus": weather, "model": str(model_folder)}[field]
    with pytest.raises(ProtocolError, match=f"{field}='{path}' is a path.* give sources.name_"):
        loop.run(toy.replace(**{field: path}))


def test_nothing_in_the_working_folder_takes_the_place_of_what_is_built_in(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert set(bases.NAMES) < set(sources.MODELS)
    monkeypatch.chdir(tmp_path)
    for name in (*sources.MODELS, "own"):
        shutil.copytree(model_folder, tmp_path / name)
    for name in sources.TEXTS:
        write(tmp_path / name, "".join(LINES))
    assert [sources.name_model(name) for name in sources.MODELS] == list(sources.MODELS)
    assert [sources.name_text(name) for name in sources.TEXTS] == list(sources.TEXTS)
    assert sources.name_model("own") == sources.name_model(str(tmp_path / "own"))
    assert sources.name_model("./tiny").startswith("tiny@")
    assert models.source("facebook/opt-125m").folder is None


def test_byte_order_mark_and_line_ends_are_no_part_of_a_text(weather: str, tmp_path: Path) -> None:
    windows = "".join(LINES).replace("\n", "\r\n").encode("utf-8-sig")
    name = sources.name_text(write(tmp_path / "windows" / "weather.txt", windows))
    assert name == sources.name_text(weather)
    assert corpus.load_text(name).splits["train"] == LINES[:24]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has 0 of the 10 lines"),
        (b"\n" * 50, "has 0 of the 10 lines"),
        (b"one long line", "has 1 of the 10 lines"),
        (b"rain\n" * 9, "has 9 of the 10 lines"),
        ("caf\xe9\n".encode("latin-1") * 20, "as UTF-8 text .*; give .* a text file in UTF-8"),
        ("rain\n".encode("utf-16") * 20, "as UTF-8 text .*; give .* a text file in UTF-8"),
    ],
)
def test_what_is_no_text_for_a_run_is_refused_at_once(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = write(tmp_path / "text.txt", content)
    with pytest.raises(AssetError, match=rf"corpus .*{path}.* {said}") as refusal:
        sources.name_text(path)
    assert "\n" not in str(refusal.value)
    assert not list((assets.cache_dir() / "sources").glob("text.txt*"))


@pytest.mark.parametrize("naming", [sources.name_text, sources.name_model])
@pytest.mark.parametrize(
    "given",
    ["/nowhere/x", "./x", "~nobody-here/x", "y/" * 999, "a\0b", "gone@0123456789ab", ".", ""],
)
def test_what_is_not_there_is_refused_in_one_sentence(
    naming: Callable[[str], str], given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BookError) as refusal:
        naming(given)
    assert "\n" not in str(refusal.value) and "; " in str(refusal.value)


def test_a_damaged_copy_is_refused_and_the_remedy_mends_it(weather: str) -> None:
    name = sources.name_text(weather)
    (assets.cache_dir() / "sources" / name).write_text("other")
    with pytest.raises(AssetError, match=r"changed there; give the path of weather\.txt again"):
        corpus.load_text(name)
    assert sources.name_text(weather) == name
    assert corpus.load_text(name).splits["train"] == LINES[:24]


def test_a_name_has_nothing_special_to_shells_markup_or_disks(tmp_path: Path) -> None:
    for given in ("a b.txt", "$x$'\"<b>.txt", "雨" * 80 + ".txt"):
        name = sources.name_text(write(tmp_path / given, "".join(LINES)))
        assert not set(name) & set(" $'\"<>/\\") and len(name.encode()) < 80


def test_a_chapter_is_given_names_whichever_way_a_path_is_written(
    weather: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = sources.name_text(weather)
    monkeypatch.chdir(Path(weather).parent)
    for given in (weather, "weather.txt", "./weather.txt", "../mine/weather.txt", name):
        overrides = {"corpus": given, "domain": given}
        values = chapter.settings("does-entropy-fall", "laptop", overrides)
        assert values["corpus"] == values["domain"] == name
        own = {key: values[key] for key in overrides}
        told = execution.environment("x", "laptop", own, Path("build"))
        assert told["COLLAPSE_PARAMETERS"] == f"corpus={name} domain={name}"


def test_every_parameter_that_takes_a_path_is_named() -> None:
    taken = {
        key
        for name in chapter.names()
        for key, parameter in chapter.parameters(name).items()
        if parameter.annotation is str and re.search("text file|folder", parameter.description)
    }
    assert {"corpus", "domain", "model"} >= taken and taken <= set(chapter.NAMED)


def test_two_texts_of_one_file_name_are_told_apart() -> None:
    first, second = "weather.txt@0123456789ab", "weather.txt@ba9876543210"
    assert sources.labels([first, "sotu"]) == {first: "weather.txt", "sotu": "sotu"}
    assert sources.labels([first, second]) == {first: first, second: second}
