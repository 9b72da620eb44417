"""Print docs/reference.md: every field of both kinds, from the CustomResourceDefinitions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cetacean_operator.api.crd import APPROVAL_COLUMNS, COLUMNS, approval_crd, crd
from cetacean_tools.pages.markdown import code, head, number, table

Schema = Mapping[str, Any]
RULES: Final = "x-kubernetes-validations"
FIELDS: Final = ("Field", "Type", "Default", "Bounds", "Meaning")


def document() -> str:
    """Return the content of the page."""
    found = crd()["spec"]
    version, names = found["versions"][0], found["names"]
    schema = version["schema"]["openAPIV3Schema"]["properties"]
    intro = head(
        "reference",
        group=found["group"],
        version=version["name"],
        kind=names["kind"],
        plural=names["plural"],
        singular=names["singular"],
        short=names["shortNames"][0],
    )
    sections = [*_sections("spec", schema["spec"]), _section("status", schema["status"])]
    approval = approval_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    sections += [_columns(COLUMNS), _section("modelapproval.spec", approval["spec"])]
    return "\n".join([intro, *sections, _columns(APPROVAL_COLUMNS, " modelapprovals")])


def _sections(path: str, schema: Schema) -> Iterator[str]:
    """Yield one section for each field of spec: all of them are objects."""
    for name, child in schema["properties"].items():
        yield _section(f"{path}.{name}", child, required=name in schema.get("required", ()))


def _section(path: str, schema: Schema, *, required: bool = False) -> str:
    lines = [f"## {path}\n", f"{schema['description']}{' Required.' if required else ''}\n"]
    lines.append(table(FIELDS, _rows(schema, "")))
    if rules := list(_rules(schema, path)):
        lines.append("Rules:\n\n" + "".join(f"- {rule}\n" for rule in rules))
    return "\n".join(lines)


def _rows(schema: Schema, prefix: str) -> Iterator[tuple[str, ...]]:
    for name, child in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        shown = f"**{code(path)}**" if name in schema.get("required", ()) else code(path)
        yield shown, _type(child), _default(child), _bounds(child), child.get("description", "")
        yield from _rows(child, f"{path}.")
        yield from _rows(_items(child), f"{path}[].")


def _items(schema: Schema) -> Schema:
    items: Schema = schema.get("items", {})
    return items


def _type(schema: Schema) -> str:
    kind = schema.get("type", "integer or string")
    if kind == "array":
        kind = f"array of {_items(schema)['type']}s"
    if "additionalProperties" in schema:
        kind = f"map of {schema['additionalProperties']['type']}s"
    return f"{kind}, *null*" if schema.get("nullable") else str(kind)


def _default(schema: Schema) -> str:
    if "default" not in schema:
        return ""
    default = schema["default"]
    # That of an object is made of its fields'.
    return "" if isinstance(default, dict) else code(json.dumps(default).strip('"'))


def _bounds(schema: Schema) -> str:
    lowest = ">" if schema.get("exclusiveMinimum") else "≥"
    found = [
        (lowest, schema.get("minimum"), ""),
        ("≤", schema.get("maximum"), ""),
        ("≥", schema.get("minItems"), " items"),
        ("≤", schema.get("maxItems"), " items"),
        ("≤", schema.get("maxProperties"), " keys"),
        ("≤", schema.get("maxLength") if "enum" not in schema else None, " characters"),
    ]
    found_bounds = [f"{sign} {number(value)}{unit}" for sign, value, unit in found if value is not None]
    if "type" in schema and "pattern" in schema:
        found_bounds.append(code(schema["pattern"]))
    return ", ".join([*(code(value) for value in schema.get("enum", ())), *found_bounds])


def _rules(schema: Schema, path: str) -> Iterator[str]:
    """Yield the messages of the CEL rules."""
    for rule in schema.get(RULES, ()):
        yield f"{code(path + rule.get('fieldPath', ''))}: {rule['message']}"
    for name, child in schema.get("properties", {}).items():
        yield from _rules(child, f"{path}.{name}")
    if items := _items(schema):
        yield from _rules(items, f"{path}[]")


def _columns(columns: list[dict[str, Any]], kind: str = "") -> str:
    rows = (
        (
            column["name"],
            code(column["jsonPath"]),
            column.get("description", ""),
            "wide" if "priority" in column else "",
        )
        for column in columns
    )
    return f"## Columns of kubectl get{kind}\n\n" + table(("Column", "Path", "Meaning", "Shown"), rows)


if __name__ == "__main__":
    print(document(), end="")
