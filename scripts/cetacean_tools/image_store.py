"""Images that were built here, in Docker's own store or in buildah's, and how a registry gets them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from cetacean_tools.workspace import (
    BUILDER_PACKAGES,
    REGISTRY_VARIABLE,
    MissingError,
    cache_root,
    docker_answers,
    ensure_commands,
    registry,
)


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image that is ready to be loaded into a cluster."""

    reference: str
    archive: Path | None
    """A docker-archive of it; None if it lies in Docker's own store under its name."""
    size: int
    """Bytes, unpacked."""


def images_folder() -> Path:
    """Return the folder of archives and of buildah's storage; made if it is missing."""
    folder = cache_root() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def push(reference: str, archive: Path | None = None) -> None:
    """Push an image to the registry that its name begins with.

    Args:
        reference: the image's name.
        archive: a docker-archive of it; None if Docker's own store holds it.

    Raises:
        MissingError: it is named for this machine only.
        subprocess.CalledProcessError: the registry refused it; its output has been shown.
    """
    if registry() is None or not reference.startswith(f"{registry()}/"):
        raise MissingError(
            f"{reference}: missing {REGISTRY_VARIABLE}, the registry that the cluster's nodes pull images from "
            f"({REGISTRY_VARIABLE}=registry.example.org/team)"
        )
    if docker_answers():
        if archive is not None:
            run(["docker", "load", "--input", str(archive)])
        run(["docker", "push", reference])
        return
    folder = images_folder()
    with FileLock(folder / "build.lock"):
        buildah = Buildah(folder)
        if archive is not None and not buildah.holds(reference):
            # The archive was written without buildah: a program's image.
            buildah.run("pull", f"docker-archive:{archive}")
        buildah.run("push", reference, f"docker://{reference}")


class Buildah:
    """buildah without a daemon, its storage in a folder.

    Every call runs in namespaces of its own, so that an interrupted one leaves nothing mounted and nothing running.
    """

    def __init__(self, folder: Path) -> None:
        """Install buildah if it is missing."""
        ensure_commands(BUILDER_PACKAGES)
        places = ("--root", str(folder / "storage"), "--runroot", str(folder / "run"), "--storage-driver", "overlay")
        self._command = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "buildah", *places)

    def run(self, *arguments: str) -> None:
        """Call buildah; its output goes to standard error.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        run([*self._command, *arguments])

    def holds(self, reference: str) -> bool:
        """Return true if its storage has the image."""
        command = [*self._command, "inspect", reference]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def run(command: Sequence[str]) -> None:
    """Run a builder's command without standard input, its output on standard error.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)
