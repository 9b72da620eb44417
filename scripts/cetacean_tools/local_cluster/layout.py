"""Where the local cluster keeps things: everything under one folder of the cache."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
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


@dataclass(frozen=True)
class Layout:
    """Paths of one local cluster."""

    root: Path

    @classmethod
    def default(cls) -> Layout:
        """The one in the user's cache."""
        return cls(cache_root() / "cluster")

    @property
    def bin(self) -> Path:
        """Built programs; kept."""
        return self.root.parent / "bin"

    @property
    def kubectl(self) -> Path:
        """Of the cluster's version."""
        return self.bin / "kubectl"

    @property
    def helm(self) -> Path:
        """Helm 4."""
        return self.bin / "helm"

    @property
    def build_logs(self) -> Path:
        """What `go build` said; kept until the next build."""
        return self.root.parent / "build-logs"

    @property
    def images(self) -> Path:
        """What containerd keeps of images; kept, so that an image is unpacked once."""
        return self.root / "images"

    @property
    def state(self) -> Path:
        """All that ends with the cluster."""
        return self.root / "state"

    @property
    def logs(self) -> Path:
        """A file for each component; kept until the next start, for the curious."""
        return self.root / "logs"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.state / "pki"

    @property
    def config(self) -> Path:
        """Configuration of the components."""
        return self.state / "config"

    @property
    def volumes(self) -> Path:
        """An empty folder of the node, for whoever needs a PersistentVolume of the kind `local`."""
        return self.state / "volumes"

    @property
    def status(self) -> Path:
        """The supervisor's report."""
        return self.state / "status.json"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.state / "kubeconfig"

    @property
    def lock(self) -> Path:
        """Held while the cluster is started or ended."""
        return self.root / "change.lock"

    @property
    def use_lock(self) -> Path:
        """Held by a run that wants the cluster for itself."""
        return self.root / "use.lock"

    @cached_property
    def name(self) -> str:
        """Names what lies outside of the folder (a network link, cgroups); one for each folder."""
        return "ctn" + hashlib.sha256(str(self.root).encode()).hexdigest()[:8]


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
