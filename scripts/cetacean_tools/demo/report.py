"""The findings of the demo: what was expected, and what was seen."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, slots=True)
class Finding:
    """One expectation and the observation it was compared with."""

    step: str
    expected: str
    seen: str
    fulfilled: bool
    seconds: float


@dataclass(slots=True)
class Report:
    """Print each step as it happens, and keep the findings for the table at the end."""

    console: Console
    findings: list[Finding] = field(default_factory=list)
    _step: str = ""
    _started: float = field(default_factory=time.monotonic)

    def step(self, title: str) -> None:
        """Begin a step."""
        self._step, self._started = title, time.monotonic()
        self.console.print()
        self.console.rule(f"[bold]{title}", align="left")

    def show(self, line: str) -> None:
        """Print a line about the current action."""
        self.console.print(line, markup=False, highlight=False)

    def expect(self, expected: str, seen: object, *, fulfilled: bool) -> None:
        """Compare one expectation with an observation."""
        finding = Finding(self._step, expected, str(seen), fulfilled, time.monotonic() - self._started)
        self.findings.append(finding)
        mark = "[green]as expected[/]" if fulfilled else "[red]NOT as expected[/]"
        self.console.print(f"  {mark}: ", end="")
        self.console.print(f"{expected} — saw {seen}", markup=False, highlight=False)

    def fail(self, error: Exception) -> None:
        """Record that the step could not go on."""
        self.expect("the step to go through", f"{type(error).__name__}: {error}", fulfilled=False)

    @property
    def fulfilled(self) -> bool:
        """True if there are findings, and all of them are as expected."""
        return bool(self.findings) and all(finding.fulfilled for finding in self.findings)

    def table(self) -> Table:
        """Return all findings, in their order."""
        table = Table(title="What the demo saw", show_lines=False)
        for name in ("step", "expected", "seen", "s", ""):
            table.add_column(name, justify="right" if name == "s" else "left", overflow="fold")
        previous = ""
        for finding in self.findings:
            mark = "[green]yes[/]" if finding.fulfilled else "[red]NO[/]"
            step = finding.step if finding.step != previous else ""
            # As Text: the cluster's messages may contain markup.
            cells = (Text(cell) for cell in (step, finding.expected, finding.seen))
            table.add_row(*cells, f"{finding.seconds:.0f}", mark)
            previous = finding.step
        return table
