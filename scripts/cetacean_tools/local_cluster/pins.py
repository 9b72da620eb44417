"""The Go modules pinned under `modules/`: which programs each makes, and if those of its present pins are built.

It needs the standard library only: prerequisites are checked before the Python environment exists.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from cetacean_tools.local_cluster.layout import VERSION, Layout

MODULES = Path(__file__).with_name("modules")
_VERSION_PACKAGE = "k8s.io/component-base/version"


@dataclass(frozen=True, slots=True)
class Module:
    """A folder with a go.mod whose `tool` lines (or main package) are built."""

    name: str
    binaries: tuple[str, ...]
    tags: str = ""
    link: tuple[str, ...] = field(default=())
    target: str = "tool"
    pins: str = ""
    """The folder under `modules/`, if its name is not the module's."""

    @property
    def folder(self) -> Path:
        """The folder of its go.mod."""
        return MODULES / (self.pins or self.name)

    @property
    def tag_flags(self) -> list[str]:
        """Build tags, as arguments."""
        return ["-tags", self.tags] if self.tags else []

    @property
    def flags(self) -> list[str]:
        """Arguments of `go build`."""
        return ["-trimpath", "-buildvcs=false", *self.tag_flags, "-ldflags", " ".join(("-s", "-w", *self.link))]

    @property
    def digest(self) -> str:
        """Sixteen hex digits that change if the pins or the flags do."""
        digest = hashlib.sha256(repr((self.flags, self.target, self.binaries)).encode())
        for path in sorted(self.folder.iterdir()):
            digest.update(path.read_bytes())
        return digest.hexdigest()[:16]


def _kubernetes_link() -> tuple[str, ...]:
    major, minor, _ = VERSION.removeprefix("v").split(".")
    values = {"gitVersion": VERSION, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return tuple(f"-X {_VERSION_PACKAGE}.{name}={value}" for name, value in values.items())


KUBERNETES = Module(
    "kubernetes",
    ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"),
    link=_kubernetes_link(),
)
# For clusters that are not made here: its command line alone takes 20 seconds instead of minutes.
KUBECTL = Module(
    "kubectl", ("kubectl",), link=_kubernetes_link(), target="k8s.io/kubernetes/cmd/kubectl", pins="kubernetes"
)
CONTAINERD = Module("containerd", ("containerd", "containerd-shim-runc-v2", "ctr"), tags="no_btrfs no_devmapper no_zfs")
COREDNS = Module("coredns", ("coredns",), target=".")
HELM = Module("helm", ("helm",))
KIND = Module("kind", ("kind",))
LOCAL = (KUBERNETES, CONTAINERD, COREDNS)
# Without its web pages, and with no service discovery but the cluster's: those of the clouds take most of the time.
PROMETHEUS = Module("prometheus", ("prometheus", "promtool"), tags="remove_all_sd,enable_kubernetes_sd")
METRICS_SERVER = Module("metrics-server", ("metrics-server",))
CONTOUR = Module("contour", ("contour",))
TESTING = (PROMETHEUS, METRICS_SERVER, CONTOUR)
"""Programs that only tests run, in the cluster or beside it."""

PROMETHEUS_OPERATOR = ("prometheus-operator", "github.com/prometheus-operator/prometheus-operator")
"""Folder under `modules/` and the module pinned there: it has the definitions of ServiceMonitor and others."""


def pause_archive(layout: Layout) -> Path:
    """Return the place of the pause image."""
    return layout.bin / f"pause-{VERSION}.tar"


def monitoring_kinds_folder(layout: Layout) -> Path:
    """Return the place of the Prometheus Operator's definitions, one for each state of their pin."""
    digest = hashlib.sha256((MODULES / PROMETHEUS_OPERATOR[0] / "go.sum").read_bytes()).hexdigest()
    return layout.bin / f"monitoring-kinds-{digest[:16]}"


def stamp(module: Module, layout: Layout) -> Path:
    """Return the file that records that the module was built from its present pins."""
    return layout.bin / f".{module.name}-{module.digest}"


def is_built(module: Module, layout: Layout) -> bool:
    """Return true if its programs are there, made from its present pins."""
    return stamp(module, layout).exists() and all((layout.bin / name).exists() for name in module.binaries)
