"""Pods of a node without a kubelet: the scheduler binds them to it, and tests say how they are."""

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

PORT = 8080
"""Where pods listen."""


@contextmanager
def forged_node(kubectl: Kubectl) -> Iterator[str]:
    """A node that takes pods and starts none."""
    name = f"forged-{uuid.uuid4().hex[:8]}"
    meta = {"name": name, "labels": {"kubernetes.io/hostname": name}}
    taints = [{"key": "forged", "effect": "NoSchedule"}]  # nobody else's pods come here
    manifest = {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {"taints": taints}}
    kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    room = {"cpu": "64", "memory": "64Gi", "pods": "110"}
    status = {"capacity": room, "allocatable": room}
    kubectl("patch", "node", name, "--subresource=status", "-p", json.dumps({"status": status}))
    yield name
    kubectl("delete", "node", name)


def on(node: str) -> dict[str, Any]:
    """For `serving`: one pod, on that node."""
    return {
        "replicas": 1,
        "nodeSelector": {"kubernetes.io/hostname": node},
        "tolerations": [{"operator": "Exists"}],
    }


def bound(kubectl: Kubectl, name: str) -> str:
    """The name of a resource's pod once it is bound to a node; empty before."""
    pods = kubectl.get("pods", "-l", f"ecomarineai.org/cetaceanmodel={name}")["items"]
    return next((str(pod["metadata"]["name"]) for pod in pods if pod["spec"].get("nodeName")), "")


def forge(kubectl: Kubectl, pod: str, status: Mapping[str, Any]) -> None:
    """Write a pod's status as a kubelet does."""
    kubectl("patch", "pod", pod, "--subresource=status", "-p", json.dumps({"status": status}))


def running_at(host: str) -> dict[str, Any]:
    """The status of a pod that runs, and is ready as far as the kubelet knows."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    serve = {"name": "serve", "image": "x", "imageID": "", "ready": True, "restartCount": 0}
    return {
        "phase": "Running",
        "podIP": host,
        "podIPs": [{"ip": host}],
        "conditions": [
            {"type": kind, "status": "True", "lastTransitionTime": now} for kind in ("Ready", "PodScheduled")
        ],
        "containerStatuses": [{**serve, "containerID": "x://1", "state": {"running": {"startedAt": now}}}],
    }


def free_host() -> str:
    """An address of loopback that nobody else uses."""
    return ".".join(["127", *(str(random.randint(1, 254)) for _ in range(3))])


@contextmanager
def hanging() -> Iterator[tuple[str, socket.socket]]:
    """A pod that accepts connections and answers nothing: its address, and the socket that they come to."""
    with socket.create_server((host := free_host(), PORT)) as server:
        server.settimeout(30)
        yield host, server


@contextmanager
def answering(kubectl: Kubectl, name: str) -> Iterator[str]:
    """A pod that serves what its template says; yields its address."""
    pod = until(f"the pod of {name}", lambda: bound(kubectl, name), within=30)
    containers = kubectl.get("pod", pod)["spec"]["containers"]
    env = {item["name"]: item.get("value") for item in containers[0]["env"]}
    answers = {
        "/v1/identity": {
            "model": {"name": env["CETACEAN_MODEL__NAME"], "version": env["CETACEAN_MODEL__VERSION"]},
            "weights": {"sha256": env["CETACEAN_MODEL__SHA256"]},
            "gate": {"threshold": float(env["CETACEAN_GATE__THRESHOLD"])},
            "config_digest": env["CETACEAN_CONFIG_DIGEST"],
            "rollout_id": env["CETACEAN_ROLLOUT_ID"],
        },
        "/v1/drift-stats": {"n": 0, "alarms_total": 0, "score_mean": None},
        "/metrics": "# TYPE requests_total counter\nrequests_total 0\n",
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
        forge(kubectl, pod, running_at(host))
        yield host
