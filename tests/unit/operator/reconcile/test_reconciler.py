"""The writes of the reconciler and their order, and the cases in which it writes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from support.fake_api import no_refusal
from support.operator_world import entry, manifest
from support.pods import COUNTERS
from support.reconciler_bench import Bench

from cetacean_operator.api.kinds import CRD_CHILD_KINDS, ResourceType
from cetacean_operator.kube.client import ApiError
from cetacean_operator.kube.lease import NotLeadingError
from cetacean_operator.pods.pod_responses import DriftStats
from cetacean_operator.pods.scrape import Scrape


def forget_answers(bench: Bench) -> dict[str, Scrape]:
    """Bring about what a start of the operator finds: pods that serve, and that nobody has asked."""
    answers = dict(bench.scraper.results)
    bench.scraper.results.clear()
    bench.observer.forget(("sea", "whales"))
    return answers


async def test_children_status_and_event_of_a_new_resource_are_written_in_order(bench: Bench) -> None:
    await bench.reconcile()
    assert bench.api.calls == [
        ("apply", "ConfigMap/whales-monitoring"),
        ("apply", "Deployment/whales"),
        ("apply", "Service/whales"),
        ("apply", "CetaceanModel/whales/status"),
        ("create", bench.api.calls[-1][1]),
    ], "the ConfigMap, which pods need, comes first; status and Event come last"
    model = bench.find("CetaceanModel")
    assert model["status"]["observedGeneration"] == 1
    assert "finalizers" not in model["metadata"]
    assert model["spec"] == manifest()["spec"], "the operator never writes the spec"


async def test_reconciling_again_writes_nothing(serving: Bench) -> None:
    for _ in range(3):
        await serving.reconcile()
    assert serving.api.calls == []


async def test_the_pods_of_a_resource_are_scraped(serving: Bench) -> None:
    (target,) = serving.scraper.targets["sea", "whales"]
    assert (target.host, target.port, target.ready) == ("10.0.0.1", 8080, True)
    assert serving.scraper.interval == 30.0


async def test_a_promotion_writes_the_deployment_with_its_reason_before_status_and_event(serving: Bench) -> None:
    serving.edit(registry={"active": "second", "models": [entry("first"), entry("second", "b")]})
    seen = []

    def record(verb: str, resource: ResourceType, _name: str) -> None:
        if verb == "apply" and resource.kind == "CetaceanModel":
            deployment, model = serving.api.find("Deployment"), serving.api.find("CetaceanModel")
            assert deployment is not None
            assert model is not None
            promotion = json.loads(deployment["metadata"]["annotations"]["ecomarineai.org/promotion"])
            seen.append((promotion["promotions"][0]["model"], model["status"]["observedGeneration"]))

    serving.api.refuse = record
    await serving.reconcile()
    assert seen == [("second", 1)], "the status names the new generation only after the Deployment is written"
    model = serving.find("CetaceanModel")
    assert model["status"]["observedGeneration"] == 2
    assert model["status"]["history"][0]["model"] == "second"
    kinds = [ref.partition("/")[0] for _, ref in serving.api.writes()]
    assert kinds == ["ConfigMap", "Deployment", "CetaceanModel", "Event"]


async def test_a_deleted_child_is_created_again(serving: Bench) -> None:
    serving.delete("Service")
    await serving.reconcile()
    assert serving.api.writes() == [("apply", "Service/whales")]


async def test_an_edited_field_is_restored_and_fields_of_others_stay(serving: Bench) -> None:
    deployment = serving.find("Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "evil"
    deployment["metadata"]["annotations"]["mine"] = "stays"
    serving.put(deployment)
    await serving.reconcile()
    assert serving.api.writes()[0] == ("apply", "Deployment/whales")
    found = serving.find("Deployment")
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "cetacean-inference:1"
    assert found["metadata"]["annotations"]["mine"] == "stays"


async def test_a_child_that_the_spec_no_longer_has_is_deleted_by_its_uid(serving: Bench) -> None:
    serving.edit(serving={"networkPolicy": {"enabled": True}})
    await serving.reconcile()
    assert serving.api.find("NetworkPolicy") is not None
    serving.edit(serving={"networkPolicy": {"enabled": False}})
    await serving.reconcile()
    assert serving.api.find("NetworkPolicy") is None
    assert ("delete", "NetworkPolicy/whales") in serving.api.calls


async def test_an_object_of_someone_else_is_left_alone_and_reported_once(bench: Bench) -> None:
    bench.api.put({"kind": "Deployment", "metadata": {"namespace": "sea", "name": "whales", "uid": "x"}, "spec": {}})
    await bench.reconcile()
    found = bench.find("Deployment")
    assert found["spec"] == {}
    assert bench.condition("Stalled")["reason"] == "NameTaken"
    assert bench.api.find("Service") is None, "a child that was created before the conflict is deleted again"
    assert bench.api.find("ConfigMap", "whales-monitoring") is None
    bench.api.calls.clear()
    for kind, name in (("Service", "whales"), ("ConfigMap", "whales-monitoring")):
        assert bench.store.get(kind, "sea", name) is None
    await bench.reconcile()
    assert bench.api.writes() == [], "a known conflict is neither recorded nor tried again"
    bench.delete("Deployment")
    await bench.reconcile()
    assert bench.condition("Ready")["reason"] == "RollingOut"


async def test_no_deployment_is_created_beside_a_service_of_someone_else(bench: Bench) -> None:
    theirs = {"kind": "Service", "metadata": {"namespace": "sea", "name": "whales", "uid": "x"}, "spec": {"a": "b"}}
    bench.api.put(theirs)
    await bench.reconcile()
    assert bench.condition("Ready")["reason"] == "NameTaken"
    assert bench.api.find("Deployment") is None
    found = bench.find("Service")
    assert (found["spec"], found["metadata"].get("labels")) == ({"a": "b"}, None)


async def test_a_deployment_stays_if_a_name_is_taken_and_the_status_is_lost(serving: Bench) -> None:
    serving.delete("Service")
    serving.api.put({"kind": "Service", "metadata": {"namespace": "sea", "name": "whales", "uid": "x"}, "spec": {}})
    model = serving.find("CetaceanModel")
    del model["status"]
    serving.put(model)
    await serving.reconcile()
    assert serving.condition("Ready")["reason"] == "NameTaken"
    assert serving.api.find("Deployment") is not None


async def test_a_child_without_labels_is_not_deleted_if_another_name_is_taken(serving: Bench) -> None:
    """The store does not know a child whose label someone has removed: neither watch nor list reports it."""
    ours = serving.find("ConfigMap", "whales-monitoring")
    del ours["metadata"]["labels"]
    for kind, name in (("ConfigMap", "whales-monitoring"), ("Service", "whales")):
        serving.delete(kind, name)
    serving.api.put(ours)
    serving.api.put({"kind": "Service", "metadata": {"namespace": "sea", "name": "whales", "uid": "x"}, "spec": {}})
    await serving.reconcile()
    assert serving.condition("Ready")["reason"] == "NameTaken"
    found = serving.find("ConfigMap", "whales-monitoring")
    assert found["metadata"]["uid"] == ours["metadata"]["uid"]
    assert found["metadata"]["labels"], "the labels are restored"


NETWORK_POLICY: dict[str, Any] = {"networkPolicy": {"enabled": True}}


def deployed(bench: Bench) -> str:
    deployment = bench.find("Deployment")
    model: str = deployment["spec"]["template"]["metadata"]["annotations"]["ecomarineai.org/model"]
    return model


@pytest.fixture
async def second(serving: Bench) -> Bench:
    """The model `second` serves, after `first`."""
    serving.edit(registry={"active": "second", "models": [entry("first"), entry("second", "b")]})
    await serving.reconcile()
    serving.roll_out()
    await serving.reconcile()
    serving.api.calls.clear()
    return serving


@pytest.mark.parametrize("reported", [True, False], ids=["conflict reported before", "conflict found now"])
@pytest.mark.parametrize(
    ("kind", "added"),
    [
        ("HorizontalPodAutoscaler", {"autoscaling": {}}),
        ("PodDisruptionBudget", {"replicas": 2}),
        ("NetworkPolicy", NETWORK_POLICY),
        ("ServiceMonitor", {"serviceMonitor": {"enabled": True}}),
        ("HTTPRoute", {"route": {"parentRefs": [{"name": "public"}]}}),
    ],
)
async def test_a_demotion_succeeds_although_the_name_of_an_optional_child_is_taken(
    second: Bench, kind: str, added: dict[str, Any], reported: bool
) -> None:
    second.observer.served_kinds = frozenset({kind})
    second.api.put({"kind": kind, "metadata": {"namespace": "sea", "name": "whales", "uid": "x"}, "spec": {"a": "b"}})
    second.edit(serving=added)
    if reported:
        await second.reconcile()
        assert second.condition("Ready")["reason"] == "NameTaken"
    second.edit(registry={"active": "first"})
    await second.reconcile()
    assert deployed(second) == "first"
    assert second.condition("Ready")["reason"] == "NameTaken"
    assert f"{kind} whales" in second.condition("Ready")["message"]
    found = second.find(kind)
    assert found["spec"] == {"a": "b"}
    second.api.calls.clear()
    await second.reconcile()
    assert second.api.writes() == [], "a known conflict is not tried again"


@pytest.mark.parametrize("kind", sorted(CRD_CHILD_KINDS))
async def test_a_child_whose_crd_has_gone_is_no_refusal(second: Bench, kind: str) -> None:
    def refuse(verb: str, resource: ResourceType, _name: str) -> ApiError | None:
        gone = (verb, resource.kind) == ("apply", kind)
        return ApiError("apply", "/x", 404, "", "404 page not found") if gone else None

    second.api.refuse = refuse
    second.observer.set_served(kind, served=True)
    second.edit(serving={"serviceMonitor": {"enabled": True}, "route": {"parentRefs": [{"name": "public"}]}})
    await second.reconcile()
    assert second.observer.served_kinds == frozenset()
    assert second.condition("Ready")["reason"] == "Serving"
    assert second.condition("RouteAccepted")["reason"] == "GatewayAPIMissing"
    second.api.calls.clear()
    await second.reconcile()
    assert second.api.writes() == [], "it is not tried again"


async def test_a_deleted_service_comes_back_beside_an_autoscaler_of_someone_else(serving: Bench) -> None:
    theirs = {"namespace": "sea", "name": "whales", "uid": "x"}
    serving.api.put({"kind": "HorizontalPodAutoscaler", "metadata": theirs, "spec": {}})
    serving.edit(serving={"autoscaling": {}})
    serving.delete("Service")
    await serving.reconcile()
    assert serving.condition("Ready")["reason"] == "NameTaken"
    assert serving.api.find("Service") is not None


async def test_no_deployment_is_created_beside_an_autoscaler_of_someone_else(bench: Bench) -> None:
    theirs = {"namespace": "sea", "name": "whales", "uid": "x"}
    bench.api.put({"kind": "HorizontalPodAutoscaler", "metadata": theirs, "spec": {}})
    bench.edit(serving={"autoscaling": {}})
    await bench.reconcile()
    assert bench.condition("Ready")["reason"] == "NameTaken"
    assert bench.api.find("Deployment") is None


@pytest.mark.parametrize("code", [403, 422, 500])
async def test_a_demotion_succeeds_although_the_api_server_refuses_an_optional_child(second: Bench, code: int) -> None:
    def refuse(verb: str, resource: ResourceType, _name: str) -> ApiError | None:
        refused = (verb, resource.kind) == ("apply", "NetworkPolicy")
        return ApiError("apply", "/x", code, "Invalid", "spec.ingress[0].from[0]: bad peer") if refused else None

    second.api.refuse = refuse
    second.edit(serving=NETWORK_POLICY, registry={"active": "first"})
    for _ in range(2):
        with pytest.raises(ApiError, match="bad peer"):
            await second.reconcile()
        assert deployed(second) == "first"
        second.wait(seconds=10)
    reason = second.condition("Ready")["reason"]
    assert reason == ("Serving" if code == 500 else "ApplyRefused"), "a transient error is not reported"
    second.api.refuse = no_refusal
    await second.reconcile()
    assert second.api.find("NetworkPolicy") is not None
    assert second.condition("Ready")["reason"] == "RollingOut"


async def test_a_child_of_a_deleted_resource_of_the_same_name_gets_the_new_owner(bench: Bench) -> None:
    await bench.reconcile()
    old = bench.find("Deployment")
    old["metadata"]["ownerReferences"][0]["uid"] = "gone"
    del old["metadata"]["labels"]
    bench.delete("Deployment")
    bench.api.put(old)
    await bench.reconcile()
    found = bench.find("Deployment")
    assert found["metadata"]["ownerReferences"][0]["uid"] == "uid-1"


async def test_a_candidate_that_was_orphaned_goes_although_its_resource_is_created_again_without_it(
    bench: Bench,
) -> None:
    """`kubectl delete --cascade=orphan` removes the owner references, and the candidate's pods run on."""
    models = entry("first"), entry("second", "b")
    bench.put(manifest(*models, rollout={"stages": [{"shadow": {"share": 1.0}}]}))
    await bench.reconcile()
    bench.roll_out()
    bench.edit(registry={"active": "second"})
    await bench.reconcile()
    candidate = bench.find("Deployment", "whales-candidate")
    bench.delete("CetaceanModel")
    await bench.reconcile()
    for orphan in (candidate, bench.find("Service", "whales-candidate"), bench.find("Deployment")):
        orphan["metadata"]["ownerReferences"] = []
        bench.put(orphan)
    bench.put(manifest(*models))
    await bench.reconcile()
    assert bench.find("Deployment")["metadata"]["ownerReferences"][0]["name"] == "whales"
    assert [bench.api.find(kind, "whales-candidate") for kind in ("Deployment", "Service")] == [None, None]


