"""Let the program of a pod hang: its processes are stopped (SIGSTOP) by a pod that sees all processes of the node."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until

_NAME: Final = "stop"
# It runs as the user and the group of the program that it stops: so it needs no capability to find and to stop it.
_PROGRAM: Final = """
import os, signal, sys
stopped = 0
for process in filter(str.isdigit, os.listdir("/proc")):
    try:
        with open(f"/proc/{process}/environ", "rb") as file:
            if f"HOSTNAME={sys.argv[1]}".encode() not in file.read().split(b"\\0"):
                continue
        os.kill(int(process), signal.SIGSTOP)
        stopped += 1
    except OSError:
        continue
raise SystemExit(0 if stopped else f"no process of {sys.argv[1]} was found")
"""


def hang(kubectl: Kubectl, pod: Mapping[str, Any]) -> None:
    """Stop all processes of a pod; they go on to exist, and answer nothing."""
    inside = replace(kubectl, namespace=f"hang-{uuid.uuid4().hex[:8]}")
    labels = {"pod-security.kubernetes.io/enforce": "privileged"}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": inside.namespace, "labels": labels}})
    container = {
        "name": _NAME,
        "image": next(one["image"] for one in pod["spec"]["containers"] if one["name"] == "serve"),
        "command": ["python", "-c", _PROGRAM, pod["metadata"]["name"]],
    }
    spec = {
        "hostPID": True,
        "nodeName": pod["spec"]["nodeName"],
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": pod["spec"]["securityContext"],
        "containers": [container],
    }
    try:
        inside.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": _NAME}, "spec": spec})
        phase = until(f"{pod['metadata']['name']} to be stopped", lambda: _ended(inside))
        assert phase == "Succeeded", inside("logs", _NAME)
    finally:
        kubectl("delete", "namespace", inside.namespace, "--wait=false")


def _ended(kubectl: Kubectl) -> str | None:
    phase = str(kubectl.get("pod", _NAME)["status"].get("phase"))
    return phase if phase in ("Succeeded", "Failed") else None
