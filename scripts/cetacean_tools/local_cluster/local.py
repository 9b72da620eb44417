"""The cluster made of processes: start them in namespaces of their own, wait for them, end them, clean up."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from filelock import FileLock

from cetacean_tools.local_cluster import configs, network, pki
from cetacean_tools.local_cluster.builds import ensure_built, last_lines
from cetacean_tools.local_cluster.cgroups import create_cgroups, remove_cgroups
from cetacean_tools.local_cluster.layout import CONTAINERD_SOCKET, NODE, Layout
from cetacean_tools.local_cluster.pins import LOCAL
from cetacean_tools.local_cluster.prerequisites import NAMESPACES, PACKAGES, check_root
from cetacean_tools.local_cluster.program_images import ensure_pause_image
from cetacean_tools.local_cluster.protocol import ClusterError, output
from cetacean_tools.local_cluster.tools import HELM, modules_to_build
from cetacean_tools.workspace import ensure_commands

SUPERVISOR = "cetacean_tools.local_cluster.supervisor"
READY_WITHIN = 120.0
_POLL = 0.05


class LocalCluster:
    """Implements `protocol.Cluster`."""

    kind = "local"
    context: str | None = None

    def __init__(self, layout: Layout | None = None) -> None:
        """Take the folder to live in; the user's cache by default."""
        self.layout = layout or Layout.default()
        self.kubeconfig = self.layout.kubeconfig
        self.kubectl = self.layout.kubectl
        self._owner: int | None = None

    @cached_property
    def helm(self) -> Path:
        """The PATH's if its version fits, else the one that `up` builds."""
        return HELM.on_path() or self.layout.helm

    def is_up(self) -> bool:
        """Return true if its processes run and its node has been ready."""
        return self._pid() is not None and self.layout.kubeconfig.exists()

    def up(self, *, owned: bool = False) -> None:
        """Start it and wait for a ready node."""
        check_root()
        self.layout.root.mkdir(parents=True, exist_ok=True)
        with FileLock(self.layout.lock):
            if self.is_up():
                return
            ensure_commands(PACKAGES)
            ensure_built([*LOCAL, *modules_to_build([HELM], self.layout)], self.layout)
            pause = ensure_pause_image(self.layout)
            self._clean()
            begun = time.monotonic()
            try:
                self._start(owned=owned)
                self._wait_for_components("kube-apiserver")
                self._kubectl("apply", "-f", self.layout.config / "coredns-rbac.yaml")
                self._wait_for_components()
                self._import(configs.PAUSE_IMAGE, pause)
                self._wait("a ready node and the default service account", self._is_usable)
            except BaseException:
                self._end()
                raise
            # Under this name only now: its presence says that the node has been ready.
            shutil.copy(self.layout.config / "admin.kubeconfig", self.layout.kubeconfig)
            self.layout.kubeconfig.chmod(0o600)
            print(f"local cluster: node ready after {time.monotonic() - begun:.1f} s", file=sys.stderr, flush=True)

    def down(self) -> None:
        """End every process; remove links, cgroups and state. Programs, images and the last logs stay."""
        self.layout.root.mkdir(parents=True, exist_ok=True)
        with FileLock(self.layout.lock):
            self._end()

    def status(self) -> list[tuple[str, str]]:
        """Return name and state of each component."""
        if self._pid() is None:
            return [("cluster", "not running")]
        found = []
        for name, part in self._report().items():
            notes = (f"{part['restarts']} restarts" if part["restarts"] else "", part["exit"])
            found.append((name, ", ".join(filter(None, (part["state"], *notes)))))
        return found

    def load_image(self, reference: str, archive: Path | None) -> None:
        """Import a docker-archive into containerd, unless it has that image."""
        if archive is None:
            raise ClusterError(f"{reference}: expected an archive, as this cluster has no Docker store to read from")
        present = self._ctr("images", "list", "-q").split()
        if reference in present:
            return
        self._import(reference, archive)
        repository = reference.rpartition(":")[0]
        if outdated := [name for name in present if name.rpartition(":")[0] == repository]:
            # Images are kept from one cluster to the next: without this, every version there ever was.
            self._ctr("images", "remove", *outdated)

    def signal_component(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a component, for tests of faults; the supervisor restarts it if it ends.

        Raises:
            ClusterError: there is no such component running.
        """
        pid = self._report().get(name, {}).get("pid")
        if not pid:
            raise ClusterError(f"{name}: expected a running component, got {dict(self.status()).get(name)}")
        self._inside("kill", f"-{number.value}", str(pid))

    def _start(self, *, owned: bool) -> None:
        layout = self.layout
        for folder in (layout.state, layout.volumes, layout.logs, layout.images):
            folder.mkdir(parents=True, exist_ok=True)
        for old in layout.logs.iterdir():
            old.unlink()
        link = network.free_link()
        suffixes = ("", ".default", ".default.svc", ".default.svc.cluster.local")
        names = ["localhost", *(f"kubernetes{suffix}" for suffix in suffixes)]
        pki.create(layout.pki, names=names, addresses=["127.0.0.1", "10.96.0.1", link.node])
        configs.write_all(layout, link)
        create_cgroups(layout.name)
        command = [
            *("unshare", *NAMESPACES, "--kill-child", "--"),
            *(sys.executable, "-m", SUPERVISOR, "--root", str(layout.root)),
            *("--host", link.host, "--node", link.node, *(["--owned"] if owned else [])),
        ]
        watched, self._owner = os.pipe() if owned else (os.open(os.devnull, os.O_RDONLY), None)
        with (layout.logs / "supervisor.log").open("wb") as log:
            subprocess.Popen(command, stdin=watched, stdout=log, stderr=log, start_new_session=True)
        os.close(watched)
        self._wait("the supervisor", (layout.state / "pid").exists, within=15)
        network.connect(layout.name, link, int((layout.state / "pid").read_text()))

    def _end(self) -> None:
        if (pid := self._pid()) is not None:
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + 15
            while self._pid() is not None:
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(_POLL)
        if self._owner is not None:
            os.close(self._owner)
            self._owner = None
        self._clean()

    def _clean(self) -> None:
        """Remove the leftovers of a cluster, also of one that was killed."""
        network.disconnect(self.layout.name)
        deadline = time.monotonic() + 10
        # The kernel needs a moment to end the processes of a namespace.
        while left := remove_cgroups(self.layout.name):
            if time.monotonic() > deadline:
                raise ClusterError(f"cannot remove {', '.join(map(str, left))}: processes are in it")
            time.sleep(_POLL)
        if self.layout.state.exists():
            shutil.rmtree(self.layout.state)

    def _pid(self) -> int | None:
        """Return the supervisor's process id, None if it does not run."""
        try:
            pid = int((self.layout.state / "pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if {SUPERVISOR.encode(), str(self.layout.root).encode()} <= set(command) else None

    def _report(self) -> dict[str, Any]:
        """Return the state of each component by its name, as the supervisor has written it."""
        with contextlib.suppress(FileNotFoundError):
            return dict(json.loads(self.layout.status.read_text())["components"])
        return {}

    def _wait_for_components(self, *names: str) -> None:
        """Wait until the named components are ready, all of them if none is named."""
        deadline = time.monotonic() + READY_WITHIN
        while True:
            parts = self._report()
            for name, part in parts.items():
                if part["state"] == "failed" or part["restarts"]:
                    self._fail(name, f"ended with {part['exit']}")
            if parts and all(parts[name]["state"] == "ready" for name in names or parts):
                return
            if self._pid() is None:
                self._fail("supervisor", "ended")
            if time.monotonic() > deadline:
                slow = next((name for name, part in parts.items() if part["state"] == "started"), "supervisor")
                self._fail(slow, f"was not ready within {READY_WITHIN:.0f} s")
            time.sleep(_POLL)

    def _fail(self, component: str, what: str) -> NoReturn:
        log = self.layout.logs / f"{component}.log"
        raise ClusterError(f"{component} {what}; its last lines ({log}):\n{last_lines(log)}")

    def _wait(self, what: str, condition: Callable[[], bool], *, within: float = 60.0) -> None:
        deadline = time.monotonic() + within
        while not condition():
            if self._pid() is None and (self.layout.state / "pid").exists():
                self._fail("supervisor", "ended")
            if time.monotonic() > deadline:
                lines = last_lines(self.layout.logs / "kubelet.log")
                raise ClusterError(f"waited {within:.0f} s for {what}; kubelet's last lines:\n{lines}")
            time.sleep(_POLL)

    def _is_usable(self) -> bool:
        ready = '{.status.conditions[?(@.type=="Ready")].status}'
        try:
            self._kubectl("get", "serviceaccount", "default")
            return self._kubectl("get", "node", NODE, "-o", f"jsonpath={ready}") == "True"
        except ClusterError:
            return False

    def _kubectl(self, *arguments: str | Path) -> str:
        return output(self.kubectl, "--kubeconfig", self.layout.config / "admin.kubeconfig", *arguments, within=60)

    def _import(self, reference: str, archive: Path) -> None:
        self._ctr("images", "import", "--local", "--digests=false", str(archive))
        if reference not in self._ctr("images", "list", "-q").split():
            raise ClusterError(f"{archive}: expected the image {reference} in it")

    def _ctr(self, *arguments: str) -> str:
        address = ["--address", str(CONTAINERD_SOCKET)]
        return self._inside(str(self.layout.bin / "ctr"), *address, "--namespace", "k8s.io", *arguments)

    def _inside(self, *command: str) -> str:
        """Run a command in the cluster's namespaces."""
        pid = self._pid()
        if pid is None:
            raise ClusterError("the local cluster is not running")
        return output("nsenter", "--target", str(pid), "--mount", "--net", "--pid", "--", *command)
