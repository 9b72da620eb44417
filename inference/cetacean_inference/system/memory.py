"""Returns memory to the system that would count against the pod's limit."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterable
from pathlib import Path
from typing import Final

MAPPINGS: Final = Path("/proc/self/maps")
MADV_DONTNEED: Final = 4
DELETED: Final = " (deleted)"
"""What the kernel adds to the path of a file without a name."""


def release_memory() -> None:
    """Collect garbage and have the C library return free pages; without glibc only collect garbage."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def drop_pages(files: Iterable[Path]) -> None:
    """Drop the pages of mapped files; they are read again if they are used. Does nothing without Linux.

    OpenVINO keeps the mapping of a network's weights, although it computes with a copy of its own in another layout.

    Args:
        files: mapped to be read only, and mapped for as long as this takes.
    """
    paths = {str(file.resolve()) for file in files}
    try:
        mappings = MAPPINGS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    madvise = ctypes.CDLL(None).madvise
    for mapping in mappings:
        addresses, permissions, *_, path = mapping.split(maxsplit=5)
        # Pages of another kind may differ from the file's.
        if permissions == "r--s" and path.removesuffix(DELETED) in paths:
            begin, end = (int(address, 16) for address in addresses.split("-"))
            madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), MADV_DONTNEED)
