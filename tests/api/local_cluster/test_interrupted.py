"""A run that is interrupted leaves no process, mount, link or cgroup of its cluster; a second cluster, beside the tier's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cetacean_tools.demo.waiting import until
from cetacean_tools.local_cluster.cgroups import hierarchies
from cetacean_tools.local_cluster.layout import Layout
from cetacean_tools.local_cluster.local import LocalCluster
from cetacean_tools.local_cluster.use import choose
from cetacean_tools.workspace import cache_root

# It takes the processors from the others.
pytestmark = pytest.mark.alone

INTERRUPTIONS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]


@dataclass(frozen=True, slots=True)
class Machine:
    """The leftovers of a cluster in a folder."""

    layout: Layout

    def processes(self) -> list[str]:
        """Return the command lines that name the folder."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(self.layout.root) in command:
                found.append(command)
        return found

    def mounts(self) -> list[str]:
        """Return the mounts of any process that name the folder."""
        found: set[str] = set()
        for path in Path("/proc").glob("[0-9]*/mounts"):
            try:
                found.update(line for line in path.read_text().splitlines() if str(self.layout.root) in line)
            except OSError:
                continue
        return sorted(found)

    def others(self) -> list[str]:
        """Return links, cgroups and the state's folder."""
        places = [Path("/sys/class/net") / self.layout.name, self.layout.state]
        places += [hierarchy / self.layout.name for hierarchy in hierarchies()]
        return [str(place) for place in places if place.exists()]

    def left(self) -> list[str]:
        return [*self.processes(), *self.mounts(), *self.others()]


@pytest.fixture
def cache() -> Iterator[Path]:
    """A cache without a cluster, with the programs of the usual one; its path is short, as those of sockets must be."""
    cluster = choose()
    if not isinstance(cluster, LocalCluster):
        pytest.skip(f"needs the local cluster, not {cluster.kind}")
    with TemporaryDirectory(prefix="cut-", dir=cache_root()) as folder:
        for name in ("bin", "images"):
            if (cache_root() / name).exists():
                (Path(folder) / name).symlink_to(cache_root() / name)
        yield Path(folder)


@pytest.fixture
def machine(cache: Path) -> Iterator[Machine]:
    """The machine, without a cluster in that cache."""
    layout = Layout(cache / "cluster")
    yield Machine(layout)
    LocalCluster(layout).down()


@pytest.mark.parametrize("number", INTERRUPTIONS, ids=lambda number: str(number.name))
def test_an_interrupted_run_leaves_nothing_of_its_cluster(
    machine: Machine, cache: Path, number: signal.Signals
) -> None:
    there = cache / "there"
    command = [sys.executable, "-m", "cetacean_tools.local_cluster", "run", "--"]
    command += ["sh", "-c", f"touch {there}; exec sleep 600"]
    environment = {**os.environ, "CETACEAN_CACHE": str(cache)}
    with subprocess.Popen(command, env=environment, start_new_session=True) as run:
        until("the cluster to be up", lambda: there.exists() or run.poll() is not None, within=180)
        assert run.poll() is None
        assert machine.processes()
        assert machine.mounts()
        assert machine.others()
        # A terminal's Ctrl-C reaches the whole group; the other signals reach one process.
        send = os.killpg if number == signal.SIGINT else os.kill
        send(run.pid, number)
        assert run.wait(120) == (-number if number == signal.SIGKILL else 130)
        if number == signal.SIGKILL:
            # Nobody is left to clean up: the supervisor ends by itself, and the next run removes what the kernel keeps.
            until("the cluster's processes to end", lambda: not machine.processes() and not machine.mounts(), within=30)
            LocalCluster(machine.layout).down()
            os.killpg(run.pid, signal.SIGKILL)
    assert machine.left() == []
