"""The children of a candidate: whole, for one that answers no client, and for a canary."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.operator_world import entry, manifest

from cetacean_operator.api.spec import Spec, parse_spec
from cetacean_operator.api.stages import Canary
from cetacean_operator.decisions.candidate_children import Candidate, CandidatePart, candidate_bodies
from cetacean_operator.decisions.comparison import Comparison
from cetacean_operator.decisions.identity import rollout_of
from cetacean_operator.decisions.stage_record import StageRecord
from cetacean_operator.decisions.stages import CandidateRun
from cetacean_operator.decisions.template import pod_template

LABELS = {"ecomarineai.org/cetaceanmodel": "whales_candidate"}
OWN_PODS = {"podSelector": {"matchLabels": {"ecomarineai.org/cetaceanmodel": "whales"}}}
OPERATOR = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "cetacean-system"}},
    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "cetacean-operator"}},
}
WEB = {"namespaceSelector": {"matchLabels": {"team": "web"}}}
LARGE = {"limits": {"memory": "8Gi"}}


def spec_with(rollout: dict[str, Any] | None = None, **serving: Any) -> Spec:
    models = entry("first"), entry("second", "b")
    return parse_spec(manifest(*models, rollout=rollout, serving=serving)["spec"])


SPEC = spec_with()
FIRST, SECOND = (rollout_of(model, SPEC.anti_fraud) for model in SPEC.registry.models)
COMPARISON = Comparison(
    candidate=SECOND,
    candidate_digest="b" * 64,
    served=FIRST,
    served_digest="a" * 64,
    share=0.25,
    several_pods=False,
)


def run_of(**changes: Any) -> CandidateRun:
    record = StageRecord(rollout=SECOND.id, served=FIRST.id, stage=0, kind="Canary")
    return replace(CandidateRun(rollout=SECOND, record=record, replicas=3), **changes)


# --- Which candidate there is -----------------------------------------------------------------------------------------


def test_without_a_candidate_nothing_is_asked_and_nothing_runs() -> None:
    none = Candidate()
    assert (none.asked, none.is_canary, none.part(SPEC)) == (None, False, None)


def test_the_model_that_drift_compares_is_one_pod_without_a_record() -> None:
    compared = Candidate(comparison=COMPARISON)
    assert (compared.asked, compared.is_canary) == (COMPARISON, False)
    assert compared.part(spec_with({"candidate": {"resources": LARGE}})) == CandidatePart(SECOND, replicas=1)


@pytest.mark.parametrize(
    ("rollout", "resources"),
    [(None, None), ({}, None), ({"candidate": {"resources": LARGE}}, LARGE)],
    ids=["no rollout", "no resources of its own", "resources of its own"],
)
def test_a_candidate_that_runs_stages_has_what_its_stage_and_the_policy_say(
    rollout: dict[str, Any] | None, resources: dict[str, Any] | None
) -> None:
    run = run_of(canary=Canary(weight=50))
    staged = Candidate(staged=run)
    assert (staged.asked, staged.is_canary) == (None, True)
    assert staged.part(spec_with(rollout)) == CandidatePart(
        SECOND, replicas=3, record=run.record.text(), resources=resources, admits_clients=True
    )


def test_a_shadow_is_asked_and_admits_no_client() -> None:
    record = StageRecord(rollout=SECOND.id, served=FIRST.id, stage=0, kind="Shadow")
    staged = Candidate(staged=run_of(record=record, comparison=COMPARISON))
    part = staged.part(SPEC)
    assert (staged.asked, staged.is_canary, part and part.admits_clients) == (COMPARISON, False, False)


# --- Its children -----------------------------------------------------------------------------------------------------


def test_the_children_of_a_candidate_that_answers_no_client() -> None:
    serving = spec_with(progressDeadlineSeconds=120, replicas=9, networkPolicy={"ingressFrom": [WEB]}).serving
    part = CandidatePart(SECOND, replicas=2, record='{"stage": 0}')
    assert candidate_bodies("whales", serving, part, "cetacean-system") == {
        ("Deployment", "whales-candidate"): {
            "metadata": {
                "annotations": {
                    "kubernetes.io/change-cause": "second 1.0.0 (sha256:bbbbbbbbbbbb), threshold 0.52",
                    "ecomarineai.org/stages": '{"stage": 0}',
                }
            },
            "spec": {
                "selector": {"matchLabels": LABELS},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                "revisionHistoryLimit": 1,
                "progressDeadlineSeconds": 120,
                "paused": False,
                "replicas": 2,
                "template": pod_template(name="whales", serving=serving, rollout=SECOND, candidate=True),
            },
        },
        ("Service", "whales-candidate"): {
            "spec": {
                "selector": LABELS,
                "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}],
            }
        },
        ("NetworkPolicy", "whales-candidate"): {
            "spec": {
                "podSelector": {"matchLabels": LABELS},
                "policyTypes": ["Ingress"],
                "ingress": [{"from": [OWN_PODS, OPERATOR], "ports": [{"port": 8080, "protocol": "TCP"}]}],
            }
        },
    }


def test_clients_of_the_resource_reach_a_candidate_that_answers_them() -> None:
    serving = spec_with(networkPolicy={"ingressFrom": [WEB]}).serving
    bodies = candidate_bodies("whales", serving, CandidatePart(SECOND, admits_clients=True), "cetacean-system")
    (rule,) = bodies["NetworkPolicy", "whales-candidate"]["spec"]["ingress"]
    assert rule["from"] == [OWN_PODS, WEB, OPERATOR]


@pytest.mark.parametrize("policy", [None, {"enabled": False}], ids=["no policy", "a disabled one"])
def test_without_a_policy_of_the_resource_its_candidate_has_none(policy: dict[str, Any] | None) -> None:
    serving = spec_with(networkPolicy=policy).serving
    bodies = candidate_bodies("whales", serving, CandidatePart(SECOND, admits_clients=True), "cetacean-system")
    assert [kind for kind, _ in bodies] == ["Deployment", "Service"]


def test_the_model_before_has_no_record_of_stages() -> None:
    bodies = candidate_bodies("whales", SPEC.serving, CandidatePart(SECOND), "cetacean-system")
    deployment = bodies["Deployment", "whales-candidate"]
    assert set(deployment["metadata"]["annotations"]) == {"kubernetes.io/change-cause"}
    assert deployment["spec"]["replicas"] == 1


@pytest.mark.parametrize("own", [None, LARGE], ids=["none of its own", "its own"])
def test_the_containers_of_a_candidate_have_its_resources_or_those_of_the_resource(own: dict[str, Any] | None) -> None:
    small = {"limits": {"memory": "4Gi"}}
    serving = spec_with(resources=small).serving
    bodies = candidate_bodies("whales", serving, CandidatePart(SECOND, resources=own), "cetacean-system")
    template = bodies["Deployment", "whales-candidate"]["spec"]["template"]
    expected = spec_with(resources=own or small).serving
    assert template == pod_template(name="whales", serving=expected, rollout=SECOND, candidate=True)
    assert template["spec"]["containers"][0]["resources"] == (own or small)
