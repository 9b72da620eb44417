"""The fields of a pod that a spec reaches: whoever may write a CetaceanModel may set these, and no others.

docs/security.md has the same for administrators. A change of this list is a change of what they grant.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from support.operator_world import World, entry, manifest

from cetacean_operator.api.serving import Serving
from cetacean_operator.api.spec import AntiFraud, Model, Spec

PAGE: Final = (Path(__file__).resolve().parents[4] / "docs/security.md").read_text(encoding="utf-8")
ENV = ("containers[].env", "initContainers[].env")
IDENTITY = (*ENV, "annotations", "labels")
GATE = {"weightsURL": "https://x/g.safetensors", "configURL": "https://x/g.json", "sha256": "d" * 64}

# By field of spec.serving: a value other than the default, and the pod's fields that it changes.
REACHED: Final[dict[str, tuple[Any, tuple[str, ...]]]] = {
    "image": ("other:1", ("containers[].image", "initContainers[].image")),
    "imagePullPolicy": ("Always", ("containers[].imagePullPolicy", "initContainers[].imagePullPolicy")),
    "imagePullSecrets": ([{"name": "pull"}], ("imagePullSecrets",)),
    "replicas": (2, ()),
    "resources": ({"limits": {"memory": "1Gi"}}, ("containers[].resources", "initContainers[].resources")),
    "nodeSelector": ({"a": "b"}, ("nodeSelector",)),
    "tolerations": ([{"key": "a", "operator": "Exists"}], ("tolerations",)),
    "affinity": ({"podAntiAffinity": {}}, ("affinity",)),
    "topologySpreadConstraints": ([], ("topologySpreadConstraints",)),
    "serviceAccountName": ("models", ("serviceAccountName",)),
    "priorityClassName": ("high", ("priorityClassName",)),
    "runtimeClassName": ("gvisor", ("runtimeClassName",)),
    "podLabels": ({"a": "b"}, ("labels",)),
    "podAnnotations": ({"a": "b"}, ("annotations",)),
    "env": ([{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}], ENV),
    "signature": (
        {"keys": [{"configMapKeyRef": {"name": "signers", "key": "release.pub"}}]},
        ("initContainers[].env", "initContainers[].volumeMounts", "volumes[signature]"),
    ),
    "podSecurityContext": ({"runAsUser": None}, ("securityContext",)),
    "securityContext": (
        {"readOnlyRootFilesystem": False},
        ("containers[].securityContext", "initContainers[].securityContext"),
    ),
    "volumes": ([{"name": "extra", "emptyDir": {}}], ("volumes[extra]",)),
    "sidecars": ([{"name": "proxy", "image": "p"}], ("containers[proxy]",)),
    "extraInitContainers": ([{"name": "proxy", "image": "p"}], ("initContainers[proxy]",)),
    "hostAliases": ([{"ip": "10.0.0.1", "hostnames": ["store"]}], ("hostAliases",)),
    "dnsConfig": ({"nameservers": ["10.0.0.2"]}, ("dnsConfig",)),
    "lifecycle": ({"postStart": {"exec": {"command": ["true"]}}}, ("containers[].lifecycle",)),
    "service": ({"type": "NodePort"}, ()),
    "autoscaling": ({}, ()),
    "weightsCache": ({"persistentVolumeClaim": {"claimName": "c"}}, (*ENV, "volumes[weights]")),
    "weightsCredentials": (
        {"secretRef": {"name": "s"}},
        ("initContainers[].env", "initContainers[].volumeMounts", "volumes[weights-credentials]"),
    ),
    "caBundle": (
        {"configMapRef": {"name": "c"}},
        ("initContainers[].env", "initContainers[].volumeMounts", "volumes[ca-bundle]"),
    ),
    "tmpSizeLimit": ("2Gi", ("volumes[tmp]",)),
    "podDisruptionBudget": ({"maxUnavailable": 1}, ()),
    "networkPolicy": ({"ingressFrom": []}, ()),
    "serviceMonitor": ({"interval": "60s"}, ()),
    "route": ({"parentRefs": [{"name": "public"}]}, ()),
    "progressDeadlineSeconds": (60, ()),
    "startupSeconds": (60, ("containers[].startupProbe",)),
    "terminationGracePeriodSeconds": (
        30,
        (*ENV, "terminationGracePeriodSeconds"),
    ),
}


def fields(template: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each field of a pod: of its metadata, of its containers and of its volumes one by one."""
    yield from template["metadata"].items()
    for key, value in template["spec"].items():
        if key in ("containers", "initContainers"):
            own = next(one for one in value if one["name"] in ("fetch", "serve"))
            yield from ((f"{key}[].{name}", one) for name, one in own.items())
            yield from ((f"{key}[{one['name']}]", one) for one in value if one is not own)
        elif key == "volumes":
            yield from ((f"volumes[{one['name']}]", one) for one in value)
        else:
            yield key, value


