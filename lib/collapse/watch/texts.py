"""Documents and their words, read one after another, whatever a file's size."""

import gzip
import itertools
import json
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import regex
from tqdm import tqdm

from collapse.errors import BookError

KINDS = (".jsonl", ".ndjson", ".txt")  # and each with `.gz` after it
LONGEST = 2**26  # bytes of a line
PEEK = 1000  # lines that are read to see how documents are parted; a paragraph has no more
Source = str | Path | Iterable[str]  # a file, a folder, or the documents themselves

_WORD = regex.compile(r"\w+")
# Scripts that put no blanks between words.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_LETTER = regex.compile(rf"[{_UNSPACED}]\p{{M}}*|(?:(?![{_UNSPACED}])\w)+")


class WatchError(BookError):
    """What was given to compare cannot be used."""


def words(text: str) -> list[str]:
    r"""The words of a text: each longest run of letters, marks, digits and underscores.

    That is `\w+` by Unicode's rules, after normalisation (NFC) and case folding; punctuation is
    left out. In scripts without blanks between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese)
    each letter with its marks counts as a word, so a batch holds fewer sentences.
    """
    found = _WORD.findall(unicodedata.normalize("NFC", text).casefold())
    if text.isascii():
        return found
    parts = ([word] if word.isascii() else _LETTER.findall(word) for word in found)
    return list(itertools.chain.from_iterable(parts))


def documents(source: Source, field: str = "text", progress: bool = False) -> Iterator[str]:
    """The documents of a file, of a folder with all below it by name, or of an iterable of strings.

    JSONL has one a line, in `field`. In plain text a document is a paragraph, up to an empty line;
    a line, where the first thousand have no empty one among them.

    Raises:
        WatchError: a file is missing, empty, of another kind, damaged, or no UTF-8 text; or a line
            of it is no JSON, has no such field, or is longer than 64 MB.
    """
    if not isinstance(source, str | Path):
        yield from _given(source)
        return
    files = _files(Path(source))
    size = sum(file.stat().st_size for file in files)
    with tqdm(
        total=size, unit="B", unit_scale=True, desc=Path(source).name, delay=1,
        disable=None if progress else True,
    ) as bar:  # fmt: skip
        for file in files:
            yield from _documents(file, field, bar)


def _given(source: Iterable[str]) -> Iterator[str]:
    for number, document in enumerate(source):
        if not isinstance(document, str):
            raise WatchError(
                f"document {number} is a {type(document).__name__}, not a string; give the texts"
            )
        yield document


def _kind(path: Path) -> str:
    return path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix


def _files(path: Path) -> list[Path]:
    among = " or ".join([", ".join(KINDS[:-1]), KINDS[-1]]) + ", with .gz after it or not"
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if _kind(p) in KINDS and p.is_file())
        if not found:
            raise WatchError(f"the folder {path} holds no file that ends in {among}; give another")
        return found
    if not path.is_file():
        raise WatchError(f"there is no file or folder {path}; check the path")
    if _kind(path) not in KINDS:
        raise WatchError(f"{path} does not end in {among}; name it by what it holds")
    return [path]


def lines(path: Path, bar: Any = None) -> Iterator[str]:
    """The lines of a UTF-8 file, compressed if its name ends in `.gz`; raises as `documents`."""
    number = place = 0
    try:
        with path.open("rb") as raw:
            file: Any = gzip.open(raw) if path.suffix == ".gz" else raw
            for line in iter(lambda: file.readline(LONGEST), b""):
                number += 1
                if b"\0" in line:
                    raise WatchError(f"{path} is binary, by its line {number}; give a text file")
                if len(line) == LONGEST:
                    raise WatchError(
                        f"line {number} of {path} is longer than 64 MB; put one document on a line"
                    )
                if bar is not None:
                    bar.update(raw.tell() - place)
                    place = raw.tell()
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise WatchError(
            f"line {number} of {path} is not UTF-8 ({error.reason}); convert it, as with iconv"
        ) from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise WatchError(
            f"{path} is damaged after line {number} ({error}); get it again"
        ) from error
    except OSError as error:
        raise WatchError(f"cannot read {path}: {error.strerror}; give another file") from error
    if not number:
        raise WatchError(f"{path} is empty; give a file with text")


def _documents(path: Path, field: str, bar: Any) -> Iterator[str]:
    read = lines(path, bar)
    if _kind(path) != ".txt":
        for number, line in enumerate(read, 1):
            if line.strip():
                yield _entry(line, field, f"line {number} of {path}")
        return
    first = list(itertools.islice(read, PEEK))
    between = all(line.strip() for line in first)  # no empty one: a document is a line
    paragraph: list[str] = []
    for line in itertools.chain(first, read):
        if line.strip():
            paragraph.append(line)
        if paragraph and (between or not line.strip() or len(paragraph) == PEEK):
            yield "".join(paragraph)
            paragraph = []
    if paragraph:
        yield "".join(paragraph)


def _entry(line: str, field: str, where: str) -> str:
    try:
        found = json.loads(line)
    except ValueError as error:  # of which JSON's own kind is one
        raise WatchError(f"{where} is no JSON ({error}); give one object a line") from error
    except RecursionError as error:
        raise WatchError(f"{where} is nested too deeply; give one object a line") from error
    if not isinstance(found, dict):
        raise WatchError(f"{where} is no JSON object; give one object a line")
    if field not in found:
        known = ", ".join(map(repr, list(found)[:5])) or "none"
        raise WatchError(f"{where} has no field {field!r}, but {known}; name one with --field")
    if not isinstance(found[field], str):
        raise WatchError(f"the field {field!r} in {where} holds no text; name another with --field")
    return found[field]
