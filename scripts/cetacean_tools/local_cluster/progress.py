"""A bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

_LINE_EVERY = 20.0


class Bars:
    """Progress of several steps at once; thread safe."""

    def __init__(self, console: Console) -> None:
        """Show on `console`."""
        self._console = console
        self._lock = threading.Lock()
        self._bars: Progress | None = None
        self._begun: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}

    @contextmanager
    def live(self) -> Iterator[None]:
        """Draw the bars for as long as this lasts."""
        if not self._console.is_terminal:
            yield
            return
        columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console) as self._bars:
            yield
        self._bars = None

    def begin(self, name: str, total: int, unit: str) -> None:
        """A step of `total` units begins."""
        with self._lock:
            self._begun[name] = self._told[name] = time.monotonic()
            if self._bars:
                self._tasks[name] = self._bars.add_task(name, total=total)
            else:
                self._say(f"{name}: {total} {unit}")

    def advance(self, name: str, done: int, total: int) -> None:
        """So many units are done."""
        with self._lock:
            if self._bars:
                self._bars.update(self._tasks[name], completed=done)
            elif (now := time.monotonic()) - self._told[name] >= _LINE_EVERY:
                self._told[name] = now
                self._say(f"{name}: {done} of {total}, {now - self._begun[name]:.0f} s")

    def end(self, name: str, total: int) -> None:
        """The step is done."""
        with self._lock:
            if self._bars:
                self._bars.update(self._tasks[name], completed=total)
            else:
                self._say(f"{name}: done in {time.monotonic() - self._begun[name]:.0f} s")

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False)


def console() -> Console:
    """Progress goes to standard error: standard output is for results."""
    return Console(file=sys.stderr)
