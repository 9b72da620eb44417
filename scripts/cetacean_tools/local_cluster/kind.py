"""The cluster of machines with Docker: kind, the PATH's if its version fits."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from cetacean_tools.local_cluster.builds import ensure_built
from cetacean_tools.local_cluster.layout import Layout
from cetacean_tools.local_cluster.protocol import output
from cetacean_tools.local_cluster.tools import HELM, KIND, KUBECTL, modules_to_build

NAME = "cetacean"


class KindCluster:
    """Implements `protocol.Cluster`; the node's image is kind's own for its release."""

    kind = "kind"
    context: str | None = f"kind-{NAME}"

    def __init__(self, layout: Layout | None = None) -> None:
        """Take the folder of programs and kubeconfig."""
        self.layout = layout or Layout.default()
        # A file of its own: the user's kubeconfig is not touched.
        self.kubeconfig = self.layout.root / "kind.kubeconfig"

    @cached_property
    def kubectl(self) -> Path:
        """The PATH's if its version fits, else the one that `up` builds."""
        return KUBECTL.on_path() or self.layout.kubectl

    @cached_property
    def helm(self) -> Path:
        """As `kubectl`."""
        return HELM.on_path() or self.layout.helm

    @cached_property
    def program(self) -> Path:
        """Kind itself, as `kubectl`."""
        return KIND.on_path() or self.layout.bin / KIND.name

    def is_up(self) -> bool:
        """Return true if kind knows the cluster."""
        return self.program.exists() and NAME in self._kind("get", "clusters").split()

    def up(self, *, owned: bool = False) -> None:  # noqa: ARG002 -- its containers outlive any process; `down` ends them
        """Create it and wait for its node."""
        self.layout.root.mkdir(parents=True, exist_ok=True)
        ensure_built(modules_to_build((KIND, HELM, KUBECTL), self.layout), self.layout)
        if not self.is_up():
            self._kind("create", "cluster", "--name", NAME, "--kubeconfig", str(self.kubeconfig), "--wait", "180s")

    def down(self) -> None:
        """Delete it."""
        if self.is_up():
            self._kind("delete", "cluster", "--name", NAME, "--kubeconfig", str(self.kubeconfig))

    def status(self) -> list[tuple[str, str]]:
        """Return the nodes, as kind lists them."""
        if not self.is_up():
            return [("cluster", "not running")]
        return [(node, "created by kind") for node in self._kind("get", "nodes", "--name", NAME).split()]

    def load_image(self, reference: str, archive: Path | None) -> None:
        """Copy an image from Docker's store, or from an archive, to the node."""
        if archive is None:
            self._kind("load", "docker-image", reference, "--name", NAME)
        else:
            self._kind("load", "image-archive", str(archive), "--name", NAME)

    def _kind(self, *arguments: str) -> str:
        return output(self.program, *arguments)
