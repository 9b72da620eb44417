"""A watch that loses an event, a pod that hangs, a write that hangs: other resources go on, and liveness shows the fault."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.accounts import Account
from support.api_faults import held_until, stalled
from support.faulty_api import FaultyApi, faulty, no_fault
from support.forged_pods import answering_pod, bound_pod, hanging_pod, on_node, running_at, write_status
from support.live_operator import (
    OperatorProcess,
    condition,
    find,
    model,
    running,
    wait_for_ready_reason,
    wait_until_observed,
)

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until

OK = (200, "ok")


@pytest.fixture(scope="module")
def api(namespaced_account: Account, namespaced: Kubectl, folder: Path) -> Iterator[FaultyApi]:
    with faulty(namespaced_account, namespaced, folder) as between:
        yield between


@pytest.fixture(scope="module")
def operator(api: FaultyApi, namespaced: Kubectl, folder: Path) -> Iterator[OperatorProcess]:
    """An operator with short watches and long time-outs: only its liveness notices a request that hangs."""
    patience: dict[str, Any] = {
        "scrape_timeout": 300,
        "request_timeout": 60,
        "reconcile_timeout": 300,
        "backoff_max": 1,
    }
    limits: dict[str, Any] = {"resync_interval": 3, "watch_age_limit": 4, "queue_age_limit": 3}
    with running(api.account, folder, outage=True, **patience, **limits) as process:
        yield process
        api.fault = no_fault
        namespaced("delete", "cetaceanmodels", "--all", "--wait=true")


def test_a_lost_event_is_repaired_by_the_next_watch(
    operator: OperatorProcess, api: FaultyApi, namespaced: Kubectl
) -> None:
    namespaced.apply(model("lost"))
    wait_for_ready_reason(namespaced, "lost", "ScaledToZero")
    listed = [call for call in api.calls if call.verb == "list"]
    api.drops = lambda line: b'"kind":"Deployment"' in line and b'"name":"lost"' in line
    image = "/spec/template/spec/containers/0/image"
    patch = [{"op": "replace", "path": image, "value": "other:1"}]
    namespaced("patch", "deployment", "lost", "--type=json", "-p", json.dumps(patch))

    def served() -> str:
        (container,) = namespaced.get("deployment", "lost")["spec"]["template"]["spec"]["containers"]
        return str(container["image"])

    until("the event to be lost", lambda: api.dropped, within=20)
    api.drops = lambda _: False
    until("the image to be restored", lambda: served() == "127.0.0.1:1/absent:1", within=20)
    assert [call for call in api.calls if call.verb == "list"] == listed, "nothing is listed again"
    assert operator.probe("healthz") == OK


def test_a_pod_that_hangs_delays_no_other_resource(operator: OperatorProcess, namespaced: Kubectl, node: str) -> None:
    namespaced.apply(model("hanging", serving=on_node(node)))
    pod = until("the pod", lambda: bound_pod(namespaced, "hanging"), within=30)
    with hanging_pod() as (host, server):
        write_status(namespaced, pod, running_at(host))
        connection, _ = server.accept()
        with connection:
            # The pod has the request and does not answer while the following happens.
            namespaced.apply(model("healthy", serving=on_node(node)))
            with answering_pod(namespaced, "healthy"):
                wait_for_ready_reason(namespaced, "healthy", "Serving", within=20)
            namespaced("delete", "service", "hanging", "--wait=false")
            until("the Service to be back", lambda: find(namespaced, "service", "hanging"), within=20)
            connection.setblocking(False)
            assert connection.recv(65536).startswith(b"GET /v1/")
            with pytest.raises(BlockingIOError):
                connection.recv(1)
        assert condition(namespaced.get("cetaceanmodel", "hanging"), "Ready")["status"] == "False"
    assert operator.probe("healthz") == OK
    namespaced("delete", "cetaceanmodels", "hanging", "healthy", "--wait=true")
    namespaced("delete", "pods", "--all", "--force", "--grace-period=0")


def test_liveness_fails_while_a_watch_is_stale(operator: OperatorProcess, api: FaultyApi, namespaced: Kubectl) -> None:
    assert operator.probe("healthz") == OK
    api.fault = lambda call: stalled if (call.verb, call.resource) == ("watch", "deployments") else None
    api.silence_watches()
    text = until("liveness to fail", lambda: liveness_fault(operator), within=20)
    assert text.startswith(f"the watch of deployments in {namespaced.namespace} has been silent for ")
    api.fault = no_fault
    until("liveness to be back", lambda: operator.probe("healthz") == OK, within=20)
    namespaced.apply(model("after"))
    wait_until_observed(namespaced, "after")


def test_liveness_fails_while_the_queue_is_stuck(
    operator: OperatorProcess, api: FaultyApi, namespaced: Kubectl
) -> None:
    assert operator.probe("healthz") == OK
    released = threading.Event()
    held = held_until(released)
    api.fault = lambda call: held if call.writes and call.concerns("stuck") else None
    namespaced.apply(model("stuck"))
    text = until("liveness to fail", lambda: liveness_fault(operator), within=20)
    assert text.startswith("the queue is stuck: ")
    # The stuck resource delays no other.
    namespaced.apply(model("free"))
    wait_for_ready_reason(namespaced, "free", "ScaledToZero")
    released.set()
    until("liveness to be back", lambda: operator.probe("healthz") == OK, within=20)
    wait_for_ready_reason(namespaced, "stuck", "ScaledToZero")


def liveness_fault(operator: OperatorProcess) -> str:
    """Return the text of a failed liveness probe, empty if it succeeds."""
    status, text = operator.probe("healthz")
    return text if status == 503 else ""
