"""What tests of sweeps share: toy runs computed by nothing but the loop, and what a sweep left."""

import functools
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from collapse.experiment import loop, records
from collapse.experiment.protocol import Protocol
from toy_caches import know_toy


@functools.cache
def undisturbed(run: Protocol, toy_cache: Path) -> str:
    """The fingerprint of a toy run, computed once a session in an empty cache."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLLAPSE_CACHE", know_toy(Path(folder) / "cache", toy_cache))
        patch.setenv("COLLAPSE_BUILD", str(Path(folder) / "build"))
        return loop.run(run).fingerprint


def fingerprints() -> dict[str, str]:
    """Protocol hash -> fingerprint of each record in the build folder."""
    built = [records.read(path) for path in records.list_records(records.built())]
    return {record.protocol.hash: record.fingerprint for record in built}
