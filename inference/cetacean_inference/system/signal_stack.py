"""Keeps the stack on which the main thread handles signals.

OpenVINO gives the calling thread a signal stack of its own, and may free it in another thread. The next signal then
ends the process with SIGSEGV: Ctrl-C during `replay` or `compute_metrics`. Other threads handle no signals of Python.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Stack(ctypes.Structure):
    """`stack_t` of sigaltstack(2) on Linux."""

    _fields_ = (("pointer", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def kept_signal_stack() -> Iterator[None]:
    """Restore the main thread's signal stack after the block; in other threads and systems do nothing."""
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        yield
        return
    stack = _Stack()
    _libc().sigaltstack(None, ctypes.byref(stack))
    try:
        yield
    finally:
        _libc().sigaltstack(ctypes.byref(stack), None)


@functools.cache
def _libc() -> Any:
    return ctypes.CDLL(None)
