"""A run on disk: write, read, list, find, publish.

A record is a folder. Its facts are `record.json` (protocol, base model, corpus, training, samples,
provenance, checksums), `text.npy.xz` (every token that the generations wrote) and `arrays.npz`
(losses and counts). Everything but the provenance is a function of the protocol, and the
fingerprint covers it, whatever the compressor. Beside them `gauges.csv` holds what is derived.
"""

import functools
import hashlib
import io
import json
import lzma
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd

from collapse.experiment import packing
from collapse.experiment.assets import ROOT, atomic, build_dir, locked
from collapse.experiment.protocol import Protocol
from collapse.experiment.record import (
    ARRAYS,
    RECOVERY_ARRAYS,
    SCHEMA,
    Record,
    RecordError,
    run_name,
)
from collapse.measure import gauges

TABLE = "gauges.csv"  # in a record's folder
# What reading a damaged JSON, CSV, NPZ or XZ file may raise.
DAMAGE = (
    ValueError, KeyError, TypeError, OSError, EOFError, RuntimeError,
    zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip


def published() -> Path:
    """The folder of committed records."""
    return ROOT / "records"


def built() -> Path:
    """The folder of records that this checkout has computed."""
    return build_dir() / "records"


def write(record: Record, folder: Path) -> Path:
    """Write a record below a folder in one step, in place of one of the same name.

    One of the same facts, its gauges among them, stays as it is.
    """
    from collapse.experiment import provenance  # which imports PyTorch; those who read do not

    path = folder / record.name
    files = packing.pack(record.arrays)
    csv = record.generations.to_csv(index=False, lineterminator="\n").encode()
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
        "gauges": {
            "code": gauges.code(),
            "commit": provenance.commit(),
            "sha256": hashlib.sha256(csv).hexdigest(),
        },
    }
    text = json.dumps(head, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with locked(path):
        with suppress(RecordError):  # a damaged one is replaced
            there = read(path) if path.exists() else None
            if there and there.fingerprint == record.fingerprint:
                if there.table is not None and gauges.GAUGES.keys() <= {*there.table}:
                    return path
        with atomic(path) as temporary:
            temporary.mkdir()
            for name, content in {**files, TABLE: csv, "record.json": text.encode()}.items():
                (temporary / name).write_bytes(content)
    return path


def read(path: Path) -> Record:
    """Read a record and check its schema, its files, its arrays and its fingerprint."""
    path = Path(os.path.abspath(path))  # `.` has no name
    head, protocol = _head(path)
    with _reading(path):
        files = {name: (path / name).read_bytes() for name in (packing.TEXT, packing.REST)}
        for name, content in files.items():
            if hashlib.sha256(content).hexdigest() != head["files"].get(name):
                raise _damaged(path, f"was changed after it was written: {name} differs")
        record = Record(
            protocol=protocol,
            arrays=packing.unpack(files),
            table=_table(path, head["gauges"]["sha256"]),
            **{n: head[n] for n in ("training", "samples", "base", "corpus", "provenance")},
        )
        expected = ARRAYS | (RECOVERY_ARRAYS if protocol.recovery else {})
        for name, (axes, kinds) in expected.items():
            kind, shape, _ = record.contents.get(name, ["", [], ""])
            good = kind in kinds.split(" or ") and len(shape) == axes
            if not good or (axes > 1 and shape[0] != protocol.generations):
                raise _damaged(path, f"has no array {name!r} of {kinds} with {axes} axes")
        if record.contents != head["arrays"] or record.fingerprint != head["fingerprint"]:
            raise _damaged(path, "was changed after it was written: its fingerprint differs")
    if record.name != path.name:
        raise RecordError(
            f"record {path.name} holds the run {record.name}; restore the folder from git"
        )
    return record


def _damaged(path: Path, what: str) -> RecordError:
    remedy = "restore the folder from git or compute the run again"
    return RecordError(f"record {path.name} {what}; {remedy}")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say in a sentence what is wrong with the files of a record."""
    try:
        yield
    except FileNotFoundError as error:
        raise _damaged(path, f"has no {Path(error.filename).name}") from error
    except KeyError as error:
        raise _damaged(path, f"lacks {error}") from error
    except DAMAGE as error:
        raise _damaged(path, f"cannot be read ({error})") from error


def _table(path: Path, sha256: str) -> pd.DataFrame | None:
    """The gauges beside the facts; None, which is said, where they are damaged or not there."""
    with suppress(OSError):
        content = (path / TABLE).read_bytes()
        if hashlib.sha256(content).hexdigest() == sha256:
            return pd.read_csv(io.BytesIO(content))
    _say(
        path,
        f"{TABLE} of record {path.name} is not there or was changed after it was written; its "
        "gauges are computed again from its facts",
    )
    return None


@functools.cache  # said once
def _say(_about: Path, text: str) -> None:
    print(text, flush=True)


def _head(path: Path) -> tuple[dict[str, Any], Protocol]:
    """What `record.json` says, of a known schema, and its protocol."""
    with _reading(path):
        head = json.loads((path / "record.json").read_text(encoding="utf-8"))
        if head["schema"] != SCHEMA:
            raise RecordError(
                f"record {path.name} has schema {head['schema']!r}; this version reads schema "
                f"{SCHEMA}"
            )
        return head, Protocol.from_dict(head["protocol"])


def publish(build: Path, root: Path = ROOT) -> list[str]:
    """Copy the verified runs of `build/records` into `records/`; return their names.

    Of runs that begin alike only the longest is kept: it contains the others. A record of the same
    run under an earlier version's name goes. Where a run fails its verification nothing is copied.
    """
    runs = [read(path) for path in list_records(build / "records")]
    runs.sort(key=lambda run: run.protocol.generations)
    longest = {(run.protocol.arm_hash, run.protocol.seed): run for run in runs}
    names = [write(run, root / "records").name for run in longest.values()]
    for path in list_records(root / "records"):
        with suppress(RecordError):  # a damaged one is another matter
            there = _head(path)[1]
            run = longest.get((there.arm_hash, there.seed))
            if run and path.name != run.name and there.generations <= run.protocol.generations:
                shutil.rmtree(path, ignore_errors=True)
    return sorted(names)


def is_name(name: str) -> bool:
    """Whether a folder is named as a record is; any other in `records/` is none of the book's."""
    return bool(re.search(r"^[^.].*-s\d+-[0-9a-f]{12}$", name))


def list_records(folder: Path) -> list[Path]:
    """The record folders in a folder, by name."""
    paths = sorted(path.parent for path in folder.glob("*/record.json"))
    return [path for path in paths if is_name(path.name)]


def find(protocol: Protocol, folder: Path) -> Record | None:
    """The run of a protocol in a folder; a longer chain of the same run is cut to length.

    A damaged record in the build folder, which can be computed again, is named and passed over;
    in another folder it is refused.
    """
    for path in list_records(folder):
        if not path.name.startswith(run_name(protocol)):
            continue
        try:
            there = _head(path)[1]
            if there.arm_hash == protocol.arm_hash and there.generations >= protocol.generations:
                return read(path).truncated(protocol.generations)
        except RecordError as error:
            if folder != built():
                raise
            _say(path, f"{error}; passed over, and {path} may be removed")
    return None


def named(name: str) -> Record:
    """The record in a folder; or in `records/` or the build folder, by a name or its beginning.

    Refused where there is none, or several.
    """
    if (Path(name) / "record.json").exists():
        return read(Path(name))
    paths = [*list_records(built()), *list_records(published())]
    found = {path.name: path for path in paths if name and path.name.startswith(name)}
    if len(found) > 1 and name not in found:
        one, two, *_ = sorted(found)
        raise RecordError(
            f"{len(found)} records begin with {name!r}, {one} and {two} among them; give more of "
            "the name"
        )
    if not found:
        raise RecordError(
            f"there is no record {name!r}, here, in records/ or in the build folder; "
            "`book records` lists the published ones"
        )
    return read(found.get(name) or min(found.values()))
