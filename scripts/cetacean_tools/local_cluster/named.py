"""The user's own cluster, named by its context: used, never started or ended."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from cetacean_tools.image_store import push
from cetacean_tools.local_cluster.builds import HELM, KUBECTL, ensure_built
from cetacean_tools.local_cluster.layout import Layout
from cetacean_tools.local_cluster.protocol import ClusterError


class NamedCluster:
    """Implements `protocol.Cluster`."""

    kind = "context"

    def __init__(self, context: str, layout: Layout | None = None) -> None:
        """Take the context from the first file of KUBECONFIG, or from the usual one; prefer the user's own kubectl."""
        self.context: str | None = context
        self.layout = layout or Layout.default()
        first = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
        self.kubeconfig = Path(first or "~/.kube/config").expanduser()
        self.kubectl = Path(shutil.which("kubectl") or self.layout.kubectl)
        # Built here: the charts want Helm 4.
        self.helm = self.layout.helm

    def is_up(self) -> bool:
        """Return true if its API server answers."""
        command = [str(self.kubectl), "--kubeconfig", str(self.kubeconfig), "--context", str(self.context)]
        return subprocess.run([*command, "get", "--raw", "/readyz"], capture_output=True, check=False).returncode == 0

    def up(self, *, owned: bool = False) -> None:  # noqa: ARG002 -- it is not ours to end
        """Build the tools; the cluster must be there."""
        self.layout.root.mkdir(parents=True, exist_ok=True)
        ensure_built((HELM, KUBECTL), self.layout)
        if not self.is_up():
            raise ClusterError(f"context {self.context} of {self.kubeconfig}: its API server does not answer")

    def down(self) -> None:
        """Leave it alone."""

    def status(self) -> list[tuple[str, str]]:
        """Return one line: the API server's."""
        return [(str(self.context), "answers" if self.is_up() else "does not answer")]

    def load_image(self, reference: str, archive: Path | None) -> None:
        """Push the image to the registry that its nodes pull from: there is no other way for every cluster."""
        push(reference, archive)
