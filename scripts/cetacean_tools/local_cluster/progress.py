"""Progress of builds: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_SECONDS_BETWEEN_LINES = 20.0


@contextmanager
def step(name: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Show one step of `total` units on standard error; yields the function that takes the number of units done."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=console, disable=not console.is_terminal)
    begun = last = time.monotonic()
    task = bar.add_task(name, total=total)

    def show(line: str) -> None:
        if bar.disable:
            console.print(line, markup=False, highlight=False)

    def advance(done: int) -> None:
        nonlocal last
        bar.update(task, completed=done)
        if (now := time.monotonic()) - last >= _SECONDS_BETWEEN_LINES:
            last = now
            show(f"{name}: {done} of {total}, {now - begun:.0f} s")

    show(f"{name}: {total} {unit}")
    with bar:
        yield advance
        bar.update(task, completed=total)
    show(f"{name}: done in {time.monotonic() - begun:.0f} s")
