from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cetacean_tools.local_cluster.layout import Layout

from .stand_ins import StandIns


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "cache/cluster")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a shell script on the PATH, before everything else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def write(name: str, script: str) -> None:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return write


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    """A machine with an empty PATH, cache and home."""
    folder = tmp_path / "stand-ins"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CETACEAN_CACHE", str(tmp_path / "cache"))
    for variable in ("KUBECONFIG", "KUBE_CONTEXT", "IMAGE_REGISTRY"):
        monkeypatch.delenv(variable, raising=False)
    return StandIns(folder)
