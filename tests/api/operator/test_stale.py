"""A watch that loses an event, a pod or a write that hangs: it delays no other, and liveness fails for it only."""

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
from support.forged_pods import answering, bound, forge, hanging, on, running_at
from support.live_operator import OperatorProcess, condition, find, model, ready_because, running, settled

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until

OK = (200, "ok")


@pytest.fixture(scope="module")
def api(namespaced_account: Account, namespaced: Kubectl, folder: Path) -> Iterator[FaultyApi]:
    with faulty(namespaced_account, namespaced, folder) as between:
        yield between


@pytest.fixture(scope="module")
def operator(api: FaultyApi, namespaced: Kubectl, folder: Path) -> Iterator[OperatorProcess]:
    """Its watches are short. It waits long for everything that hangs, except for its liveness."""
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


def test_an_event_that_a_watch_has_lost_comes_with_the_next_watch(
    operator: OperatorProcess, api: FaultyApi, namespaced: Kubectl
) -> None:
    namespaced.apply(model("lost"))
    ready_because(namespaced, "lost", "ScaledToZero")
    listed = [call for call in api.calls if call.verb == "list"]
    api.loses = lambda line: b'"kind":"Deployment"' in line and b'"name":"lost"' in line
    image = "/spec/template/spec/containers/0/image"
    patch = [{"op": "replace", "path": image, "value": "other:1"}]
    namespaced("patch", "deployment", "lost", "--type=json", "-p", json.dumps(patch))

    def served() -> str:
        (container,) = namespaced.get("deployment", "lost")["spec"]["template"]["spec"]["containers"]
        return str(container["image"])

    until("the event to be lost", lambda: api.lost, within=20)
    api.loses = lambda _: False
    until("the image to be as it was", lambda: served() == "127.0.0.1:1/absent:1", within=20)
    assert [call for call in api.calls if call.verb == "list"] == listed, "nothing is listed again"
    assert operator.probe("healthz") == OK


def test_a_pod_that_hangs_delays_no_other_resource(operator: OperatorProcess, namespaced: Kubectl, node: str) -> None:
    namespaced.apply(model("hanging", serving=on(node)))
    pod = until("the pod", lambda: bound(namespaced, "hanging"), within=30)
    with hanging() as (host, server):
        forge(namespaced, pod, running_at(host))
        asked, _ = server.accept()
        with asked:
            # It has been asked and will not answer; all that follows happens meanwhile.
            namespaced.apply(model("healthy", serving=on(node)))
            with answering(namespaced, "healthy"):
                ready_because(namespaced, "healthy", "Serving", within=20)
            namespaced("delete", "service", "hanging", "--wait=false")
            until("the Service to be back", lambda: find(namespaced, "service", "hanging"), within=20)
            asked.setblocking(False)
            assert asked.recv(65536).startswith(b"GET /v1/")
            with pytest.raises(BlockingIOError):
                asked.recv(1)
        assert condition(namespaced.get("cetaceanmodel", "hanging"), "Ready")["status"] == "False"
    assert operator.probe("healthz") == OK
    namespaced("delete", "cetaceanmodels", "hanging", "healthy", "--wait=true")
    namespaced("delete", "pods", "--all", "--force", "--grace-period=0")


def test_liveness_fails_while_a_watch_is_stale(operator: OperatorProcess, api: FaultyApi, namespaced: Kubectl) -> None:
    assert operator.probe("healthz") == OK
    api.fault = lambda call: stalled if (call.verb, call.resource) == ("watch", "deployments") else None
    api.silence_watches()
    said = until("liveness to fail", lambda: failed(operator), within=20)
    assert said.startswith(f"the watch of deployments in {namespaced.namespace} has been silent for ")
    api.fault = no_fault
    until("liveness to be back", lambda: operator.probe("healthz") == OK, within=20)
    namespaced.apply(model("after"))
    settled(namespaced, "after")


def test_liveness_fails_while_the_queue_is_stuck(
    operator: OperatorProcess, api: FaultyApi, namespaced: Kubectl
) -> None:
    assert operator.probe("healthz") == OK
    let_go = threading.Event()
    held = held_until(let_go)
    api.fault = lambda call: held if call.writes and call.about("stuck") else None
    namespaced.apply(model("stuck"))
    said = until("liveness to fail", lambda: failed(operator), within=20)
    assert said.startswith("the queue is stuck: ")
    # What is stuck holds up no other resource.
    namespaced.apply(model("free"))
    ready_because(namespaced, "free", "ScaledToZero")
    let_go.set()
    until("liveness to be back", lambda: operator.probe("healthz") == OK, within=20)
    ready_because(namespaced, "stuck", "ScaledToZero")


def failed(operator: OperatorProcess) -> str:
    status, said = operator.probe("healthz")
    return said if status == 503 else ""
