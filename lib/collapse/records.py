"""A run on disk: write, read, list, find, verify.

A record is a folder of three files: `record.json` (protocol, base model, corpus, samples,
provenance, checksums), `generations.csv` (one row a generation) and `arrays.npz` (per-sequence
values). Everything but the provenance is a function of the protocol; the fingerprint covers it.
"""

import functools
import hashlib
import io
import json
import re
import shutil
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from collapse import glossary
from collapse.assets import ROOT, AssetError, atomic, build_dir, locked, restore
from collapse.protocol import BookError, Protocol, ProtocolError, digest

SCHEMA = 2
SAMPLES = 6  # prompts whose continuations a record keeps

# Columns of generations.csv: name -> what it holds.
COLUMNS = {
    "generation": "0 is trained on human text, n on text written by n-1",
    "human_share": "share of its training blocks that a human wrote",
    "best_epoch": "epoch whose checkpoint was selected",
    "valid_perplexity": "of the selected checkpoint on human validation blocks",
    "test_perplexity": "on human test blocks, token-weighted",
    "test_perplexity_low": "lower end of the 95 % bootstrap interval over test blocks",
    "test_perplexity_high": "upper end of the same",
    "test_perplexity_no_eos": "the same without the tokens that generation may not write",
    "bits_per_byte": "on human test blocks",
    "text_perplexity_median": "median over blocks, its text scored by generation 0",
}
for _name, _gauge in glossary.ALL.items():
    COLUMNS[_name] = f"{_gauge.label}, {_gauge.unit}" if _gauge.unit else _gauge.label
    COLUMNS[f"{_name}_low"] = f"lower end of the 95 % interval of {_name}"
    COLUMNS[f"{_name}_high"] = f"upper end of the 95 % interval of {_name}"
