"""Faults of the cluster: the operator is killed, the control plane restarts, the network is cut, the kubelet stops."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cetacean_tools.demo.environment import Environment
from cetacean_tools.demo.installation import OPERATOR_NAMESPACE
from cetacean_tools.demo.kubectl import CommandError
from cetacean_tools.local_cluster.local import LocalCluster
from cetacean_tools.local_cluster.protocol import ClusterError

OPERATOR, API_SERVER, ETCD = "kill the operator", "kill the API server", "kill etcd"
NETWORK, KUBELET = "cut the operator", "stop the kubelet"
FAULTS = (OPERATOR, API_SERVER, ETCD, NETWORK, KUBELET)
"""As their lines in the log begin; all other lines are changes of users."""
CUT_SECONDS = 15.0
"""Longer than the operator's Lease lasts."""
STOPPED_SECONDS = 20.0
_TABLE = "soak"


@dataclass(frozen=True, slots=True)
class Faults:
    """Random faults of the local cluster."""

    environment: Environment
    cluster: LocalCluster
    random: random.Random
    show: Callable[[str], None]

    def any(self, meanwhile: Callable[[], None], *, keep_operator: bool = False) -> None:
        """Cause one fault, and call `meanwhile` during those that last.

        Args:
            meanwhile: makes a change.
            keep_operator: cause none that ends the operator's process.
        """
        kinds: dict[Callable[[Callable[[], None]], None], int] = {
            self.restart_api_server: 2,
            self.restart_etcd: 1,
            self.stop_kubelet: 1,
        }
        if not keep_operator:
            kinds |= {self.kill_operator: 4, self.cut_network: 2}
        (kind,) = self.random.choices(list(kinds), list(kinds.values()))
        kind(meanwhile)

    def kill_operator(self, meanwhile: Callable[[], None]) -> None:
        """Delete the operator's pods without grace."""
        self.show(OPERATOR)
        try:
            self.environment.kubectl(
                *("-n", OPERATOR_NAMESPACE, "delete", "pods", "-l", "app.kubernetes.io/name=cetacean-operator"),
                *("--grace-period=0", "--force", "--wait=false"),
            )
        except CommandError as error:
            self.show(f"  not done: {str(error).splitlines()[-1][:160]}")
        meanwhile()

    def restart_api_server(self, meanwhile: Callable[[], None]) -> None:
        """Kill the API server; the supervisor starts it again."""
        self.show(API_SERVER)
        self._kill("kube-apiserver")
        self._end_controllers()
        meanwhile()

    def restart_etcd(self, meanwhile: Callable[[], None]) -> None:
        """Kill etcd; the supervisor starts it again."""
        self.show(ETCD)
        self._kill("etcd")
        self._end_controllers()
        meanwhile()

    def _end_controllers(self) -> None:
        """End what would lose its lease now; the local cluster has one of each, without leases.

        Otherwise the informers of the controller-manager may stay behind what it has written, and it reconciles nothing.
        """
        for component in ("kube-controller-manager", "kube-scheduler"):
            self._kill(component)

    def _kill(self, component: str) -> None:
        try:
            self.cluster.signal_component(component, signal.SIGKILL)
        except ClusterError as error:
            # It has been killed a moment ago, and has not been started again.
            self.show(f"  not done: {error}")

    def stop_kubelet(self, meanwhile: Callable[[], None]) -> None:
        """Stop the kubelet for a while: no pod starts, ends or reports."""
        self.show(f"{KUBELET} for {STOPPED_SECONDS:.0f} s")
        self.cluster.signal_component("kubelet", signal.SIGSTOP)
        try:
            _during(STOPPED_SECONDS, meanwhile)
        finally:
            self.cluster.signal_component("kubelet", signal.SIGCONT)

    def cut_network(self, meanwhile: Callable[[], None]) -> None:
        """Drop every packet between the operator's pods and the API server for a while."""
        addresses = [address for pod in self._operators() if (address := pod.get("status", {}).get("podIP"))]
        self.show(f"{NETWORK} ({', '.join(addresses) or 'no pod'}) off the API server for {CUT_SECONDS:.0f} s")
        with self._dropped(addresses):
            _during(CUT_SECONDS, meanwhile)

    def _operators(self) -> list[dict[str, Any]]:
        try:
            found: list[dict[str, Any]] = self.environment.kubectl.get(
                "-n", OPERATOR_NAMESPACE, "pods", "-l", "app.kubernetes.io/name=cetacean-operator"
            )["items"]
        except CommandError:
            return []
        return found

    @contextmanager
    def _dropped(self, addresses: list[str]) -> Iterator[None]:
        # Before the Service's address is translated, and for connections that exist too.
        chain = ["type filter hook prerouting priority -300"]
        chain += [f"ip saddr {one} tcp dport {{443, 6443}} drop" for one in addresses]
        self._nft("\n".join([f"table ip {_TABLE} {{", "chain cut {", *chain, "}", "}"]))
        try:
            yield
        finally:
            self._nft(f"delete table ip {_TABLE}")

    def _nft(self, rules: str) -> None:
        pid = (self.cluster.layout.state / "pid").read_text().strip()
        command = ["nsenter", "--target", pid, "--net", "--", "nft", "-f", "-"]
        subprocess.run(command, input=rules, text=True, check=True, timeout=30)


def _during(seconds: float, meanwhile: Callable[[], None]) -> None:
    """Call `meanwhile` until the time is over; it takes its own time."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        meanwhile()
