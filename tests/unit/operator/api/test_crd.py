"""The CRD is generated from the types; offline, it is held to the rules of structural schemas."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from support.approvals import approval_object
from support.operator_world import World, entry, manifest

from cetacean_operator.api.approval_policy import ApprovalPolicy
from cetacean_operator.api.crd import approval_crd, crd, render
from cetacean_operator.api.schema import structural
from cetacean_operator.api.spec import InvalidResourceError, Spec, parse_spec

REPOSITORY = Path(__file__).resolve().parents[4]
EXAMPLES = sorted((REPOSITORY / "examples").glob("*.yaml"))
SCHEMA: dict[str, Any] = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
APPROVAL: dict[str, Any] = approval_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
BOTH = pytest.mark.parametrize("schema", [SCHEMA, APPROVAL], ids=["CetaceanModel", "ModelApproval"])


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key], f"{path}[]")


@pytest.mark.parametrize("made", [crd, approval_crd], ids=["CetaceanModel", "ModelApproval"])
def test_the_file_is_not_stale(made: Callable[[], dict[str, Any]]) -> None:
    definition = made()
    file = REPOSITORY / f"crds/ecomarineai.org_{definition['spec']['names']['plural']}.yaml"
    assert file.read_text(encoding="utf-8") == render(definition), "run `make crd`"


@BOTH
def test_every_node_of_the_schema_is_structural(schema: dict[str, Any]) -> None:
    for path, node in nodes(schema):
        assert "type" in node or node.get("x-kubernetes-int-or-string"), path
        assert not {"$ref", "$defs", "title", "allOf", "oneOf", "not", "const"} & node.keys(), path
        if "anyOf" in node:
            assert node["x-kubernetes-int-or-string"], path
        for bound in ("exclusiveMinimum", "exclusiveMaximum"):
            assert isinstance(node.get(bound, False), bool), path


@BOTH
def test_fields_that_rules_use_are_bounded(schema: dict[str, Any]) -> None:
    """The API server reckons a rule's cost from these bounds, and refuses a CRD without them."""
    for path, node in nodes(schema["properties"]["spec"]):
        if node.get("x-kubernetes-preserve-unknown-fields"):
            continue
        if node.get("type") == "array":
            assert "maxItems" in node, path
        if "additionalProperties" in node:
            assert "maxProperties" in node, path
        if node.get("type") == "string" and "enum" not in node:
            assert "maxLength" in node, path


@BOTH
def test_every_rule_has_a_message_and_names_existing_fields(schema: dict[str, Any]) -> None:
    found = 0
    for path, node in nodes(schema):
        for rule in node.get("x-kubernetes-validations", ()):
            found += 1
            assert rule["message"], path
            if field := rule.get("fieldPath"):
                assert field.removeprefix(".") in node["properties"], path
            for name in re.findall(r"self\.([a-zA-Z0-9]+)\b(?!\()", rule["rule"]):
                assert name in node.get("properties", {}), f"{path}: {rule['rule']}"
    assert found > (10 if schema is SCHEMA else 3)


def test_an_approval_cannot_be_changed() -> None:
    rules = [rule["rule"] for rule in APPROVAL["properties"]["spec"]["x-kubernetes-validations"]]
    assert "self == oldSelf" in rules
    assert set(APPROVAL["properties"]["spec"]["required"]) == {"resource", "candidate", "digest", "approver"}


CONTAINERS = ("sidecars", "extraInitContainers")


def test_unknown_fields_are_preserved_only_in_parts_of_pods() -> None:
    open_ended = {path for path, node in nodes(SCHEMA) if node.get("x-kubernetes-preserve-unknown-fields")}
    assert open_ended == {
        f".spec.serving.{name}"
        for name in (
            "resources",
            "affinity",
            "tolerations[]",
            "topologySpreadConstraints[]",
            "env[].valueFrom",
            "networkPolicy.ingressFrom[]",
            "podSecurityContext",
            "securityContext",
            "volumes[]",
            "volumeMounts[]",
            *(f"{kind}[]{part}" for kind in CONTAINERS for part in ("", ".ports[]", ".securityContext")),
            "hostAliases[]",
            "dnsConfig",
            "lifecycle",
            "service.ports[]",
            "autoscaling.behavior",
        )
    } | {".spec.rollout.candidate.resources"}


def test_status_has_no_rules() -> None:
    """A status that a rule refuses would hide what is wrong."""
    assert not [path for path, node in nodes(SCHEMA["properties"]["status"]) if "x-kubernetes-validations" in node]


def test_fields_have_descriptions_for_kubectl_explain() -> None:
    spec = SCHEMA["properties"]["spec"]["properties"]
    for part in (spec["registry"], spec["gates"], spec["drift"], spec["antiFraud"]):
        assert part["description"]
    assert "promotes" in spec["registry"]["properties"]["active"]["description"]


def test_defaults_of_schema_and_types_agree() -> None:
    filled = {
        name: part["default"] for name, part in SCHEMA["properties"]["spec"]["properties"].items() if "default" in part
    }
    assert filled.keys() == {"antiFraud", "gates", "drift", "serviceLevel"}
    registry = {
        "active": "a",
        "models": [{"name": "a", "version": "1.0.0", "architecture": "x", "weightsUrl": "http://x/a"}],
    }
    bare = {"registry": registry, "serving": {"image": "x"}}
    assert parse_spec(bare) == parse_spec(bare | filled)


