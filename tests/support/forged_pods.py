"""Pods on a node without a kubelet, on a real API server: the scheduler binds them, and tests write their status."""

from __future__ import annotations

import http.server
import json
import random
import socket
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until
from support.loopback import Quiet, listening
from support.pods import identity_response, running_status

PORT = 8080
"""The port on which pods listen."""


@contextmanager
def forged_node(kubectl: Kubectl) -> Iterator[str]:
    """Create a node that starts no pod, and yield its name."""
    name = f"forged-{uuid.uuid4().hex[:8]}"
    meta = {"name": name, "labels": {"kubernetes.io/hostname": name}}
    taints = [{"key": "forged", "effect": "NoSchedule"}]  # keeps other pods away
    manifest = {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {"taints": taints}}
    kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    room = {"cpu": "64", "memory": "64Gi", "pods": "110"}
    status = {"capacity": room, "allocatable": room}
    kubectl("patch", "node", name, "--subresource=status", "-p", json.dumps({"status": status}))
    yield name
    kubectl("delete", "node", name)


def on_node(node: str) -> dict[str, Any]:
    """Return the part of `spec.serving` that puts one pod on that node."""
    return {
        "replicas": 1,
        "nodeSelector": {"kubernetes.io/hostname": node},
        "tolerations": [{"operator": "Exists"}],
    }


def bound_pod(kubectl: Kubectl, name: str) -> str:
    """Return the name of a resource's pod once it is bound to a node; empty before."""
    pods = kubectl.get("pods", "-l", f"ecomarineai.org/cetaceanmodel={name}")["items"]
    return next((str(pod["metadata"]["name"]) for pod in pods if pod["spec"].get("nodeName")), "")


def write_status(kubectl: Kubectl, pod: str, status: Mapping[str, Any]) -> None:
    """Write a pod's status as a kubelet does."""
    kubectl("patch", "pod", pod, "--subresource=status", "-p", json.dumps({"status": status}))


def running_at(host: str) -> dict[str, Any]:
    """Return the status of a pod that has been running and ready since now."""
    return running_status(host, since=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def free_host() -> str:
    """Return an address of loopback that no other test uses."""
    return ".".join(["127", *(str(random.randint(1, 254)) for _ in range(3))])


@contextmanager
def hanging_pod() -> Iterator[tuple[str, socket.socket]]:
    """Listen as a pod that accepts connections and answers nothing; yield its address and its socket."""
    with socket.create_server((host := free_host(), PORT)) as server:
        server.settimeout(30)
        yield host, server


@contextmanager
def answering_pod(kubectl: Kubectl, name: str) -> Iterator[str]:
    """Listen as the pod of a resource that serves the model of its template, and report it ready; yield its address."""
    pod = until(f"the pod of {name}", lambda: bound_pod(kubectl, name), within=30)
    answers = {
        "/v1/identity": identity_response(kubectl.get("pod", pod)["spec"]["containers"]),
        "/v1/drift-stats": {"n": 0, "alarms_total": 0, "score_mean": None},
        "/metrics": "predictions_total 0\nrejections_total 0\nrequests_total 0\nerrors_total 0\n",
    }

    class Answering(Quiet, http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers[self.path]
            body = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with listening(Answering, host=(host := free_host()), port=PORT):
        write_status(kubectl, pod, running_at(host))
        yield host
