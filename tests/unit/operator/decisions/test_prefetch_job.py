"""The Job that fetches the weights of one model: whole, and when it is another one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.operator_world import entry, manifest, model

from cetacean_operator.api.observed import Object
from cetacean_operator.api.serving import Serving
from cetacean_operator.api.spec import AntiFraud, parse_spec
from cetacean_operator.decisions.identity import definition, rollout_of
from cetacean_operator.decisions.prefetch_job import prefetch_job

CLAIM = {"persistentVolumeClaim": {"claimName": "weights"}}
ROLLOUT = rollout_of(model("second", "b", version="2.0.0"), AntiFraud(threshold=0.4))


def serving_with(**fields: Any) -> Serving:
    return parse_spec(manifest(entry("first"), serving={"weightsCache": CLAIM, **fields})["spec"]).serving


def job(**fields: Any) -> Object:
    return prefetch_job("whales", serving_with(**fields), ROLLOUT)[1]


def name(resource: str = "whales", **fields: Any) -> str:
    return prefetch_job(resource, serving_with(**fields), ROLLOUT)[0]


def test_the_job_runs_fetch_alone_with_the_settings_and_the_claim_of_the_pods() -> None:
    resources, mount = {"limits": {"memory": "4Gi"}}, {"name": "extra", "mountPath": "/extra"}
    found = job(
        image="cetacean-inference:2",
        imagePullPolicy="Always",
        resources=resources,
        nodeSelector={"disk": "ssd"},
        podLabels={"team": "whales", "app.kubernetes.io/component": "model"},
        podAnnotations={"a": "b"},
        volumes=[{"name": "extra", "emptyDir": {}}],
        volumeMounts=[mount],
        sidecars=[{"name": "mesh", "image": "m"}],
    )
    env = {
        "CETACEAN_MODEL__NAME": "second",
        "CETACEAN_MODEL__VERSION": "2.0.0",
        "CETACEAN_MODEL__ARCHITECTURE": "CetaceanIdentificationModel",
        "CETACEAN_MODEL__WEIGHTS_URL": "https://example.org/second.ckpt",
        "CETACEAN_MODEL__SHA256": "b" * 64,
        "CETACEAN_GATE__THRESHOLD": "0.4",
        "CETACEAN_WEIGHTS_CACHE": "/var/cache/cetacean",
        "CETACEAN_MONITORING_FILE": "/etc/cetacean/monitoring/monitoring.json",
        "CETACEAN_CONFIG_DIGEST": ROLLOUT.config_digest,
        "CETACEAN_ROLLOUT_ID": ROLLOUT.id,
        "CETACEAN_FETCH__SHARED_CACHE": "true",
        "CETACEAN_HTTP__GRACE_PERIOD_SECONDS": "50",
    }
    container = {
        "name": "fetch",
        "image": "cetacean-inference:2",
        "imagePullPolicy": "Always",
        "args": ["fetch"],
        "env": [{"name": variable, "value": value} for variable, value in env.items()],
        "volumeMounts": [
            {"name": "weights", "mountPath": "/var/cache/cetacean"},
            {"name": "tmp", "mountPath": "/tmp"},
            mount,
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": resources,
    }
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "nodeSelector": {"disk": "ssd"},
        "restartPolicy": "Never",
        "initContainers": [],
        "containers": [container],
        "volumes": [
            {"name": "weights", **CLAIM},
            {"name": "tmp", "emptyDir": {}},
            {"name": "extra", "emptyDir": {}},
        ],
    }
    names = {"ecomarineai.org/model": "second", "ecomarineai.org/weights-digest": "b" * 64}
    labels = {
        "team": "whales",
        "app.kubernetes.io/component": "model",
        "app.kubernetes.io/name": "cetacean-fetch",
        "app.kubernetes.io/instance": "whales",
        "app.kubernetes.io/managed-by": "cetacean-operator",
        "ecomarineai.org/cetaceanmodel": "prefetch_job",
    }
    annotations = {
        "a": "b",
        **names,
        "ecomarineai.org/definition": definition(ROLLOUT.model),
        "ecomarineai.org/config-digest": ROLLOUT.config_digest,
        "ecomarineai.org/rollout-id": ROLLOUT.id,
    }
    assert found == {
        "metadata": {"annotations": names},
        "spec": {
            "backoffLimit": 3,
            "activeDeadlineSeconds": 6 * 3600,
            "completions": 1,
            "parallelism": 1,
            "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod},
        },
    }


@pytest.mark.parametrize(
    ("trusted", "arguments"), [({}, ["fetch"]), ({"trusted": True}, ["fetch", "--prepare"])], ids=str
)
def test_a_job_prepares_the_networks_only_in_a_claim_that_pods_trust(
    trusted: dict[str, Any], arguments: list[str]
) -> None:
    (fetch,) = job(weightsCache=CLAIM | trusted)["spec"]["template"]["spec"]["containers"]
    assert fetch["args"] == arguments


def test_containers_before_fetch_stay_before_it() -> None:
    extra = [{"name": "proxy", "image": "p", "restartPolicy": "Always"}, {"name": "wait", "image": "w"}]
    spec = job(extraInitContainers=extra)["spec"]["template"]["spec"]
    assert [one["name"] for one in spec["initContainers"]] == ["proxy", "wait"]
    assert [one["name"] for one in spec["containers"]] == ["fetch"]


def test_what_the_job_does_gives_it_its_name() -> None:
    assert name() == name()
    assert name().startswith("whales-prefetch-")
    assert len(name()) == len("whales-prefetch-") + 10
    other_claim = {"persistentVolumeClaim": {"claimName": "other"}}
    assert len({name(), name(image="cetacean-inference:2"), name(weightsCache=other_claim)}) == 3
    assert name(replicas=7) == name(), "the number of pods that serve says nothing about a Job"


def test_jobs_of_other_models_and_resources_have_other_names() -> None:
    other = rollout_of(model("second", "c", version="2.0.0"), AntiFraud(threshold=0.4))
    assert prefetch_job("whales", serving_with(), other)[0] != name()
    assert name("w" * 50) != name("w" * 51), "names of resources that begin with the same 40 characters"


def test_a_job_of_a_model_without_a_digest_says_so() -> None:
    rollout = rollout_of(model("second", None), AntiFraud())
    _, found = prefetch_job("whales", serving_with(), replace(rollout, id="r"))
    assert found["metadata"]["annotations"] == {
        "ecomarineai.org/model": "second",
        "ecomarineai.org/weights-digest": "unverified",
    }
