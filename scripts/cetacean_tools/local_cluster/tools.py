"""kind, Helm, kubectl and Go: those of the PATH are used if their version fits, others are built."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from cetacean_tools.local_cluster import pins
from cetacean_tools.local_cluster.layout import VERSION, Layout
from cetacean_tools.local_cluster.pins import Module, is_built
from cetacean_tools.workspace import MissingError

GO_NEEDED = (1, 26)
ANSWER_WITHIN = 2.0
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

    def version_on_path(self, within: float) -> Version | None:
        """Return the version of the PATH's program; None if none is printed within so many seconds."""
        path = shutil.which(self.name)
        return None if path is None else _printed_version([path, *self.version_command], within)

    def on_path(self) -> Path | None:
        """Return the PATH's program if its version fits."""
        path = shutil.which(self.name)
        return Path(path) if path is not None and self.fits(self.version_on_path(USE_WITHIN)) else None

    def is_built(self, layout: Layout) -> bool:
        """Return true if it has been built from its present pins."""
        return any(is_built(module, layout) for module in self.modules)


def kubectl(server: Version) -> Tool:
    """Return the kubectl for an API server: Kubernetes supports a difference of one minor version."""
    major, minor = server
    return Tool(
        "kubectl",
        f"{major}.{minor - 1} to {major}.{minor + 1}",
        (major, minor - 1),
        (major, minor + 1),
        ("version", "--client"),
        (pins.KUBECTL, pins.KUBERNETES),
    )


def _pinned() -> Version:
    major, minor, _ = VERSION.removeprefix("v").split(".")
    return int(major), int(minor)


PINNED = _pinned()
"""The version of Kubernetes that is built here."""
KUBECTL = kubectl(PINNED)
# The charts are installed with flags that Helm 3 does not have.
HELM = Tool("helm", "4", (4, 0), (4, _NO_LIMIT), ("version", "--short"), (pins.HELM,))
# 0.31 is the first whose nodes run Kubernetes 1.35, the oldest that the charts accept.
KIND = Tool("kind", "0.31 or later", (0, 31), (_NO_LIMIT, 0), ("version",), (pins.KIND,))


def modules_to_build(tools: Iterable[Tool], layout: Layout) -> list[Module]:
    """Return the modules of the tools that are neither on the PATH nor built."""
    return [tool.modules[0] for tool in tools if not (tool.on_path() or tool.is_built(layout))]


class PathPrograms:
    """The versions of the PATH's programs, all asked for at once: each of them may take its time."""

    def __init__(self, pool: Executor) -> None:
        """Ask for them in the pool's threads."""
        self._versions = {tool.name: pool.submit(tool.version_on_path, ANSWER_WITHIN) for tool in (KUBECTL, HELM, KIND)}
        self._go_problem = pool.submit(go_problem, ANSWER_WITHIN)

    def check_tool(self, tool: Tool, layout: Layout) -> None:
        """Raise MissingError unless the tool is there or can be built."""
        version = self._versions[tool.name].result()
        if tool.fits(version) or tool.is_built(layout):
            return
        if problem := self._go_problem.result():
            path = shutil.which(tool.name)
            found = "none on the PATH" if path is None else f"{path} is {_text(version)}"
            raise MissingError(
                f"missing: {tool.name} {tool.wanted} ({found}), or Go to compile it ({problem}); "
                f"install {tool.name} {tool.wanted}, or Go {_text(GO_NEEDED)} or later"
            )

    def check_modules(self, modules: Iterable[Module], layout: Layout, files: Iterable[Path] = ()) -> None:
        """Raise MissingError unless the modules are built and the files made, or a Go is there that can do it."""
        missing = [module.name for module in modules if not is_built(module, layout)]
        missing += [file.name for file in files if not file.exists()]
        if missing and (problem := self._go_problem.result()):
            raise _no_go(problem, f", to make {', '.join(missing)}")


def check_go() -> None:
    """Raise MissingError unless a Go that can build the modules is there."""
    if problem := go_problem(USE_WITHIN):
        raise _no_go(problem)


def _no_go(problem: str, purpose: str = "") -> MissingError:
    needed = f"Go {_text(GO_NEEDED)} or later"
    return MissingError(f"missing: {needed}{purpose} ({problem}); install {needed} from go.dev/dl")


def go_problem(within: float) -> str:
    """Return why the PATH's Go cannot build the modules; empty if it can."""
    path = shutil.which("go")
    if path is None:
        return "no Go on the PATH"
    # Without it, and in a folder with a go.mod, Go may download the toolchain that this file names.
    found = _output([path, "env", "GOVERSION"], within, GOTOOLCHAIN="local").strip()
    version = re.match(r"go(\d+)\.(\d+)", found)
    if version is None:
        return f"{path} does not print its version"
    return "" if (int(version[1]), int(version[2])) >= GO_NEEDED else f"{path} is {found}"


def _text(version: Version | None) -> str:
    return "of no version that it prints" if version is None else ".".join(map(str, version))


def _printed_version(command: list[str], within: float) -> Version | None:
    found = re.search(r"\bv(\d+)\.(\d+)", _output(command, within))
    return None if found is None else (int(found[1]), int(found[2]))


def _output(command: list[str], within: float, **variables: str) -> str:
    """Return the standard output; empty if the program fails, or takes longer."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, **variables},
            check=False,
            timeout=within,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