async def test_a_forbidden_request_is_reported_only_if_it_stays_forbidden(serving: Bench) -> None:
    """An API server that has just started forbids everything until it has read the roles."""
    before = serving.condition("Ready")

    def refuse(verb: str, resource: ResourceType, _name: str) -> ApiError | None:
        refused = verb == "apply" and resource.kind == "Deployment"
        return ApiError("apply", "/x", 403, "Forbidden", "User cannot patch") if refused else None

    for _ in range(2):  # the grace period starts again after each success
        serving.api.refuse = refuse
        serving.edit(serving={"image": f"cetacean-inference:{serving.now.timestamp()}"})
        for _ in range(2):
            with pytest.raises(ApiError):
                await serving.reconcile()
            assert serving.condition("Ready") == before
            serving.wait(seconds=9)
        serving.api.refuse = no_refusal
        await serving.reconcile()
        serving.roll_out()
        await serving.reconcile()
        before = serving.condition("Ready")
        assert before["status"] == "True"


@pytest.mark.parametrize("code", [403, 422])
async def test_a_refused_apply_is_reported_and_tried_again(serving: Bench, code: int) -> None:
    def refuse(verb: str, resource: ResourceType, _name: str) -> ApiError | None:
        refused = verb == "apply" and resource.kind == "Deployment"
        return ApiError("apply", "/x", code, "Forbidden", "exceeded quota: pods") if refused else None

    serving.api.refuse = refuse
    serving.edit(serving={"image": "cetacean-inference:2"})
    for _ in range(2 if code == 403 else 1):
        with pytest.raises(ApiError):
            await serving.reconcile()
        serving.wait(seconds=10)
    assert serving.condition("Ready")["reason"] == "ApplyRefused"
    assert "exceeded quota: pods" in serving.condition("Ready")["message"]
    serving.api.refuse = no_refusal
    await serving.reconcile()
    assert serving.condition("Ready")["reason"] == "RollingOut"