def template(**spec: Any) -> dict[str, Any]:
    world = World(manifest(entry("first"), **spec))
    world.reconcile()
    assert world.deployment is not None
    return dict(fields(world.deployment["spec"]["template"]))


PLAIN: Final = template()


def changed(found: dict[str, Any]) -> set[str]:
    return {name for name in found.keys() | PLAIN.keys() if found.get(name) != PLAIN.get(name)}


def test_the_list_has_every_field_of_the_spec() -> None:
    names = {info.alias or name for name, info in Serving.model_fields.items()}
    assert {*REACHED, "volumeMounts", "prefetch"} == names


def test_prefetch_reaches_no_pod_that_serves() -> None:
    claim = {"weightsCache": {"persistentVolumeClaim": {"claimName": "c"}}}
    assert template(serving={**claim, "prefetch": "All"}) == template(serving=claim)


def test_a_mount_reaches_both_containers() -> None:
    volume = {"name": "extra", "emptyDir": {}}
    found = changed(template(serving={"volumes": [volume], "volumeMounts": [{"name": "extra", "mountPath": "/extra"}]}))
    assert found == {"volumes[extra]", "containers[].volumeMounts", "initContainers[].volumeMounts"}


@pytest.mark.parametrize("field", REACHED)
def test_a_field_reaches_these_fields_of_a_pod_and_no_others(field: str) -> None:
    value, reached = REACHED[field]
    assert changed(template(serving={field: value})) == set(reached)


def test_the_model_and_the_gate_reach_variables_and_annotations_only() -> None:
    everything: dict[str, Any] = {
        "version": "2.0.0",
        "architecture": "X",
        "weightsUrl": "https://x/w.ckpt",
        "sha256": "b" * 64,
        "backbone": "b",
        "embeddingSize": 2,
        "numClassesHead": 9,
        "numClassesActive": 8,
        "inputSize": 64,
        "displayName": "x",
        "trainedAt": "2026",
        "metricsSnapshot": "a",
        "weightsPath": "b",
        "license": "MIT",
        "notes": "x",
        "deprecated": False,
        "author": "x",
        "hotfix": False,
        "prefetch": True,
        "files": {"species_map.csv": "c" * 64},
        "signatureUrl": "https://x/w.sig",
    }
    names = {info.alias or name for name, info in Model.model_fields.items()} - {"name", "metrics"}
    assert set(everything) == names
    world = World(
        manifest(
            entry("first", **everything),
            antiFraud={"threshold": 0.3, "calibratedAt": "2026-01-01", "model": GATE},
            gates={"minTNR": 0.1},
            drift={"window": 60, "minSamples": 10},
            serviceLevel={"minRequests": 5},
            approval={"major": {"approvals": 0, "qa": False, "metrics": "Optional"}},
            rollout={"stages": [{"shadow": {}}], "candidate": {"resources": {"limits": {"memory": "1Gi"}}}},
        )
    )
    world.reconcile()
    assert world.deployment is not None
    found = changed(dict(fields(world.deployment["spec"]["template"])))
    assert found <= set(IDENTITY)
    assert set(Spec.model_fields) == {
        "registry",
        "serving",
        "anti_fraud",
        "gates",
        "drift",
        "service_level",
        "approval",
        "rollout",
    }
    assert set(AntiFraud.model_fields) == {"threshold", "calibrated_at", "model"}


@pytest.mark.parametrize("url", [f"oci://registry.test/whales@sha256:{'a' * 64}/a.ckpt", "pvc://claim/a.ckpt"])
def test_a_url_of_an_image_or_a_claim_also_reaches_a_volume_of_the_init_container(url: str) -> None:
    world = World(manifest(entry("first", weightsUrl=url)))
    world.reconcile()
    assert world.deployment is not None
    found = changed(dict(fields(world.deployment["spec"]["template"])))
    (volume,) = (name for name in found if name.startswith("volumes["))
    assert found - {volume} <= {*IDENTITY, "initContainers[].volumeMounts"}


@pytest.mark.parametrize(
    "never",
    [
        "automountServiceAccountToken",
        "containers[].args",
        "containers[].command",
        "hostNetwork",
        "hostPID",
        "hostIPC",
    ],
)
def test_no_field_of_the_spec_reaches_the_token_the_command_or_the_namespaces_of_the_host(never: str) -> None:
    assert not any(never in reached for _, reached in REACHED.values())
    assert never in PLAIN or never.startswith("host") or never.endswith("command")


def test_only_two_fields_change_how_the_operators_containers_are_confined() -> None:
    confining = {"securityContext", "containers[].securityContext", "initContainers[].securityContext"}
    found = {field for field, (_, reached) in REACHED.items() if confining & set(reached)}
    assert found == {"podSecurityContext", "securityContext"}


def test_the_page_on_security_names_each_field_that_reaches_a_pod() -> None:
    for field, (_, reached) in REACHED.items():
        assert not reached or f"`{field}`" in PAGE, field
