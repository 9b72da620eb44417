"""From pydantic's JSON schema to the structural schema that a CustomResourceDefinition needs."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from cetacean_operator.api.base import VALIDATIONS
from cetacean_registry.patterns import EXPECTATIONS

_LONGEST = 128
_DROPPED = ("title", "$defs", "const", "examples", "discriminator")


def structural(model: type[BaseModel], *, with_rules: bool = True) -> dict[str, Any]:
    """Return the schema without references, titles and unions; with CEL rules only if `with_rules`.

    `X | None` becomes `nullable`. A pattern that has a message for people becomes a CEL rule with this message.
    """
    schema = model.model_json_schema(by_alias=True, mode="validation")
    converted = _convert(schema, schema.get("$defs", {}))
    return converted if with_rules else without_rules(converted)


def without_rules(node: Any) -> Any:
    """Return a schema, or a part of one, without its CEL rules."""
    if isinstance(node, dict):
        return {key: without_rules(value) for key, value in node.items() if key != VALIDATIONS}
    return [without_rules(item) for item in node] if isinstance(node, list) else node


def _convert(node: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    node = _resolved(node, defs)
    if "anyOf" in node and not node.get("x-kubernetes-int-or-string"):
        node = _nullable(node, defs)
    _convert_keywords(node)
    if "properties" in node:
        node["properties"] = {name: _convert(child, defs) for name, child in node["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            node[key] = _convert(node[key], defs)
    if node.get("default", ...) is None or node.get("default", ...) == []:
        del node["default"]
    for key in _DROPPED:
        node.pop(key, None)
    return node


def _resolved(node: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of the node with its references replaced by what they refer to."""
    node = dict(node)
    while "$ref" in node:
        node = {**defs[node.pop("$ref").rsplit("/", 1)[-1]], **node}
    if len(both := node.get("allOf", ())) == 1:
        node = {**_convert(both[0], defs), **{key: value for key, value in node.items() if key != "allOf"}}
    return node


def _convert_keywords(node: dict[str, Any]) -> None:
    """Replace keywords of JSON Schema that OpenAPI 3.0 or structural schemas do not have."""
    if "const" in node:
        node["enum"] = [node["const"]]
    for bound in ("Minimum", "Maximum"):
        # JSON Schema has a number there, OpenAPI 3.0 a flag.
        if (value := node.get(f"exclusive{bound}")) is not None and not isinstance(value, bool):
            node[bound.lower()] = value
            node[f"exclusive{bound}"] = True
    if (message := EXPECTATIONS.get(node.get("pattern", ""))) is not None:
        rule = {"rule": f"self.matches(r'{node.pop('pattern')}')", "message": message}
        node[VALIDATIONS] = [*node.get(VALIDATIONS, ()), rule]
        node.setdefault("maxLength", _LONGEST)  # the API server estimates a rule's cost from it
    if isinstance(node.get("additionalProperties"), bool):
        del node["additionalProperties"]  # the API server prunes unknown fields
    node.pop("propertyNames", None)
    if node.get("type") == "integer" and "format" not in node:
        node["format"] = "int32" if abs(node.get("maximum", 2**31)) < 2**31 else "int64"


def _nullable(node: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    choices = [choice for choice in node["anyOf"] if choice.get("type") != "null"]
    if len(choices) != 1 or len(choices) == len(node["anyOf"]):
        raise TypeError(f"a structural schema has no unions but with null, got {node['anyOf']}")
    rest = {key: value for key, value in node.items() if key not in ("anyOf", "title")}
    return {**_convert(choices[0], defs), **rest, "nullable": True}
