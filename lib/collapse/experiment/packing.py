"""The arrays of a record as bytes, packed without loss.

The text is a NumPy file in an xz archive (`text.npy.xz`), everything else is in `arrays.npz`; both
can be read with nothing of the book.
"""

import hashlib
import io
import lzma
from collections.abc import Mapping
from typing import Any

import numpy as np

TEXT, REST = "text.npy.xz", "arrays.npz"  # the files of a record that hold its facts
# LZMA for symbols of two bytes: the position's lowest bit counts, for literals and for matches.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 1, "lp": 1, "pb": 1}]


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


def unpack(files: Mapping[str, bytes]) -> dict[str, np.ndarray]:
    """The arrays of a record's files; `records.DAMAGE` is what a damaged one may raise."""
    text = np.load(io.BytesIO(lzma.decompress(files[TEXT])), allow_pickle=False)
    with np.load(io.BytesIO(files[REST]), allow_pickle=False) as rest:
        return {"text": text, **rest}


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
