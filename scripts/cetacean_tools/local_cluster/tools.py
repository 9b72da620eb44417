"""kind, Helm, kubectl and Go: those of the PATH are used if their version fits, others are built."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cetacean_tools.local_cluster import pins
from cetacean_tools.local_cluster.layout import VERSION, Layout
from cetacean_tools.local_cluster.pins import Module, is_built
from cetacean_tools.local_cluster.protocol import ClusterError, output
from cetacean_tools.workspace import MissingError

GO_NEEDED = (1, 26)
ANSWER_WITHIN = 1.5
"""Seconds that a program has to print its version when prerequisites are checked."""
USE_WITHIN = 20.0
"""The same when it is about to be used: a machine under load must not change which program that is."""
_NO_LIMIT = 1_000_000

Version = tuple[int, int]
"""Major and minor."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that is used from the PATH if its version fits, else built."""

    name: str
    wanted: str
    """The versions that fit, for people."""
    lowest: Version
    highest: Version
    version_command: tuple[str, ...]
    modules: tuple[Module, ...]
    """Each of them makes it; the first one is built if none is."""

    def fits(self, version: Version | None) -> bool:
        """Return true if this version can be used."""
        return version is not None and self.lowest <= version <= self.highest

    def on_path(self) -> Path | None:
        """Return the PATH's program if its version fits."""
        path = shutil.which(self.name)
        return Path(path) if path and self.fits(_version(path, *self.version_command, within=USE_WITHIN)) else None

    def is_built(self, layout: Layout) -> bool:
        """Return true if it has been built from its present pins."""
        return any(is_built(module, layout) for module in self.modules)

    def check(self, layout: Layout) -> None:
        """Raise MissingError unless the tool is there or can be built."""
        path = shutil.which(self.name)
        version = _version(path, *self.version_command, within=ANSWER_WITHIN) if path else None
        if not self.fits(version) and not self.is_built(layout) and (problem := go_problem(ANSWER_WITHIN)):
            found = f"{path} is {_text(version)}" if path else "none on the PATH"
            raise MissingError(
                f"missing: {self.name} {self.wanted} ({found}), or Go to compile it ({problem}); "
                f"install {self.name} {self.wanted}, or Go {_text(GO_NEEDED)} or later"
            )


def kubectl(server: Version) -> Tool:
    """Return the kubectl for an API server: Kubernetes supports a difference of one minor version."""
    major, minor = server
    wanted = f"{major}.{minor - 1} to {major}.{minor + 1}"
    modules = (pins.KUBECTL, pins.KUBERNETES)
    return Tool("kubectl", wanted, (major, minor - 1), (major, minor + 1), ("version", "--client"), modules)


_MAJOR, _MINOR, _ = VERSION.removeprefix("v").split(".")
KUBECTL = kubectl((int(_MAJOR), int(_MINOR)))
"""For the version of Kubernetes that is built here."""
# The charts are installed with flags that Helm 3 does not have.
HELM = Tool("helm", "4", (4, 0), (4, _NO_LIMIT), ("version", "--short"), (pins.HELM,))
# 0.31 is the first whose nodes run Kubernetes 1.35, the oldest that the charts accept.
KIND = Tool("kind", "0.31 or later", (0, 31), (_NO_LIMIT, 0), ("version",), (pins.KIND,))


def modules_to_build(tools: Iterable[Tool], layout: Layout) -> list[Module]:
    """Return the modules of the tools that are neither on the PATH nor built."""
    return [tool.modules[0] for tool in tools if not (tool.on_path() or tool.is_built(layout))]


def check_go(purpose: str = "", within: float = USE_WITHIN) -> None:
    """Raise MissingError unless a Go that can build the modules is there, and prints its version in so many seconds."""
    if problem := go_problem(within):
        needed = f"Go {_text(GO_NEEDED)} or later"
        raise MissingError(f"missing: {needed}{purpose} ({problem}); install {needed} from go.dev/dl")


def go_problem(within: float) -> str:
    """Return why the PATH's Go cannot build the modules; empty if it can."""
    path = shutil.which("go")
    if path is None:
        return "no Go on the PATH"
    # Without GOTOOLCHAIN, and in a folder with a go.mod, Go may download the toolchain that this file names.
    version = _version(path, "env", "GOVERSION", within=within, GOTOOLCHAIN="local")
    return "" if version and version >= GO_NEEDED else f"{path} is {_text(version)}"


def _text(version: Version | None) -> str:
    return "of no version that it prints" if version is None else ".".join(map(str, version))


def _version(*command: str, within: float, **variables: str) -> Version | None:
    """Return the version that a program prints; None if it fails, or takes longer."""
    try:
        printed = output(*command, within=within, env={**os.environ, **variables})
    except ClusterError:
        return None
    found = re.search(r"\b(?:v|go)(\d+)\.(\d+)", printed)
    return found and (int(found[1]), int(found[2]))
