"""Paths of the local cluster: everything is under one folder of the cache."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cetacean_tools.workspace import cache_root

VERSION = "v1.37.2"
NODE = "local"
POD_CIDR = "10.244.0.0/24"
SERVICE_CIDR = "10.96.0.0/16"
API_PORT = 6443
CNI_PLUGINS = Path("/usr/lib/cni")
RUNC = Path("/usr/sbin/runc")
CONTAINERD_SOCKET = Path("/run/containerd/containerd.sock")
"""On a /run that only the cluster's own mount namespace sees."""


class Layout:
    """Paths of one local cluster."""

    def __init__(self, root: Path) -> None:
        """Place everything under `root`, and programs beside it."""
        self.root = root
        self.name = "ctn" + hashlib.sha256(str(root).encode()).hexdigest()[:8]
        """Names what lies outside of the folder (a network link, cgroups); one for each folder."""
        # Kept from one cluster to the next: built programs, the output of `go build`, containerd's unpacked images, the
        # log of each component.
        self.bin = root.parent / "bin"
        self.kubectl = self.bin / "kubectl"
        self.helm = self.bin / "helm"
        self.build_logs = root.parent / "build-logs"
        self.images = root / "images"
        self.logs = root / "logs"
        # Held while the cluster is started or ended, and by a run that wants the cluster for itself.
        self.lock = root / "change.lock"
        self.use_lock = root / "use.lock"
        # Removed at the cluster's end.
        self.state = root / "state"
        self.pki = self.state / "pki"
        self.config = self.state / "config"
        self.status = self.state / "status.json"
        """The supervisor's report."""
        self.kubeconfig = self.state / "kubeconfig"
        """The administrator's."""
        self.volumes = self.state / "volumes"
        """An empty folder of the node, for a PersistentVolume of the kind `local`."""

    @classmethod
    def default(cls) -> Layout:
        """Return the one in the user's cache."""
        return cls(cache_root() / "cluster")


@dataclass(frozen=True, slots=True)
class Link:
    """The network link between the machine and the cluster's network namespace."""

    host: str
    """Address of the machine's end."""
    node: str
    """Address of the cluster's end: the node's, and the API server's."""
    prefix: int = 30

    @property
    def api(self) -> str:
        """The API server's URL."""
        return f"https://{self.node}:{API_PORT}"
