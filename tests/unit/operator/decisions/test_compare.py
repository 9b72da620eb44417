"""A manifest counts as there when all of it is, whatever else the API server and others have added."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.utils import parse_quantity
from support.operator_world import World, entry, manifest

from cetacean_operator.decisions import compare
from cetacean_operator.decisions.compare import differences, quantity

json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(json)
def test_equal_data_does_not_differ(data: Any) -> None:
    assert list(differences(data, data)) == []


@given(st.dictionaries(st.text(max_size=5), json), st.dictionaries(st.text(max_size=5), json))
def test_fields_of_other_managers_are_no_difference(wanted: dict[str, Any], others: dict[str, Any]) -> None:
    assert list(differences(wanted, others | wanted)) == []


@pytest.mark.parametrize(
    ("wanted", "live", "paths"),
    [
        ({"a": 1}, {"a": 2}, ["a"]),
        ({"a": 1}, {}, ["a"]),
        ({"a": 1}, None, [""]),
        ({"a": {"b": "x"}}, {"a": {"b": "y"}}, ["a.b"]),
        ({"a": True}, {"a": 1}, ["a"]),
        ({"a": False}, {}, ["a"]),
        (None, 1, [""]),
        ({"a": None}, {"a": 1}, ["a"]),
        ({"a": 1}, {"a": None}, ["a"]),
        ({"paused": False}, {}, []),
        ({"paused": False}, {"paused": True}, ["paused"]),
        ({"a": {}}, {}, []),
        ({"a": []}, {"a": None}, []),
        ({"a": ""}, {}, []),
        ({"a": {}}, {"a": ""}, []),
        ({"a": []}, {"a": ["x"]}, ["a"]),
        ({"args": ["serve"]}, {"args": ["serve", "--x"]}, ["args"]),
        ({"args": ["a", "b"]}, {"args": ["b", "a"]}, ["args[0]", "args[1]"]),
        # A sidecar that someone injected is no difference, another image is.
        ({"c": [{"name": "serve", "image": "x"}]}, {"c": [{"name": "mesh"}, {"name": "serve", "image": "x"}]}, []),
        ({"c": [{"name": "serve", "image": "x"}]}, {"c": [{"name": "serve", "image": "y"}]}, ["c[serve].image"]),
        ({"c": [{"name": "serve"}]}, {"c": []}, ["c[serve]"]),
        ({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "a"}, {"key": "b"}]}, ["tolerations"]),
        # Mounts are merged by their path: the same volume may be mounted once more by somebody else.
        (
            {"volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]},
            {"volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "tmp", "mountPath": "/run"}]},
            [],
        ),
        ({"hostAliases": [{"ip": "1.2.3.4"}]}, {"hostAliases": [{"ip": "1.2.3.5"}, {"ip": "1.2.3.4"}]}, []),
        (
            {"spread": [{"topologyKey": "host", "whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 1}]},
            {
                "spread": [
                    {"topologyKey": "host", "whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 1},
                    {"topologyKey": "host", "whenUnsatisfiable": "DoNotSchedule", "maxSkew": 2},
                ]
            },
            [],
        ),
        (
            {"spread": [{"topologyKey": "host", "whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 1}]},
            {"spread": [{"topologyKey": "host", "whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 2}]},
            ["spread[host,ScheduleAnyway].maxSkew"],
        ),
        # The backends of a rule are replaced as a whole, wherever the rule is.
        (
            {"spec": {"rules": [{"backendRefs": [{"name": "a"}]}]}},
            {"spec": {"rules": [{"backendRefs": [{"name": "a"}, {"name": "b"}]}]}},
            ["spec.rules[0].backendRefs"],
        ),
        ({"names": [{"name": ["a"]}]}, {"names": [{"name": ["b"]}]}, ["names[['a']]"]),
        # The API server leaves these out if they are false or zero.
        ({"readOnly": False, "hostPort": 0}, {}, []),
        ({"readOnly": False}, {"readOnly": True}, ["readOnly"]),
        ({"readOnly": True}, {}, ["readOnly"]),
        ({"initialDelaySeconds": 1}, {}, ["initialDelaySeconds"]),
        ({"paused": False, "replicas": 1}, {"replicas": 2}, ["replicas"]),
        ({"automountServiceAccountToken": False}, {}, ["automountServiceAccountToken"]),
        ({"limits": {"cpu": "1000m"}}, {"limits": {"cpu": "1"}}, []),
        ({"limits": {"cpu": 1}}, {"limits": {"cpu": "1"}}, []),
        ({"limits": {"memory": "1Gi"}}, {"limits": {"memory": "1024Mi"}}, []),
        ({"limits": {"memory": "1Gi"}}, {"limits": {"memory": "1G"}}, ["limits.memory"]),
        ({"emptyDir": {"sizeLimit": "0.5Gi"}}, {"emptyDir": {"sizeLimit": "512Mi"}}, []),
        ({"value": "1000m"}, {"value": "1"}, ["value"]),
        # Empty, and yet it says which kind of volume it is, or that all are meant.
        ({"emptyDir": {}}, {"emptyDir": {}}, []),
        ({"v": [{"name": "a", "emptyDir": {}}]}, {"v": [{"name": "a", "secret": {}}]}, ["v[a].emptyDir"]),
        ({"from": [{"podSelector": {}}]}, {"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}, ["from[0].podSelector"]),
    ],
)
def test_the_paths_of_differences_are_returned(wanted: Any, live: Any, paths: list[str]) -> None:
    assert list(differences(wanted, live)) == paths


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", "1"),
        ("100m", "0.1"),
        ("1k", "1000"),
        ("1Ki", "1024"),
        ("1.5Gi", "1610612736"),
        ("1e3", "1000"),
        ("2E", "2e18"),
        ("5n", "5e-9"),
        ("-1", "-1"),
        (".5", "0.5"),
        (3, "3"),
        ("1" + "0" * 63, "1e63"),
        ("1e64", "1e64"),
        ("1e-64", "1e-64"),
    ],
)
def test_a_quantity_is_parsed(text: str | int, number: str) -> None:
    assert quantity(text) == Decimal(number)


_suffixes = st.sampled_from(["", *"numkMGTPE", *(f"{prefix}i" for prefix in "KMGTPE")])
_exponents = st.builds("{}{}".format, st.sampled_from("eE"), st.integers(-20, 20))


@given(
    st.sampled_from(["", "-", "+"]),
    st.from_regex(r"[0-9]{1,5}(\.[0-9]{0,4})?|\.[0-9]{1,4}", fullmatch=True),
    _suffixes | _exponents,
)
def test_quantities_have_the_value_that_kubernetes_utils_give_them(sign: str, digits: str, suffix: str) -> None:
    assert quantity(sign + digits + suffix) == parse_quantity(sign + digits + suffix)


@pytest.mark.parametrize(
    "text", ["", "x", "1x", "1 Gi", "Gi", "1KiB", None, "nan", "1e1000000", "1e65", "1e-65", "1" * 65, "1" * 5000]
)
def test_text_that_is_no_quantity_gives_none(text: object) -> None:
    assert quantity(text) is None


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", ("spec", "replicas"), 7),
        ("Deployment", ("spec", "template", "spec", "containers", 0, "image"), "evil"),
        ("Deployment", ("spec", "template", "metadata", "annotations", "ecomarineai.org/model"), "evil"),
        ("Deployment", ("metadata", "labels", "ecomarineai.org/cetaceanmodel"), "evil"),
        ("Service", ("spec", "selector", "ecomarineai.org/cetaceanmodel"), "evil"),
        ("ConfigMap", ("data", "monitoring.json"), "{}"),
    ],
)
def test_an_edited_field_of_a_child_is_repaired(kind: str, path: tuple[Any, ...], value: Any) -> None:
    world = World()
    world.settle()
    ref = next(ref for ref in world.children if ref[0] == kind)
    node: Any = world.children[ref]
    for part in path[:-1]:
        node = node[part]
    before, node[path[-1]] = node[path[-1]], value
    plan = world.decide()
    assert [child["kind"] for child in plan.apply] == [kind]
    world.settle()
    node = world.children[ref]
    for part in path[:-1]:
        node = node[part]
    assert node[path[-1]] == before


def test_annotations_that_others_add_stay() -> None:
    world = World()
    world.settle()
    assert world.deployment is not None
    world.deployment["metadata"]["annotations"]["other"] = "x"
    world.deployment["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "now"
    assert not world.decide().apply


def test_a_metric_that_somebody_adds_to_the_autoscaler_is_removed() -> None:
    world = World(manifest(entry("first"), serving={"autoscaling": {}}))
    world.settle()
    metrics = world.children["HorizontalPodAutoscaler", "whales"]["spec"]["metrics"]
    metrics.append({"type": "Pods", "pods": {"metric": {"name": "a"}, "target": {"type": "Value", "value": "1"}}})
    assert [child["kind"] for child in world.decide().apply] == ["HorizontalPodAutoscaler"]


def test_a_deleted_child_is_created_again() -> None:
    world = World()
    world.settle()
    for ref in list(world.children):
        del world.children[ref]
        assert [(child["kind"], child["metadata"]["name"]) for child in world.decide().apply] == [ref]
        world.settle()
        assert ref in world.children


def test_a_field_that_leaves_the_manifest_is_a_difference() -> None:
    """It is absent from the manifest, so only the digest of what was applied shows that it was ours."""
    world = World()
    world.edit(serving={"nodeSelector": {"disk": "ssd"}})
    world.settle()
    world.edit(serving={"nodeSelector": None})
    assert [child["kind"] for child in world.decide().apply] == ["Deployment"]


def test_a_false_that_the_api_server_leaves_out_needs_no_comparison_by_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each Deployment has such a field: a comparison by paths takes five times as long."""
    wanted = {"spec": {"paused": False, "hostPort": 0}}
    assert list(differences(wanted, {"spec": {}})) == []
    assert list(differences({"spec": {"paused": True}}, {"spec": {}})) == ["spec.paused"]
    assert list(differences({"spec": {"minReadySeconds": 0}}, {"spec": {}})) == ["spec.minReadySeconds"]
    monkeypatch.delattr(compare, "_differences")
    assert list(differences(wanted, {"spec": {}})) == []
