"""Build the cluster's programs from the Go modules pinned under `modules/`, once for each state of the pins."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Generator, Iterable
from contextlib import closing
from pathlib import Path

from filelock import FileLock

from cetacean_tools.local_cluster.layout import Layout
from cetacean_tools.local_cluster.pins import Module, is_built, stamp
from cetacean_tools.local_cluster.progress import step
from cetacean_tools.local_cluster.protocol import ClusterError
from cetacean_tools.local_cluster.tools import check_go

_ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}


def ensure_built(modules: Iterable[Module], layout: Layout) -> None:
    """Build the programs that are missing or outdated, with progress.

    Raises:
        MissingError: Go is missing or too old.
        ClusterError: a build failed; the message holds its last lines.
    """
    modules = tuple(modules)
    if all(is_built(module, layout) for module in modules):
        # Do not wait for another process's build, which takes minutes.
        return
    layout.bin.mkdir(parents=True, exist_ok=True)
    with FileLock(layout.bin / ".lock"):
        wanted = [module for module in modules if not is_built(module, layout)]
        if wanted:
            check_go()
        # One after the other: Go compiles packages in parallel.
        for module in wanted:
            _build(module, layout)


def _build(module: Module, layout: Layout) -> None:
    packages = sum(1 for _ in _run(module, layout, "list", "-deps", *module.tag_flags, module.target))
    output = _emptied(layout.bin / f".partial-{module.name}")
    # -v names each package as it is compiled; those that are in Go's own build cache are not named.
    compiling = _run(module, layout, "build", "-v", *module.flags, "-o", f"{output}/", module.target)
    with closing(compiling), step(f"building {module.name}", packages, "packages") as advance:
        for done, _ in enumerate(compiling, start=1):
            advance(min(done, packages))
        _install(module, output, layout)


def _run(module: Module, layout: Layout, *arguments: str) -> Generator[str]:
    """Run Go in the module's folder, its output in a log; yield the lines that name packages.

    Go's objects, gigabytes of them, lie beside the programs while it works: /tmp may be small, and a Go that
    was interrupted leaves them there.
    """
    layout.build_logs.mkdir(parents=True, exist_ok=True)
    log = layout.build_logs / f"{module.name}.log"
    work = _emptied(layout.bin / f".work-{module.name}")
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
        try:
            for line in process.stdout or ():
                output.write(line)
                if not line.startswith("go: "):  # a download
                    yield line
        except BaseException:
            # An interruption must not wait for minutes.
            process.send_signal(signal.SIGINT)
            raise
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
    stamp(module, layout).touch()


def last_lines(path: Path, count: int = 15) -> str:
    """Return the end of a log."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return "(no log)"
    return "\n".join(f"  {line}" for line in lines[-count:]) or "(nothing logged)"
