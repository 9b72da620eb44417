"""A cluster that is none, for tests of the programs that start and end one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cetacean_tools.local_cluster.protocol import ClusterError


@dataclass
class FakeCluster:
    """A cluster that records what is called; `broken` does not start."""

    running: bool = False
    broken: bool = False
    calls: list[str] = field(default_factory=list)
    kind: str = "fake"
    kubeconfig: Path = Path("/nowhere/kubeconfig")
    context: str | None = None
    kubectl: Path = Path("/nowhere/kubectl")
    helm: Path = Path("/nowhere/helm")

    def is_up(self) -> bool:
        return self.running

    def up(self, *, owned: bool = False) -> None:
        self.calls.append(f"up owned={owned}")
        if self.broken:
            raise ClusterError("kubelet ended with exit code 1")
        self.running = True

    def down(self) -> None:
        self.calls.append("down")
        self.running = False

    def status(self) -> list[tuple[str, str]]:
        return [("etcd", "ready" if self.running else "not running")]

    def load_image(self, reference: str, archive: Path | None) -> None:
        self.calls.append(f"load {reference} {archive}")
