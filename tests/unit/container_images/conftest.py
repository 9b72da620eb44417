"""A small repository to build from, and commands that are only recorded."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cetacean_tools.container_images import Image
from cetacean_tools.container_images.images import images


@pytest.fixture
def image(tmp_path: Path) -> Image:
    """The operator's image of a repository with one file in each place."""
    root = tmp_path / "repository"
    for name in ("operator/requirements.lock", "operator/Dockerfile", "models/cetacean_registry/__init__.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    package = root / "operator/cetacean_operator"
    package.mkdir()
    (package / "main.py").write_text("main")
    return images(root)["operator"]


@dataclass(slots=True)
class Commands:
    """Stands in for `subprocess.run`."""

    run: list[list[str]] = field(default_factory=list)
    answer: Callable[[list[str]], int] = lambda _command: 0
    output: str = ""

    def __call__(self, command: Sequence[object], *, check: bool = False, **_: Any) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in command]
        self.run.append(words)
        code = self.answer(words)
        if check and code:
            raise subprocess.CalledProcessError(code, words)
        return subprocess.CompletedProcess(words, code, stdout=self.output, stderr="")


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """The commands that would have been run."""
    noted = Commands()
    monkeypatch.delenv("IMAGE_REGISTRY", raising=False)
    monkeypatch.setattr(subprocess, "run", noted)
    return noted
