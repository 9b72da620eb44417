"""The first process of the cluster's namespaces: start the components, reap orphans, end everything.

It is process 1 of a process namespace, so when it ends, however it ends, the kernel ends every component and container
with it; mounts, links and packet filters go with their namespaces. Only cgroups and files remain to be removed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx

from cetacean_tools.local_cluster.cgroups import remove_cgroups
from cetacean_tools.local_cluster.configs import Component, components
from cetacean_tools.local_cluster.layout import Layout, Link
from cetacean_tools.local_cluster.protocol import output

_TICK = 0.1
_RESTART_AFTER = 1.0
_CONTAINERD_GRACE = 5.0


@dataclass(slots=True)
class _Running:
    component: Component
    pid: int = 0
    state: str = "waiting"
    exit_status: str = ""
    restarts: int = 0
    ended_at: float = 0.0
    checked_at: float = 0.0


class Supervisor:
    """Keeps the components running and reports on them in `status.json`."""

    def __init__(self, layout: Layout, link: Link, *, owned: bool) -> None:
        """Take the components; `owned` ends everything when standard input is closed."""
        self._layout = layout
        self._owned = owned
        self._parts = {part.name: _Running(part) for part in components(layout, link)}
        self._stopping = False
        self._reported = ""
        # The probes connect to this namespace's loopback, to components with self-signed certificates.
        self._probes = httpx.Client(verify=False, trust_env=False, timeout=1)  # noqa: S501

    def run(self) -> None:
        """Start and watch the components; end everything on SIGTERM, or when the owner has ended."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            while not self._stopping:
                self._reap()
                for part in self._parts.values():
                    self._step(part)
                self._report()
                self._wait()
        finally:
            self._end()

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _wait(self) -> None:
        readable, _, _ = select.select([sys.stdin] if self._owned else [], [], [], _TICK)
        if readable and not os.read(sys.stdin.fileno(), 1):
            self._stopping = True

    def _step(self, part: _Running) -> None:
        now = time.monotonic()
        if part.state == "waiting":
            if all(self._parts[name].state == "ready" for name in part.component.after):
                self._start(part)
        elif part.state == "failed":
            # Restart as an init system would. A client that waits for readiness sees the failure in between.
            if now - part.ended_at > _RESTART_AFTER:
                part.restarts += 1
                self._start(part)
        elif part.state == "started" and now - part.checked_at > _TICK:
            part.checked_at = now
            if self._is_ready(part.component):
                part.state = "ready"

    def _start(self, part: _Running) -> None:
        log = self._layout.logs / f"{part.component.name}.log"
        environment = {
            "PATH": f"{self._layout.bin}:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self._layout.state),
        }
        with log.open("ab") as output:
            # Reaped by `_reap` with all other children, hence no handle is kept.
            part.pid = os.posix_spawn(
                part.component.command[0],
                part.component.command,
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
                ],
                setsigdef=[signal.SIGINT, signal.SIGTERM],
            )
        part.state = "started"

    def _is_ready(self, component: Component) -> bool:
        if component.ready.startswith("/"):
            return Path(component.ready).exists()
        try:
            return self._probes.get(component.ready).status_code == HTTPStatus.OK
        except httpx.HTTPError:
            return False

    def _reap(self) -> None:
        """Wait for every child that has ended: orphans of containers come to process 1 too."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                for part in self._parts.values():
                    if part.pid == ended[0]:
                        code = os.waitstatus_to_exitcode(ended[1])
                        part.exit_status = f"exit code {code}" if code >= 0 else f"signal {-code}"
                        part.state, part.pid, part.ended_at = "failed", 0, time.monotonic()

    def _report(self) -> None:
        report = {
            "components": {
                name: {"state": part.state, "exit": part.exit_status, "restarts": part.restarts, "pid": part.pid}
                for name, part in self._parts.items()
            }
        }
        text = json.dumps(report, indent=2)
        if text != self._reported:
            partial = self._layout.status.with_suffix(".partial")
            partial.write_text(text, encoding="utf-8")
            partial.replace(self._layout.status)
            self._reported = text

    def _end(self) -> None:
        """End everything; containerd alone gets time to finish its writes, as its images are used again."""
        keeper = self._parts["containerd"]
        for part in self._parts.values():
            if part.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(part.pid, signal.SIGTERM if part is keeper else signal.SIGKILL)
        deadline = time.monotonic() + _CONTAINERD_GRACE
        while keeper.pid and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()
        remove_cgroups(self._layout.name)


def _prepare(layout: Layout, link: Link) -> None:
    """Prepare the namespaces for containers: mounts, loopback, forwarding, the network link."""
    # Volumes of pods are mounted by the kubelet and must reach containers: shared, but only within this namespace.
    output("mount", "--make-rshared", "/")
    output("mount", "-t", "proc", "proc", "/proc")
    # Components write outside of their folders, too: to places that end with the cluster.
    for folder in ("/run", "/var/log"):
        output("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder)
    upper, work = layout.state / "var-lib", layout.state / "var-lib.work"
    for path in (upper, work):
        path.mkdir()
    output("mount", "-t", "overlay", "-o", f"lowerdir=/var/lib,upperdir={upper},workdir={work}", "overlay", "/var/lib")
    output("ip", "link", "set", "lo", "up")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    deadline = time.monotonic() + 10
    # /sys still shows the machine's links; this asks the kernel for this namespace's.
    while "eth0" not in (name for _, name in socket.if_nameindex()):
        if time.monotonic() > deadline:
            raise RuntimeError("the network link did not appear")
        time.sleep(0.02)
    output("ip", "address", "add", f"{link.node}/{link.prefix}", "dev", "eth0")
    output("ip", "link", "set", "eth0", "up")
    # Kubernetes wants a default route to learn the node's address from; nothing is forwarded there.
    output("ip", "route", "add", "default", "via", link.host)


def main() -> int:
    """Run until SIGTERM, or until the owner has ended."""
    parser = argparse.ArgumentParser(prog="cetacean_tools.local_cluster.supervisor")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--node", required=True)
    parser.add_argument("--owned", action="store_true")
    arguments = parser.parse_args()
    layout, link = Layout(arguments.root), Link(arguments.host, arguments.node)
    # /proc is still the machine's: this is the number that the machine knows this process by.
    partial = layout.state / "pid.partial"
    partial.write_text(Path("/proc/self").readlink().name)
    partial.replace(layout.state / "pid")
    _prepare(layout, link)
    Supervisor(layout, link, owned=arguments.owned).run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
