"""The commands of a document, so that tests can run them as a reader types them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_PART = re.compile(
    r"^#+ (?P<heading>[^\n]+)$|(?:^<!-- not run: (?P<reason>[^\n]+?) -->\n)?^```(?P<kind>\w*)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """One block of commands, and the output that the document shows after it."""

    section: str
    number: int
    """The position in its section, from 1."""
    commands: str
    expected: tuple[str, ...] = ()
    """Lines; any space matches any other, and `…` matches anything but nothing."""
    not_run: str | None = None
    """The reason why a test cannot run it, None if it can."""

    @property
    def title(self) -> str:
        """Section and position."""
        return f"{self.section} {self.number}"


def blocks(document: str) -> Iterator[Block]:
    """Yield the `sh` blocks of a Markdown document, each with the `text` block that follows before the next."""
    section, number = "", 0
    pending: Block | None = None
    for part in _PART.finditer(document):
        if part["heading"] is not None:
            section, number = part["heading"], 0
        elif part["kind"] == "sh":
            if pending is not None:
                yield pending
            number += 1
            pending = Block(section, number, part["body"], not_run=part["reason"])
        elif part["kind"] == "text" and pending is not None:
            yield Block(
                pending.section, pending.number, pending.commands, tuple(part["body"].splitlines()), pending.not_run
            )
            pending = None
    if pending is not None:
        yield pending


def anchors(document: str) -> set[str]:
    """Return the anchors of a document's headings, as GitHub and MkDocs both make them."""
    headings = (part["heading"].lower() for part in _PART.finditer(document) if part["heading"])
    return {re.sub(r"[^a-z0-9 -]", "", heading).replace(" ", "-") for heading in headings}


def missing(expected: tuple[str, ...], output: str) -> str | None:
    """Return the first expected line that does not follow the earlier ones in `output`, None if all do."""
    lines = iter(" ".join(line.split()) for line in output.splitlines())
    for line in expected:
        pieces = (re.escape(" ".join(piece.split())) for piece in line.split("…"))
        wanted = re.compile(".+".join(pieces))
        if not any(wanted.search(one) for one in lines):
            return line
    return None


@dataclass(slots=True)
class Shell:
    """A shell that keeps exported variables and functions from one block to the next."""

    folder: Path
    environment: Mapping[str, str]
    _state: Path = field(init=False)

    def __post_init__(self) -> None:
        self._state = self.folder / ".shell-state"
        self._state.touch()

    def run(self, commands: str, *, within: float = 300.0) -> subprocess.CompletedProcess[str]:
        """Run a block up to the first command that fails; the exit code is that command's."""
        script = f'source "{self._state}"\nset -euo pipefail\n{commands}\nset +u\n{{ export -p; declare -f; }} > "{self._state}"\n'
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=within,
        )
