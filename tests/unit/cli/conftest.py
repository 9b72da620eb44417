"""The program as a person calls it, a registry in a folder, an API server on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support import kube_server
from support.kube_server import KubeServer

from cetacean_cli import cluster
from cetacean_cli.main import cli

Run = Callable[..., Result]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KubeServer]:
    with kube_server.serving(tmp_path) as server:
        yield server


@pytest.fixture
def kubectl(server: KubeServer, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The program with that API server; `input` answers its questions."""
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig))
    monkeypatch.setattr(cluster, "pause", lambda _seconds: None)

    def run(*arguments: str, input: str | None = None) -> Result:  # noqa: A002 -- click's name
        return CliRunner().invoke(cli, arguments, prog_name="kubectl cetacean", input=input)

    return run


class Registry:
    """A repository with a registry whose models have snapshots."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.file = root / "models/registry.json"
        self.file.parent.mkdir()
        (root / "reports").mkdir()
        self.models: list[dict[str, Any]] = []
        self.active = ""

    def add(self, name: str, version: str, *, figures: dict[str, Any] | None = None, **changes: Any) -> Registry:
        """Append a model; `figures` change its snapshot."""
        self.snapshot(name, version, **(figures or {}))
        entry = {
            "name": name,
            "version": version,
            "architecture": "A",
            "weights_url": f"https://example.org/{name}.ckpt",
            "sha256": f"{len(self.models):064x}",
            "trained_at": None,
            "metrics_snapshot": f"reports/{name}.json",
        }
        self.models.append(entry | changes)
        self.active = self.active or name
        return self.write()

    def snapshot(self, name: str, version: str, *, tn: int = 95, tp: int = 95, **changes: Any) -> Path:
        """Write reports/NAME.json."""
        gate = {"n_positive": 100, "n_negative": 100, "tp": tp, "fn": 100 - tp, "tn": tn, "fp": 100 - tn}
        rates = {"tpr": tp / 100, "tnr": tn / 100, "roc_auc": changes.pop("roc_auc", 0.98)}
        content = {
            "manifest_path": "data/test.csv",
            "sample_size": 200,
            "model_version": version,
            "cetacean_score_mean": 0.9,
            "anti_fraud": gate | rates,
        }
        path = self.root / f"reports/{name}.json"
        path.write_text(json.dumps(content | changes))
        return path

    def write(self, **layout: Any) -> Registry:
        """Write the file; `layout` goes to json.dumps."""
        content = {"schema_version": "1.0", "active": self.active, "models": self.models}
        self.file.write_text(json.dumps(content, **({"indent": 2} | layout)) + "\n")
        return self

    def run(self, *arguments: str, input: str | None = None) -> Result:  # noqa: A002 -- click's name
        """Call the program; `--file` is added."""
        return CliRunner().invoke(cli, [*arguments, "--file", str(self.file)], input=input)

    def read(self) -> dict[str, Any]:
        """The file's content."""
        content: dict[str, Any] = json.loads(self.file.read_text())
        return content


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path)
