"""What every kind of cluster can do."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class ClusterError(RuntimeError):
    """The cluster could not be had; the message says which part failed, and shows its last lines."""


class Cluster(Protocol):
    """A cluster that scripts and tests use without knowing its kind."""

    @property
    def kind(self) -> str:
        """`context`, `kind` or `local`."""
        ...

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig file that reaches it."""
        ...

    @property
    def context(self) -> str | None:
        """The context of the kubeconfig; None takes the current one."""
        ...

    @property
    def kubectl(self) -> Path:
        """A kubectl of the cluster's version."""
        ...

    @property
    def helm(self) -> Path:
        """Helm."""
        ...

    def is_up(self) -> bool:
        """Whether it can be used now."""
        ...

    def up(self, *, owned: bool = False) -> None:
        """Start it, and wait until its node is ready; nothing happens when it is up.

        Args:
            owned: end it with this process, however that ends.

        Raises:
            ClusterError: it did not start.
            MissingError: the machine lacks something.
        """
        ...

    def down(self) -> None:
        """End it and remove what it left; nothing happens when it is not there."""
        ...

    def status(self) -> list[tuple[str, str]]:
        """Name and state of each part."""
        ...

    def load_image(self, reference: str, archive: Path | None) -> None:
        """Make an image available to pods.

        Args:
            reference: the image's name.
            archive: a docker-archive; None when Docker's own store holds it.
        """
        ...
