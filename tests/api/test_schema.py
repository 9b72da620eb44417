"""The API server rejects each wrong manifest with its message, and accepts every example."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cetacean_tools.demo.kubectl import CommandError, Kubectl

Manifest = dict[str, Any]
EXAMPLES = sorted((Path(__file__).resolve().parent.parent.parent / "examples").glob("*.yaml"))

GOOD: Manifest = {
    "apiVersion": "ecomarineai.org/v1alpha1",
    "kind": "CetaceanModel",
    "metadata": {"name": "whales"},
    "spec": {
        "registry": {
            "schemaVersion": "1.0",
            "active": "first",
            "models": [
                {
                    "name": name,
                    "version": version,
                    "architecture": "CetaceanIdentificationModel",
                    "weightsUrl": f"https://example.org/{name}.ckpt",
                    "sha256": digit * 64,
                    "metrics": {"tpr": 0.95, "tnr": 0.92},
                }
                for name, version, digit in (("first", "1.0.0", "a"), ("second", "1.1.0", "b"))
            ],
        },
        "serving": {"image": "cetacean-inference:1"},
    },
}


def _set(path: str, value: Any) -> Callable[[Manifest], None]:
    """Return a function that changes one field; `path` is relative to `spec`, numbers are positions in lists."""

    def change(manifest: Manifest) -> None:
        node: Any = manifest["spec"]
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        for part in parents:
            node = node[part] if isinstance(part, int) else node.setdefault(part, {})
        if value is _ABSENT:
            del node[last]
        else:
            node[last] = value

    return change


_ABSENT = object()


MODEL = "registry.models.0"
ROUTE: Manifest = {"parentRefs": [{"name": "public"}]}
REJECTED: dict[str, tuple[str, Any, str]] = {
    "route-without-a-parent": (
        "serving.route",
        {"parentRefs": []},
        "spec.serving.route.parentRefs in body should have at least 1 items",
    ),
    "route-with-a-parent-twice": (
        "serving.route",
        {"parentRefs": [{"name": "public", "port": 80}, {"name": "public", "port": 80}]},
        "expected each entry once",
    ),
    "route-with-a-hostname-twice": (
        "serving.route",
        ROUTE | {"hostnames": ["whales.example.org", "whales.example.org"]},
        'spec.serving.route.hostnames[1]: Duplicate value: "whales.example.org"',
    ),
    "route-with-a-port-in-its-hostname": (
        "serving.route",
        ROUTE | {"hostnames": ["whales.example.org:80"]},
        "spec.serving.route.hostnames[0] in body should match",
    ),
    "route-with-a-relative-path": (
        "serving.route",
        ROUTE | {"paths": ["metrics"]},
        "spec.serving.route.paths[0] in body should match",
    ),
    "route-with-a-timeout-in-days": (
        "serving.route",
        ROUTE | {"requestTimeout": "1d"},
        "spec.serving.route.requestTimeout in body should match",
    ),
    "active-unknown": (
        "registry.active",
        "third",
        "spec.registry.active: Invalid value: names none of spec.registry.models",
    ),
    "active-absent": ("registry.active", _ABSENT, "spec.registry.active: Required value"),
    "active-malformed": (
        "registry.active",
        "-first",
        "spec.registry.active: Invalid value: \"-first\": expected letters, digits, '-', '_' and '.'",
    ),
    "models-empty": (
        "registry.models",
        [],
        "spec.registry.models: Invalid value: 0: spec.registry.models in body should have at least 1 items",
    ),
    "models-absent": ("registry.models", _ABSENT, "spec.registry.models: Required value"),
    "name-twice": ("registry.models.1.name", "first", 'spec.registry.models[1]: Duplicate value: {"name":"first"}'),
    "name-malformed": (
        f"{MODEL}.name",
        "a b",
        "spec.registry.models[0].name: Invalid value: \"a b\": expected letters, digits, '-', '_' and '.'",
    ),
    "name-too-long": (
        f"{MODEL}.name",
        "a" * 64,
        "spec.registry.models[0].name: Too long: may not be more than 63 bytes",
    ),
    "schema-version": (
        "registry.schemaVersion",
        "2.0",
        'spec.registry.schemaVersion: Invalid value: "2.0": spec.registry.schemaVersion in body should match \'^1',
    ),
    "version-no-version": (
        f"{MODEL}.version",
        "latest",
        'models[0].version: Invalid value: "latest": expected a semantic version such as 1.2.0',
    ),
    "version-two-parts": (
        f"{MODEL}.version",
        "1.0",
        'models[0].version: Invalid value: "1.0": expected a semantic version such as 1.2.0',
    ),
    "version-absent": (f"{MODEL}.version", _ABSENT, "spec.registry.models[0].version: Required value"),
    "architecture-absent": (f"{MODEL}.architecture", _ABSENT, "spec.registry.models[0].architecture: Required value"),
    "architecture-empty": (
        f"{MODEL}.architecture",
        "",
        "spec.registry.models[0].architecture in body should be at least 1 chars long",
    ),
    "weights-url-absent": (f"{MODEL}.weightsUrl", _ABSENT, "spec.registry.models[0].weightsUrl: Required value"),
    "weights-url-ftp": (
        f"{MODEL}.weightsUrl",
        "ftp://example.org/a",
        'weightsUrl: Invalid value: "ftp://example.org/a": expected http://…, https://…',
    ),
    "files-of-another-name": (
        f"{MODEL}.files",
        {"species_map.cvs": "a" * 64},
        "expected the names encoder_classes.npy and species_map.csv",
    ),
    "files-digest-short": (f"{MODEL}.files", {"species_map.csv": "abc"}, "expected 64 hex digits"),
    "trusted-without-a-claim": (
        "serving.weightsCache",
        {"trusted": True},
        "trusted is about persistentVolumeClaim: expected it",
    ),
    "sha256-short": (f"{MODEL}.sha256", "abc", 'models[0].sha256: Invalid value: "abc": expected 64 hex digits'),
    "sha256-not-hex": (
        f"{MODEL}.sha256",
        "g" * 64,
        f'models[0].sha256: Invalid value: "{"g" * 64}": expected 64 hex digits',
    ),
    "classes-number": (f"{MODEL}.numClassesHead", 0, "spec.registry.models[0].numClassesHead: Invalid value: 0"),
    "tpr-above-one": (f"{MODEL}.metrics.tpr", 1.5, "spec.registry.models[0].metrics.tpr: Invalid value: 1.5"),
    "tnr-text": (
        f"{MODEL}.metrics.tnr",
        "good",
        "spec.registry.models[0].metrics.tnr in body must be of type number",
    ),
    "identification-without-samples": (
        f"{MODEL}.metrics.identification",
        {"top1": 0.9},
        "spec.registry.models[0].metrics.identification.samples: Required value",
    ),
    "histogram-of-19-bins": (
        f"{MODEL}.metrics.reference",
        {"cetaceanScore": [1] * 19, "topProbability": [1] * 20},
        "metrics.reference.cetaceanScore in body should have at least 20 items",
    ),
    "min-top1-above-one": ("gates.minTop1", 1.5, "spec.gates.minTop1: Invalid value: 1.5"),
    "evidence-unknown": ("gates.evidence", "Guess", 'spec.gates.evidence: Unsupported value: "Guess"'),
    "species-without-pictures": (
        "gates.bySpecies",
        {"minSamples": 0},
        "spec.gates.bySpecies.minSamples: Invalid value: 0",
    ),
    "approvals-too-many": (
        "approval.major.approvals",
        11,
        "spec.approval.major.approvals: Invalid value: 11",
    ),
    "approval-skips-the-unknown": (
        "approval.hotfix.skip",
        ["Reviews"],
        'spec.approval.hotfix.skip[0]: Unsupported value: "Reviews": supported values: "Gate"',
    ),
    "approval-without-time": (
        "approval.hotfix.reviewWithinSeconds",
        0,
        "spec.approval.hotfix.reviewWithinSeconds: Invalid value: 0",
    ),
    "stage-of-no-kind": (
        "rollout.stages",
        [{"timeoutSeconds": 60}],
        "spec.rollout.stages[0]: Invalid value: expected exactly one of shadow and canary",
    ),
    "stage-of-two-kinds": (
        "rollout.stages",
        [{"shadow": {}, "canary": {"weight": 10}}],
        "spec.rollout.stages[0]: Invalid value: expected exactly one of shadow and canary",
    ),
    "stages-too-many": ("rollout.stages", [{"shadow": {}}] * 9, "spec.rollout.stages: Too many: 9"),
    "shadow-of-nothing": (
        "rollout.stages",
        [{"shadow": {"share": 0}}],
        "spec.rollout.stages[0].shadow.share: Invalid value: 0",
    ),
    "canary-without-weight": (
        "rollout.stages",
        [{"canary": {}}],
        "spec.rollout.stages[0].canary.weight: Required value",
    ),
    "canary-of-everything": (
        "rollout.stages",
        [{"canary": {"weight": 100}}],
        "spec.rollout.stages[0].canary.weight: Invalid value: 100",
    ),
    "on-failure-unknown": (
        "rollout.onFailure",
        "Retry",
        'spec.rollout.onFailure: Unsupported value: "Retry": supported values: "Return", "Hold"',
    ),
    "image-absent": ("serving.image", _ABSENT, "spec.serving.image: Required value"),
    "image-empty": ("serving.image", "", "spec.serving.image in body should be at least 1 chars long"),
    "replicas-negative": ("serving.replicas", -1, "spec.serving.replicas: Invalid value: -1"),
    "replicas-text": ("serving.replicas", "two", "spec.serving.replicas in body must be of type integer"),
    "env-reserved": (
        "serving.env",
        [{"name": "CETACEAN_MODEL__SHA256", "value": "x"}],
        "spec.serving.env[0].name: Invalid value: is set by the operator: expected another name",
    ),
    "signature-of-nobody": (
        "serving.signature",
        {"require": True, "keys": []},
        "spec.serving.signature: Invalid value: expected keys or certificates, got neither",
    ),
    "signature-key-outside": (
        "serving.signature",
        {"keys": [{"configMapKeyRef": {"name": "signers", "key": "../release.pub"}}]},
        "spec.serving.signature.keys[0].configMapKeyRef.key in body should match",
    ),
    "signature-url-ftp": (
        f"{MODEL}.signatureUrl",
        "ftp://example.org/a.sig",
        'signatureUrl: Invalid value: "ftp://example.org/a.sig": expected http://…, https://…, hf://organisation',
    ),
    "env-reserved-signature": (
        "serving.env",
        [{"name": "CETACEAN_SIGNATURE__REQUIRE", "value": "false"}],
        "spec.serving.env[0].name: Invalid value: is set by the operator: expected another name",
    ),
    "env-reserved-in-another-case": (
        "serving.env",
        [{"name": "cetacean_Model__sha256", "value": "x"}],
        "spec.serving.env[0].name: Invalid value: is set by the operator: expected another name",
    ),
    "env-reserved-group": (
        "serving.env",
        [{"name": "CETACEAN_GATE", "value": "x"}],
        "spec.serving.env[0].name: Invalid value: is set by the operator: expected another name",
    ),
    "env-both": (
        "serving.env",
        [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "spec.serving.env[0]: Invalid value: expected value or valueFrom, got both",
    ),
    "pod-labels-reserved": (
        "serving.podLabels",
        {"ecomarineai.org/cetaceanmodel": "other"},
        "keys under ecomarineai.org/ and app.kubernetes.io/ are the operator's",
    ),
    "autoscaling-bounds": (
        "serving.autoscaling",
        {"minReplicas": 5, "maxReplicas": 2},
        "spec.serving.autoscaling.minReplicas: Invalid value: must be at most maxReplicas",
    ),
    "autoscaling-above-the-default": (
        "serving.autoscaling",
        {"minReplicas": 11},
        "spec.serving.autoscaling.minReplicas: Invalid value: must be at most maxReplicas",
    ),
    "autoscaling-maximum": (
        "serving.autoscaling",
        {"minReplicas": 1, "maxReplicas": 0},
        "spec.serving.autoscaling.maxReplicas in body should be greater than or equal to 1",
    ),
    "cache-both": (
        "serving.weightsCache",
        {"sizeLimit": "1Gi", "persistentVolumeClaim": {"claimName": "a"}},
        "spec.serving.weightsCache: Invalid value: expected sizeLimit or persistentVolumeClaim, got both",
    ),
    "volume-reserved": (
        "serving.volumes",
        [{"name": "weights", "emptyDir": {}}],
        "spec.serving.volumes[0].name: Invalid value: is a volume of the operator: expected another name",
    ),
    "mount-reserved": (
        "serving",
        {
            "image": "i",
            "volumes": [{"name": "a", "emptyDir": {}}],
            "volumeMounts": [{"name": "a", "mountPath": "/etc/cetacean/monitoring"}],
        },
        "spec.serving.volumeMounts[0].mountPath: Invalid value: is a mount of the operator: expected another path",
    ),
    "mount-of-no-volume": (
        "serving.volumeMounts",
        [{"name": "a", "mountPath": "/a"}],
        "spec.serving.volumeMounts: Invalid value: each must name one of spec.serving.volumes",
    ),
    "sidecar-reserved": (
        "serving.sidecars",
        [{"name": "serve", "image": "i"}],
        "spec.serving.sidecars[0].name: Invalid value: is a container of the operator: expected another name",
    ),
    "sidecar-on-the-port-of-the-service": (
        "serving.sidecars",
        [{"name": "a", "image": "i", "ports": [{"containerPort": 8080}]}],
        "the service listens on 8080, named http: expected another port and name",
    ),
    "sidecars-too-many": (
        "serving.sidecars",
        [{"name": f"a{number}", "image": "i"} for number in range(9)],
        "spec.serving.sidecars: Too many: 9: must have at most 8 items",
    ),
    "containers-of-one-name": (
        "serving",
        {"image": "i", "sidecars": [{"name": "a"}], "extraInitContainers": [{"name": "a"}]},
        "spec.serving.sidecars: Invalid value: expected other names than those of extraInitContainers",
    ),
    "service-port-reserved": (
        "serving.service",
        {"ports": [{"name": "metrics", "port": 80}]},
        "port 80, named http, leads to the service: expected another port and name",
    ),
    "service-type-unknown": (
        "serving.service",
        {"type": "ExternalName"},
        'spec.serving.service.type: Unsupported value: "ExternalName"',
    ),
    "service-annotation-reserved": (
        "serving.service",
        {"annotations": {"ecomarineai.org/x": "y"}},
        "keys under ecomarineai.org/ and app.kubernetes.io/ are the operator's",
    ),
    "prefetch-without-a-claim": (
        "serving.prefetch",
        "All",
        "spec.serving.prefetch: Invalid value: expected weightsCache.persistentVolumeClaim: a volume that a pod has",
    ),
    "threshold-above-one": ("antiFraud.threshold", 1.01, "spec.antiFraud.threshold: Invalid value: 1.01"),
    "threshold-negative": ("antiFraud.threshold", -0.1, "spec.antiFraud.threshold: Invalid value: -0.1"),
    "gate-without-weights": (
        "antiFraud.model",
        {"configURL": "https://example.org/c.json"},
        "configURL describes a gate of one's own: expected weightsURL beside it",
    ),
    "gate-bound": ("gates.minTNR", 2, "spec.gates.minTNR: Invalid value: 2"),
    "drift-window": ("drift.window", 0, "spec.drift.window: Invalid value: 0"),
    "drift-samples": (
        "drift",
        {"window": 10, "minSamples": 20},
        "spec.drift.minSamples: Invalid value: must be at most window",
    ),
    "drift-signal-samples": (
        "drift.signals",
        {"window": 60, "bySpecies": {"minSamples": 61}},
        "spec.drift.signals.bySpecies: Invalid value: minSamples must be at most window",
    ),
    "drift-signal-bound": (
        "drift.signals",
        {"distribution": {"maxDistance": 0}},
        "spec.drift.signals.distribution.maxDistance: Invalid value: 0",
    ),
    "drift-alarm-drop": ("drift.alarmDrop", 0, "spec.drift.alarmDrop: Invalid value: 0"),
    "drift-interval": ("drift.scrapeIntervalSeconds", 0, "spec.drift.scrapeIntervalSeconds: Invalid value: 0"),
    "drift-on-alarm": ("drift.onAlarm", "Panic", 'spec.drift.onAlarm: Unsupported value: "Panic"'),
    "unknown-field": ("registry.activ", "first", 'unknown field "spec.registry.activ"'),
}


def _create(kubectl: Kubectl, manifest: Manifest) -> dict[str, Any]:
    text = kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(manifest))
    created: dict[str, Any] = json.loads(text)
    return created


def test_a_valid_resource_is_accepted_with_defaults(namespaced: Kubectl) -> None:
    spec = _create(namespaced, GOOD)["spec"]
    assert spec["gates"] == {"minTNR": 0.9, "minTPR": 0.85, "maxRegression": 0.02, "evidence": "Point"}
    assert spec["antiFraud"]["threshold"] == 0.52
    assert spec["drift"]["window"] == 1000
    assert spec["drift"]["onAlarm"] == "Alert"
    assert spec["serving"]["replicas"] == 1
    assert "autoscaling" not in spec["serving"]


def test_a_null_in_a_security_context_is_kept(namespaced: Kubectl) -> None:
    """It removes a default: the API server must not drop it."""
    manifest = copy.deepcopy(GOOD)
    removed = {"runAsUser": None, "runAsGroup": None, "fsGroup": None, "runAsNonRoot": True}
    _set("serving.podSecurityContext", removed)(manifest)
    _set("serving.securityContext", {"readOnlyRootFilesystem": None})(manifest)
    serving = _create(namespaced, manifest)["spec"]["serving"]
    assert serving["podSecurityContext"] == removed
    assert serving["securityContext"] == {"readOnlyRootFilesystem": None}


def test_server_side_apply_keeps_a_null_that_it_adds_to_a_resource(namespaced: Kubectl) -> None:
    """Unlike a merge patch, for which null means to delete the key from the resource."""
    manifest = copy.deepcopy(GOOD) | {"metadata": {"name": "nulls"}}
    namespaced("apply", "--server-side", "-f", "-", stdin=json.dumps(manifest))
    _set("serving.podSecurityContext", {"runAsUser": None})(manifest)
    namespaced("apply", "--server-side", "-f", "-", stdin=json.dumps(manifest))
    found = namespaced.get("cetaceanmodel", "nulls")["spec"]["serving"]["podSecurityContext"]
    namespaced("delete", "cetaceanmodel", "nulls", "--wait=true")
    assert found == {"runAsUser": None}


def test_autoscaling_has_defaults(namespaced: Kubectl) -> None:
    manifest = copy.deepcopy(GOOD)
    _set("serving.autoscaling", {})(manifest)
    autoscaling = _create(namespaced, manifest)["spec"]["serving"]["autoscaling"]
    assert autoscaling == {"minReplicas": 3, "maxReplicas": 10, "targetCPUUtilizationPercentage": 70}


@pytest.mark.parametrize(("path", "value", "message"), REJECTED.values(), ids=REJECTED)
def test_an_invalid_resource_is_rejected_with_a_message(
    namespaced: Kubectl, path: str, value: Any, message: str
) -> None:
    manifest = copy.deepcopy(GOOD)
    _set(path, value)(manifest)
    with pytest.raises(CommandError) as refused:
        _create(namespaced, manifest)
    assert message in str(refused.value)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_is_accepted(namespaced: Kubectl, example: Path) -> None:
    namespaced("create", "--dry-run=server", "-f", str(example))


def test_there_are_enough_accepted_and_rejected_resources() -> None:
    assert len(EXAMPLES) >= 3
    assert len({message for _, _, message in REJECTED.values()}) >= 25


def test_a_null_digest_is_accepted(namespaced: Kubectl) -> None:
    manifest = copy.deepcopy(GOOD)
    _set(f"{MODEL}.sha256", None)(manifest)
    _create(namespaced, manifest)


def test_kubectl_explain_describes_fields(kubectl: Kubectl, crd: str) -> None:
    assert crd
    assert "promotes and rolls back" in kubectl("explain", "cetaceanmodel.spec.registry.active")
    assert "64 hex digits" in kubectl("explain", "cetaceanmodel.spec.registry.models.sha256")


def test_the_crd_has_a_short_name_a_category_and_columns(namespaced: Kubectl) -> None:
    namespaced.apply(GOOD | {"metadata": {"name": "listed"}})
    header = namespaced("get", "cmodel").splitlines()[0].split()
    assert header == ["NAME", "ACTIVE", "SERVING", "READY", "DRIFT", "AGE"]
    assert "listed" in namespaced("get", "all")
    namespaced("delete", "cetaceanmodel", "listed", "--wait=true")


def test_kubectl_scale_changes_the_replicas_of_the_spec(namespaced: Kubectl) -> None:
    namespaced.apply(GOOD | {"metadata": {"name": "scaled"}})
    namespaced("scale", "cetaceanmodel/scaled", "--replicas=3")
    assert namespaced.get("cetaceanmodel", "scaled")["spec"]["serving"]["replicas"] == 3
    namespaced("delete", "cetaceanmodel", "scaled", "--wait=true")


def test_a_new_resource_does_not_count_as_reconciled(namespaced: Kubectl) -> None:
    # For kstatus a custom resource without a status is Current: `helm --wait` and Flux would return at once.
    namespaced.apply(GOOD | {"metadata": {"name": "unseen"}})
    created = namespaced.get("cetaceanmodel", "unseen")
    assert created["status"]["observedGeneration"] == -1 != created["metadata"]["generation"]
    namespaced("delete", "cetaceanmodel", "unseen", "--wait=true")
