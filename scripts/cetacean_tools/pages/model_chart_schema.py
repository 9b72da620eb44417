"""Print charts/cetacean-model/values.schema.json: the CRD's schema of `spec` as JSON Schema without unknown fields."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from cetacean_operator.api.crd import crd

Schema = Mapping[str, Any]
RULES: Final = "x-kubernetes-validations"
_MATCHES: Final = re.compile(r"self\.matches\(r'(?P<pattern>.*)'\)")
_STRINGS: Final = {"type": "object", "additionalProperties": {"type": "string"}}


def schema() -> dict[str, Any]:
    """Return the schema of the chart's values."""
    described = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the cetacean-model chart",
        "description": "Written by `make crd` from the CRD; do not edit.",
        "type": "object",
        "additionalProperties": False,
        "required": ["spec"],
        "properties": {
            "global": {"type": "object", "description": "What a parent chart hands to all its charts; not read here."},
            "name": {"type": "string", "maxLength": 63, "description": "Of the resource; empty: the release's name."},
            "labels": {**_STRINGS, "description": "More labels of the resource."},
            "annotations": {**_STRINGS, "description": "Annotations of the resource."},
            "spec": converted(described),
        },
    }


def converted(node: Schema) -> dict[str, Any]:
    """Return a structural schema as JSON Schema.

    Unknown fields, which the API server would prune, are errors: they are typos. CEL rules about one string become
    patterns; the API server checks the others.
    """
    kept = {key: value for key, value in node.items() if not key.startswith("x-kubernetes-") and key != "format"}
    if kept.pop("nullable", False):
        if "anyOf" in kept:
            kept["anyOf"] = [*kept["anyOf"], {"type": "null"}]
        else:
            kept["type"] = [kept["type"], "null"]
        if "enum" in kept:
            kept["enum"] = [*kept["enum"], None]
    for bound in ("Minimum", "Maximum"):
        # OpenAPI 3.0 has a flag there, JSON Schema a number.
        if kept.pop(f"exclusive{bound}", False):
            kept[f"exclusive{bound}"] = kept.pop(bound.lower())
    patterns = [found["pattern"] for rule in node.get(RULES, ()) if (found := _MATCHES.fullmatch(rule["rule"]))]
    if patterns:
        (kept["pattern"],) = patterns
    if "properties" in kept:
        kept["properties"] = {name: converted(child) for name, child in kept["properties"].items()}
        kept["additionalProperties"] = bool(node.get("x-kubernetes-preserve-unknown-fields"))
    for key in ("items", "additionalProperties"):
        if isinstance(kept.get(key), dict):
            kept[key] = converted(kept[key])
    return kept


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2, ensure_ascii=False))
