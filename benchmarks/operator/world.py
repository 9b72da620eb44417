"""A control plane whose pods are kwok's: they are scheduled and become ready, but run nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from benchmarks.machine import BenchmarkError
from benchmarks.operator.processes import running

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until
from cetacean_tools.local_cluster.audit_log import AuditLog
from cetacean_tools.local_cluster.builds import ensure_built
from cetacean_tools.local_cluster.layout import Layout
from cetacean_tools.local_cluster.local import LocalCluster
from cetacean_tools.local_cluster.pins import LOCAL, Module
from cetacean_tools.workspace import cache_root

KWOK: Final = Module("kwok", ("kwok",))
ROLLOUTS: Final = Module("argo-rollouts", ("rollouts-controller",))
NODES: Final = 4
NODE_LABEL: Final = {"ecomarineai.org/benchmark": "kwok"}
NAMESPACE: Final = "benchmark"
ACCOUNT: Final = "controller"
USER: Final = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
_STAGES: Final = (
    "node/fast/node-initialize",
    "node/heartbeat-with-lease/node-heartbeat-with-lease",
    "pod/fast/pod-ready",
    "pod/fast/pod-delete",
)


@dataclass(frozen=True, slots=True)
class World:
    """The control plane, as the benchmark uses it."""

    cluster: LocalCluster
    kubectl: Kubectl
    """The administrator's."""
    folder: Path
    """For kubeconfigs and logs."""
    controller: Path
    """The kubeconfig of the ServiceAccount that the program under test runs as."""

    def apply(self, *manifests: dict[str, Any]) -> None:
        """Apply objects."""
        self.kubectl("apply", "--server-side", "-f", "-", stdin="\n---\n".join(map(json.dumps, manifests)))

    def requests(self, user: str) -> Counter[str]:
        """Count a user's requests to the API server by the audit log, without watches and leases."""
        found: Counter[str] = Counter()
        for request in AuditLog(self.cluster.layout.logs).requests(containing=user):
            resource = request.get("objectRef", {}).get("resource", "")
            if request["user"]["username"] == user and request["verb"] != "watch" and resource not in ("leases", ""):
                found[f"{request['verb']} {resource}"] += 1
        return found


def build() -> None:
    """Build the benchmark's programs, and the cluster's own."""
    ensure_built((*LOCAL, KWOK, ROLLOUTS), _layout())


def module_files(module: Module, path: str) -> Path:
    """Return the folder of the source of one of a module's dependencies."""
    done = subprocess.run(
        ["go", "mod", "download", "-json", path],
        cwd=module.folder,
        env={**os.environ, "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BenchmarkError(f"`go mod download {path}` failed: {done.stderr.strip() or done.stdout.strip()}")
    return Path(json.loads(done.stdout)["Dir"])


@contextmanager
def world() -> Iterator[World]:
    """Start an empty control plane with kwok's nodes; end it afterwards."""
    cluster = LocalCluster(_layout())
    cluster.down()
    cluster.up(owned=True)
    try:
        # A node's part, which runs beside no control plane; only ours has Services, and it would pay for them.
        cluster.signal_component("kube-proxy", signal.SIGSTOP)
        folder = cluster.layout.root / "benchmark"
        folder.mkdir(exist_ok=True)
        kubectl = Kubectl(cluster.kubectl, cluster.helm, cluster.kubeconfig, namespace=NAMESPACE)
        here = World(cluster, kubectl, folder, folder / "controller.kubeconfig")
        stages = folder / "stages.yaml"
        stages.write_text("\n---\n".join(_stages(_node_address(here))), encoding="utf-8")
        command = [
            str(cluster.layout.bin / "kwok"),
            f"--kubeconfig={cluster.kubeconfig}",
            f"--config={stages}",
            f"--manage-nodes-with-label-selector={_selector()}",
            "--node-lease-duration-seconds=40",
            "--server-address=",
        ]
        with running(command, {}, log=folder / "kwok.log"):
            here.kubectl("create", "namespace", NAMESPACE)
            here.apply(*_nodes())
            here.controller.write_text(_account(here), encoding="utf-8")
            until("kwok's nodes to be ready", lambda: _ready_nodes(here) == NODES, within=60)
            yield here
    finally:
        cluster.down()


def _layout() -> Layout:
    return Layout(cache_root() / "benchmark-cluster")


def _selector() -> str:
    return ",".join(f"{key}={value}" for key, value in NODE_LABEL.items())


def _nodes() -> Sequence[dict[str, Any]]:
    return [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"kwok-{number}", "labels": dict(NODE_LABEL)}}
        for number in range(NODES)
    ]


def _ready_nodes(here: World) -> int:
    path = '{.items[*].status.conditions[?(@.type=="Ready")].status}'
    return here.kubectl("get", "nodes", "-l", _selector(), "-o", f"jsonpath={path}").split().count("True")


def _node_address(here: World) -> str:
    path = '{.items[0].status.addresses[?(@.type=="InternalIP")].address}'
    return here.kubectl("get", "nodes", "-o", f"jsonpath={path}").strip()


def _stages(address: str) -> Iterator[str]:
    """Yield the stages by which kwok plays nodes and pods.

    All pods have the real node's address, where nothing listens: connections are refused.
    """
    folder = module_files(KWOK, "sigs.k8s.io/kwok") / "kustomize/stage"
    for name in _STAGES:
        text = (folder / f"{name}.yaml").read_text(encoding="utf-8")
        stage = yaml.safe_load(text)
        if name.endswith("pod-ready"):
            template = stage["spec"]["next"]["statusTemplate"]
            begin, end = template.index("{{ $podIPs :="), template.index("phase: Running")
            stage["spec"]["next"]["statusTemplate"] = f"{template[:begin]}podIP: {address}\n{template[end:]}"
        yield yaml.safe_dump(stage)


def _account(here: World) -> str:
    """Return a kubeconfig of a ServiceAccount: unlike the administrator it is subject to priority and fairness."""
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    here.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT, "namespace": NAMESPACE}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"{NAMESPACE}-{ACCOUNT}"},
            "roleRef": role,
            "subjects": [subject],
        },
    )
    token = here.kubectl("create", "token", ACCOUNT, "--duration=6h").strip()
    config = yaml.safe_load(here.cluster.kubeconfig.read_text(encoding="utf-8"))
    config["users"] = [{"name": ACCOUNT, "user": {"token": token}}]
    config["contexts"][0]["context"]["user"] = ACCOUNT
    text: str = yaml.safe_dump(config)
    return text
