"""Build the cluster's programs from the Go modules pinned under `modules/`, once for each state of the pins."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from cetacean_tools.local_cluster.layout import VERSION, Layout
from cetacean_tools.local_cluster.progress import Bars
from cetacean_tools.local_cluster.protocol import ClusterError
from cetacean_tools.workspace import MissingError

MODULES = Path(__file__).with_name("modules")
GO_NEEDED = (1, 26)
_PARALLEL = 2
_ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
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
LOCAL = (KUBERNETES, CONTAINERD, HELM, COREDNS)
# Without its web pages, and with no service discovery but the cluster's: those of the clouds take most of the time.
PROMETHEUS = Module("prometheus", ("prometheus", "promtool"), tags="remove_all_sd,enable_kubernetes_sd")
METRICS_SERVER = Module("metrics-server", ("metrics-server",))
TESTING = (PROMETHEUS, METRICS_SERVER)
"""Programs that only tests run, in the cluster or beside it."""


def ensure_built(modules: Iterable[Module], layout: Layout) -> None:
    """Build the programs that are missing or outdated, with progress.

    Raises:
        MissingError: Go is missing or too old.
        ClusterError: a build failed; the message holds its last lines.
    """
    modules = tuple(modules)
    if all(_is_built(module, layout) for module in modules):
        # Do not wait for another process's build, which takes minutes.
        return
    layout.bin.mkdir(parents=True, exist_ok=True)
    with FileLock(layout.bin / ".lock"):
        wanted = [module for module in modules if not _is_built(module, layout)]
        if not wanted:
            return
        check_go()
        builder = Builder(layout)
        with builder.bars, ThreadPoolExecutor(_PARALLEL) as pool:
            try:
                for built in [pool.submit(builder.build, module) for module in wanted]:
                    built.result()
            except BaseException:
                # The pool waits for its threads, and those for Go: an interruption must not wait for minutes.
                pool.shutdown(wait=False, cancel_futures=True)
                builder.stop()
                raise


def check_go() -> None:
    """Raise MissingError unless a Go that can build the modules is there."""
    needed = ".".join(map(str, GO_NEEDED))
    if shutil.which("go") is None:
        raise MissingError(f"missing: Go {needed} or later, on the PATH")
    version = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout.strip()
    found = re.match(r"go(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < GO_NEEDED:
        raise MissingError(f"missing: Go {needed} or later, found {version or 'one that does not print its version'}")


def _stamp(module: Module, layout: Layout) -> Path:
    return layout.bin / f".{module.name}-{module.digest}"


def _is_built(module: Module, layout: Layout) -> bool:
    return _stamp(module, layout).exists() and all((layout.bin / name).exists() for name in module.binaries)


class Builder:
    """Runs Go; can be stopped from another thread."""

    def __init__(self, layout: Layout) -> None:
        """Build into the layout's folder of programs."""
        self.bars = Bars()
        self._layout = layout
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def stop(self) -> None:
        """End what runs, as Ctrl-C would, and begin nothing more."""
        self._stopped = True
        for process in list(self._running):
            process.send_signal(signal.SIGINT)

    def build(self, module: Module) -> None:
        """Build one module.

        Raises:
            ClusterError: Go failed; the message holds its last lines.
        """
        packages = sum(1 for _ in self._run(module, "list", "-deps", *module.tag_flags, module.target))
        output = _emptied(self._layout.bin / f".partial-{module.name}")
        # -v names each package as it is compiled; those that are in Go's own build cache are not named.
        compiling = self._run(module, "build", "-v", *module.flags, "-o", f"{output}/", module.target)
        with self.bars.step(f"building {module.name}", packages, "packages") as advance:
            for done, _ in enumerate(compiling, start=1):
                advance(min(done, packages))
            _install(module, output, self._layout)

    def _run(self, module: Module, *arguments: str) -> Iterator[str]:
        """Run Go in the module's folder, its output in a log; yield the lines that name packages.

        Go's objects, gigabytes of them, lie beside the programs while it works: /tmp may be small, and a Go that
        was interrupted leaves them there.
        """
        if self._stopped:
            raise ClusterError(f"building {module.name}: stopped")
        self._layout.build_logs.mkdir(parents=True, exist_ok=True)
        log = self._layout.build_logs / f"{module.name}.log"
        work = _emptied(self._layout.bin / f".work-{module.name}")
        with (
            log.open("w", encoding="utf-8") as output,
            subprocess.Popen(
                ["go", *arguments],
                cwd=module.folder,
                env={**os.environ, **_ENVIRONMENT, "GOTMPDIR": str(work)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as process,
        ):
            self._running.add(process)
            if self._stopped:  # after the check above, and before `stop` could see this process
                process.send_signal(signal.SIGINT)
            for line in process.stdout or ():
                output.write(line)
                if not line.startswith("go: "):  # a download
                    yield line
        self._running.discard(process)
        shutil.rmtree(work, ignore_errors=True)
        if process.returncode != 0:
            raise ClusterError(f"building {module.name} failed:\n{last_lines(log)}")


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _install(module: Module, output: Path, layout: Layout) -> None:
    """Move the built programs to their place, and record the state of the pins they come from."""
    if missing := [name for name in module.binaries if not (output / name).exists()]:
        # etcd's main package is called `server`; a module's own main package by the last part of its name.
        made = [path for path in output.iterdir() if path.name not in module.binaries]
        if len(missing) != 1 or len(made) != 1:
            raise ClusterError(f"building {module.name}: expected {', '.join(missing)}, got {sorted(map(str, made))}")
        made[0].rename(output / missing[0])
    for name in module.binaries:
        (output / name).replace(layout.bin / name)
    shutil.rmtree(output)
    for outdated in layout.bin.glob(f".{module.name}-*"):
        outdated.unlink()
    _stamp(module, layout).touch()


def last_lines(path: Path, count: int = 15) -> str:
    """Return the end of a log."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return "(no log)"
    return "\n".join(f"  {line}" for line in lines[-count:]) or "(nothing logged)"
