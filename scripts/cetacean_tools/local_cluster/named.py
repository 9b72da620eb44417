"""The user's own cluster, named by its context: used, never started or ended."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from cetacean_tools.image_store import push
from cetacean_tools.local_cluster.builds import ensure_built
from cetacean_tools.local_cluster.contexts import Context, kubeconfigs
from cetacean_tools.local_cluster.layout import Layout
from cetacean_tools.local_cluster.protocol import ClusterError, output
from cetacean_tools.local_cluster.tools import HELM, Tool, modules_to_build
from cetacean_tools.local_cluster.tools import kubectl as kubectl_for
from cetacean_tools.workspace import ToolError


class NamedCluster:
    """Implements `protocol.Cluster`."""

    kind = "context"

    def __init__(self, context: str, layout: Layout | None = None) -> None:
        """Take the context from the first kubeconfig that names it."""
        self.layout = layout or Layout.default()
        self.context: str | None = context
        try:
            self.kubeconfig = Context.find(context).kubeconfig
        except ToolError:
            # `status` and `down` can do without; `up` reports it.
            self.kubeconfig = kubeconfigs()[0]

    @cached_property
    def kubectl(self) -> Path:
        """The PATH's if it supports the cluster's version, else the one that `up` builds."""
        return self._kubectl_tool.on_path() or self.layout.kubectl

    @cached_property
    def helm(self) -> Path:
        """The PATH's if its version fits, else the one that `up` builds."""
        return HELM.on_path() or self.layout.helm

    @cached_property
    def _kubectl_tool(self) -> Tool:
        return kubectl_for(Context.find(str(self.context)).server_version())

    def is_up(self) -> bool:
        """Return true if its API server answers."""
        try:
            output(
                "kubectl", "--kubeconfig", self.kubeconfig, "--context", str(self.context), "get", "--raw", "/readyz"
            )
        except ClusterError:
            return False
        return True

    def up(self, *, owned: bool = False) -> None:  # noqa: ARG002 -- it is not ours to end
        """Build the tools that are missing; the cluster must be there."""
        self.layout.root.mkdir(parents=True, exist_ok=True)
        ensure_built(modules_to_build([HELM, self._kubectl_tool], self.layout), self.layout)
        if not self.is_up():
            raise ClusterError(f"context {self.context}: its API server is not ready; try again later")

    def down(self) -> None:
        """Leave it alone."""

    def status(self) -> list[tuple[str, str]]:
        """Return one line: the API server's."""
        return [(str(self.context), "answers" if self.is_up() else "does not answer")]

    def load_image(self, reference: str, archive: Path | None) -> None:
        """Push the image to the registry that its nodes pull from: there is no other way for every cluster."""
        push(reference, archive)
