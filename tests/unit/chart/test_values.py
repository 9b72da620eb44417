"""values.yaml documents everything there is to set, and the schema rejects the rest."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError

from cetacean_operator.settings import Settings

# What the chart sets by other values or by the pod itself.
NOT_AMONG_SETTINGS = {
    "namespaces",
    "leader_election",
    "lease_name",
    "lease_namespace",
    "pod_namespace",
    "lease_owner",
    "lease_identity",
    "lease_duration",
    "lease_renew_deadline",
    "lease_retry_period",
    "probes_host",
    "probes_port",
    "metrics_port",
    "runbook_url",
}
# Parts of Kubernetes objects: their comment stands above the whole.
WHOLE = {"resources", "podSecurityContext", "securityContext"}
MAPS = {
    *("commonLabels", "podLabels", "podAnnotations", "nodeSelector", "annotations", "labels", "affinity"),
    *("requests", "limits"),
}
# Only the API server knows what these hold.
FREE_TEXT = {"stringMap", "quantities", "kubernetes"}


def snake(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", name).lower()


def objects(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each schema of an object with its path; where it refers to another, that stands among `$defs`."""
    for name, part in schema.get("$defs", {}).items():
        yield from objects(part, f"#{name}")
    if schema.get("type") == "object":
        yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from objects(part, f"{path}.{name}")
    if "items" in schema:
        yield from objects(schema["items"], f"{path}[]")


def test_the_defaults_fit_the_schema(schema: dict[str, Any], values: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(values)


def test_no_object_takes_unknown_keys(schema: dict[str, Any]) -> None:
    open_ones = [path for path, part in objects(schema) if part.get("additionalProperties") is not False]
    # A parent chart's `global`, and what only the API server knows.
    assert set(open_ones) == {".global", *(f"#{name}" for name in FREE_TEXT)}


def merged(values: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Values over the defaults, as Helm merges them."""
    inner = {name: merged(values[name], part) for name, part in change.items() if isinstance(part, dict)}
    return {**values, **change, **inner}


def mappings(values: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(values, dict):
        yield path
        for name, value in values.items():
            yield from mappings(value, (*path, name))


def test_a_typo_is_rejected_wherever_it_is_made(schema: dict[str, Any], values: dict[str, Any]) -> None:
    validator = Draft202012Validator(schema)
    places = [path for path in mappings(values) if not path or path[-1] not in MAPS - {"affinity"}]
    assert len(places) > 10
    for path in places:
        wrong = copy.deepcopy(values)
        place = wrong
        for name in path:
            place = place[name]
        place["typpo"] = "x"
        with pytest.raises(ValidationError, match="typpo"):
            validator.validate(wrong)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"replicas": "2"}, "is not of type 'integer'"),
        ({"replicas": 2, "leaderElection": {"enabled": False}}, "greater than the maximum of 1"),
        ({"watchNamespaces": ["Team_A"]}, "does not match"),
        ({"watchNamespaces": ["a", "a"]}, "non-unique"),
        ({"image": {"pullPolicy": "ifNotPresent"}}, "is not one of"),
        ({"image": {"digest": "sha256:abc"}}, "does not match"),
        ({"settings": {"workers": 0}}, "less than the minimum"),
        ({"settings": {"logLevel": "TRACE"}}, "is not one of"),
        ({"podDisruptionBudget": {"maxUnavailable": "half"}}, "is not valid under any"),
        ({"metrics": {"serviceMonitor": {"enabled": True}, "service": {"enabled": False}}}, "True was expected"),
        ({"metrics": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}}, "False was expected"),
        ({"metrics": {"serviceMonitor": {"interval": "often"}}}, "does not match"),
        ({"metrics": {"models": {"podMonitor": {"interval": "often"}}}}, "does not match"),
        ({"metrics": {"podMonitor": {"interval": "1s1m"}}}, "does not match"),
        ({"metrics": {"podMonitor": {"scrapeTimeout": "1s1s"}}}, "does not match"),
        ({"metrics": {"podMonitor": {"scrapeTimeout": ""}}}, "is too short|non-empty"),
        ({"networkPolicy": {"apiServerPorts": []}}, "should be non-empty"),
    ],
)
def test_a_wrong_value_is_rejected(
    schema: dict[str, Any], values: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        Draft202012Validator(schema).validate(merged(values, change))


def defaults(values: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of each value, but for keys of maps and of parts of Kubernetes objects."""
    for name, value in values.items():
        yield (*path, name)
        if isinstance(value, dict) and name not in WHOLE | MAPS:
            yield from defaults(value, (*path, name))


def test_a_value_that_null_removes_is_rejected(schema: dict[str, Any], values: dict[str, Any]) -> None:
    """Helm removes what is null: without ports, for example, a rule of a NetworkPolicy admits everything."""
    validator, paths = Draft202012Validator(schema), list(defaults(values))
    assert ("networkPolicy", "apiServerPorts") in paths
    assert len(paths) > 60
    for *path, name in paths:
        without = copy.deepcopy(values)
        place = without
        for step in path:
            place = place[step]
        del place[name]
        assert [error.message for error in validator.iter_errors(without)] == [f"{name!r} is a required property"]


def test_null_removes_keys_of_security_contexts(schema: dict[str, Any], values: dict[str, Any]) -> None:
    values = copy.deepcopy(values)
    del values["podSecurityContext"]["runAsUser"], values["securityContext"]["capabilities"]
    Draft202012Validator(schema).validate(values)


def test_each_value_of_the_schema_has_a_default(schema: dict[str, Any], values: dict[str, Any]) -> None:
    def compare(part: dict[str, Any], given: dict[str, Any], path: str) -> Iterator[str]:
        for name, found in part["properties"].items():
            inner = schema["$defs"][found["$ref"].rpartition("/")[2]] if "$ref" in found else found
            if name not in given:
                yield f"{path}{name}"
            elif "properties" in inner and name not in WHOLE | {"affinity"}:
                yield from compare(inner, given[name], f"{path}{name}.")

    assert list(compare(schema, values, "")) == ["global"]


def test_each_value_is_documented(chart: Path) -> None:
    text = (chart / "values.yaml").read_text()
    lines = text.splitlines()

    def undocumented(node: yaml.MappingNode, path: str) -> Iterator[str]:
        for key, value in node.value:
            above = lines[key.start_mark.line - 1].strip()
            described = above.startswith("#")
            group = (
                isinstance(value, yaml.MappingNode)
                and value.value
                and key.value not in WHOLE | {"labels", "annotations"}
            )
            if group:
                yield from undocumented(value, f"{path}{key.value}.")
            elif not described:
                yield f"{path}{key.value}"

    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)
    assert list(undocumented(root, "")) == []


def test_settings_are_the_operators_own_with_its_defaults(values: dict[str, Any]) -> None:
    given = {snake(name): value for name, value in values["settings"].items()}
    fields = Settings.model_fields
    assert set(given) == set(fields) - NOT_AMONG_SETTINGS
    assert given == {name: fields[name].default for name in given}


def test_the_runbook_is_the_operators_own_by_default(values: dict[str, Any]) -> None:
    assert values["runbookUrl"] == Settings.model_fields["runbook_url"].default


def test_leader_election_has_the_operators_defaults(values: dict[str, Any]) -> None:
    given, fields = values["leaderElection"], Settings.model_fields
    assert given == {
        "enabled": fields["leader_election"].default,
        "leaseDuration": fields["lease_duration"].default,
        "renewDeadline": fields["lease_renew_deadline"].default,
        "retryPeriod": fields["lease_retry_period"].default,
    }
