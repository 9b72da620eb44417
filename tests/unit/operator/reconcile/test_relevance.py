"""A change of a child or a pod that no decision reads needs no reconcile; every other one does."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.operator_world import BEGIN, manifest
from support.pods import pod_manifest, running_status

from cetacean_operator.api.observed import CetaceanModel, Object
from cetacean_operator.api.spec import parse_spec
from cetacean_operator.decisions.children import children
from cetacean_operator.decisions.decide import decide
from cetacean_operator.decisions.identity import rollout_of
from cetacean_operator.decisions.ownership import owner_of
from cetacean_operator.decisions.plan import Plan
from cetacean_operator.kube.store import Store
from cetacean_operator.pods.observed_pods import without_unused_fields
from cetacean_operator.reconcile.observe import Observer
from cetacean_operator.reconcile.relevance import is_deletion_relevant, is_relevant

RESOURCE = CetaceanModel.of(manifest())
SPEC = parse_spec(RESOURCE.spec)
ROLLOUT = rollout_of(SPEC.registry.active_model, SPEC.anti_fraud)


def live_children() -> list[Object]:
    made = children(RESOURCE, SPEC, ROLLOUT, served_kinds=frozenset(), operator_namespace="default")
    found = []
    for (kind, _), child in copy.deepcopy(made).items():
        child["metadata"] |= {"uid": f"uid-{kind}", "resourceVersion": "5", "generation": 2}
        found.append(child)
    return found


def deployment(status: Object, *, version: int = 7, **metadata: Any) -> Object:
    (found,) = (child for child in live_children() if child["kind"] == "Deployment")
    found["metadata"] |= {"resourceVersion": str(version), **metadata}
    return {**found, "status": status}


def pod(status: Object, *, version: int = 7, terminates: bool = False) -> Object:
    template = deployment({})["spec"]["template"]["metadata"]
    found = pod_manifest(version=version, labels=template["labels"], annotations=template["annotations"], status=status)
    if terminates:
        found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return without_unused_fields(found)


def plan(*objects: Object) -> Plan:
    """Return the decision while these are in the cache."""
    store = Store(owner_of)
    for obj in (*(child for child in live_children() if child["kind"] != "Deployment"), *objects):
        store.put(obj)
    observed = Observer(store, lambda _: None).observe(("sea", "whales"), window=10, answers=10)
    return decide(RESOURCE, observed, BEGIN)


def condition(kind: str, **fields: str) -> Object:
    return {"type": kind, "status": "True", "reason": "r", "message": "m", **fields}


conditions = st.lists(
    st.builds(
        condition,
        st.sampled_from(["Progressing", "ReplicaFailure", "Available"]),
        status=st.sampled_from(["True", "False"]),
        reason=st.sampled_from(["ReplicaSetUpdated", "ProgressDeadlineExceeded"]),
        lastUpdateTime=st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01T00:00:09Z"]),
    ),
    max_size=2,
    unique_by=lambda found: str(found["type"]),
)
counts = st.integers(0, 2)
deployment_statuses = st.builds(
    lambda seen, replicas, updated, available, found: {
        "observedGeneration": seen,
        "replicas": replicas,
        "updatedReplicas": updated,
        "availableReplicas": available,
        "conditions": found,
    },
    st.integers(1, 2),
    counts,
    counts,
    counts,
    conditions,
)
containers = st.sampled_from(
    [
        {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        {"waiting": {"reason": "ContainerCreating"}},
        {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}},
        {"terminated": {"exitCode": 1, "reason": "Error"}},
    ]
)


@st.composite
def pod_statuses(draw: st.DrawFn) -> Object:
    status = running_status(draw(st.sampled_from(["10.0.0.1", "10.0.0.2"])), ready=draw(st.booleans()))
    status["containerStatuses"][0]["state"] = draw(containers)
    status["phase"] = draw(st.sampled_from(["Pending", "Running", "Failed"]))
    status["conditions"] = draw(st.permutations(status["conditions"]))
    status["startTime"] = draw(st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z"]))
    return status


@given(deployment_statuses, deployment_statuses, pod_statuses())
def test_states_of_a_deployment_that_are_no_relevant_change_lead_to_one_decision(
    before: Object, after: Object, running: Object
) -> None:
    if not is_relevant(deployment(before), deployment(after, version=8)):
        assert plan(deployment(before), pod(running)) == plan(deployment(after, version=8), pod(running))


@given(pod_statuses(), pod_statuses(), st.booleans(), st.booleans())
def test_states_of_a_pod_that_are_no_relevant_change_lead_to_one_decision(
    before: Object, after: Object, leaves: bool, left: bool
) -> None:
    first, second = pod(before, terminates=leaves), pod(after, version=8, terminates=left)
    if not is_relevant(first, second):
        assert plan(deployment({}), first) == plan(deployment({}), second)
    if not is_deletion_relevant(first):
        assert plan(deployment({}), first) == plan(deployment({}))


ROLLING = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1}


@pytest.mark.parametrize(
    ("status", "relevant"),
    [
        ({**ROLLING, "availableReplicas": 2}, False),
        ({**ROLLING, "conditions": [condition("Progressing", reason="ReplicaSetUpdated")]}, False),
        ({**ROLLING, "replicas": 1}, True),
        ({**ROLLING, "conditions": [condition("Progressing", reason="ProgressDeadlineExceeded")]}, True),
        ({**ROLLING, "conditions": [condition("ReplicaFailure", message="exceeded quota")]}, True),
    ],
)
def test_the_progress_of_a_rollout_is_no_relevant_change_until_it_ends_or_fails(status: Object, relevant: bool) -> None:
    assert is_relevant(deployment(ROLLING), deployment(status, version=8)) is relevant


def test_a_change_of_what_the_operator_applied_is_relevant() -> None:
    before, after = deployment(ROLLING), deployment(ROLLING, version=8)
    after["spec"]["replicas"] = 9
    assert is_relevant(before, after)
    assert is_relevant(before, deployment(ROLLING, version=8, labels={}))
    revision = {**before["metadata"]["annotations"], "deployment.kubernetes.io/revision": "2"}
    assert not is_relevant(before, deployment(ROLLING, version=8, annotations=revision))


def test_a_pod_is_relevant_when_it_gets_an_address_becomes_ready_and_terminates() -> None:
    states = [
        pod({"phase": "Pending"}, version=1),
        pod({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]}, version=2),
        pod(running_status("10.0.0.1", ready=False), version=3),
        pod(running_status("10.0.0.1"), version=4),
        pod(running_status("10.0.0.1"), version=5, terminates=True),
    ]
    assert [is_relevant(*pair) for pair in itertools.pairwise(states)] == [False, True, True, True]
    assert [is_deletion_relevant(state) for state in states] == [True, True, True, True, False]


def test_a_status_that_cannot_be_read_is_relevant() -> None:
    assert is_relevant(deployment(ROLLING), deployment({**ROLLING, "updatedReplicas": "many"}, version=8))
    assert is_deletion_relevant({"kind": "Pod", "metadata": {}})


def test_every_change_of_another_kind_is_relevant() -> None:
    service = {"kind": "Service", "metadata": {"resourceVersion": "1"}}
    assert is_relevant(service, {**service, "metadata": {"resourceVersion": "2"}})
    assert is_deletion_relevant(service)
