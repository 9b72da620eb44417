"""The operations that every kind of cluster has."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from cetacean_tools.workspace import ToolError


class ClusterError(ToolError):
    """The cluster cannot be started or used; the message says which part failed, and shows its last lines."""


def output(
    *command: str | Path, within: float | None = None, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Run a command without standard input, and return its standard output.

    Args:
        command: the program and its arguments.
        within: seconds after which it is ended; no limit if None.
        cwd: the folder to run it in; this process' own if None.
        env: its environment; this process' own if None.

    Raises:
        ClusterError: it cannot be started, failed, or was ended; one line, with what it printed on standard error.
    """
    shown = shlex.join(map(str, command))
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=within,
            cwd=cwd,
            env=env,
        )
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"`{shown}` did not end within {within:g} s") from error
    except subprocess.CalledProcessError as error:
        raise ClusterError(f"`{shown}` failed: {' '.join((error.stderr or error.stdout).split())}") from error
    except OSError as error:
        raise ClusterError(f"`{shown}` failed: {error.strerror}") from error
    return done.stdout


class Cluster(Protocol):
    """A cluster that scripts and tests use without knowing its kind."""

    kind: str
    """`context`, `kind` or `local`."""
    kubeconfig: Path
    context: str | None
    """The context of the kubeconfig; None takes the current one."""

    @property
    def kubectl(self) -> Path:
        """A kubectl that supports the cluster's version; it may have to be built, which `up` does."""
        ...

    @property
    def helm(self) -> Path:
        """Helm 4, for which the same holds."""
        ...

    def is_up(self) -> bool:
        """Return true if it can be used now."""
        ...

    def up(self, *, owned: bool = False) -> None:
        """Start it, and wait until its node is ready; nothing happens if it is up.

        Args:
            owned: end it with this process, however that ends.

        Raises:
            ClusterError: it did not start.
            MissingError: the machine lacks something.
        """
        ...

    def down(self) -> None:
        """End it and remove what it left; nothing happens if it is not there."""
        ...

    def status(self) -> list[tuple[str, str]]:
        """Return name and state of each part."""
        ...

    def load_image(self, reference: str, archive: Path | None) -> None:
        """Make an image available to pods.

        Args:
            reference: the image's name.
            archive: a docker-archive; None if Docker's own store holds it.
        """
        ...
