"""A run on disk: write, read, list, find, verify, publish.

A record is a folder. Its facts are `record.json` (protocol, base model, corpus, training, samples,
provenance, checksums), `text.npy.xz` (every token that the generations wrote) and `arrays.npz`
(losses and counts). Everything but the provenance is a function of the protocol, and the
fingerprint covers it, whatever the compressor. Beside them `gauges.csv` holds what is derived.
"""

import functools
import hashlib
import json
import lzma
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from collapse.experiment import derived, packing
from collapse.experiment.assets import ROOT, AssetError, atomic, build_dir, locked, restore
from collapse.experiment.protocol import Protocol, ProtocolError
from collapse.experiment.record import ARRAYS, RECOVERY_ARRAYS, SCHEMA, Record, RecordError

# What reading a damaged JSON, CSV, NPZ or XZ file may raise.
DAMAGE = (
    ValueError, KeyError, TypeError, OSError, EOFError, RuntimeError,
    zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip
_KEYS = (
    "schema", "protocol", "base", "corpus", "training", "samples", "provenance", "arrays", "files",
    "fingerprint", "gauges",
)  # fmt: skip
_AGAIN = "restore the folder from git or compute the run again"


def published() -> Path:
    """The folder of committed records."""
    return ROOT / "records"


def built() -> Path:
    """The folder of records that this checkout has computed."""
    return build_dir() / "records"


def write(record: Record, folder: Path) -> Path:
    """Write a record below a folder in one step, in place of one of the same name.

    Raises:
        AssetError: the disk is full or cannot be written.
    """
    path = folder / record.name
    files, csv = packing.pack(record.arrays), derived.csv(record.generations)
    head = {
        "schema": SCHEMA,
        "fingerprint": record.fingerprint,
        "protocol": record.protocol.to_dict(),
        "base": record.base,
        "corpus": record.corpus,
        "training": record.training,
        "samples": record.samples,
        "arrays": record.contents,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "provenance": record.provenance,
        "gauges": derived.origin(csv),
    }
    text = json.dumps(head, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with locked(path):
        restore(path)
        with suppress(RecordError):  # a damaged one is replaced
            if path.exists() and _same(path, record):
                return path
        with atomic(path, replace=True) as temporary:
            temporary.mkdir()
            for name, content in {**files, derived.FILE: csv}.items():
                (temporary / name).write_bytes(content)
            (temporary / "record.json").write_text(text, encoding="utf-8", newline="\n")
    return path


def _same(path: Path, record: Record) -> bool:
    """Whether a record that is there is whole and of the same facts, its gauges among them."""
    there = _read(path)
    return there.table is not None and there.fingerprint == record.fingerprint


def read(path: Path) -> Record:
    """Read a record and check its schema, its files and its fingerprint; arrays unpack later.

    Raises:
        RecordError: a file is missing, malformed, or differs from its checksum.
    """
    try:
        return _read(path)
    except RecordError:
        _settle(path)  # it may just have been replaced
        return _read(path)


def verify(path: Path) -> Record:
    """Read a record, unpack every array, and check that they are what the fingerprint is of.

    Raises:
        RecordError: as `read`; or an array is missing, or is not what it was.
    """
    record = read(path)
    if _head(path)["schema"] != SCHEMA:
        return record  # to read one of those is to verify it
    wanted = ARRAYS | (RECOVERY_ARRAYS if record.protocol.recovery else {})
    for name, (axes, kinds) in wanted.items():
        kind, shape, _ = record.contents.get(name, ["", [], ""])
        length = shape[0] if axes > 1 and shape else record.protocol.generations
        if kind not in kinds.split(" or ") or len(shape) != axes or (
            length != record.protocol.generations
        ):  # fmt: skip
            raise RecordError(
                f"record {path.name} has no array {name!r} of {kinds} with {axes} axes; "
                "compute the run again"
            )
    try:
        found = packing.contents(record.arrays)
    except DAMAGE as error:
        raise RecordError(f"record {path.name} cannot be unpacked ({error}); {_AGAIN}") from error
    other = sorted(name for name in found if found[name] != record.contents.get(name))
    if other or found.keys() != record.contents.keys():
        raise _changed(path, f"its array {other[0]!r} differs" if other else "an array is missing")
    return record


def _changed(path: Path, how: str) -> RecordError:
    return RecordError(f"record {path.name} was changed after it was written: {how}; {_AGAIN}")


def _read(path: Path) -> Record:
    from collapse.experiment import records_schema2

    head = _head(path)
    if head["schema"] == records_schema2.SCHEMA:
        return records_schema2.read(path, head)
    files = {}
    for name in (packing.TEXT, packing.REST):
        try:
            files[name] = (path / name).read_bytes()
        except OSError as error:
            raise RecordError(f"record {path.name} has no {name}; {_AGAIN}") from error
        if hashlib.sha256(files[name]).hexdigest() != head["files"].get(name):
            raise _changed(path, f"{name} differs")
    try:
        record = Record(
            protocol=Protocol.from_dict(head["protocol"]),
            arrays=packing.unpack(files),
            training=head["training"],
            samples=head["samples"],
            base=head["base"],
            corpus=head["corpus"],
            provenance=head["provenance"],
            table=derived.stored(path, head["gauges"]["sha256"], len(head["training"])),
        )
        vars(record)["contents"] = head["arrays"]  # known without unpacking them
        if record.fingerprint != head["fingerprint"]:
            raise _changed(path, "its fingerprint differs")
    except (*DAMAGE, ProtocolError) as error:
        raise RecordError(f"record {path.name} cannot be read ({error}); {_AGAIN}") from error
    if record.name != path.name:
        raise RecordError(
            f"record {path.name} holds the run {record.name}; restore the folder from git"
        )
    return record


def _head(path: Path) -> dict[str, Any]:
    """What `record.json` says, with all its keys and a schema that is known; not to be changed."""
    file = path / "record.json"
    try:
        state = file.stat()
        return _parsed(file, state.st_mtime_ns, state.st_size, state.st_ino)
    except FileNotFoundError as error:
        raise RecordError(f"record {path.name} has no record.json; {_AGAIN}") from error
    except DAMAGE as error:
        raise RecordError(f"record {path.name} cannot be read ({error}); {_AGAIN}") from error


@functools.lru_cache(maxsize=1024)  # a chapter looks for many runs among the same records
def _parsed(file: Path, *_state: int) -> dict[str, Any]:
    from collapse.experiment import records_schema2

    head = json.loads(file.read_bytes().decode("utf-8"))
    known = {SCHEMA: _KEYS, records_schema2.SCHEMA: records_schema2.KEYS}
    name, schema = file.parent.name, head.get("schema", SCHEMA)
    if schema not in known:
        raise RecordError(
            f"record {name} has schema {schema!r}; this version reads schema {SCHEMA}"
        )
    missing = [key for key in known[schema] if key not in head]
    if missing:
        raise RecordError(f"record {name} lacks {missing[0]!r}; {_AGAIN}")
    return head


def _settle(path: Path) -> None:
    """Wait for a replacement of a record that is going on; undo one that was stopped half-way."""
    with suppress(AssetError, OSError), locked(path):
        if not path.exists():
            restore(path)


def publish(build: Path, root: Path = ROOT) -> list[str]:
    """Copy the verified runs of `build/records` into `records/`; return their names.

    Of runs that begin alike only the longest is kept: it contains the others. A record of the same
    run under an earlier version's name goes.

    Raises:
        RecordError: a run fails its verification; nothing is copied then.
    """
    runs = [verify(path) for path in list_records(build / "records")]
    longest: dict[tuple[str, int], Record] = {}
    for run in sorted(runs, key=lambda run: run.protocol.generations):
        longest[run.protocol.arm_hash, run.protocol.seed] = run
    names = [write(run, root / "records").name for run in longest.values()]
    for path in list_records(root / "records"):
        with suppress(RecordError):  # a damaged one is another matter
            there = _protocol(path)
            run = longest.get((there.arm_hash, there.seed))
            if run and path.name != run.name and there.generations <= run.protocol.generations:
                shutil.rmtree(path, ignore_errors=True)
    return sorted(names)


def is_name(name: str) -> bool:
    """Whether a folder is named as a record is; any other in `records/` is none of the book's."""
    return bool(re.search(r"^[^.].*-s\d+-[0-9a-f]{12}$", name))


def list_records(folder: Path) -> list[Path]:
    """The record folders in a folder, by name."""
    for old in folder.glob(".*.old/record.json"):
        _settle(folder / old.parent.name[1:].removesuffix(".old"))
    paths = sorted(path.parent for path in folder.glob("*/record.json"))
    return [path for path in paths if is_name(path.name)]


def find(protocol: Protocol, folder: Path) -> Record | None:
    """The run of a protocol in a folder; a longer chain of the same run is cut to length.

    A damaged record in the build folder, which can be computed again, is named and passed over.

    Raises:
        RecordError: a record in another folder is damaged.
    """
    matching: list[tuple[int, Path]] = []
    for path in list_records(folder):
        with _passing_over(path, folder):
            stored = _protocol(path)
            if stored.seed == protocol.seed and stored.arm_hash == protocol.arm_hash:
                if stored.generations >= protocol.generations:
                    matching.append((_head(path)["schema"], path))
    for _, path in sorted(matching, key=lambda each: -each[0]):  # the newest schema first
        with _passing_over(path, folder):
            return read(path).truncated(protocol.generations)
    return None


@contextmanager
def _passing_over(path: Path, folder: Path) -> Iterator[None]:
    try:
        yield
    except RecordError as error:
        if folder != built():
            raise
        _say(path, str(error))


@functools.cache  # said once
def _say(path: Path, why: str) -> None:
    print(f"{why}; passed over, and {path} may be removed", flush=True)


def named(name: str) -> Record:
    """The record of a name or of its unambiguous beginning, in `records/` or the build folder.

    Or that in a folder.

    Raises:
        RecordError: there is none, or there are several.
    """
    if (Path(name) / "record.json").exists():
        return read(Path(name))
    paths = [*list_records(published()), *list_records(built())]
    exact = [path for path in paths if path.name == name]
    found = exact or [path for path in paths if name and path.name.startswith(name)]
    several = sorted({path.name for path in found})
    if len(several) > 1:
        raise RecordError(
            f"{len(several)} records begin with {name!r}, {several[0]} and {several[1]} among "
            "them; give more of the name"
        )
    if not found:
        raise RecordError(
            f"there is no record {name!r}, here, in records/ or in the build folder; "
            "`book records` lists the published ones"
        )
    return read(found[0])


def _protocol(path: Path) -> Protocol:
    head = _head(path)
    try:
        return _known(json.dumps(head["protocol"]))
    except (*DAMAGE, ProtocolError) as error:
        raise RecordError(f"record {path.name} cannot be read ({error}); {_AGAIN}") from error


@functools.lru_cache(maxsize=1024)
def _known(text: str) -> Protocol:
    return Protocol.from_dict(json.loads(text))
