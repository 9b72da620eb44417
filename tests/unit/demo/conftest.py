"""Programs that stand in for kubectl and helm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cetacean_tools.demo.kubectl import Kubectl


@dataclass(slots=True)
class Machine:
    """kubectl and helm as shell scripts, and the lines shown of their calls."""

    folder: Path
    shown: list[str] = field(default_factory=list)

    def program(self, name: str, script: str) -> Path:
        """Write a program that records its arguments, one a line, and then runs `script`."""
        path = self.folder / name
        path.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >{self.folder / name}.arguments\n{script}\n")
        path.chmod(0o755)
        return path

    def arguments(self, name: str) -> list[str]:
        """Return the arguments of the last call."""
        return (self.folder / f"{name}.arguments").read_text().splitlines()

    def kubectl(self, script: str, *, context: str | None = None, helm: str = "true") -> Kubectl:
        """Return kubectl and helm that run the scripts."""
        return Kubectl(
            self.program("kubectl", script),
            self.program("helm", helm),
            self.folder / "kubeconfig",
            context,
            namespace="sea",
            show=self.shown.append,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A folder with programs."""
    return Machine(tmp_path)


@pytest.fixture
def picture(tmp_path: Path) -> Callable[[str], Path]:
    """Make a picture file."""

    def make(name: str) -> Path:
        path = tmp_path / name
        path.write_bytes(b"picture")
        return path

    return make
