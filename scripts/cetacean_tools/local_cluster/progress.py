"""Progress of builds: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_SECONDS_BETWEEN_LINES = 20.0


class Bars(Progress):
    """Progress of steps, on standard error; a context manager."""

    def __init__(self) -> None:
        """Draw bars only if standard error is a terminal."""
        console = Console(stderr=True)
        columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        super().__init__(*columns, console=console, disable=not console.is_terminal)

    @contextmanager
    def step(self, name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Show one step of `total` units; yields the function that takes the number of units done."""
        begun = last = time.monotonic()
        task = self.add_task(name, total=total)
        self._print(f"{name}: {total} {unit}")

        def advance(done: int) -> None:
            nonlocal last
            self.update(task, completed=done)
            if (now := time.monotonic()) - last >= _SECONDS_BETWEEN_LINES:
                last = now
                self._print(f"{name}: {done} of {total}, {now - begun:.0f} s")

        yield advance
        self.update(task, completed=total)
        self._print(f"{name}: done in {time.monotonic() - begun:.0f} s")

    def _print(self, line: str) -> None:
        if self.disable:
            self.console.print(line, markup=False, highlight=False)
