"""Reads the zip archive that `torch.save` writes: a pickle, which is read as data, and a record for each storage."""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Mapping
from types import MappingProxyType
from typing import IO, Any, Final

import numpy as np
import torch
from torch import Tensor

from cetacean_inference.models.pickled_state import (
    LARGEST_PICKLE_BYTES,
    PickleRefused,
    Storage,
    StoredTensor,
    read_pickle,
)

MOST_ENTRIES: Final = 100_000
CHUNK: Final = 2**20
_PICKLE: Final = "data.pkl"
_DTYPES: Final[Mapping[str, torch.dtype]] = MappingProxyType(
    {
        "BFloat16Storage": torch.bfloat16,
        "HalfStorage": torch.float16,
        "FloatStorage": torch.float32,
        "DoubleStorage": torch.float64,
        "BoolStorage": torch.bool,
        "ByteStorage": torch.uint8,
        "CharStorage": torch.int8,
        "ShortStorage": torch.int16,
        "IntStorage": torch.int32,
        "LongStorage": torch.int64,
    }
)


class ArchiveRefused(ValueError):  # noqa: N818 - the reason of a refusal
    """The archive is damaged, or is not one of `torch.save`; the message says what it is."""


def read_torch_archive(stream: IO[bytes]) -> Any:
    """Read a file of `torch.save`.

    Returns:
        A state dict with tensors: the value of the key `state_dict` if there is one, else all of the file. Values that
        are no tensors are as in the file.

    Raises:
        ArchiveRefused, PickleRefused: with a phrase that says what the file is.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            return _Records(archive, size=_size(stream)).read()
    except (ArchiveRefused, PickleRefused):
        raise
    except (zipfile.BadZipFile, struct.error, ValueError, LookupError, RuntimeError, EOFError, OSError) as error:
        raise ArchiveRefused("a damaged zip archive") from error


class _Records:
    """The entries of an archive, without the folder in which all of them lie."""

    def __init__(self, archive: zipfile.ZipFile, *, size: int) -> None:
        self._archive = archive
        self._read: dict[str, tuple[Storage, Tensor]] = {}
        entries = archive.infolist()
        if len(entries) > MOST_ENTRIES or sum(entry.file_size for entry in entries) > size:
            raise ArchiveRefused(f"a zip archive of more than {MOST_ENTRIES} entries or with entries that overlap")
        pickles = [entry.filename for entry in entries if entry.filename.rpartition("/")[2] == _PICKLE]
        if len(pickles) != 1:
            raise ArchiveRefused(f"a zip archive with {len(pickles)} files {_PICKLE}")
        folder = pickles[0].removesuffix(_PICKLE)
        self._entries = {entry.filename.removeprefix(folder): entry for entry in entries}
        if len(self._entries) != len(entries):
            raise ArchiveRefused("a zip archive with two entries of one name")
        if "constants.pkl" in self._entries:
            raise ArchiveRefused("a TorchScript archive, which contains code")
        if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
            raise ArchiveRefused("a zip archive with compressed or encrypted entries")

    def read(self) -> Any:
        """Read the pickle, then the storages that the state dict needs."""
        order = self._entries.get("byteorder")
        if order is not None and self._content(order, most=16) != b"little":
            raise ArchiveRefused("a file of torch.save with another byte order than little endian")
        content = read_pickle(self._content(self._entries[_PICKLE], most=LARGEST_PICKLE_BYTES))
        state = content.get("state_dict", content) if isinstance(content, dict) else content
        if not isinstance(state, dict):
            raise ArchiveRefused(f"a pickle of {_type_name(state)} instead of a state dict")
        return {key: self._tensor(value) if isinstance(value, StoredTensor) else value for key, value in state.items()}

    def _content(self, entry: zipfile.ZipInfo, *, most: int) -> bytes:
        if entry.file_size > most:
            raise ArchiveRefused(f"a zip archive with {entry.file_size} bytes of {entry.filename[-20:]}")
        return self._archive.read(entry)

    def _tensor(self, stored: StoredTensor) -> Tensor:
        storage = stored.storage
        if storage.key not in self._read:
            self._read[storage.key] = storage, self._storage(storage)
        first, flat = self._read[storage.key]
        if first != storage:
            raise ArchiveRefused("a file of torch.save with a storage of two types")
        return flat.as_strided(stored.shape, stored.strides, stored.offset)

    def _storage(self, storage: Storage) -> Tensor:
        entry = self._entries.get(f"data/{storage.key}")
        dtype = _DTYPES[storage.kind]
        if entry is None or entry.file_size != storage.elements * dtype.itemsize:
            raise ArchiveRefused("a file of torch.save with a storage of another size than its pickle says")
        values = torch.empty(storage.elements, dtype=dtype)
        if storage.elements:
            target = values.view(torch.uint8).numpy()
            position = 0
            with self._archive.open(entry) as record:
                while chunk := record.read(CHUNK):
                    target[position : position + len(chunk)] = np.frombuffer(chunk, np.uint8)
                    position += len(chunk)
            if position != entry.file_size:
                raise ArchiveRefused("a damaged zip archive")
        return values


def _type_name(value: Any) -> str:
    return "a tensor" if isinstance(value, StoredTensor) else type(value).__name__


def _size(stream: IO[bytes]) -> int:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    return size