@pytest.mark.parametrize("code", [0, 409, 429, 500, 503])
async def test_a_transient_error_is_tried_again_and_not_reported(serving: Bench, code: int) -> None:
    before = serving.api.find("CetaceanModel")

    def refuse(verb: str, resource: ResourceType, _name: str) -> ApiError | None:
        return ApiError("apply", "/x", code, "", "") if (verb, resource.kind) == ("apply", "Deployment") else None

    serving.api.refuse = refuse
    serving.edit(serving={"image": "cetacean-inference:2"})
    with pytest.raises(ApiError):
        await serving.reconcile()
    after = serving.api.find("CetaceanModel")
    assert before is not None
    assert after is not None
    assert after["status"] == before["status"]


async def test_a_status_decided_on_an_old_resource_is_not_written(serving: Bench) -> None:
    model = serving.find("CetaceanModel")
    model["metadata"]["labels"] = {"changed": "unseen"}
    serving.api.put(model)
    serving.scraper.results["pod-1"] = Scrape(error="no answer")
    serving.wait(days=1)
    serving.store.put(serving.api.put({**(serving.api.find("Pod", "whales-1") or {}), "status": {"phase": "Running"}}))
    with pytest.raises(ApiError) as error:
        await serving.reconcile()
    assert error.value.code == 409


