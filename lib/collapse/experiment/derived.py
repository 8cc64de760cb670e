"""The table of a record's gauges: stored beside the facts, or computed from them again.

A stored table may be of an earlier version of the book, and lack a gauge, or be damaged. What is
missing is computed from the facts, and kept in the build folder under the record's fingerprint and
the hash of the code that computes it.
"""

import functools
import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from collapse.experiment.assets import AssetError, atomic, build_dir
from collapse.measure import gauges
from collapse.measure.facts import Facts

if TYPE_CHECKING:
    from collapse.experiment.record import Record

FILE = "gauges.csv"  # in a record's folder


def gauges_of(record: "Record") -> pd.DataFrame:
    """A record's gauges, one row a generation; columns as in `gauges.COLUMNS`."""
    stored = record.table
    wanted = {
        name: gauge for name, gauge in gauges.GAUGES.items() if stored is None or name not in stored
    }
    if stored is not None and not wanted:
        return stored
    code, names = gauges.code(), hashlib.sha256(" ".join(wanted).encode()).hexdigest()
    kept = build_dir() / "gauges" / f"{record.fingerprint[:24]}-{code[:12]}-{names[:12]}.csv"
    table = _kept(kept, len(record.training))
    if table is None:
        rows = [gauges.measure(each, wanted) for each in generations(record)]
        table = pd.DataFrame(rows)
        table.insert(0, "generation", range(len(rows)))
        _keep(kept, csv(table))
    if stored is not None:
        table = stored.join(table.drop(columns="generation"))
    return table[[name for name in gauges.COLUMNS if name in table]]


def generations(record: "Record") -> list[Facts]:
    """The facts of each generation."""
    shared = {name: record.arrays[name] for name in ("held_out_counts", "test_writable")}
    shared["test_bytes"] = record.arrays["test_bytes"]
    each = [name for name in record.arrays if name not in shared and record.arrays[name].ndim > 1]
    return [
        Facts(
            shared | {name: record.arrays[name][number] for name in each},
            training,
            record.protocol.selection,
        )
        for number, training in enumerate(record.training)
    ]


def csv(table: pd.DataFrame) -> bytes:
    """A table as the bytes of its file."""
    return table.to_csv(index=False, lineterminator="\n").encode()


def origin(content: bytes) -> dict[str, Any]:
    """Where a table came from: hash of the code, commit, and the SHA-256 of its file."""
    from collapse.experiment import provenance

    return {
        "code": gauges.code(),
        "commit": provenance.commit(),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def stored(folder: Path, sha256: str, length: int) -> pd.DataFrame | None:
    """The table in a record's folder; None, which is said, where it is damaged or not there."""
    try:
        content = (folder / FILE).read_bytes()
        if hashlib.sha256(content).hexdigest() == sha256:
            table = pd.read_csv(io.BytesIO(content))
            if len(table) == length:
                return table
    except (OSError, ValueError):
        pass
    _say(folder)
    return None


@functools.cache  # said once
def _say(folder: Path) -> None:
    print(
        f"{FILE} of record {folder.name} is not there or was changed after it was written; its "
        "gauges are computed again from its facts",
        flush=True,
    )


def _kept(path: Path, length: int) -> pd.DataFrame | None:
    try:
        table = pd.read_csv(path)
        return table if len(table) == length else None
    except (OSError, ValueError):
        return None


def _keep(path: Path, content: bytes) -> None:
    try:
        with atomic(path) as temporary:
            temporary.write_bytes(content)
    except AssetError:
        pass  # it is computed again where it cannot be kept
