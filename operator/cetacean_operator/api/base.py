"""What all types of the resource share, and how their schema says what pydantic cannot."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

VALIDATIONS = "x-kubernetes-validations"
_QUANTITY = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)


class ApiModel(BaseModel):
    """camelCase on the wire; what a newer version of the resource adds is ignored."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        protected_namespaces=(),
    )

    def wire(self) -> dict[str, Any]:
        """Return JSON-like data as Kubernetes has it: camelCase, without what is null."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def rules(*pairs: tuple[str, str] | tuple[str, str, str]) -> dict[str, Any]:
    """Build CEL rules for `json_schema_extra`.

    Args:
        pairs: rule and message, and where the fault lies in one field of several, its path such as `.active`.
    """
    return {
        VALIDATIONS: [
            {"rule": rule, "message": message, **({"fieldPath": path[0]} if path else {})}
            for rule, message, *path in pairs
        ]
    }


def list_map(*keys: str) -> dict[str, Any]:
    """Make a list a map by `keys`: the API server refuses duplicates and merges entry by entry."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


ATOMIC: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}

Passthrough = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]
"""Part of a pod's spec, handed on as it is; the Deployment's own validation judges it."""
Passthroughs = Annotated[tuple[Passthrough, ...], Field(max_length=64, json_schema_extra=ATOMIC)]
Quantity = Annotated[
    str | int,
    WithJsonSchema(
        {"anyOf": [{"type": "integer"}, {"type": "string"}], "pattern": _QUANTITY, "x-kubernetes-int-or-string": True}
    ),
]
IntOrPercent = Annotated[
    int | str,
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}),
]
ShortString = Annotated[str, Field(max_length=253)]
ShortMap = Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=64)]
Timestamp = Annotated[str, Field(max_length=64)]
