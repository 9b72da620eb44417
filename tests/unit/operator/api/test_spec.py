"""Reading specs: what is refused names the field, what is newer is ignored."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from support.operator_world import entry, manifest

from cetacean_operator.api.spec import InvalidResourceError, parse_spec
from cetacean_operator.api.status import parse_status
from cetacean_registry.manifest import to_manifest
from cetacean_registry.metrics import MetricsSnapshot
from cetacean_registry.registry import Registry

SPEC: dict[str, Any] = manifest(entry("first"), entry("second", "b"))["spec"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"registry": {**SPEC["registry"], "active": "third"}}, "third"),
        ({"registry": {**SPEC["registry"], "models": [entry("first"), entry("first")]}}, "more than once: first"),
        (
            {"registry": {**SPEC["registry"], "models": [entry("first", "g")]}},
            "models[0].sha256: expected 64 hex digits",
        ),
        ({"registry": {**SPEC["registry"], "models": [entry("first", version="v1")]}}, "models[0].version"),
        (
            {"registry": {**SPEC["registry"], "models": [entry("first", weightsUrl="ftp://x/y")]}},
            "models[0].weightsUrl",
        ),
        ({"registry": {**SPEC["registry"], "schemaVersion": "2.0"}}, "schemaVersion"),
        (
            {
                "registry": {
                    **SPEC["registry"],
                    "models": [
                        entry(
                            "first",
                            metrics={"bySpecies": [{"species": "orca", "samples": 1, "speciesAccuracy": 1}] * 2},
                        )
                    ],
                    "active": "first",
                }
            },
            "models[0].metrics: figures by species: each species must be there once, more than once: orca",
        ),
        ({"antiFraud": {"threshold": 1.5}}, "antiFraud.threshold"),
        ({"antiFraud": {"model": {"configURL": "https://x/y"}}}, "expected weightsURL beside it"),
        (
            {"antiFraud": {"model": {"weightsURL": "https://x/y", "configSHA256": "a" * 64}}},
            "expected configURL beside configSHA256",
        ),
        (
            {"antiFraud": {"model": {"weightsURL": "https://x/y", "revision": "main"}}},
            "expected it in weightsURL",
        ),
        ({"antiFraud": {"model": {"revision": "a b"}}}, "expected a branch, a tag or a commit"),
        (
            {"registry": {**SPEC["registry"], "models": [entry("first", files={"species_map.cvs": "a" * 64})]}},
            "expected the names encoder_classes.npy and species_map.csv, got species_map.cvs",
        ),
        (
            {"registry": {**SPEC["registry"], "models": [entry("first", files={"species_map.csv": "a"})]}},
            "models[0].files.species_map.csv: expected 64 hex digits",
        ),
        ({"serving": {"image": "i", "weightsCache": {"trusted": True}}}, "serving.weightsCache: trusted is about"),
        ({"serving": {"image": "i", "signature": {}}}, "serving.signature: expected keys or certificates, got neither"),
        (
            {"serving": {"image": "i", "signature": {"keys": [{"configMapKeyRef": {"name": "a", "key": "../b"}}]}}},
            "serving.signature.keys[0].configMapKeyRef.key",
        ),
        ({"serving": {"image": "i", "serviceMonitor": {"interval": "1ms"}}}, "serving.serviceMonitor.interval"),
        ({"serving": {"image": "i", "route": {"parentRefs": []}}}, "serving.route.parentRefs"),
        (
            {"serving": {"image": "i", "route": {"parentRefs": [{"name": "a"}, {"name": "a", "kind": "Gateway"}]}}},
            "serving.route: parentRefs: expected each entry once",
        ),
        (
            {"serving": {"image": "i", "route": {"parentRefs": [{"name": "a"}], "hostnames": ["b.org", "b.org"]}}},
            "serving.route: hostnames: expected each entry once",
        ),
        (
            {"serving": {"image": "i", "route": {"parentRefs": [{"name": "a"}], "paths": ["/a", "/a"]}}},
            "serving.route: paths: expected each entry once",
        ),
        (
            {"serving": {"image": "i", "route": {"parentRefs": [{"name": "a"}], "requestTimeout": "1d"}}},
            "serving.route.requestTimeout",
        ),
        ({"drift": {"window": 10, "minSamples": 20}}, "minSamples must be at most window"),
        ({"drift": {"onAlarm": "Panic"}}, "drift.onAlarm"),
        ({"gates": {"minTNR": 2}}, "gates.minTNR"),
        ({"approval": {"major": {"approvals": 11}}}, "approval.major.approvals"),
        ({"approval": {"hotfix": {"skip": ["Reviews"]}}}, "approval.hotfix.skip[0]"),
        ({"serving": {}}, "serving.image"),
        (
            {"serving": {"image": "i", "volumes": [{"name": "tmp"}]}},
            "serving.volumes[0]: name: tmp is a volume of the operator: expected another name",
        ),
        (
            {"serving": {"image": "i", "volumes": [{"name": "cetacean-x"}]}},
            "serving.volumes[0]: name: cetacean-x is a volume of the operator: expected another name",
        ),
        (
            {"serving": {"image": "i", "volumes": [{"name": "weights-0"}]}},
            "serving.volumes[0]: name: weights-0 is a volume of the operator: expected another name",
        ),
        (
            {
                "serving": {
                    "image": "i",
                    "volumes": [{"name": "a"}],
                    "volumeMounts": [{"name": "a", "mountPath": "/tmp/"}],
                }
            },
            "serving.volumeMounts[0]: mountPath: /tmp/ is a mount of the operator: expected another path",
        ),
        (
            {
                "serving": {
                    "image": "i",
                    "volumes": [{"name": "a"}],
                    "volumeMounts": [{"name": "a", "mountPath": "/var/cache/cetacean/blobs"}],
                }
            },
            "is a mount of the operator: expected another path",
        ),
        (
            {"serving": {"image": "i", "volumeMounts": [{"name": "a", "mountPath": "/a"}]}},
            "volumeMounts: each must name one of spec.serving.volumes, got a",
        ),
        (
            {"serving": {"image": "i", "sidecars": [{"name": "serve"}]}},
            "serving.sidecars[0]: name: serve is a container of the operator: expected another name",
        ),
        (
            {"serving": {"image": "i", "extraInitContainers": [{"name": "fetch"}]}},
            "serving.extraInitContainers[0]: name: fetch is a container of the operator: expected another name",
        ),
        (
            {"serving": {"image": "i", "sidecars": [{"name": "a"}], "extraInitContainers": [{"name": "a"}]}},
            "sidecars: expected other names than those of extraInitContainers, got a",
        ),
        (
            {"serving": {"image": "i", "sidecars": [{"name": "a", "ports": [{"containerPort": 8080}]}]}},
            "serving.sidecars[0].ports[0]: the service listens on 8080, named http: expected another port and name",
        ),
        (
            {"serving": {"image": "i", "sidecars": [{"name": "a", "ports": [{"name": "http", "containerPort": 1}]}]}},
            "serving.sidecars[0].ports[0]: the service listens on 8080, named http: expected another port and name",
        ),
        ({"serving": {"image": "i", "sidecars": [{"name": f"a{n}"} for n in range(9)]}}, "serving.sidecars"),
        (
            {"serving": {"image": "i", "service": {"ports": [{"name": "http", "port": 81}]}}},
            "serving.service.ports[0]: port 80, named http, leads to the service: expected another port and name",
        ),
        ({"serving": {"image": "i", "service": {"type": "ExternalName"}}}, "serving.service.type"),
        (
            {"serving": {"image": "i", "autoscaling": {"minReplicas": 12}}},
            "serving.autoscaling: minReplicas must be at most maxReplicas (10), got 12",
        ),
    ],
)
def test_an_invalid_field_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidResourceError) as error:
        parse_spec(copy.deepcopy(SPEC) | change)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_listeners_of_one_gateway_are_parents_of_their_own() -> None:
    parents = [
        {"name": "a"},
        {"name": "a", "sectionName": "https"},
        {"name": "a", "port": 80},
        {"name": "a", "namespace": "b"},
    ]
    spec = parse_spec(copy.deepcopy(SPEC) | {"serving": {"image": "i", "route": {"parentRefs": parents}}})
    assert spec.serving.route is not None
    assert [parent.wire() for parent in spec.serving.route.parent_refs] == parents


def test_fields_of_a_newer_version_are_ignored() -> None:
    newer = copy.deepcopy(SPEC)
    newer["registry"]["models"][0]["quantization"] = "int8"
    newer["future"] = {"x": 1}
    assert parse_spec(newer) == parse_spec(SPEC)


def test_a_digest_is_compared_in_lower_case() -> None:
    assert parse_spec(manifest(entry("first", "A"))["spec"]).registry.active_model.sha256 == "a" * 64


def test_snake_case_is_no_wire_format() -> None:
    with pytest.raises(InvalidResourceError, match="weightsUrl"):
        parse_spec(manifest(entry("first") | {"weights_url": "http://x/y", "weightsUrl": None})["spec"])


def test_the_mirror_of_a_registry_file_is_read_back_one_for_one() -> None:
    text = '{"schema_version": "1.0", "active": "a", "models": [{"name": "a", "version": "1.0.0", "architecture": "X", \
"weights_url": "https://x/a", "sha256": null, "trained_at": null, "metrics_snapshot": "m.json", "license": "MIT"}]}'
    snapshot = MetricsSnapshot.parse('{"sample_size": 9, "manifest_path": "m.csv", "cetacean_score_mean": 0.9}')
    mirrored = to_manifest(Registry.parse(text), {"a": snapshot}, name="n", serving={"image": "x"})
    model = parse_spec(mirrored["spec"]).registry.active_model
    assert (model.name, model.license, model.sha256) == ("a", "MIT", None)
    assert model.metrics is not None
    assert (model.metrics.cetacean_score_mean, model.metrics.tpr) == (0.9, None)


def test_only_the_damaged_fields_of_a_status_are_left_out() -> None:
    status = parse_status({"observedGeneration": 3, "history": "none", "drift": {"samples": "many"}, "replicas": 2})
    assert (status.observed_generation, status.replicas, status.history, status.drift) == (3, 2, (), None)
    assert parse_status(None).conditions == ()


def nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = {"a": [value]}
    return value


@pytest.mark.parametrize("levels", [40, 5000])
def test_a_spec_that_is_nested_too_deep_is_invalid(levels: int) -> None:
    """A child with it could not be parsed any more."""
    with pytest.raises(InvalidResourceError, match="expected at most 64 levels of nesting"):
        parse_spec(manifest()["spec"] | {"serving": {"image": "i", "affinity": nested(levels)}})
