"""Weights that are downloaded into a shared claim before their model serves."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from support.approvals import approval_object
from support.operator_world import World, entry, manifest

from cetacean_operator.api.observed import ContainerFailure, Object, Pod
from cetacean_operator.api.status import PrefetchedModel
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.model_service import clients_selector, selector
from cetacean_operator.decisions.prefetch import RETRY_SECONDS

CLAIM: dict[str, Any] = {"weightsCache": {"persistentVolumeClaim": {"claimName": "weights"}}}
APPROVAL: dict[str, Any] = {"approval": {"major": {"approvals": 1, "metrics": "Optional", "qa": False}}}
MODELS = (entry("first"), entry("second", "b", version="2.0.0"), entry("third", "c", version="3.0.0"))


def world(*models: dict[str, Any], prefetch: str = "All", serving: dict[str, Any] | None = None, **spec: Any) -> World:
    made = World(manifest(*(models or MODELS), serving=CLAIM | {"prefetch": prefetch} | (serving or {}), **spec))
    made.settle()
    return made


def jobs(there: World) -> list[Object]:
    return [child for (kind, _), child in there.children.items() if kind == "Job"]


def models(there: World) -> list[str]:
    """Return the models that Jobs fetch now."""
    return [job["metadata"]["annotations"]["ecomarineai.org/model"] for job in jobs(there)]


def pod_of(job: Object, **changes: Any) -> Pod:
    given: dict[str, Any] = {"rollout_id": None, "ready": False, "terminating": False, "job": job["metadata"]["name"]}
    return Pod(uid="u", name="fetching", **(given | changes))


def finish(there: World) -> None:
    """Let the Job of now end well."""
    there.prefetch_pods = [pod_of(job, fetched=True) for job in jobs(there)]
    there.settle()


def fail(there: World, message: str, *, ended: bool = True) -> None:
    """Let the pods of the Job fail, and the Job with them."""
    (job,) = jobs(there)
    failure = ContainerFailure("fetch", "Error", message, exit_code=1)
    there.prefetch_pods = [pod_of(job, failures=(failure,), terminating=True)]
    if ended:
        at = timestamp(there.now)
        job["status"]["conditions"] = [
            {"type": "Failed", "status": "True", "lastTransitionTime": at, "message": "m\n\x1bm"}
        ]
    there.settle()


def test_without_prefetch_there_is_no_job_and_no_condition() -> None:
    there = world(prefetch="Never")
    assert jobs(there) == []
    assert there.status.condition("WeightsPrefetched") is None
    assert "prefetched" not in there.obj["status"]


def test_all_fetches_every_other_entry_one_after_the_other_the_newest_first() -> None:
    there = world(*MODELS, entry("fourth", "d", deprecated=True))
    assert models(there) == ["third"]
    assert there.is_("WeightsPrefetched") == ("Unknown", "Prefetching")
    assert (
        "the weights of 0 of 2 models that wait are in the claim weights"
        in there.condition("WeightsPrefetched").message
    )
    there.wait(seconds=60)
    finish(there)
    assert models(there) == ["second"]
    finish(there)
    assert jobs(there) == []
    assert there.is_("WeightsPrefetched") == ("True", "Prefetched")
    assert there.status.prefetched == (
        PrefetchedModel(model="second", digest="b" * 64, claim="weights", since="2026-01-01T00:01:00Z"),
        PrefetchedModel(model="third", digest="c" * 64, claim="weights", since="2026-01-01T00:01:00Z"),
    )
    assert there.reasons.count("WeightsPrefetched") == 1
    assert there.is_("Ready") == ("True", "Serving")


def test_a_candidate_is_the_model_that_waits_for_approval_and_the_marked_entries() -> None:
    there = world(*MODELS[:2], entry("third", "c", prefetch=True), prefetch="Candidate")
    assert models(there) == ["third"]
    finish(there)
    assert jobs(there) == []
    there.edit(**APPROVAL)
    there.activate("second")
    there.settle()
    assert there.deployed == "first"
    assert models(there) == ["second"], "it waits for approval"


def test_a_model_that_waits_is_fetched_although_nothing_serves_yet() -> None:
    there = world(prefetch="Candidate", **APPROVAL)
    assert there.deployed is None
    assert models(there) == ["first"]
    volumes = jobs(there)[0]["spec"]["template"]["spec"]["volumes"]
    assert [one["name"] for one in volumes] == ["weights", "tmp"], "the file of monitoring does not exist yet"
    finish(there)
    assert jobs(there) == []
    assert there.is_("WeightsPrefetched") == ("True", "Prefetched")
    there.approvals.append(approval_object(candidate="first", digit="a"))
    there.settle()
    assert there.deployed == "first"
    assert there.is_("WeightsPrefetched") == ("True", "NothingToPrefetch")
    assert [item.model for item in there.status.prefetched or ()] == ["first"]


def test_a_job_ends_if_its_model_may_serve_before_it_has_finished() -> None:
    there = world(prefetch="Candidate", **APPROVAL)
    there.approvals.append(approval_object(candidate="first", digit="a"))
    there.settle()
    assert (there.deployed, jobs(there)) == ("first", [])


@pytest.mark.parametrize("metrics", [{"tnr": 0.1}])
def test_a_model_that_the_gate_refuses_is_not_fetched(metrics: dict[str, float]) -> None:
    there = world(entry("first"), entry("second", "b", metrics=metrics), prefetch="Candidate")
    there.activate("second")
    there.settle()
    assert there.is_("GatePassed") == ("False", "GateRefused")
    assert jobs(there) == []


def test_all_fetches_neither_the_refused_model_nor_the_one_that_serves() -> None:
    there = world(entry("first"), entry("second", "b", metrics={"tnr": 0.1}), entry("third", "c"))
    there.activate("second")
    there.settle()
    assert (there.deployed, models(there)) == ("first", ["third"])
    finish(there)
    assert jobs(there) == []
    assert there.condition("WeightsPrefetched").message == (
        "the weights of 1 of 1 models that wait are in the claim weights"
    )


def test_the_job_runs_fetch_with_the_settings_and_the_claim_of_the_pods() -> None:
    serving = {
        "sidecars": [{"name": "mesh", "image": "m"}],
        "extraInitContainers": [{"name": "proxy", "image": "p", "restartPolicy": "Always"}],
        "podSecurityContext": {"runAsUser": None},
        "nodeSelector": {"disk": "ssd"},
    }
    there = world(serving=serving)
    assert there.deployment is not None
    (job,) = jobs(there)
    template, pods = job["spec"]["template"], there.deployment["spec"]["template"]
    spec = template["spec"]
    (fetch,) = spec["containers"]
    env = {one["name"]: one.get("value") for one in fetch["env"]}
    assert (fetch["name"], fetch["args"], env["CETACEAN_MODEL__NAME"]) == ("fetch", ["fetch"], "third")
    assert fetch["securityContext"] == pods["spec"]["initContainers"][-1]["securityContext"]
    assert [one["name"] for one in spec["initContainers"]] == ["proxy"], "a sidecar would never end"
    assert spec["volumes"][0] == pods["spec"]["volumes"][0]
    assert (spec["restartPolicy"], spec["nodeSelector"]) == ("Never", {"disk": "ssd"})
    assert spec["securityContext"] == pods["spec"]["securityContext"]
    assert spec["automountServiceAccountToken"] is False
    labels = template["metadata"]["labels"]
    assert labels["ecomarineai.org/cetaceanmodel"] == "prefetch_job", "the Service selects another value"
    assert labels["app.kubernetes.io/instance"] == "whales"
    assert job["spec"]["backoffLimit"] == 3
    assert job["metadata"]["ownerReferences"][0]["name"] == "whales"


def test_a_job_prepares_the_networks_if_the_pods_trust_the_claim() -> None:
    there = world(serving={"weightsCache": CLAIM["weightsCache"] | {"trusted": True}})
    (fetch,) = jobs(there)[0]["spec"]["template"]["spec"]["containers"]
    assert fetch["args"] == ["fetch", "--prepare"], "pods load the converted networks that it leaves in the claim"
    assert there.deployment is not None
    (init,) = there.deployment["spec"]["template"]["spec"]["initContainers"]
    assert init["args"] == ["fetch"]


def test_no_service_selects_the_pods_of_a_job_also_not_during_a_canary() -> None:
    (job,) = jobs(world())
    labels = job["spec"]["template"]["metadata"]["labels"].items()
    assert not selector("whales").items() <= labels
    assert not clients_selector("whales").items() <= labels


def test_a_long_name_of_a_resource_gives_a_job_a_name_that_fits() -> None:
    obj = manifest(*MODELS, serving=CLAIM | {"prefetch": "All"})
    obj["metadata"]["name"] = "w" * 63
    there = World(obj)
    there.settle()
    assert len(jobs(there)[0]["metadata"]["name"]) <= 63


def test_a_failure_has_the_reason_of_the_container_and_a_next_step() -> None:
    there = world(*MODELS[:2])
    fail(there, "WeightsNotFound: https://example.org/second.ckpt: 404", ended=False)
    condition = there.condition("WeightsPrefetched")
    assert (condition.status, condition.reason) == ("False", "WeightsNotFound")
    assert "second 2.0.0: pod fetching, container fetch: https://example.org/second.ckpt: 404" in condition.message
    assert "#weights-not-prefetched" in condition.message
    assert there.reasons.count("PrefetchFailed") == 1
    assert there.is_("Ready") == ("True", "Serving"), "what serves is not concerned"


def test_a_job_that_failed_stays_for_half_an_hour_and_others_go_on() -> None:
    there = world()
    fail(there, "DigestMismatch: u: expected a, got b")
    assert models(there) == ["third", "second"]
    before = {job["metadata"]["uid"] for job in jobs(there)}
    there.prefetch_pods = [
        *there.prefetch_pods,
        *(
            pod_of(job, fetched=True)
            for job in jobs(there)
            if job["metadata"]["annotations"]["ecomarineai.org/model"] == "second"
        ),
    ]
    plan = there.settle()
    assert models(there) == ["third"]
    assert there.is_("WeightsPrefetched") == ("False", "DigestMismatch")
    assert plan.requeue_after == RETRY_SECONDS
    there.wait(seconds=RETRY_SECONDS)
    there.prefetch_pods = []
    there.settle()
    assert models(there) == ["third"]
    assert not before & {job["metadata"]["uid"] for job in jobs(there)}, "another Job"
    assert there.is_("WeightsPrefetched") == ("Unknown", "Prefetching")


def test_a_job_without_the_reason_of_a_container_has_the_message_of_the_job() -> None:
    there = world(*MODELS[:2])
    fail(there, "", ended=True)
    there.prefetch_pods = []
    there.settle()
    assert there.is_("WeightsPrefetched") == ("False", "JobFailed")
    assert ": m \ufffdm" in there.condition("WeightsPrefetched").message, "one line without control characters"


def test_a_job_that_failed_without_a_message_says_so() -> None:
    there = world(*MODELS[:2])
    (job,) = jobs(there)
    failed = {"type": "Failed", "status": "True", "lastTransitionTime": timestamp(there.now)}
    job["status"]["conditions"] = [failed]
    there.settle()
    assert there.condition("WeightsPrefetched").message == (
        "the weights of 0 of 1 models that wait are in the claim weights; second 2.0.0: "
        f"Job {job['metadata']['name']}: it failed. Next: repair what the message names: the registry's entry, the store "
        "or the claim; runbook: docs/runbook.md#weights-not-prefetched"
    )


def test_a_failed_attempt_is_forgotten_once_another_one_has_ended_well() -> None:
    there = world(*MODELS[:2])
    fail(there, "WeightsUnreachable: https://example.org: time-out", ended=False)
    (job,) = jobs(there)
    there.prefetch_pods.append(pod_of(job, fetched=True))
    there.settle()
    assert there.is_("WeightsPrefetched") == ("True", "Prefetched")


def test_a_job_counts_as_done_by_its_own_condition_too() -> None:
    there = world(*MODELS[:2])
    jobs(there)[0]["status"]["conditions"] = [{"type": "Complete", "status": "True"}]
    there.settle()
    assert [item.model for item in there.status.prefetched or ()] == ["second"]


def test_a_pod_of_a_job_of_somebody_else_says_nothing() -> None:
    there = world(*MODELS[:2])
    (job,) = jobs(there)
    there.prefetch_pods = [pod_of({"metadata": {"name": "other"}}, fetched=True)]
    there.settle()
    assert there.is_("WeightsPrefetched") == ("Unknown", "Prefetching")
    foreign = copy.deepcopy(job)
    foreign["metadata"]["ownerReferences"] = [{"kind": "X", "name": "x", "apiVersion": "x/v1", "controller": True}]
    there.children["Job", job["metadata"]["name"]] = foreign
    there.prefetch_pods = [pod_of(job, fetched=True)]
    assert there.decide().status.prefetched is None


@pytest.mark.parametrize(
    "change",
    [
        {"serving": {"weightsCache": {"persistentVolumeClaim": {"claimName": "other"}}}},
        {"registry": {"models": [MODELS[0], entry("second", "d", version="2.0.0")]}},
    ],
    ids=["claim", "digest"],
)
def test_what_was_fetched_counts_no_more_for_another_claim_or_digest(change: dict[str, Any]) -> None:
    there = world(*MODELS[:2])
    finish(there)
    there.prefetch_pods = []
    there.edit(**change)
    there.settle()
    assert models(there) == ["second"]
    assert there.status.prefetched is None


def test_another_threshold_fetches_nothing_again() -> None:
    there = world(*MODELS[:2])
    finish(there)
    there.edit(antiFraud={"threshold": 0.3})
    there.settle()
    assert jobs(there) == []


def test_a_lost_status_makes_the_job_run_again() -> None:
    there = world(*MODELS[:2])
    finish(there)
    there.obj["status"], there.prefetch_pods = {}, []
    there.settle()
    assert models(there) == ["second"]


def test_models_without_a_digest_are_not_fetched_and_named() -> None:
    there = world(entry("first"), entry("second", None), entry("third", None, version="3.0.0"))
    assert jobs(there) == []
    assert there.is_("WeightsPrefetched") == ("Unknown", "NoDigest")
    assert there.condition("WeightsPrefetched").message == (
        "the weights of 0 of 2 models that wait are in the claim weights; the registry names no sha256 of "
        "third 3.0.0, second 1.0.0: pods share no file that they cannot verify"
    )


def test_prefetch_that_is_switched_off_deletes_the_job() -> None:
    there = world()
    assert jobs(there)
    there.edit(serving={"prefetch": "Never"})
    there.settle()
    assert jobs(there) == []
    assert there.status.condition("WeightsPrefetched") is None


def test_a_job_that_is_not_there_yet_does_not_delay_ready() -> None:
    there = world(prefetch="Never")
    there.edit(serving={"prefetch": "All"})
    plan = there.decide()
    assert [child["kind"] for child in plan.apply] == ["Job"]
    assert plan.status.condition("Ready") is not None
    assert plan.status.condition("Ready").status == "True"  # type: ignore[union-attr]


def test_the_template_of_the_pods_is_the_same_with_and_without_prefetch() -> None:
    templates = [
        there.deployment["spec"]["template"] for there in (world(), world(prefetch="Never")) if there.deployment
    ]
    assert templates[0] == templates[1]
