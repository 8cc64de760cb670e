"""The arrays of a record as bytes: packed without loss, unpacked when first asked for.

The text is a NumPy file in an xz archive (`text.npy.xz`), everything else is in `arrays.npz`; both
can be read with nothing of the book.
"""

import functools
import hashlib
import io
import lzma
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

TEXT, REST = "text.npy.xz", "arrays.npz"  # the files of a record that hold its facts
# LZMA for symbols of two bytes: the position's lowest bit counts, for literals and for matches.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 1, "lp": 1, "pb": 1}]


class Lazy(Mapping[str, np.ndarray]):
    """Arrays by name, each made when it is first asked for."""

    def __init__(self, names: Iterable[str], made: Callable[[str], np.ndarray]) -> None:
        self._names, self._made = tuple(names), functools.cache(made)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        return self._made(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def tokens(text: np.ndarray, vocabulary: int) -> np.ndarray:
    """A text in the narrowest type that holds the vocabulary: uint16, or uint32."""
    return text.astype(np.uint16 if vocabulary <= 2**16 else np.uint32)


def pack(arrays: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    """The files of some arrays, name -> content; equal arrays give equal bytes."""
    text, rest = io.BytesIO(), io.BytesIO()
    np.save(text, arrays["text"])
    packed = lzma.compress(text.getvalue(), check=lzma.CHECK_CRC32, filters=_FILTERS)
    others = {name: array for name, array in arrays.items() if name != "text"}
    np.savez_compressed(rest, allow_pickle=False, **others)  # entries carry a fixed date
    return {TEXT: packed, REST: rest.getvalue()}


def unpack(files: Mapping[str, bytes]) -> Lazy:
    """The arrays of a record's files.

    Raises:
        ValueError, zipfile.BadZipFile: `arrays.npz` is no such file. What else is damaged is
            found when an array is asked for, `lzma.LZMAError` among it.
    """
    rest = np.load(io.BytesIO(files[REST]), allow_pickle=False)

    def made(name: str) -> np.ndarray:
        if name == "text":
            return np.load(io.BytesIO(lzma.decompress(files[TEXT])), allow_pickle=False)
        return rest[name]

    return Lazy(["text", *rest.files], made)


def contents(arrays: Mapping[str, np.ndarray]) -> dict[str, list[Any]]:
    """Type, shape and SHA-256 of each array's values, in the order of the names.

    Bytes are little-endian and in C order, so they do not depend on a machine or a compressor.
    """
    found: dict[str, list[Any]] = {}
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        hashed = hashlib.sha256(little.tobytes()).hexdigest()
        found[name] = [str(array.dtype), list(array.shape), hashed]
    return found