def test_spec_approval_is_absent_by_default_and_its_parts_are_filled_in() -> None:
    approval = SCHEMA["properties"]["spec"]["properties"]["approval"]
    assert "default" not in approval
    for name, part in approval["properties"].items():
        if name not in ("excludeAuthor", "shadowFirst"):
            own = {field: child["default"] for field, child in part["properties"].items() if "default" in child}
            assert part["default"] == own | ({"skip": []} if name == "hotfix" else {})
    assert ApprovalPolicy.model_validate({name: part["default"] for name, part in approval["properties"].items()}) == (
        ApprovalPolicy()
    )


def test_names_and_subresources() -> None:
    definition = crd()
    assert definition["spec"]["names"]["shortNames"] == ["cmodel"]
    assert definition["spec"]["names"]["categories"] == ["all"]
    version = definition["spec"]["versions"][0]
    assert version["subresources"]["status"] == {}
    scale = version["subresources"]["scale"]
    for path, part in ((scale["specReplicasPath"], "spec"), (scale["statusReplicasPath"], "status")):
        node: Any = SCHEMA
        for step in path.strip(".").split("."):
            node = node["properties"][step]
        assert node["type"] == "integer", part
    columns = [column["name"] for column in version["additionalPrinterColumns"] if not column.get("priority")]
    assert columns == ["Active", "Serving", "Ready", "Drift", "Age"]


def shown(definition: dict[str, Any], resource: dict[str, Any]) -> dict[str, Any]:
    """Return the values of the columns that kubectl shows of a resource, by their names; None for an absent field."""
    values = {}
    for column in definition["spec"]["versions"][0]["additionalPrinterColumns"]:
        steps = re.findall(r"""\.(\w+)|\[\?\(@\.type=="(\w+)"\)\]""", column["jsonPath"])
        node: Any = resource
        for field, kind in steps:
            if node is not None:
                node = node.get(field) if field else next(item for item in node if item["type"] == kind)
        values[column["name"]] = node
    return values


def test_the_columns_of_a_cetaceanmodel_show_what_it_wants_and_what_its_pods_serve() -> None:
    """Here each value is another one, so that no column can show that of another field."""
    world = World(
        manifest(entry("first"), entry("second", "b", version="2.0.0")),
        behave=lambda pod: setattr(pod, "ready", pod.model == "first"),
    )
    world.settle()
    world.activate("second")
    world.settle()
    world.drift(0.7)
    world.settle()
    world.obj["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    assert shown(crd(), world.obj) == {
        "Active": "second",
        "Serving": "first",
        "Version": "1.0.0",
        "Ready": "False",
        "Reason": world.condition("Ready").reason,
        "Candidate": None,
        "Drift": 0.2,
        "Drifting": "True",
        "Age": "2026-01-01T00:00:00Z",
    }


def test_the_column_of_the_candidate_shows_its_verdict() -> None:
    stages: dict[str, Any] = {"stages": [{"shadow": {}}]}
    world = World(manifest(entry("first"), entry("second", "b", version="2.0.0"), rollout=stages))
    world.settle()
    world.activate("second")
    world.settle()
    world.obj["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    columns = shown(crd(), world.obj)
    assert (columns["Candidate"], columns["Drift"]) == ("Running", None)


def test_the_columns_of_a_modelapproval_show_who_approves_what() -> None:
    resource = approval_object("alice", evidence="https://example.org/run/7")
    assert shown(approval_crd(), resource) == {
        "Resource": "whales",
        "Candidate": "second",
        "Kind": "Review",
        "Approver": "alice",
        "Age": "2026-01-01T00:00:00Z",
        "Digest": "b" * 64,
        "Evidence": "https://example.org/run/7",
    }


def test_a_union_cannot_be_written() -> None:
    class Union(BaseModel):
        either: int | list[int]

    with pytest.raises(TypeError, match="no unions"):
        structural(Union)


def conforms(value: Any, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield the faults of a value, as far as types, required, unknown and bounded fields go."""
    if value is None:
        if not schema.get("nullable"):
            yield f"{path}: null"
        return
    if schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-int-or-string"):
        return
    types: dict[str, Any] = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
    }
    if not isinstance(value, types[schema["type"]]):
        yield f"{path}: expected {schema['type']}, got {value!r}"
        return
    if isinstance(value, dict):
        properties, more = schema.get("properties", {}), schema.get("additionalProperties")
        yield from (f"{path}.{name}: missing" for name in schema.get("required", ()) if name not in value)
        for name, item in value.items():
            if name in properties or more:
                yield from conforms(item, properties.get(name, more), f"{path}.{name}")
            elif path != ".metadata":
                yield f"{path}.{name}: unknown"
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from conforms(item, schema["items"], f"{path}[{index}]")
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {schema['enum']}"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_read_and_fit_the_schema(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        assert parse_spec(document["spec"]).registry.active_model.version
        assert list(conforms(document, SCHEMA)) == []


def test_the_check_of_the_examples_finds_faults() -> None:
    document = yaml.safe_load(EXAMPLES[0].read_text(encoding="utf-8"))
    document["spec"]["serving"]["replicas"] = "two"
    document["spec"]["registry"]["activ"] = "x"
    faults = list(conforms(document, SCHEMA))
    assert len(faults) == 2
    with pytest.raises(InvalidResourceError, match=re.escape("serving.replicas")):
        parse_spec(document["spec"])


def test_wire_names_are_camel_case() -> None:
    for path, _ in nodes(structural(Spec)):
        assert re.fullmatch(r"(\.[a-z][A-Za-z0-9]*|\[\])*", path), path
