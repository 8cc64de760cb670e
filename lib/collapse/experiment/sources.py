"""Texts and models of one's own: known by file name and content, not by where they lie.

A path that a user gives becomes `FILENAME@HASH`, with the first twelve hexadecimal digits of a
SHA-256 of the content. Protocols, records and pages hold that name alone, so what was edited is
another experiment, and the same text in another folder is the same. In the cache lies, under the
name, a copy of a text; of a model, which may be large, where it was found.
"""

import codecs
import functools
import re
from collections.abc import Iterable
from pathlib import Path

from collapse.experiment.assets import AssetError, atomic, cache_dir, expanded, folder_hashes
from collapse.experiment.protocol import Protocol, ProtocolError, digest

TEXTS = ("wikitext2", "sotu")
MODELS = ("facebook/opt-125m", "smollm2-135m", "tiny", "mini")
LONGEST = 60  # bytes of a file's name that are kept, for it is part of other files' names

_NAMED = re.compile(r"([^/\\]+)@([0-9a-f]{12})")


def name_text(given: str) -> str:
    """The name of a text that a user gave: itself if it is one, else that of the file there.

    Raises:
        AssetError: there is no such file, it is not UTF-8, or it has too few lines to be split.
    """
    if given in TEXTS:
        return given
    if _hash(given):
        read_text(given)
        return given
    content = _read(given)
    lines = len(content.removesuffix("\n").split("\n")) if content.strip() else 0
    if lines < 10:
        raise AssetError(
            f"corpus {given!r} has {lines} of the 10 lines of text that it needs at least, since "
            "the last two tenths are for validation and testing; give more, or break it into lines"
        )
    name = _name(expanded(given, "corpus").resolve(), digest(content))
    with atomic(_place(name)) as temporary:
        temporary.write_bytes(content.encode())
    return name


def name_model(given: str) -> str:
    """The name of a model that a user gave: itself, or that of the folder there.

    Raises:
        AssetError: a path, not a name of the model hub, is no folder of a model.
    """
    if given in MODELS or (_hash(given) and model_folder(given)):
        return given
    try:
        folder = expanded(given, "model").resolve()
        if not given or not folder.is_dir():
            if not given or given.count("/") > 1 or _is_path(given) or folder.is_file():
                raise AssetError(
                    f"model {given!r} is no folder here; give a model's folder, a name of the "
                    "model hub, smollm2-135m or tiny"
                )
            return given
        name = _name(folder, _folder_digest(folder))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AssetError(f"cannot read the model {given!r} ({reason}); give another") from error
    if _found(name) is None:  # not where a copy that may be gone tomorrow takes its place
        with atomic(_place(name)) as temporary:
            temporary.write_text(str(folder), encoding="utf-8")
    return name


def read_text(name: str) -> str:
    """One's own text, by a name that `name_text` gave; line ends are `\\n`.

    Raises:
        AssetError: it is not in the cache, or was damaged there.
    """
    try:
        content = _place(name).read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        content = ""
    if _hash(name) != digest(content)[:12]:
        raise AssetError(
            f"the text {name} is not in the cache, or was changed there; give the path of "
            f"{label(name)} again, as in corpus=PATH"
        )
    return content


def model_folder(name: str) -> Path | None:
    """Where a model lies, by a name that `name_model` gave or by its path; None for any other.

    Raises:
        AssetError: the folder is not there any more, or has changed since it was named.
    """
    if not _hash(name):
        folder = expanded(name, "model").resolve() if _is_path(name) else None
        return folder if folder and folder.is_dir() else None
    if folder := _found(name):
        return folder
    raise AssetError(
        f"the folder of the model {name} is not known here, or has changed since it was named; "
        f"give the path of {label(name)} again, as in model=PATH (what changed is another model)"
    )


def label(name: str) -> str:
    """The name of a text or model as readers see it, without its hash."""
    if found := _NAMED.fullmatch(name):
        return found[1]
    return Path(name).name if _is_path(name) else name  # a record from before names had hashes


def labels(names: Iterable[str]) -> dict[str, str]:
    """The label of each of some names, with the hash where two would read alike."""
    found = {name: label(name) for name in names}
    return found if len(set(found.values())) == len(found) else {name: name for name in found}


def title(name: str) -> str:
    """A text as a sentence calls it."""
    return {"wikitext2": "WikiText-2", "sotu": "State of the Union"}.get(name) or label(name)


def same(one: str, other: str) -> bool:
    """Whether two names of texts, or of models, stand for the same content."""
    return one == other or (_hash(one) != "" and _hash(one) == _hash(other))


def check(protocol: Protocol) -> None:
    """Refuse a protocol that knows its text or model by a path, which says nothing of content.

    Raises:
        ProtocolError: one is a path.
    """
    if protocol.corpus not in TEXTS and not _hash(protocol.corpus):
        raise ProtocolError(
            f"corpus={protocol.corpus!r} is not the name of a text; give sources.name_text of it"
        )
    if _is_path(protocol.model):
        raise ProtocolError(
            f"model={protocol.model!r} is a path, not a name; give sources.name_model of it"
        )


def _read(given: str) -> str:
    """The text of a file, without byte-order mark, its line ends made `\\n`."""
    try:
        content = expanded(given, "corpus").read_bytes().removeprefix(codecs.BOM_UTF8).decode()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise AssetError(
            f"corpus {given!r} is neither {' nor '.join(TEXTS)} nor a file here; give one of these"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AssetError(
            f"cannot read the corpus {given!r} as UTF-8 text ({reason}); give a text file in UTF-8"
        ) from error
    return content.replace("\r\n", "\n").replace("\r", "\n")


def _found(name: str) -> Path | None:
    """The folder of a named model, if its content is still that of the name."""
    try:
        folder = Path(_place(name).read_text(encoding="utf-8"))
        return folder if _folder_digest(folder)[:12] == _hash(name) else None
    except (OSError, ValueError, AssetError):
        return None


def _hash(name: str) -> str:
    """The hash in a name, or nothing."""
    found = _NAMED.fullmatch(name)
    return found[2] if found else ""


def _name(path: Path, content: str) -> str:
    """A file's name with nothing in it that is special to a shell, to markup or to a disk."""
    plain = re.sub(r"[^\w.+-]+", "-", path.name).encode()[:LONGEST].decode(errors="ignore")
    return f"{plain}@{content[:12]}"


def _place(name: str) -> Path:
    return cache_dir() / "sources" / name


def _is_path(given: str) -> bool:
    """Whether it can only be a path: absolute, or relative to a folder that it names."""
    return given.startswith((".", "~")) or Path(given).is_absolute()


def _folder_digest(folder: Path) -> str:
    """Of the content of all files that decide what a model computes; read once if unchanged."""
    stats = [(file.name, file.stat()) for file in sorted(folder.iterdir())]
    return _digest_of(
        folder, tuple((name, s.st_size, s.st_mtime_ns, s.st_ino) for name, s in stats)
    )


@functools.lru_cache
def _digest_of(folder: Path, _: tuple) -> str:
    if not (hashes := folder_hashes(folder)):
        raise AssetError(f"the folder {folder} holds no file of a model; give another")
    return digest(hashes)
