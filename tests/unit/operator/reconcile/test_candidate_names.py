"""An object of someone else that has the name of a child of the candidate: only the candidate is blocked."""

from __future__ import annotations

from typing import Any

import pytest
from support.operator_world import entry, manifest
from support.reconciler_bench import Bench

from cetacean_operator.api import names
from cetacean_operator.api.kinds import ResourceType
from cetacean_operator.kube.client import ApiError

CANDIDATE = names.candidate_name("whales")
STAGES = {"stages": [{"shadow": {"share": 1.0}}]}
KINDS = pytest.mark.parametrize("kind", ["Deployment", "Service", "NetworkPolicy"])


def serving(**spec: Any) -> dict[str, Any]:
    return manifest(entry("first"), entry("second", "b"), rollout=STAGES, serving={"networkPolicy": {}}, **spec)


@pytest.fixture
async def staged() -> Bench:
    """`first` serves; `second` is to run stages."""
    bench = Bench()
    bench.put(serving())
    await bench.reconcile()
    bench.roll_out()
    await bench.reconcile()
    return bench


def put_theirs(bench: Bench, kind: str) -> None:
    # Without our label no watch reports it.
    bench.api.put({"kind": kind, "metadata": {"namespace": "sea", "name": CANDIDATE, "uid": "x"}, "spec": {"a": "b"}})


def assert_untouched(bench: Bench, kind: str) -> None:
    found = bench.find(kind, CANDIDATE)
    assert (found["spec"], found["metadata"].get("labels"), found["metadata"]["uid"]) == ({"a": "b"}, None, "x")
    others = {"Deployment", "Service", "NetworkPolicy"} - {kind}
    assert [bench.api.find(other, CANDIDATE) for other in others] == [None, None], "nothing of ours is beside it"
    plan = bench.find("ConfigMap", "whales-monitoring")["data"][names.MONITORING_FILE]
    assert "shadow" not in plan, "no picture is copied to it"


@KINDS
async def test_the_candidate_is_blocked_and_says_what_to_do(staged: Bench, kind: str) -> None:
    put_theirs(staged, kind)
    staged.edit(registry={"active": "second"})
    await staged.reconcile()
    found = staged.condition("CandidatePassed")
    assert (found["status"], found["reason"]) == ("Unknown", "Impossible")
    assert f"{kind} {CANDIDATE} exists and is not this resource's" in found["message"]
    assert "rename one of the two" in found["message"]
    assert staged.condition("Stalled")["reason"] == "CandidateHeld"
    assert_untouched(staged, kind)
    staged.api.calls.clear()
    staged.wait(hours=1)
    for _ in range(3):
        await staged.reconcile()
    assert staged.api.writes() == [], "nothing changes while it is so"


@KINDS
async def test_what_serves_is_corrected_all_the_same(staged: Bench, kind: str) -> None:
    put_theirs(staged, kind)
    staged.edit(registry={"active": "second"})
    await staged.reconcile()
    staged.edit(antiFraud={"threshold": 0.0}, serving={"image": "cetacean-inference:2"})
    await staged.reconcile()
    deployment = staged.find("Deployment")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "cetacean-inference:2"
    assert "0.0" in str(deployment["spec"]["template"]), "the gate is off"
    deployment["spec"]["replicas"] = 0
    staged.put(deployment)
    staged.delete("Service")
    await staged.reconcile()
    assert staged.find("Deployment")["spec"]["replicas"] == 1
    assert staged.api.find("Service") is not None
    assert_untouched(staged, kind)


async def test_another_resource_may_have_the_name(staged: Bench) -> None:
    for kind in ("Deployment", "Service"):
        owner = {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": CANDIDATE, "uid": "2", "controller": True}
        labels = {names.LABEL_MODEL: CANDIDATE}
        metadata = {"namespace": "sea", "name": CANDIDATE, "uid": kind, "labels": labels, "ownerReferences": [owner]}
        staged.put({"kind": kind, "metadata": metadata, "spec": {"a": "b"}})
    staged.edit(registry={"active": "second"})
    await staged.reconcile()
    assert staged.condition("CandidatePassed")["reason"] == "Impossible"
    staged.edit(registry={"active": "first"})
    await staged.reconcile()
    assert staged.condition("Ready")["reason"] == "Serving"
    assert {staged.find(kind, CANDIDATE)["metadata"]["uid"] for kind in ("Deployment", "Service")} == {
        "Deployment",
        "Service",
    }, "children of the other resource are never deleted"


@KINDS
async def test_the_stages_begin_when_the_name_is_free(staged: Bench, kind: str) -> None:
    put_theirs(staged, kind)
    staged.edit(registry={"active": "second"})
    await staged.reconcile()
    del staged.api.objects[kind, "sea", CANDIDATE]
    await staged.reconcile()
    assert staged.condition("CandidatePassed")["reason"] == "Running"
    assert staged.api.find("Deployment", CANDIDATE) is not None


async def test_a_candidate_whose_service_was_replaced_by_another_is_removed(staged: Bench) -> None:
    staged.edit(registry={"active": "second"})
    await staged.reconcile()
    assert staged.api.find("Deployment", CANDIDATE) is not None
    staged.delete("Service", CANDIDATE)
    put_theirs(staged, "Service")
    await staged.reconcile()
    assert staged.condition("CandidatePassed")["reason"] == "Impossible"
    assert_untouched(staged, "Service")


@KINDS
async def test_an_object_that_was_not_seen_before_the_first_write_blocks_the_candidate_too(
    staged: Bench, kind: str
) -> None:
    asked = []

    def refuse(verb: str, resource: ResourceType, name: str) -> ApiError | None:
        if (verb, resource.kind, name) != ("get", kind, CANDIDATE):
            return None
        asked.append(name)
        return ApiError("get", "/x", 500, "InternalError", "try again") if len(asked) == 1 else None

    put_theirs(staged, kind)
    staged.api.refuse = refuse
    staged.edit(registry={"active": "second"}, antiFraud={"threshold": 0.0})
    await staged.reconcile()
    await staged.reconcile()
    assert "0.0" in str(staged.find("Deployment")["spec"]["template"]), "the gate is off"
    assert staged.condition("CandidatePassed")["reason"] == "Impossible"
    assert_untouched(staged, kind)
