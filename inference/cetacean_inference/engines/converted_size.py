"""How many bytes a network takes once it is converted: in full precision, whatever its weights have."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Final

from cetacean_inference.models.pickled_state import LARGEST_PICKLE_BYTES
from cetacean_inference.weights.file_kinds import HEAD_BYTES, is_safetensors

_HALF_TYPES: Final = frozenset({"F16", "BF16"})
_HALF_STORAGES: Final = (b"HalfStorage", b"BFloat16Storage")
_LENGTH_BYTES: Final = 8


def largest_converted_size(weights: Path) -> int:
    """Return a bound of the bytes of the network that is converted from a file of weights.

    It is larger than the network: names, optimiser states and the text tower are left out. Of a file that cannot be
    read it is the file's size: the conversion will say what is wrong with it.
    """
    size = weights.stat().st_size
    try:
        return size + _bytes_of_halves(weights, size)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, zipfile.BadZipFile):
        return size


def _bytes_of_halves(weights: Path, size: int) -> int:
    """Return the bytes of values in half precision, which become twice as many."""
    with weights.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
        if is_safetensors(head):
            stream.seek(_LENGTH_BYTES)
            header = json.loads(stream.read(int.from_bytes(head[:_LENGTH_BYTES], "little")))
            places = [one["data_offsets"] for one in header.values() if one.get("dtype") in _HALF_TYPES]
            return int(sum(end - begin for begin, end in places))
        with zipfile.ZipFile(stream) as archive:
            pickles = [one for one in archive.infolist() if one.filename.endswith("/data.pkl")]
            if any(one.file_size > LARGEST_PICKLE_BYTES for one in pickles):
                return 0
            return size if any(kind in archive.read(one) for one in pickles for kind in _HALF_STORAGES) else 0
