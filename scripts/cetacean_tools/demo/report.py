"""What the demo expected and what it saw."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, slots=True)
class Finding:
    """One expectation held against the cluster."""

    step: str
    expected: str
    seen: str
    fulfilled: bool
    seconds: float


@dataclass(slots=True)
class Report:
    """Shows each step as it happens and keeps what was found for the table at the end."""

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
        """A line of what is happening."""
        self.console.print(line, markup=False, highlight=False)

    def expect(self, expected: str, seen: object, *, fulfilled: bool) -> None:
        """Hold one expectation against what was seen."""
        finding = Finding(self._step, expected, str(seen), fulfilled, time.monotonic() - self._started)
        self.findings.append(finding)
        mark = "[green]as expected[/]" if fulfilled else "[red]NOT as expected[/]"
        self.console.print(f"  {mark}: ", end="")
        self.console.print(f"{expected} — saw {seen}", markup=False, highlight=False)

    def fail(self, error: Exception) -> None:
        """The step could not go on."""
        self.expect("the step to go through", f"{type(error).__name__}: {error}", fulfilled=False)

    @property
    def fulfilled(self) -> bool:
        """Whether there was anything to see, and all of it was as expected."""
        return bool(self.findings) and all(finding.fulfilled for finding in self.findings)

    def table(self) -> Table:
        """All findings, in their order."""
        table = Table(title="What the demo saw", show_lines=False)
        for name in ("step", "expected", "seen", "s", ""):
            table.add_column(name, justify="right" if name == "s" else "left", overflow="fold")
        previous = ""
        for finding in self.findings:
            mark = "[green]yes[/]" if finding.fulfilled else "[red]NO[/]"
            step = finding.step if finding.step != previous else ""
            # As Text: what the cluster said may look like markup.
            told = (Text(cell) for cell in (step, finding.expected, finding.seen))
            table.add_row(*told, f"{finding.seconds:.0f}", mark)
            previous = finding.step
        return table