async def test_without_the_lease_the_api_server_gets_no_request(bench: Bench) -> None:
    bench.lease.held = False
    assert await bench.reconcile() is None
    assert bench.api.calls == []


async def test_a_lease_lost_between_two_writes_stops_the_second(bench: Bench) -> None:
    def lose(verb: str, resource: ResourceType, _name: str) -> None:
        if (verb, resource.kind) == ("apply", "ConfigMap"):
            bench.lease.held = False

    bench.api.refuse = lose
    with pytest.raises(NotLeadingError):
        await bench.reconcile()
    assert bench.api.find("Deployment") is None


async def test_a_deleted_resource_has_neither_targets_nor_series(serving: Bench) -> None:
    serving.delete("CetaceanModel")
    await serving.reconcile()
    assert serving.scraper.targets == {}
    assert serving.api.calls == []
    assert not [
        s for family in serving.metrics.registry.collect() for s in family.samples if s.labels.get("name") == "whales"
    ]


async def test_a_resource_that_is_being_deleted_is_left_to_the_garbage_collector(serving: Bench) -> None:
    model = serving.find("CetaceanModel")
    model["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    serving.put(model)
    serving.delete("Service")
    await serving.reconcile()
    assert serving.api.calls == []
    assert serving.scraper.targets == {}


async def test_the_status_stays_while_a_pod_has_not_been_scraped_yet(serving: Bench) -> None:
    """This is the state after a start of the operator: the pods serve, and were not scraped yet."""
    answers = forget_answers(serving)
    await serving.reconcile()
    assert serving.api.calls == []
    serving.scraper.results |= answers
    await serving.reconcile()
    assert serving.api.calls == []


async def test_nothing_is_decided_before_the_pods_were_asked(bench: Bench) -> None:
    """The operator was away for longer than the stage's timeout: what the pods have counted meanwhile is not known."""
    models = [entry("first"), entry("second", "b", version="1.0.1")]
    stages = [{"shadow": {}, "timeoutSeconds": 3600}]
    bench.put(manifest(*models, rollout={"stages": stages, "onInconclusive": "Return"}))
    await bench.reconcile()
    bench.roll_out()
    await bench.reconcile()
    bench.edit(registry={"active": "second"})
    await bench.reconcile()
    assert bench.find("Deployment", "whales-candidate")
    answers = forget_answers(bench)
    bench.wait(hours=2)
    bench.delete("Service")
    bench.api.calls.clear()
    assert await bench.reconcile() == 10.0, "the scraper queues it again earlier, if the pods answer"
    assert bench.api.calls == []
    bench.scraper.results |= answers
    await bench.reconcile()
    assert bench.api.find("Deployment", "whales-candidate") is None
    assert bench.find("CetaceanModel")["status"]["candidate"]["verdict"] == "Inconclusive"


async def test_nothing_is_decided_before_the_candidates_pods_were_asked(bench: Bench) -> None:
    """The pod that serves answers first; of the candidate's answers to clients nothing is known yet."""
    canary = {"weight": 50, "require": {"requests": 100, "holdForSeconds": 60}}
    models = [entry("first"), entry("second", "b")]
    rollout = {"stages": [{"canary": canary, "timeoutSeconds": 3600}], "onInconclusive": "Return"}
    bench.put(manifest(*models, rollout=rollout))
    await bench.reconcile()
    serving = bench.roll_out()["metadata"]["uid"]
    await bench.reconcile()
    bench.edit(registry={"active": "second"})
    await bench.reconcile()
    candidate = bench.start_candidate()["metadata"]["uid"]
    for uid in (serving, candidate):
        none_yet = ((0.1, 0.0), (float("inf"), 0.0))
        bench.scraper.results[uid] = replace(bench.scraper.results[uid], durations=none_yet)
    await bench.reconcile()
    await bench.reconcile()
    answers = forget_answers(bench)
    bench.wait(hours=2)
    bench.scraper.results[serving] = answered_more(answers[serving])
    bench.api.calls.clear()
    assert await bench.reconcile() == 10.0
    assert bench.api.calls == []
    bench.scraper.results[candidate] = answered_more(answers[candidate])
    await bench.reconcile()
    assert bench.find("CetaceanModel")["status"]["history"][0]["model"] == "second"


def answered_more(before: Scrape) -> Scrape:
    assert before.metrics
    metrics = {**before.metrics, "requests_total": before.metrics["requests_total"] + 3000}
    return replace(before, metrics=metrics, durations=((0.1, 3000.0), (float("inf"), 3000.0)))


async def test_a_pod_that_is_never_asked_keeps_repairs_waiting_for_a_bounded_time_each_time(serving: Bench) -> None:
    for _ in range(2):
        answers = forget_answers(serving)
        serving.delete("Service")
        assert await serving.reconcile() == 10.0
        serving.wait(seconds=9)
        assert await serving.reconcile() == 1.0
        assert serving.api.find("Service") is None
        serving.wait(seconds=1)
        await serving.reconcile()
        assert serving.find("Service")
        serving.scraper.results |= answers
        await serving.reconcile()


async def test_a_regression_is_refused_although_the_status_was_lost_while_the_operator_was_away(bench: Bench) -> None:
    models = [entry("first"), entry("second", "b", metrics={"tnr": 0.90})]
    bench.put(manifest(*models, gates={"maxRegression": 0.01}))
    await bench.reconcile()
    bench.roll_out()
    await bench.reconcile()
    bench.edit(registry={"active": "second"})
    model = bench.find("CetaceanModel")
    del model["status"]
    bench.put(model)
    answers = forget_answers(bench)
    await bench.reconcile()
    bench.scraper.results |= answers
    await bench.reconcile()
    assert bench.condition("GatePassed")["reason"] == "GateRefused"
    assert bench.find("Deployment")["spec"]["template"]["metadata"]["annotations"]["ecomarineai.org/model"] == "first"


async def test_a_candidate_that_the_api_server_refuses_keeps_nothing_from_what_serves(bench: Bench) -> None:
    bench.put(manifest(entry("first"), entry("second", "b", version="1.0.1")))
    await bench.reconcile()
    bench.roll_out()
    await bench.reconcile()
    serving = {"service": {"type": "LoadBalancer"}, "podDisruptionBudget": {"minAvailable": 1}}
    bench.edit(rollout={"stages": [{"shadow": {}}]}, registry={"active": "second"}, serving=serving)

    def refuse(verb: str, resource: ResourceType, name: str) -> ApiError | None:
        if (verb, resource.kind, name) != ("apply", "Deployment", "whales-candidate"):
            return None
        return ApiError("apply", "Deployment/whales-candidate", 403, "Forbidden", "exceeded quota: deployments")

    bench.api.refuse = refuse
    for _ in range(3):
        bench.wait(seconds=20)
        with pytest.raises(ApiError):
            await bench.reconcile()
    assert bench.find("Service")["spec"]["type"] == "LoadBalancer"
    assert bench.find("PodDisruptionBudget")["spec"]["minAvailable"] == 1
    assert bench.condition("Available")["status"] == "True"
    assert bench.condition("Ready")["reason"] == "ApplyRefused"
    assert "exceeded quota: deployments" in bench.condition("Ready")["message"]
    bench.api.refuse = no_refusal
    await bench.reconcile()
    assert bench.find("Deployment", "whales-candidate")


async def test_the_status_does_not_wait_for_a_terminating_pod(serving: Bench) -> None:
    """It is not scraped any more, but the kubelet reports it ready until it has ended."""
    pod = serving.find("Pod", "whales-1")
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    serving.put(pod)
    serving.scraper.results.clear()
    await serving.reconcile()
    assert serving.condition("Ready")["status"] == "False"


async def test_one_failed_scrape_changes_only_the_number_of_silent_pods(serving: Bench) -> None:
    serving.scraper.results["pod-1"] = Scrape(error="no answer within 3 s")
    await serving.reconcile()
    assert serving.condition("Ready")["status"] == "True"
    model = serving.find("CetaceanModel")
    assert model["status"]["drift"]["podsSilent"] == 1
    assert model["status"]["serving"]["name"] == "first"


async def test_a_restarted_container_does_not_keep_its_identity(serving: Bench) -> None:
    serving.scraper.results["pod-1"] = Scrape(error="cannot connect")
    pod = serving.find("Pod", "whales-1")
    pod["status"]["containerStatuses"][0]["containerID"] = "another"
    serving.put(pod)
    await serving.reconcile()
    assert serving.condition("Ready")["reason"] == "PodSilent"


async def test_drift_is_written_to_status_and_annotations_and_recorded_as_an_event(serving: Bench) -> None:
    old = serving.scraper.results["pod-1"]
    serving.scraper.results["pod-1"] = Scrape(
        identity=old.identity,
        drift_stats=DriftStats(100, 2, 0.75),
        metrics={**COUNTERS, "predictions_total": 80, "rejections_total": 20, "cetacean_score_avg": 0.8},
        rejections={"not_a_marine_mammal": 15, "low_confidence": 5},
    )
    await serving.reconcile()
    model = serving.find("CetaceanModel")
    drift = dict(model["status"]["drift"])
    signals = {one["signal"]: one["reason"] for one in drift.pop("signals")}
    assert signals == {
        "CetaceanScore": "ScoreDropped",
        **dict.fromkeys(("TopProbability", "LowConfidence", "Distribution", "BySpecies"), "NoReports"),
    }
    assert drift == {
        "samples": 100,
        "mean": 0.75,
        "baseline": 0.9,
        "drop": 0.15,
        "alarms": 2,
        "scoreAvg": 0.8,
        "rejectionRate": 0.15,
        "podsScraped": 1,
        "podsSilent": 0,
    }
    assert model["metadata"]["annotations"] == {
        "ecomarineai.org/drift-score-mean": "0.750",
        "ecomarineai.org/drift-score-avg": "0.800",
        "ecomarineai.org/drift-alarms-total": "2",
        "ecomarineai.org/drift-samples": "100",
    }
    assert serving.condition("Drifting")["reason"] == "ScoreDropped"
    events = [obj for (kind, _, _), obj in serving.api.objects.items() if kind == "Event"]
    event = next(event for event in events if event["reason"] == "ScoreDropped")
    assert event["type"] == "Warning"
    assert event["regarding"]["name"] == "whales"
    assert "0.750" in event["note"]


async def test_an_event_that_cannot_be_created_stops_no_reconcile(bench: Bench) -> None:
    bench.api.refuse = lambda verb, _resource, _name: (
        ApiError("create", "/x", 403, "", "") if verb == "create" else None
    )
    await bench.reconcile()
    assert bench.api.find("Deployment") is not None


async def test_an_autoscaler_takes_the_replicas_over_without_a_reset(serving: Bench) -> None:
    serving.edit(serving={"replicas": 3})
    await serving.reconcile()
    serving.edit(serving={"autoscaling": {"minReplicas": 1, "maxReplicas": 5}})
    await serving.reconcile()
    found = serving.find("Deployment")
    assert found["spec"]["replicas"] == 3, "the number of replicas stays until the autoscaler changes it"
    found["spec"]["replicas"] = 5
    serving.put(found)
    serving.api.calls.clear()
    await serving.reconcile()
    assert ("apply", "Deployment/whales") not in serving.api.calls


async def test_an_invalid_spec_writes_only_status_and_event(serving: Bench) -> None:
    serving.edit(registry={"active": "nobody"})
    await serving.reconcile()
    assert serving.condition("Stalled")["reason"] == "InvalidSpec"
    assert {name for _, name in serving.api.writes() if not name.startswith("Event/")} == {
        "CetaceanModel/whales/status"
    }


async def test_a_disabled_gate_is_checked_again_after_a_day(bench: Bench) -> None:
    bench.edit(antiFraud={"threshold": 0.0})
    assert await bench.reconcile() == 24 * 3600


async def test_the_series_of_a_resource_follow_its_status(serving: Bench) -> None:
    def value(name: str, **labels: str) -> float | None:
        return serving.metrics.registry.get_sample_value(name, {"namespace": "sea", "name": "whales", **labels})

    def overdue() -> float | None:
        return value("cetacean_model_condition_reason", type="AntiFraudDisabled", reason="RecalibrationOverdue")

    assert value("cetacean_model_condition", type="Ready") == 1.0
    assert overdue() == 0.0
    assert value("cetacean_model_serving_info", model="first", version="1.0.0", serving_digest="a" * 64) == 1.0
    assert value("cetacean_model_replicas", state="active") == 1.0
    serving.edit(antiFraud={"threshold": 0.0})
    await serving.reconcile()
    serving.wait(hours=25)
    await serving.reconcile()
    assert overdue() == 1.0
    serving.edit(antiFraud={"threshold": 0.4})
    await serving.reconcile()
    assert overdue() == 0.0
    assert value("cetacean_model_condition", type="AntiFraudDisabled") == 0.0
