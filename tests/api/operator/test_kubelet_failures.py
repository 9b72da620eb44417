"""Failures that the kubelet writes to a pod's status reach the conditions, each with its own reason and message.

The node has no kubelet: the scheduler binds pods to it, and the tests write their status as a kubelet does. For the same
failures on a real node see tests/e2e/test_failures.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from support.forged_pods import bound_pod, on_node, write_status
from support.live_operator import OperatorProcess, condition, model, wait_for_ready_reason

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until

AGO = (datetime.now(UTC) - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
WEIGHTS = "https://example.org/first.ckpt"


def container(name: str, *, restarts: int = 3, **states: Any) -> dict[str, Any]:
    return {"name": name, "image": "x", "imageID": "", "ready": False, "restartCount": restarts, **states}


def ended(code: int, reason: str, message: str = "") -> dict[str, Any]:
    """Return the states of a container that waits for a restart after it has ended."""
    times = {"startedAt": AGO, "finishedAt": AGO}
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}
    last = {"exitCode": code, "reason": reason, "message": message, **times}
    return {"state": {"waiting": waiting}, "lastState": {"terminated": last}}


def fetch(message: str) -> dict[str, Any]:
    return {"initContainerStatuses": [container("fetch", **ended(1, "Error", message))]}


def serve(**states: Any) -> dict[str, Any]:
    return {"containerStatuses": [container("serve", **states)]}


DIGESTS = f"{WEIGHTS}: expected sha256:{'a' * 64}, got sha256:{'c' * 64}"
MISFIT = "1 key is missing: model.conv_stem.weight"
CASES: dict[str, tuple[dict[str, Any], str, str, bool]] = {
    "digest": (fetch(f"DigestMismatch: {DIGESTS}"), "DigestMismatch", DIGESTS, True),
    "absent": (fetch(f"WeightsNotFound: {WEIGHTS}: 404"), "WeightsNotFound", f"{WEIGHTS}: 404", True),
    "cut": (fetch(f"WeightsTruncated: {WEIGHTS}: 7 of 9 bytes"), "WeightsTruncated", "7 of 9 bytes", False),
    "misfit": (
        serve(**ended(1, "Error", f"CheckpointMismatch: {WEIGHTS}: {MISFIT}")),
        "CheckpointMismatch",
        MISFIT,
        True,
    ),
    "memory": (
        serve(**ended(137, "OOMKilled")),
        "OOMKilled",
        "container serve needs more memory than its limit: raise spec.serving.resources.limits.memory",
        True,
    ),
    "crash": (
        serve(**ended(3, "Error", "Traceback\nKeyError: 'sea'")),
        "CrashLoop",
        "exit code 3: KeyError: 'sea'",
        True,
    ),
    "killed": (serve(**ended(137, "Error")), "ProbeFailing", "exit code 137: its probe failed for too long", False),
    "started": (
        serve(state={"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "s" not found'}}),
        "ContainerCannotStart",
        'container serve: secret "s" not found',
        True,
    ),
    "probe": (
        serve(state={"running": {"startedAt": AGO}}, restarts=0),
        "ProbeFailing",
        "has been running for more than 120 s and its probe still fails",
        False,
    ),
    # As the node's controller writes it: only Ready has changed.
    "node": (
        serve(state={"running": {"startedAt": AGO}}, restarts=0)
        | {
            "conditions": [
                {"type": kind, "status": status, "lastTransitionTime": AGO}
                for kind, status in (("Ready", "False"), ("ContainersReady", "True"))
            ]
        },
        "NodeNotReady",
        "does not report",
        False,
    ),
    # This pod gets no status, as if its volume could not be mounted.
    "deadline": ({}, "ProgressDeadlineExceeded", "has timed out progressing", True),
}
"""The pod's status, the reason, a part of the message, and true if a person must act."""


@pytest.fixture(scope="module")
def there(namespaced_operator: OperatorProcess, namespaced: Kubectl, node: str) -> Iterator[Kubectl]:
    """A namespace with a resource for each failure."""
    assert namespaced_operator
    serving = on_node(node)
    manifests = [model(name, serving=serving) for name in CASES if name != "deadline"]
    manifests.append(model("deadline", serving={**serving, "progressDeadlineSeconds": 10}))
    namespaced("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))
    for name, (status, *_) in CASES.items():
        pod = until(f"the pod of {name}", lambda name=name: bound_pod(namespaced, name), within=30)  # type: ignore[misc]
        if status:
            phase = "Running" if "containerStatuses" in status else "Pending"
            write_status(namespaced, pod, {"phase": phase, **status})
    yield namespaced
    namespaced("delete", "cetaceanmodels", "--all")
    # Without a kubelet nothing else removes these pods.
    namespaced("delete", "pods", "--all", "--force", "--grace-period=0")


@pytest.mark.parametrize("name", CASES)
def test_each_failure_of_a_pod_has_its_reason_in_the_conditions(there: Kubectl, name: str) -> None:
    _, reason, message, final = CASES[name]
    seen = wait_for_ready_reason(there, name, reason)
    ready = condition(seen, "Ready")
    assert message in ready["message"]
    if reason != "ProgressDeadlineExceeded":
        assert f"pod {bound_pod(there, name)}" in ready["message"]
    statuses = {kind: condition(seen, kind)["status"] for kind in ("Ready", "Stalled", "Reconciling", "Available")}
    assert statuses == {"Ready": "False", "Stalled": str(final), "Reconciling": str(not final), "Available": "False"}
    verified = condition(seen, "WeightsVerified")
    assert (verified["status"] == "False") == (reason == "DigestMismatch")
