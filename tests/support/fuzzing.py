"""Fuzz targets: one function each, called with generated input, by pytest with fixed seeds and by `make fuzz` with others.

A target states what holds for any input. `bounded` also bounds its processor time and its memory, so that an input of
a few kilobytes that takes minutes or gigabytes is a failure, too.
"""

from __future__ import annotations

import atexit
import contextlib
import mmap
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")

LONGEST_MESSAGE: Final = 2000
"""Characters of an error message; a container's termination message has room for twice as many."""
_MIB: Final = 2**20
_HEALTH: Final = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)


@dataclass(frozen=True, slots=True)
class Target:
    """A function and the inputs that it is called with."""

    name: str
    check: Callable[[Any], None]
    inputs: SearchStrategy[Any]

    def run(self, examples: int, *, database: Path) -> None:
        """Call the function with so many random inputs, after those in the database that failed before.

        Raises:
            Exception: the function's, for the smallest input; its notes hold the input and how to repeat it.
        """
        configured = settings(
            max_examples=examples,
            deadline=None,
            database=DirectoryBasedExampleDatabase(database),
            print_blob=True,
            suppress_health_check=_HEALTH,
        )
        configured(given(self.inputs)(self._counted))()

    def _counted(self, value: Any) -> None:
        CALLS[self.name] += 1
        self.check(value)


TARGETS: Final[list[Target]] = []
"""All targets of the modules that were imported."""
CALLS: Final[Counter[str]] = Counter()
"""Calls of each target by `Target.run`."""


def fuzzed(inputs: SearchStrategy[T], *, examples: int) -> Callable[[Callable[[T], None]], Callable[[], None]]:
    """Make a test of a function that takes one input: so many inputs, the same in each run.

    Args:
        inputs: generates the inputs.
        examples: number of inputs in `make test`.
    """

    def decorate(check: Callable[[T], None]) -> Callable[[], None]:
        TARGETS.append(
            Target(f"{check.__module__.rpartition('.')[2].removeprefix('test_')}: {_sentence(check)}", check, inputs)
        )
        fixed = settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            phases=(Phase.explicit, Phase.generate, Phase.shrink, Phase.explain),
            suppress_health_check=_HEALTH,
        )
        return fixed(given(inputs)(check))

    return decorate


def _sentence(check: Callable[..., Any]) -> str:
    return check.__name__.removeprefix("test_").replace("_", " ")


class _TooMuchWorkError(BaseException):
    """Not an Exception, so that the code under test cannot handle it."""


@contextlib.contextmanager
def bounded(*, cpu_seconds: float = 2.0, memory: int = 256 * _MIB) -> Iterator[None]:
    """Fail if the block takes more processor time, or more memory on top of what the process has; main thread only.

    Args:
        cpu_seconds: of all threads; tens of times what the block takes for a usual input.
        memory: bytes of address space.
    """

    def stop(_: int, __: FrameType | None) -> None:
        raise _TooMuchWorkError

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    before = signal.signal(signal.SIGPROF, stop)
    begun = time.process_time()
    resource.setrlimit(resource.RLIMIT_AS, (pages * mmap.PAGESIZE + memory, hard))
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    try:
        yield
    except _TooMuchWorkError:
        raise AssertionError(f"expected at most {cpu_seconds:g} s of processor time") from None
    except MemoryError as error:
        raise AssertionError(f"expected at most {memory} bytes of memory") from error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        signal.signal(signal.SIGPROF, before)
    # A native function returns before the signal's handler runs.
    assert (took := time.process_time() - begun) <= cpu_seconds, (
        f"expected {cpu_seconds:g} s of processor time, got {took:.1f}"
    )


def assert_message(text: str, *, longest: int = LONGEST_MESSAGE) -> None:
    """Check that a message is one line, of bounded length, that a terminal and a log show as it is."""
    assert text, "expected a message"
    assert text.isprintable(), f"expected one line without control characters, got {text[:300]!r}"
    assert len(text) <= longest, f"expected at most {longest} characters, got {len(text)}: {text[:300]!r}"


_KEPT: Final = ExitStack()
atexit.register(_KEPT.close)


def kept(manager: AbstractContextManager[T]) -> T:
    """Enter a context for the rest of the process, for parts that are slow to make and that no input changes."""
    return _KEPT.enter_context(manager)
