"""The effects: what is written, in which order, and above all what is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.fake_api import no_refusal
from support.operator_world import entry, manifest
from support.reconciler_bench import Bench

from cetacean_operator.kube.client import ApiError
from cetacean_operator.kube.lease import NotLeadingError
from cetacean_operator.kube.resources import ResourceType
from cetacean_operator.pods.scrape import Scrape


async def test_creation(bench: Bench) -> None:
    await bench.reconcile()
    assert bench.api.calls == [
        ("apply", "ConfigMap/whales-monitoring"),
        ("apply", "Deployment/whales"),
        ("apply", "Service/whales"),
        ("apply", "CetaceanModel/whales/status"),
        ("create", bench.api.calls[-1][1]),
    ], "what pods need is there before them, and nothing keeps them waiting that can be told later"
    model = bench.api.find("CetaceanModel")
    assert model is not None
    assert model["status"]["observedGeneration"] == 1
    assert "finalizers" not in model["metadata"]
    assert model["spec"] == manifest()["spec"], "never written"


async def test_nothing_is_written_twice(serving: Bench) -> None:
    for _ in range(3):
        await serving.reconcile()
    assert serving.api.calls == []


async def test_pods_of_the_resource_are_asked(serving: Bench) -> None:
    (target,) = serving.asked.targets["sea", "whales"]
    assert (target.host, target.port, target.ready) == ("10.0.0.1", 8080, True)
    assert serving.asked.interval == 30.0


async def test_a_promotion_is_one_write_that_says_why_and_then_it_is_told(serving: Bench) -> None:
    serving.edit(registry={"active": "second", "models": [entry("first"), entry("second", "b")]})
    seen = []

    def look(verb: str, resource: ResourceType, _name: str) -> None:
        if verb == "apply" and resource.kind == "CetaceanModel":
            deployment, model = serving.api.find("Deployment"), serving.api.find("CetaceanModel")
            assert deployment is not None
            assert model is not None
            told = json.loads(deployment["metadata"]["annotations"]["ecomarineai.org/promotion"])
            seen.append((told["promotions"][0]["model"], model["status"]["observedGeneration"]))

    serving.api.refuse = look
    await serving.reconcile()
    assert seen == [("second", 1)], "the generation is claimed by what follows the deed"
    model = serving.api.find("CetaceanModel")
    assert model is not None
    assert model["status"]["observedGeneration"] == 2
    assert model["status"]["history"][0]["model"] == "second"
    kinds = [ref.partition("/")[0] for _, ref in serving.api.writes()]
    assert kinds == ["ConfigMap", "Deployment", "CetaceanModel", "Event"]


async def test_a_deleted_child_is_made_again(serving: Bench) -> None:
    serving.vanish("Service")
    await serving.reconcile()
    assert serving.api.writes() == [("apply", "Service/whales")]


async def test_an_edited_field_is_set_right_and_others_stay(serving: Bench) -> None:
    deployment = serving.api.find("Deployment")
    assert deployment is not None
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "evil"
    deployment["metadata"]["annotations"]["mine"] = "stays"
    serving.watch(deployment)
    await serving.reconcile()
    assert serving.api.writes()[0] == ("apply", "Deployment/whales")
    found = serving.api.find("Deployment")
    assert found is not None
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "cetacean-inference:1"
    assert found["metadata"]["annotations"]["mine"] == "stays"


async def test_what_is_no_longer_wanted_is_deleted_by_its_uid(serving: Bench) -> None:
    serving.edit(serving={"networkPolicy": {"enabled": True}})
    await serving.reconcile()
    assert serving.api.find("NetworkPolicy") is not None
    serving.edit(serving={"networkPolicy": {"enabled": False}})
    await serving.reconcile()
    assert serving.api.find("NetworkPolicy") is None
    assert ("delete", "NetworkPolicy/whales") in serving.api.calls


async def test_a_child_of_someone_else_is_left_alone(bench: Bench) -> None:
    bench.api.put({"kind": "Deployment", "metadata": {"namespace": "sea", "name": "whales", "uid": "x"}, "spec": {}})
    await bench.reconcile()
    found = bench.api.find("Deployment")
    assert found is not None
    assert found["spec"] == {}
    assert bench.condition("Stalled")["reason"] == "NameTaken"
    assert bench.api.find("Service") is None, "what was created meanwhile is gone again"
    assert bench.api.find("ConfigMap", "whales-monitoring") is None
    bench.api.calls.clear()
    for kind, name in (("Service", "whales"), ("ConfigMap", "whales-monitoring")):
        assert bench.store.get(kind, "sea", name) is None
    await bench.reconcile()
    assert bench.api.writes() == [], "told once, and not tried again while it is so"
    bench.vanish("Deployment")
    await bench.reconcile()
    assert bench.condition("Ready")["reason"] == "RollingOut"


async def test_nothing_runs_beside_a_service_of_someone_else(bench: Bench) -> None:
    theirs = {"kind": "Service", "metadata": {"namespace": "sea", "name": "whales", "uid": "x"}, "spec": {"a": "b"}}
    bench.api.put(theirs)
    await bench.reconcile()
    assert bench.condition("Ready")["reason"] == "NameTaken"
    assert bench.api.find("Deployment") is None
    found = bench.api.find("Service")
    assert found is not None
    assert (found["spec"], found["metadata"].get("labels")) == ({"a": "b"}, None)


async def test_what_serves_stays_where_a_name_is_taken_and_the_status_is_lost(serving: Bench) -> None:
    serving.vanish("Service")
    serving.api.put({"kind": "Service", "metadata": {"namespace": "sea", "name": "whales", "uid": "x"}, "spec": {}})
    model = serving.api.find("CetaceanModel")
    assert model is not None
    del model["status"]
    serving.watch(model)
    await serving.reconcile()
    assert serving.condition("Ready")["reason"] == "NameTaken"
    assert serving.api.find("Deployment") is not None


async def test_what_was_there_before_does_not_go_where_a_name_is_taken(serving: Bench) -> None:
    """Neither watch nor listing brings a child whose label someone has removed."""
    ours = serving.api.find("ConfigMap", "whales-monitoring")
    assert ours is not None
    del ours["metadata"]["labels"]
    for kind, name in (("ConfigMap", "whales-monitoring"), ("Service", "whales")):
        serving.vanish(kind, name)
    serving.api.put(ours)
    serving.api.put({"kind": "Service", "metadata": {"namespace": "sea", "name": "whales", "uid": "x"}, "spec": {}})
    await serving.reconcile()
    assert serving.condition("Ready")["reason"] == "NameTaken"
    found = serving.api.find("ConfigMap", "whales-monitoring")
    assert found is not None
    assert found["metadata"]["uid"] == ours["metadata"]["uid"]
    assert found["metadata"]["labels"], "and it is mended"


NETWORK_POLICY: dict[str, Any] = {"networkPolicy": {"enabled": True}}


def deployed(bench: Bench) -> str:
    deployment = bench.api.find("Deployment")
    assert deployment is not None
    model: str = deployment["spec"]["template"]["metadata"]["annotations"]["ecomarineai.org/model"]
    return model


@pytest.fixture
async def second(serving: Bench) -> Bench:
    """Another model serves after the first."""
    serving.edit(registry={"active": "second", "models": [entry("first"), entry("second", "b")]})
    await serving.reconcile()
    serving.serve()
    await serving.reconcile()
    serving.api.calls.clear()
    return serving


@pytest.mark.parametrize("told", [True, False], ids=["told before", "at once"])
@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        ("HorizontalPodAutoscaler", {"autoscaling": {}}),
        ("PodDisruptionBudget", {"replicas": 2}),
        ("NetworkPolicy", NETWORK_POLICY),
        ("ServiceMonitor", {"serviceMonitor": {"enabled": True}}),
    ],
)
async def test_the_way_back_is_open_whoever_has_a_name_that_pods_do_without(
    second: Bench, kind: str, asked: dict[str, Any], told: bool
) -> None:
    second.observer.service_monitors = True
    second.api.put({"kind": kind, "metadata": {"namespace": "sea", "name": "whales", "uid": "x"}, "spec": {"a": "b"}})
    second.edit(serving=asked)
    if told:
        await second.reconcile()
        assert second.condition("Ready")["reason"] == "NameTaken"
    second.edit(registry={"active": "first"})
    await second.reconcile()
    assert deployed(second) == "first"
    assert second.condition("Ready")["reason"] == "NameTaken"
    assert f"{kind} whales" in second.condition("Ready")["message"]
    found = second.api.find(kind)
    assert found is not None
    assert found["spec"] == {"a": "b"}
    second.api.calls.clear()
    await second.reconcile()
    assert second.api.writes() == [], "and nothing is tried again while it is so"


async def test_what_serves_gets_its_service_back_beside_an_autoscaler_of_someone_else(serving: Bench) -> None:
    theirs = {"namespace": "sea", "name": "whales", "uid": "x"}
    serving.api.put({"kind": "HorizontalPodAutoscaler", "metadata": theirs, "spec": {}})
    serving.edit(serving={"autoscaling": {}})
    serving.vanish("Service")
    await serving.reconcile()
    assert serving.condition("Ready")["reason"] == "NameTaken"
    assert serving.api.find("Service") is not None


async def test_nothing_is_created_beside_an_autoscaler_of_someone_else(bench: Bench) -> None:
    theirs = {"namespace": "sea", "name": "whales", "uid": "x"}
    bench.api.put({"kind": "HorizontalPodAutoscaler", "metadata": theirs, "spec": {}})
    bench.edit(serving={"autoscaling": {}})
    await bench.reconcile()
    assert bench.condition("Ready")["reason"] == "NameTaken"
    assert bench.api.find("Deployment") is None


@pytest.mark.parametrize("code", [403, 422, 500])
async def test_the_way_back_is_open_where_the_api_server_refuses_what_pods_do_without(second: Bench, code: int) -> None:
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
    told = second.condition("Ready")["reason"]
    assert told == ("Serving" if code == 500 else "ApplyRefused"), "what passes by itself is not told"
    second.api.refuse = no_refusal
    await second.reconcile()
    assert second.api.find("NetworkPolicy") is not None
    assert second.condition("Ready")["reason"] == "RollingOut"


async def test_a_child_of_an_earlier_resource_of_that_name_is_taken_over(bench: Bench) -> None:
    await bench.reconcile()
    old = bench.api.find("Deployment")
    assert old is not None
    old["metadata"]["ownerReferences"][0]["uid"] = "gone"
    del old["metadata"]["labels"]
    bench.vanish("Deployment")
    bench.api.put(old)
    await bench.reconcile()
    found = bench.api.find("Deployment")
    assert found is not None
    assert found["metadata"]["ownerReferences"][0]["uid"] == "uid-1"


async def test_what_is_forbidden_is_told_only_if_it_lasts(serving: Bench) -> None:
    """An API server that has just begun forbids everything until it has read the roles."""
    before = serving.condition("Ready")

    def refuse(verb: str, resource: ResourceType, _name: str) -> ApiError | None:
        refused = verb == "apply" and resource.kind == "Deployment"
        return ApiError("apply", "/x", 403, "Forbidden", "User cannot patch") if refused else None

    for _ in range(2):  # the patience begins anew after each success
        serving.api.refuse = refuse
        serving.edit(serving={"image": f"cetacean-inference:{serving.now.timestamp()}"})
        for _ in range(2):
            with pytest.raises(ApiError):
                await serving.reconcile()
            assert serving.condition("Ready") == before
            serving.wait(seconds=9)
        serving.api.refuse = no_refusal
        await serving.reconcile()
        serving.serve()
        await serving.reconcile()
        before = serving.condition("Ready")
        assert before["status"] == "True"


@pytest.mark.parametrize("code", [403, 422])
async def test_a_refusal_is_told_and_tried_again(serving: Bench, code: int) -> None:
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
async def test_what_passes_by_itself_is_only_tried_again(serving: Bench, code: int) -> None:
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
    model = serving.api.find("CetaceanModel")
    assert model is not None
    model["metadata"]["labels"] = {"changed": "unseen"}
    serving.api.put(model)
    serving.asked.answers["pod-1"] = Scrape(error="no answer")
    serving.wait(days=1)
    serving.store.put(serving.api.put({**(serving.api.find("Pod", "whales-1") or {}), "status": {"phase": "Running"}}))
    with pytest.raises(ApiError) as error:
        await serving.reconcile()
    assert error.value.code == 409


async def test_without_the_lease_nothing_happens(bench: Bench) -> None:
    bench.lease.held = False
    assert await bench.reconcile() is None
    assert bench.api.calls == []


async def test_a_lease_lost_in_between_stops_the_writes(bench: Bench) -> None:
    def lose(verb: str, resource: ResourceType, _name: str) -> None:
        if (verb, resource.kind) == ("apply", "ConfigMap"):
            bench.lease.held = False

    bench.api.refuse = lose
    with pytest.raises(NotLeadingError):
        await bench.reconcile()
    assert bench.api.find("Deployment") is None


async def test_a_resource_that_is_gone_is_forgotten(serving: Bench) -> None:
    serving.vanish("CetaceanModel")
    await serving.reconcile()
    assert serving.asked.targets == {}
    assert serving.api.calls == []
    assert not [
        s for family in serving.metrics.registry.collect() for s in family.samples if s.labels.get("name") == "whales"
    ]


async def test_a_resource_that_is_being_deleted_is_left_to_the_garbage_collector(serving: Bench) -> None:
    model = serving.api.find("CetaceanModel")
    assert model is not None
    model["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    serving.watch(model)
    serving.vanish("Service")
    await serving.reconcile()
    assert serving.api.calls == []
    assert serving.asked.targets == {}


async def test_a_status_is_not_made_worse_by_a_pod_not_asked_yet(serving: Bench) -> None:
    """As after a start of the operator: the pods serve, only nobody has asked them."""
    answers = dict(serving.asked.answers)
    serving.asked.answers.clear()
    serving.observer.forget(("sea", "whales"))
    await serving.reconcile()
    assert serving.api.calls == []
    serving.asked.answers |= answers
    await serving.reconcile()
    assert serving.api.calls == []


async def test_a_pod_that_is_going_holds_up_no_status(serving: Bench) -> None:
    """It is asked no longer, but the kubelet calls it ready until it has ended."""
    pod = serving.api.find("Pod", "whales-1")
    assert pod is not None
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    serving.watch(pod)
    serving.asked.answers.clear()
    await serving.reconcile()
    assert serving.condition("Ready")["status"] == "False"


async def test_one_missed_answer_changes_only_the_number_of_silent_pods(serving: Bench) -> None:
    serving.asked.answers["pod-1"] = Scrape(error="no answer within 3 s")
    await serving.reconcile()
    assert serving.condition("Ready")["status"] == "True"
    model = serving.api.find("CetaceanModel")
    assert model is not None
    assert model["status"]["drift"]["podsSilent"] == 1
    assert model["status"]["serving"]["name"] == "first"


async def test_a_container_that_begins_anew_must_say_again_what_it_serves(serving: Bench) -> None:
    serving.asked.answers["pod-1"] = Scrape(error="cannot connect")
    pod = serving.api.find("Pod", "whales-1")
    assert pod is not None
    pod["status"]["containerStatuses"][0]["containerID"] = "another"
    serving.watch(pod)
    await serving.reconcile()
    assert serving.condition("Ready")["reason"] == "PodSilent"


async def test_drift_goes_into_status_and_annotations(serving: Bench) -> None:
    old = serving.asked.answers["pod-1"]
    serving.asked.answers["pod-1"] = Scrape(
        identity=old.identity,
        drift_stats={"n": 100, "alarms_total": 2, "score_mean": 0.75, "window": 1000},
        metrics={"predictions_total": 80, "rejections_total": 20, "cetacean_score_avg": 0.8},
        rejections={"not_a_marine_mammal": 15, "low_confidence": 5},
    )
    await serving.reconcile()
    model = serving.api.find("CetaceanModel")
    assert model is not None
    assert model["status"]["drift"] == {
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
    told = next(event for event in events if event["reason"] == "ScoreDropped")
    assert told["type"] == "Warning"
    assert told["regarding"]["name"] == "whales"
    assert "0.750" in told["note"]


async def test_an_event_that_cannot_be_told_stops_nothing(bench: Bench) -> None:
    bench.api.refuse = lambda verb, _resource, _name: (
        ApiError("create", "/x", 403, "", "") if verb == "create" else None
    )
    await bench.reconcile()
    assert bench.api.find("Deployment") is not None


async def test_replicas_are_handed_over_to_the_autoscaler(serving: Bench) -> None:
    serving.edit(serving={"replicas": 3})
    await serving.reconcile()
    serving.edit(serving={"autoscaling": {"minReplicas": 1, "maxReplicas": 5}})
    await serving.reconcile()
    found = serving.api.find("Deployment")
    assert found is not None
    assert found["spec"]["replicas"] == 3, "they do not fall back to one in between"
    found["spec"]["replicas"] = 5
    serving.watch(found)
    serving.api.calls.clear()
    await serving.reconcile()
    assert ("apply", "Deployment/whales") not in serving.api.calls


async def test_a_spec_that_cannot_be_read_is_told_and_no_more(serving: Bench) -> None:
    serving.edit(registry={"active": "nobody"})
    await serving.reconcile()
    assert serving.condition("Stalled")["reason"] == "InvalidSpec"
    assert {name for _, name in serving.api.writes() if not name.startswith("Event/")} == {
        "CetaceanModel/whales/status"
    }


async def test_the_emergency_is_looked_at_again_in_a_day(bench: Bench) -> None:
    bench.edit(antiFraud={"threshold": 0.0})
    assert await bench.reconcile() == 24 * 3600


async def test_series_follow_the_status(serving: Bench) -> None:
    def value(name: str, **labels: str) -> float | None:
        return serving.metrics.registry.get_sample_value(name, {"namespace": "sea", "name": "whales", **labels})

    assert value("cetacean_model_condition", type="Ready") == 1.0
    assert value("cetacean_model_condition", type="RecalibrationOverdue") == 0.0
    assert value("cetacean_model_serving_info", model="first", version="1.0.0", serving_digest="a" * 64) == 1.0
    assert value("cetacean_model_replicas", state="active") == 1.0
    serving.edit(antiFraud={"threshold": 0.0})
    await serving.reconcile()
    serving.wait(hours=25)
    await serving.reconcile()
    assert value("cetacean_model_condition", type="RecalibrationOverdue") == 1.0
    serving.edit(antiFraud={"threshold": 0.4})
    await serving.reconcile()
    assert value("cetacean_model_condition", type="RecalibrationOverdue") == 0.0
    assert value("cetacean_model_condition", type="AntiFraudDisabled") == 0.0
