"""Returns freed memory to the system: pages the allocator keeps would count against the pod's limit."""

from __future__ import annotations

import ctypes
import gc


def release_memory() -> None:
    """Collect garbage and have the C library return free pages; without glibc only collect garbage."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
