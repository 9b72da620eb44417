"""The main thread's signal stack after a library has replaced it, as OpenVINO does."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from cetacean_inference.system.signal_stack import kept_signal_stack

# A library gives the thread a signal stack and frees it; then a signal arrives.
PROGRAM = """
import ctypes, mmap, os, signal, sys
from contextlib import nullcontext
from cetacean_inference.system import signal_stack as tested

with tested.kept_signal_stack() if sys.argv[1] == "kept" else nullcontext():
    memory = mmap.mmap(-1, 64 * 1024)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    stack = tested._Stack(address, 0, 64 * 1024)
    assert ctypes.CDLL(None).sigaltstack(ctypes.byref(stack), None) == 0
    ctypes.CDLL(None).mprotect(ctypes.c_void_p(address), ctypes.c_size_t(64 * 1024), 0)
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize(("how", "status", "printed"), [("kept", 0, "interrupted\n"), ("lost", -signal.SIGSEGV, "")])
def test_a_signal_after_a_library_has_freed_its_signal_stack(how: str, status: int, printed: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (status, printed)


def test_other_threads_are_left_alone() -> None:
    entered = []

    def enter() -> None:
        with kept_signal_stack():
            entered.append(True)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [True]
