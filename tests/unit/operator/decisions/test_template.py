"""The pod template: an upgrade of the operator must not restart a model, and a change of model must."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.operator_world import World, entry, manifest, model

from cetacean_operator.api.keep_disagreements import KeepDisagreements
from cetacean_operator.api.spec import AntiFraud, parse_spec
from cetacean_operator.decisions.identity import deployed_model, rollout_of
from cetacean_operator.decisions.lineage import same_model
from cetacean_operator.decisions.template import change_cause, pod_labels, pod_template
from cetacean_registry.digests import canonical_digest

FULL: dict[str, Any] = {
    "serving": {
        "replicas": 3,
        "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "4Gi"}},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
        "imagePullSecrets": [{"name": "pull"}],
        "serviceAccountName": "models",
        "podLabels": {"team": "whales"},
        "podAnnotations": {"a": "b"},
        "env": [{"name": "CETACEAN_ENGINE__NAME", "value": "torch-eager"}],
        "weightsCache": {"sizeLimit": "2Gi"},
    },
    "antiFraud": {"threshold": 0.5, "calibratedAt": "2025-12-15", "model": {"architecture": "ViT-B-16"}},
}


def template(*models: dict[str, Any], **spec: Any) -> dict[str, Any]:
    world = World(manifest(*models, **spec))
    world.settle()
    assert world.deployment is not None
    found: dict[str, Any] = world.deployment["spec"]["template"]
    return found


# Change these only if every model may restart at the operator's next upgrade.
@pytest.mark.parametrize(
    ("models", "spec", "pinned"),
    [
        ((entry("first"),), {}, "5be51639c87f1f5defafc0c74e922158fe02c637ddeec4c091812784c0e2b5db"),
        (
            (entry("first", None, backbone="b4", inputSize=512, numClassesHead=9, numClassesActive=8),),
            FULL,
            "33e129d6e0da35f30cd4d79a42726489baf843c58fd16f82a4f0673d43bf6aa3",
        ),
    ],
    ids=["minimal", "full"],
)
def test_the_hash_of_the_template_is_pinned(models: tuple[dict[str, Any], ...], spec: Any, pinned: str) -> None:
    assert canonical_digest(template(*models, **spec)) == pinned


BEFORE = template(entry("first"), entry("second", "b"))


@pytest.mark.parametrize(
    "spec",
    [
        {"registry": {"active": "second"}},
        {"antiFraud": {"threshold": 0.4}},
        {"antiFraud": {"calibratedAt": "2026-01-01"}},
        {"antiFraud": {"model": {"pretrained": "openai"}}},
        {"registry": {"models": [entry("first", "c")]}},
        {"registry": {"models": [entry("first", None)]}},
        {"registry": {"models": [entry("first", weightsUrl="https://mirror.example.org/first.ckpt")]}},
        {"registry": {"models": [entry("first", version="1.0.1")]}},
        {"registry": {"models": [entry("first", files={"species_map.csv": "b" * 64})]}},
        {"registry": {"models": [entry("first", signatureUrl="https://example.org/first.sig")]}},
        {"serving": {"signature": {"keys": [{"configMapKeyRef": {"name": "signers", "key": "release.pub"}}]}}},
        {"antiFraud": {"model": {"sha256": "b" * 64}}},
        {"antiFraud": {"model": {"revision": "main"}}},
        {"serving": {"weightsCache": {"persistentVolumeClaim": {"claimName": "weights"}}}},
        {"serving": {"image": "cetacean-inference:2"}},
    ],
    ids=lambda spec: str(spec)[:60],
)
def test_a_change_of_model_or_configuration_replaces_the_pods(spec: dict[str, Any]) -> None:
    world = World(manifest(entry("first"), entry("second", "b")))
    world.settle()
    old = {pod.number for pod in world.pods}
    world.edit(**spec)
    world.settle()
    assert not old & {pod.number for pod in world.pods}
    assert world.is_("Ready") == ("True", "Serving")


@pytest.mark.parametrize(
    "spec",
    [
        {
            "registry": {
                "models": [
                    entry("first", displayName="First", notes="n", license="MIT", trainedAt="2022"),
                    entry("second", "b"),
                ]
            }
        },
        {
            "registry": {
                "models": [entry("first", metrics={"tnr": 0.99, "cetaceanScoreMean": 0.7}), entry("second", "b")]
            }
        },
        {"registry": {"models": [entry("second", "c"), entry("third", "d"), entry("first")]}},
        {"gates": {"minTNR": 0.99}},
        {"drift": {"window": 10, "minSamples": 5, "alarmDrop": 0.2, "onAlarm": "Rollback"}},
        {"serving": {"replicas": 4}},
        {"serving": {"autoscaling": {"maxReplicas": 4}}},
        {"serving": {"podDisruptionBudget": {"enabled": True}, "networkPolicy": {}, "progressDeadlineSeconds": 60}},
    ],
    ids=lambda spec: str(spec)[:60],
)
def test_other_changes_keep_the_pods(spec: dict[str, Any]) -> None:
    world = World(manifest(entry("first"), entry("second", "b")))
    world.settle()
    old = {pod.number for pod in world.pods}
    world.edit(**spec)
    world.settle()
    assert old <= {pod.number for pod in world.pods}
    assert world.deployment is not None
    assert world.deployment["spec"]["template"] == BEFORE


def test_the_variables_are_those_of_the_contract() -> None:
    found = template(
        entry("first", backbone="b4", inputSize=380, embeddingSize=256, numClassesHead=9, numClassesActive=8),
        antiFraud={
            "threshold": 0.0,
            "calibratedAt": "2025-12-15",
            "model": {
                "architecture": "X",
                "pretrained": "p",
                "weightsURL": "https://x/w",
                "configURL": "https://x/c",
                "sha256": "e" * 64,
            },
        },
    )
    env = {item["name"]: item["value"] for item in found["spec"]["containers"][0]["env"]}
    annotations = found["metadata"]["annotations"]
    assert env == {
        "CETACEAN_MODEL__NAME": "first",
        "CETACEAN_MODEL__VERSION": "1.0.0",
        "CETACEAN_MODEL__ARCHITECTURE": "CetaceanIdentificationModel",
        "CETACEAN_MODEL__WEIGHTS_URL": "https://example.org/first.ckpt",
        "CETACEAN_MODEL__SHA256": "a" * 64,
        "CETACEAN_MODEL__BACKBONE": "b4",
        "CETACEAN_MODEL__INPUT_SIZE": "380",
        "CETACEAN_MODEL__EMBEDDING_SIZE": "256",
        "CETACEAN_MODEL__NUM_CLASSES_HEAD": "9",
        "CETACEAN_MODEL__NUM_CLASSES_ACTIVE": "8",
        "CETACEAN_GATE__THRESHOLD": "0.0",
        "CETACEAN_GATE__CALIBRATED_AT": "2025-12-15",
        "CETACEAN_GATE__ARCHITECTURE": "X",
        "CETACEAN_GATE__PRETRAINED": "p",
        "CETACEAN_GATE__CONFIG_URL": "https://x/c",
        "CETACEAN_GATE__WEIGHTS_URL": "https://x/w",
        "CETACEAN_GATE__SHA256": "e" * 64,
        "CETACEAN_WEIGHTS_CACHE": "/var/cache/cetacean",
        "CETACEAN_MONITORING_FILE": "/etc/cetacean/monitoring/monitoring.json",
        "CETACEAN_CONFIG_DIGEST": annotations["ecomarineai.org/config-digest"],
        "CETACEAN_ROLLOUT_ID": annotations["ecomarineai.org/rollout-id"],
        "CETACEAN_HTTP__GRACE_PERIOD_SECONDS": "50",
    }
    assert found["spec"]["initContainers"][0]["env"] == found["spec"]["containers"][0]["env"]
    assert [item["args"] for item in (*found["spec"]["initContainers"], *found["spec"]["containers"])] == [
        ["fetch"],
        ["serve"],
    ]


def test_a_null_digest_gives_no_variable() -> None:
    env = {item["name"] for item in template(entry("first", None))["spec"]["containers"][0]["env"]}
    assert "CETACEAN_MODEL__SHA256" not in env


def test_the_pod_is_restricted() -> None:
    spec = template(entry("first"))["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in (*spec["initContainers"], *spec["containers"]):
        context = container["securityContext"]
        assert context == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert mounts == {"/tmp", "/var/cache/cetacean", "/etc/cetacean/monitoring"}
    kinds = {
        name: next(key for key in volume if key != "name") for volume in spec["volumes"] for name in [volume["name"]]
    }
    assert kinds == {"weights": "emptyDir", "monitoring": "configMap", "tmp": "emptyDir"}


def test_the_labels_of_a_resource_and_of_its_candidate_differ_in_the_model_alone() -> None:
    shared = {
        "app.kubernetes.io/name": "cetacean-inference",
        "app.kubernetes.io/instance": "whales",
        "app.kubernetes.io/managed-by": "cetacean-operator",
    }
    assert pod_labels("whales") == {**shared, "ecomarineai.org/cetaceanmodel": "whales"}
    assert pod_labels("whales", candidate=True) == {**shared, "ecomarineai.org/cetaceanmodel": "whales_candidate"}


def direct(**changes: Any) -> dict[str, Any]:
    """Return the template of the resource `whales` without a world around it."""
    serving = parse_spec(manifest(entry("first"))["spec"]).serving
    return pod_template(name="whales", serving=serving, rollout=rollout_of(model("first"), AntiFraud()), **changes)


def test_a_candidates_template_differs_in_the_label_that_services_and_spreading_select_by() -> None:
    expected, own = direct(), {"ecomarineai.org/cetaceanmodel": "whales_candidate"}
    expected["metadata"]["labels"] |= own
    (spread,) = expected["spec"]["topologySpreadConstraints"]
    spread["labelSelector"] = {"matchLabels": own}
    assert direct(candidate=True) == expected


def test_kept_pictures_add_a_volume_and_a_folder_for_the_container_that_serves() -> None:
    claim = {"claimName": "pictures"}
    expected = direct()
    expected["spec"]["volumes"].append({"name": "disagreements", "persistentVolumeClaim": claim})
    (serve,) = expected["spec"]["containers"]
    serve["volumeMounts"].append({"name": "disagreements", "mountPath": "/var/lib/cetacean"})
    folder = {"name": "CETACEAN_SHADOW__KEEP_FOLDER", "value": "/var/lib/cetacean/disagreements/whales"}
    serve["env"].insert(-1, folder)
    wanted = KeepDisagreements.model_validate({"persistentVolumeClaim": claim})
    assert direct(keep_disagreements=wanted) == expected


@pytest.mark.parametrize(
    ("digit", "expected"),
    [
        ("b", "first 1.0.0 (sha256:bbbbbbbbbbbb), threshold 0.4"),
        (None, "first 1.0.0 (no digest), threshold 0.4"),
    ],
)
def test_the_history_of_a_rollout_shows_model_digest_and_threshold(digit: str | None, expected: str) -> None:
    assert change_cause(rollout_of(model("first", digit), AntiFraud(threshold=0.4))) == expected


@pytest.mark.parametrize(("serving", "limit"), [({}, {}), ({"tmpSizeLimit": "2Gi"}, {"sizeLimit": "2Gi"})], ids=str)
def test_the_volume_of_temporary_files_has_the_limit_of_the_resource(
    serving: dict[str, Any], limit: dict[str, str]
) -> None:
    spec = template(entry("first"), serving=serving)["spec"]
    assert {"name": "tmp", "emptyDir": limit} in spec["volumes"]


def test_a_claim_takes_the_place_of_the_cache_volume() -> None:
    spec = template(entry("first"), serving={"weightsCache": {"persistentVolumeClaim": {"claimName": "weights"}}})[
        "spec"
    ]
    assert {"name": "weights", "persistentVolumeClaim": {"claimName": "weights"}} in spec["volumes"]


def test_the_digests_of_files_can_be_read_back_from_the_template() -> None:
    files = {"species_map.csv": "b" * 64, "encoder_classes.npy": "c" * 64}
    found = deployed_model({"spec": {"template": template(entry("first", files=files))}})
    assert found is not None
    assert found.files == files


@pytest.mark.parametrize("value", ["{", "[]", "[" * 100_000, '{"x": "y"}'])
def test_a_template_with_unreadable_digests_names_no_model(value: str) -> None:
    changed = template(entry("first", files={"species_map.csv": "b" * 64}))
    for variable in changed["spec"]["containers"][0]["env"]:
        if variable["name"] == "CETACEAN_MODEL__FILES":
            variable["value"] = value
    assert deployed_model({"spec": {"template": changed}}) is None


@pytest.mark.parametrize(("serving", "seconds"), [({}, 300), ({"startupSeconds": 601}, 601)], ids=str)
def test_the_startup_probe_waits_as_long_as_the_resource_allows(serving: dict[str, Any], seconds: int) -> None:
    (container,) = template(entry("first"), serving=serving)["spec"]["containers"]
    probe = container["startupProbe"]
    assert probe["httpGet"]["path"] == "/v2/health/ready"
    assert (probe["periodSeconds"], probe["failureThreshold"]) == (1, seconds)
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"
    assert container["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"


def ending(grace: int | None = None, *env: dict[str, str]) -> tuple[int, int, int]:
    """Seconds a pod has to end, of them before SIGTERM, and then for requests in progress."""
    serving: dict[str, Any] = {"env": list(env)}
    if grace is not None:
        serving["terminationGracePeriodSeconds"] = grace
    spec = template(entry("first"), serving=serving)["spec"]
    (container,) = spec["containers"]
    sleep = container.get("lifecycle", {"preStop": {"sleep": {"seconds": 0}}})["preStop"]["sleep"]["seconds"]
    given = {item["name"]: item["value"] for item in container["env"]}["CETACEAN_HTTP__GRACE_PERIOD_SECONDS"]
    return spec["terminationGracePeriodSeconds"], sleep, int(given)


def test_a_terminating_pod_has_time_for_requests_in_progress() -> None:
    assert ending() == (60, 5, 50)
    assert ending(630) == (630, 5, 620), "an archive may take ten minutes"
    own = {"name": "CETACEAN_HTTP__GRACE_PERIOD_SECONDS", "value": "7"}
    assert ending(60, own) == (60, 5, 7), "it is no variable of the operator's"


@pytest.mark.parametrize(
    ("grace", "before", "answering"),
    [(0, 0, 1), (1, 0, 1), (2, 1, 1), (4, 2, 1), (9, 4, 3), (10, 5, 3), (11, 5, 3), (15, 5, 5), (16, 5, 6)],
)
def test_a_short_grace_period_is_shared_out(grace: int, before: int, answering: int) -> None:
    """Half of it is before SIGTERM, and half of the rest to exit, but no more than 5 s each."""
    assert ending(grace) == (grace, before, answering)


def test_a_pod_that_must_end_at_once_has_no_hook_before_it_ends() -> None:
    (serve,) = template(entry("first"), serving={"terminationGracePeriodSeconds": 1})["spec"]["containers"]
    assert "lifecycle" not in serve, "older API servers accept no sleep of 0 s"


@given(grace=st.integers(0, 3600))
def test_a_pod_exits_within_its_grace_period(grace: int) -> None:
    period, sleep, answering = ending(grace)
    assert period == grace
    assert sleep <= grace, "the API server takes no more"
    assert answering >= 1, "the service takes no less"
    assert sleep + answering <= max(1, grace)


def test_pods_are_spread_over_nodes_by_default() -> None:
    (spread,) = template(entry("first"))["spec"]["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["maxSkew"]) == ("kubernetes.io/hostname", 1)
    assert spread["whenUnsatisfiable"] == "ScheduleAnyway", "one node must do"
    assert spread["labelSelector"] == {"matchLabels": {"ecomarineai.org/cetaceanmodel": "whales"}}
    assert spread["matchLabelKeys"] == ["pod-template-hash"], "the pods that go are not counted"


@pytest.mark.parametrize(
    "own",
    [
        [{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}],
        [],  # then the scheduler spreads by its own defaults
    ],
    ids=["zones", "none"],
)
def test_topology_spread_constraints_replace_the_default(own: list[dict[str, Any]]) -> None:
    spec = template(entry("first"), serving={"topologySpreadConstraints": own})["spec"]
    assert spec.get("topologySpreadConstraints", []) == own


def test_a_reserved_variable_cannot_be_overridden() -> None:
    extra = [{"name": "CETACEAN_ROLLOUT_ID", "value": "mine"}, {"name": "MINE", "valueFrom": {"fieldRef": {}}}]
    env = template(entry("first"), serving={"env": extra})["spec"]["containers"][0]["env"]
    (ours,) = (item for item in env if item["name"] == "CETACEAN_ROLLOUT_ID")
    assert ours["value"] != "mine"
    assert env[-1] == {"name": "MINE", "valueFrom": {"fieldRef": {}}}


@pytest.mark.parametrize("digit", ["a", None])
def test_the_model_is_read_back_from_the_deployment(digit: str | None) -> None:
    expected = model("first", digit, inputSize=380, backbone="b4")
    world = World(manifest(entry("first", digit, inputSize=380, backbone="b4")))
    world.settle()
    found = deployed_model(world.deployment)
    assert found is not None
    assert same_model(found, expected)
    assert rollout_of(found, AntiFraud()).id == rollout_of(expected, AntiFraud()).id


def test_a_container_that_was_injected_before_ours_does_not_hide_the_model() -> None:
    world = World(manifest(entry("first")))
    world.settle()
    assert world.deployment is not None
    world.deployment["spec"]["template"]["spec"]["containers"].insert(0, {"name": "proxy"})
    found = deployed_model(world.deployment)
    assert found is not None
    assert found.name == "first"


@pytest.mark.parametrize(
    "deployment",
    [
        None,
        {},
        {"spec": {"template": {"spec": {"containers": [{"name": "x"}]}}}},
        {"spec": {"template": {"spec": {"containers": [{"name": "serve"}]}}}},
    ],
)
def test_a_deployment_of_another_owner_has_no_model(deployment: Any) -> None:
    assert deployed_model(deployment) is None


def test_the_rollout_id_depends_on_model_and_configuration() -> None:
    one, other = model("first"), model("first", "b")
    assert rollout_of(one, AntiFraud()) == rollout_of(one, AntiFraud())
    ids = {rollout_of(found, fraud).id for found in (one, other) for fraud in (AntiFraud(), AntiFraud(threshold=0.4))}
    assert len(ids) == 4
    assert all(len(rollout_id) == 10 for rollout_id in ids)
    assert rollout_of(one, AntiFraud()).config_digest == rollout_of(other, AntiFraud()).config_digest


@pytest.mark.parametrize("name", ["cetacean_gate", "Cetacean_Model__Sha256", "CETACEAN_GATE", "cetacean_rollout_id"])
def test_a_reserved_variable_cannot_be_set_in_another_case_or_as_a_group(name: str) -> None:
    """The service reads its settings in any case, and a group of them as JSON."""
    env = [{"name": name, "value": '{"threshold": 0}'}, {"name": "FREE", "value": "x"}]
    variables = template(entry("first"), serving={"env": env})["spec"]["containers"][0]["env"]
    names = [item["name"] for item in variables]
    assert name not in names
    assert "FREE" in names
