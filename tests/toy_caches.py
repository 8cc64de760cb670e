"""Caches for tests: one where something else caches, and a new one that knows the toy."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def caching_in(folder: Path) -> Iterator[None]:
    """What lasts longer than a test does not cache where a test does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLLAPSE_CACHE", str(folder))
        yield


def know_toy(cache: Path, toy_cache: Path) -> str:
    """Have the toy's text and model, by name, in a new and otherwise empty cache."""
    shutil.copytree(toy_cache / "sources", cache / "sources", dirs_exist_ok=True)
    return str(cache)