# Arrays: name -> (number of axes, dtype). Of several axes the first is the generation.
ARRAYS = {
    "test_nll": (2, "float32"),  # (generations, test blocks): mean nats a token
    "test_entropy": (2, "float32"),  # the same of the entropy of its predictions
    "reference_entropy": (2, "float16"),  # (generations, training blocks): on generation 0's text
    "text_nll": (2, "float16"),  # (generations, training blocks): its text under generation 0
    "text_counts": (2, "int32"),  # (generations, vocabulary): tokens of its text
    "human_counts": (1, "int32"),  # (vocabulary,): of what human authors wrote in its place
}
# What a run with a recovery has besides.
RECOVERY_ARRAYS = {
    "recovery_nll": (1, "float32"),  # (epochs,): on validation text after each epoch of it
}
# What reading a damaged JSON, CSV or NPZ file may raise.
DAMAGE = (
    ValueError, KeyError, TypeError, OSError, EOFError, RuntimeError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
_KEYS = ("schema", "protocol", "base", "corpus", "samples", "provenance", "fingerprint")


class RecordError(BookError):
    """A record is missing, incomplete, or not what its fingerprint says."""


@dataclass(frozen=True)
class Record:
    """What a run leaves behind.

    generations: one row a generation, columns as in `COLUMNS`.
    arrays: as in `ARRAYS`.
    samples: prompts with the human continuation and that of each generation, decoded.
    base: name, parameters, identity (hashes) and zero-shot test perplexity of the base model.
    corpus: SHA-256 of the text and number of blocks, by split; the text's gauges for human text.
    provenance: versions, commit, device, threads, date, scale, seconds of each generation; and
        `places`, commit and device of each, where one was computed elsewhere or earlier.
    """

    protocol: Protocol
    generations: pd.DataFrame
    arrays: dict[str, np.ndarray]
    samples: list[dict[str, Any]]
    base: dict[str, Any]
    corpus: dict[str, Any]
    provenance: dict[str, Any]

    @property
    def name(self) -> str:
        """The folder's name: what a reader wants to know first, then the protocol's hash."""
        p = self.protocol
        text = p.regime if p.regime != "replace" else f"{p.retained:.0%}".replace("%", "pct")
        text += f"-{p.retains}" if p.retains != "redrawn" else ""
        text += f"-equal-{p.budget}" if p.budget != "epochs" else ""
        text += f"-mended-{p.recovery}" if p.recovery else ""
        return (
            f"{Path(p.corpus).stem}-{Path(p.model).name}-{p.decoding}-{p.epochs}ep-"
            f"{text}-s{p.seed}-{p.hash}"
        )

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that the protocol determines: all but the provenance."""
        return _fingerprint(self, _csv(self.generations), _npz(self.arrays))

    def truncated(self, generations: int) -> "Record":
        """The record of the same run stopped earlier: a chain's beginning is a chain.

        Raises:
            RecordError: the run ends with a recovery, which its beginning does not have.
        """
        if generations == self.protocol.generations:
            return self
        if self.protocol.recovery:
            raise RecordError(
                f"record {self.name} ends with a recovery, which {generations} of its generations "
                "would not have; take the whole of it"
            )
        return Record(
            protocol=self.protocol.replace(generations=generations),
            generations=self.generations.iloc[:generations].reset_index(drop=True),
            arrays={
                name: self.arrays[name][:generations] if axes > 1 else self.arrays[name]
                for name, (axes, _) in ARRAYS.items()
            },
            samples=[{**s, "generations": s["generations"][:generations]} for s in self.samples],
            base=self.base,
            corpus=self.corpus,
            provenance={
                name: value[:generations] if name in ("seconds", "places") else value
                for name, value in self.provenance.items()
            },
        )


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
    generations, arrays = _csv(record.generations), _npz(record.arrays)
    head = {
        "schema": SCHEMA,
        "fingerprint": record.fingerprint,
        "protocol": record.protocol.to_dict(),
        "base": record.base,
        "corpus": record.corpus,
        "provenance": record.provenance,
        "samples": record.samples,
    }
    text = json.dumps(head, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with locked(path):
        restore(path)
        with suppress(RecordError):  # a damaged one is replaced
            if path.exists() and _read(path).fingerprint == record.fingerprint:
                return path
        with atomic(path, replace=True) as temporary:
            temporary.mkdir()
            (temporary / "generations.csv").write_bytes(generations)
            (temporary / "arrays.npz").write_bytes(arrays)
            (temporary / "record.json").write_text(text, encoding="utf-8", newline="\n")
    return path


def read(path: Path) -> Record:
    """Read a record and check its schema and fingerprint.

    Raises:
        RecordError: a file is missing, malformed, or differs from the fingerprint.
    """
    try:
        return _read(path)
    except RecordError:
        _settle(path)  # it may just have been replaced
        return _read(path)


verify = read  # to read is to verify


def _read(path: Path) -> Record:
    try:
        text = (path / "record.json").read_bytes()
        head = json.loads(text.decode("utf-8"))
        csv = (path / "generations.csv").read_bytes()
        npz = (path / "arrays.npz").read_bytes()
        missing = [key for key in _KEYS if key not in head]
        if missing or head["schema"] != SCHEMA:
            what = f"lacks {missing[0]!r}" if missing else f"has schema {head['schema']!r}"
            raise RecordError(f"record {path.name} {what}; this version reads schema {SCHEMA}")
        table = pd.read_csv(io.BytesIO(csv))
        with np.load(io.BytesIO(npz), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        protocol = Protocol.from_dict(head["protocol"])
    except FileNotFoundError as error:
        raise RecordError(
            f"record {path.name} has no {Path(str(error.filename)).name}; "
            "restore the folder from git or compute the run again"
        ) from error
    except (*DAMAGE, ProtocolError) as error:
        raise RecordError(
            f"record {path.name} cannot be read ({error}); "
            "restore the folder from git or compute the run again"
        ) from error
    record = Record(
        protocol=protocol,
        generations=table,
        arrays=arrays,
        samples=head["samples"],
        base=head["base"],
        corpus=head["corpus"],
        provenance=head["provenance"],
    )
    _check_shape(record, path)
    if _fingerprint(record, csv, npz) != head["fingerprint"]:
        if b"\r\n" in csv:
            raise RecordError(
                f"record {path.name} has Windows line ends, which git or an editor put there; "
                f"remove the folder and restore it with `git checkout HEAD -- records/{path.name}`"
            )
        raise RecordError(
            f"record {path.name} was changed after it was written: its fingerprint differs; "
            "restore the folder from git or compute the run again"
        )
    if record.name != path.name:
        raise RecordError(
            f"record {path.name} holds the run {record.name}; restore the folder from git"
        )
    return record


def _settle(path: Path) -> None:
    """Wait for a replacement of a record that is going on; undo one that was stopped half-way."""
    with suppress(AssetError, OSError), locked(path):
        if not path.exists():
            restore(path)


def publish(build: Path, root: Path = ROOT) -> list[str]:
    """Copy the verified runs of `build/records` into `records/`; return their names.

    Of runs that begin alike only the longest is kept: it contains the others.

    Raises:
        RecordError: a run fails its verification; nothing is copied then.
    """
    runs = [verify(path) for path in list_records(build / "records")]
    longest: dict[tuple[str, int], Record] = {}
    for run in sorted(runs, key=lambda run: run.protocol.generations):
        longest[run.protocol.arm_hash, run.protocol.seed] = run
    names = [write(run, root / "records").name for run in longest.values()]
    for run in longest.values():
        shorter = 0 if run.protocol.recovery else run.protocol.generations
        for generations in range(1, shorter):
            contained = root / "records" / run.truncated(generations).name
            shutil.rmtree(contained, ignore_errors=True)
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
    for path in list_records(folder):
        try:
            stored = _protocol(path)
            if stored.seed == protocol.seed and stored.arm_hash == protocol.arm_hash:
                if stored.generations >= protocol.generations:
                    return read(path).truncated(protocol.generations)
        except RecordError as error:
            if folder != built():
                raise
            _pass_over(path, str(error))
    return None


@functools.cache  # said once
def _pass_over(path: Path, why: str) -> None:
    print(f"{why}; passed over, and {path} may be removed", flush=True)


def _protocol(path: Path) -> Protocol:
    try:
        head = json.loads((path / "record.json").read_text(encoding="utf-8"))
        return Protocol.from_dict(head["protocol"])
    except (*DAMAGE, ProtocolError) as error:
        raise RecordError(
            f"record {path.name} cannot be read ({error}); restore the folder from git"
        ) from error


def _check_shape(record: Record, path: Path) -> None:
    length = record.protocol.generations
    missing = [name for name in COLUMNS if name not in record.generations]
    if missing or len(record.generations) != length:
        what = f"lacks the column {missing[0]!r}" if missing else f"has not {length} rows"
        raise RecordError(f"generations.csv of record {path.name} {what}; compute the run again")
    expected = ARRAYS | (RECOVERY_ARRAYS if record.protocol.recovery else {})
    for name, (axes, dtype) in expected.items():
        array = record.arrays.get(name)
        wrong = array is None or array.ndim != axes or array.dtype != dtype
        if wrong or (axes > 1 and len(array) != length):
            shape = f"{axes} axes, the first of {length}" if axes > 1 else "one axis"
            raise RecordError(
                f"arrays.npz of record {path.name} has no {name!r} of {dtype} with {shape}; "
                "compute the run again"
            )


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n").encode()


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # entries carry a fixed date: same values, same bytes
    return buffer.getvalue()


def _fingerprint(record: Record, csv: bytes, npz: bytes) -> str:
    return digest(
        [
            record.protocol.defining(),
            record.base,
            record.corpus,
            record.samples,
            hashlib.sha256(csv).hexdigest(),
            hashlib.sha256(npz).hexdigest(),
        ]
    )
