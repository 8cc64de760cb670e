"""Documents and words: every form of file, and one sentence for each that cannot be read."""

import gzip
import json
import random
import re
from pathlib import Path

import pytest

from collapse.watch import texts
from collapse.watch.texts import WatchError, documents, words

DOCUMENTS = ["One text.\nOf two lines.", "Ein zweiter – süßer.", "三つ"]


def jsonl(field: str = "text") -> str:
    return "".join(json.dumps({field: one, "n": 1}) + "\n" for one in DOCUMENTS)


def test_words_are_runs_of_letters_whatever_the_case_and_the_form() -> None:
    assert words("Don't STOP, 3.5 snake_case!") == ["don", "t", "stop", "3", "5", "snake_case"]
    assert words("STRASSE") == words("Straße") == ["strasse"]
    assert words("cafe\u0301") == words("caf\u00e9") == ["café"]  # composed or not
    assert words("नमस्ते दुनिया") == ["नमस्ते", "दुनिया"]  # marks are parts of words
    assert words("—…!") == []


def test_each_letter_is_a_word_where_a_script_has_no_blanks() -> None:
    assert words("你好世界 ok東京") == ["你", "好", "世", "界", "ok", "東", "京"]
    assert words("ดี") == ["ดี"]  # a letter keeps its mark


def test_words_agree_with_an_ascii_rule_on_ascii_text() -> None:
    rng = random.Random(0)
    text = "".join(rng.choice("abcXYZ019_ .,'-\n") for _ in range(20_000))
    assert words(text) == re.findall(r"[a-z0-9_]+", text.lower())


def test_the_same_documents_come_from_every_form(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\ufeff" + jsonl() + "\n", encoding="utf-8")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(jsonl().encode()))
    (tmp_path / "c.txt").write_text("\n\n".join(DOCUMENTS), encoding="utf-8")
    (tmp_path / "d.ndjson").write_text(jsonl("body"), encoding="utf-8")
    for name in ("a.jsonl", "b.jsonl.gz"):
        assert list(documents(tmp_path / name)) == DOCUMENTS
    assert [one.rstrip() for one in documents(tmp_path / "c.txt")] == DOCUMENTS
    assert list(documents(str(tmp_path / "d.ndjson"), field="body")) == DOCUMENTS
    assert list(documents(iter(DOCUMENTS))) == DOCUMENTS


def test_a_line_is_a_document_where_no_line_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"line {number}\n" for number in range(2500)))
    assert [one.strip() for one in documents(path)] == [f"line {n}" for n in range(2500)]


def test_a_folder_is_its_files_by_name_and_those_below(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/z.txt", "a.txt", "c.txt.gz"):
        content = name.encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if name[-1] == "z" else content)
    (tmp_path / "picture.png").write_bytes(b"\0")
    assert list(documents(tmp_path)) == ["a.txt", "b/z.txt", "c.txt.gz"]


def test_files_are_read_no_further_than_asked(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_text(jsonl() + "no JSON\n")
    read = documents(path)
    assert [next(read) for _ in DOCUMENTS] == DOCUMENTS
    with pytest.raises(WatchError, match=r"line 4 of .*long\.jsonl is no JSON"):
        next(read)


MALFORMED = {
    "empty.txt": (b"", "is empty"),
    "binary.txt": (b"abc\n\x00\x01", "is binary, by its line 2"),
    "latin.txt": ("plain\ncafé\n".encode("latin-1"), "line 2 of .* is not UTF-8"),
    "mixed.jsonl": (b'{"text": "a"}\n{"text": "\xe9"}\n', "line 2 of .* is not UTF-8"),
    "wrong.jsonl": (b'{"text": "a"}\n{"body": "a"}\n', "line 2 .* no field 'text', but 'body'"),
    "number.jsonl": (b'{"text": 3}\n', "line 1 .* holds no text"),
    "array.jsonl": (b"[1, 2]\n", "line 1 .* is no JSON object"),
    "broken.jsonl": (b'{"text": "a"\n', "line 1 .* is no JSON"),
    "deep.jsonl": (b"[" * 200_000 + b"\n", "line 1 .* nested too deeply"),
    "plain.jsonl.gz": (b'{"text": "a"}\n', "is damaged"),
    "cut.txt.gz": (gzip.compress(random.Random(0).randbytes(999).hex().encode())[:200], "damaged"),
    "table.csv": (b"a,b\n", "does not end in .jsonl"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_cannot_be_read_gets_one_sentence_with_file_and_remedy(
    name: str, tmp_path: Path
) -> None:
    content, told = MALFORMED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WatchError, match=told) as error:
        list(documents(tmp_path / name))
    assert name in str(error.value) and "; " in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(WatchError, match="no file or folder"):
        list(documents(tmp_path / "none.txt"))
    with pytest.raises(WatchError, match="holds no file that ends in"):
        list(documents(tmp_path))
    with pytest.raises(WatchError, match="document 1 is a int"):
        list(documents(["a", 1]))  # type: ignore[list-item]


def test_a_line_without_end_is_not_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "LONGEST", 1000)
    path = tmp_path / "one.txt"
    path.write_text("word " * 1000)
    with pytest.raises(WatchError, match=r"line 1 .* is longer than"):
        list(documents(path))
