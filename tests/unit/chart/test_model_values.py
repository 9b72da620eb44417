"""The values of the chart for one model are the resource's spec, under the CRD's own schema."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError

from cetacean_tools.pages.model_chart_schema import converted, schema

REPOSITORY = Path(__file__).resolve().parents[3]
CHART = REPOSITORY / "charts/cetacean-model"
EXAMPLES = sorted((REPOSITORY / "examples").glob("*.yaml"))
# What the operator hands on as it is; only the API server knows what it holds.
HANDED_ON = {"resources", "tolerations", "topologySpreadConstraints", "ingressFrom", "requests", "limits"}
MAPS = {"nodeSelector", "podLabels", "podAnnotations", "labels", "annotations"}


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    written = json.loads((CHART / "values.schema.json").read_text())
    Draft202012Validator.check_schema(written)
    return Draft202012Validator(written)


def example(name: str) -> dict[str, Any]:
    return {"spec": yaml.safe_load((REPOSITORY / f"examples/{name}.yaml").read_text())["spec"]}


def places(values: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each mapping whose keys are known."""
    if HANDED_ON & set(path) or (path and path[-1] in MAPS):
        return
    if isinstance(values, dict):
        yield path
        for name, value in values.items():
            yield from places(value, (*path, name))
    elif isinstance(values, list):
        for index, value in enumerate(values):
            yield from places(value, (*path, index))


def test_the_schema_is_not_stale() -> None:
    written = (CHART / "values.schema.json").read_text(encoding="utf-8")
    assert written == json.dumps(schema(), indent=2, ensure_ascii=False) + "\n", "run `make crd`"


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: str(file.stem))
def test_every_example_is_accepted(validator: Draft202012Validator, file: Path) -> None:
    validator.validate(example(file.stem))


def test_a_typo_is_rejected_at_any_depth(validator: Draft202012Validator) -> None:
    values = {"labels": {}, "annotations": {}, **example("full")}
    found = [path for path in places(values) if path not in (("labels",), ("annotations",))]
    assert len(found) > 15
    for path in found:
        wrong = copy.deepcopy(values)
        place: Any = wrong
        for step in path:
            place = place[step]
        place["typpo"] = "x"
        with pytest.raises(ValidationError, match="typpo"):
            validator.validate(wrong)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"serving": {"replicas": "3"}}, "is not of type 'integer'"),
        ({"serving": {"image": ""}}, "should be non-empty|is too short"),
        ({"drift": {"alarmDrop": 0}}, "less than or equal to the minimum"),
        ({"drift": {"onAlarm": "rollback"}}, "is not one of"),
        ({"antiFraud": {"threshold": 1.5}}, "greater than the maximum"),
        ({"registry": {"active": "-a"}}, "does not match"),
        ({"serving": {"weightsCache": {"sizeLimit": "4 GiB"}}}, "does not match"),
        ({"serving": {"nodeSelector": {"a": 1}}}, "is not of type 'string'"),
    ],
    ids=str,
)
def test_a_wrong_value_is_rejected(validator: Draft202012Validator, change: dict[str, Any], message: str) -> None:
    values = example("full")
    for part, inner in change.items():
        values["spec"][part] |= inner
    with pytest.raises(ValidationError, match=message):
        validator.validate(values)


def test_a_model_is_required(validator: Draft202012Validator) -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    with pytest.raises(ValidationError, match="'registry' is a required property"):
        validator.validate(defaults)


def test_a_nullable_field_of_the_resource_is_nullable_here(validator: Draft202012Validator) -> None:
    values = example("full")
    values["spec"]["registry"]["models"][0]["sha256"] = None
    values["spec"]["serving"]["podDisruptionBudget"]["minAvailable"] = None
    validator.validate(values)
    values["spec"]["registry"]["active"] = None
    with pytest.raises(ValidationError, match="None is not of type 'string'"):
        validator.validate(values)


@pytest.mark.parametrize(
    ("structural", "expected"),
    [
        ({"type": "integer", "format": "int32", "nullable": True}, {"type": ["integer", "null"]}),
        ({"type": "string", "enum": ["a"], "nullable": True}, {"type": ["string", "null"], "enum": ["a", None]}),
        ({"type": "number", "minimum": 0, "exclusiveMinimum": True}, {"type": "number", "exclusiveMinimum": 0}),
        (
            {"type": "string", "x-kubernetes-validations": [{"rule": "self.matches(r'^a$')", "message": "a"}]},
            {"type": "string", "pattern": "^a$"},
        ),
        (
            {"anyOf": [{"type": "integer"}], "x-kubernetes-int-or-string": True, "nullable": True},
            {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        ),
        ({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, {"type": "object"}),
        (
            {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}},
            {
                "type": "array",
                "items": {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
            },
        ),
    ],
    ids=["nullable", "enum", "bound", "pattern", "int-or-string", "free", "items"],
)
def test_openapi_keywords_become_json_schema(structural: dict[str, Any], expected: dict[str, Any]) -> None:
    assert converted(structural) == expected


def test_each_value_is_documented() -> None:
    values = (CHART / "values.yaml").read_text()
    rows = re.findall(r"^\| `(\w+)` \|", (CHART / "README.md").read_text(), flags=re.MULTILINE)
    known = set(schema()["properties"]) - {"global"}
    assert set(rows) == known == set(yaml.safe_load(values))
    assert all(re.search(rf"^# -- .*(\n#.*)*\n{name}:", values, flags=re.MULTILINE) for name in known)
