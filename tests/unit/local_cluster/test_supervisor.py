"""The cluster's first process, as far as it runs without namespaces."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from cetacean_tools.local_cluster import supervisor
from cetacean_tools.local_cluster.layout import Layout
from cetacean_tools.local_cluster.protocol import ClusterError


def test_the_file_with_the_process_id_appears_complete(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that waits for it reads it at once: on a busy machine it was still empty then."""
    plainly, named = Path.write_text, layout.state / "pid"
    layout.state.mkdir(parents=True)

    def write(path: Path, text: str, **options: Any) -> int:
        path.touch()
        assert not named.exists(), "it is there and empty"
        return plainly(path, text, **options)

    def no_namespaces(*_: object, **__: object) -> str:
        raise ClusterError("no namespaces")

    monkeypatch.setattr(Path, "write_text", write)
    monkeypatch.setattr(supervisor, "output", no_namespaces)
    monkeypatch.setattr(sys, "argv", ["supervisor", f"--root={layout.root}", "--host=10.0.0.1", "--node=10.0.0.2"])
    with pytest.raises(ClusterError, match="no namespaces"):
        supervisor.main()
    assert int(named.read_text()) > 0
