"""Records of schema 2, which kept tables and counts and no text: read until all are computed anew.

They have the folder's name that they were published under, and a table of gauges that is no longer
computed from anything.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from collapse.experiment.protocol import Protocol, ProtocolError, digest
from collapse.experiment.record import Record, RecordError
from collapse.experiment.records import DAMAGE
from collapse.measure import gauges

SCHEMA = 2
KEYS = ("schema", "protocol", "base", "corpus", "samples", "provenance", "fingerprint")
_Z = 1.959964  # its intervals were as many standard errors to either side


@dataclass(frozen=True)
class OldRecord(Record):
    """A record without its text; `arrays` are those that it has."""

    folder: str = ""
    stated: str = ""  # its fingerprint

    @property
    def name(self) -> str:
        """The folder's name; of its beginning, the name that a run of today would have."""
        return self.folder if self.folder.endswith(self.protocol.hash) else super().name

    @property
    def fingerprint(self) -> str:
        """As schema 2 had it; of its beginning, over what is left."""
        return self.stated if self.folder.endswith(self.protocol.hash) else super().fingerprint

    @property
    def generations(self) -> pd.DataFrame:  # type: ignore[override]
        """The gauges as they were stored."""
        assert self.table is not None
        return self.table

    @property
    def text(self) -> np.ndarray:
        """No text.

        Raises:
            RecordError: always.
        """
        raise RecordError(
            f"record {self.name} is of schema 2, which kept no text; compute the run again"
        )

    @property
    def text_counts(self) -> np.ndarray:  # type: ignore[override]
        """How often each token occurs in the text, (generations, vocabulary)."""
        return self.arrays["text_counts"]


def read(path: Path, head: dict[str, Any]) -> OldRecord:
    """A record of schema 2, checked against its fingerprint.

    Raises:
        RecordError: a file is missing or damaged.
    """
    try:
        csv = (path / "generations.csv").read_bytes()
        npz = (path / "arrays.npz").read_bytes()
        parts = [head[name] for name in ("base", "corpus", "samples")]
        protocol = Protocol.from_dict(head["protocol"])
        hashes = [hashlib.sha256(content).hexdigest() for content in (csv, npz)]
        if digest([protocol.defining(), *parts, *hashes]) != head["fingerprint"]:
            raise ValueError("its fingerprint differs")
        with np.load(io.BytesIO(npz), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        table = _with_errors(pd.read_csv(io.BytesIO(csv)))
        if not path.name.endswith(f"-s{protocol.seed}-{protocol.hash}"):
            raise ValueError("its name is that of another run")
    except (*DAMAGE, ProtocolError) as error:
        raise RecordError(
            f"record {path.name} cannot be read ({error}); restore the folder from git"
        ) from error
    return OldRecord(
        protocol=protocol,
        arrays=arrays,
        training=[{} for _ in range(protocol.generations)],
        samples=head["samples"],
        base=head["base"],
        corpus=head["corpus"],
        provenance=head["provenance"],
        table=table,
        folder=path.name,
        stated=head["fingerprint"],
    )


def _with_errors(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the standard errors that its intervals were made of."""
    errors = {}
    for name, gauge in gauges.GAUGES.items():
        if gauge.interval != gauges.NONE:
            ends = table[[f"{name}_low", f"{name}_high"]].to_numpy()
            if gauge.interval == gauges.LOG:
                with np.errstate(invalid="ignore", divide="ignore"):
                    ends = np.log(ends)
            errors[f"{name}_se"] = (ends[:, 1] - ends[:, 0]) / (2 * _Z)
    return table.assign(**errors)
