"""The base of all types of the resource, and schema extensions of Kubernetes that pydantic does not have."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

VALIDATIONS = "x-kubernetes-validations"
_QUANTITY = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)


class ApiModel(BaseModel):
    """camelCase on the wire; fields of a newer version of the resource are ignored."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        protected_namespaces=(),
    )

    def wire(self) -> dict[str, Any]:
        """Return JSON-like data as Kubernetes has it: camelCase, without null fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def rules(*pairs: tuple[str, str] | tuple[str, str, str]) -> dict[str, Any]:
    """Build CEL rules for `json_schema_extra`.

    Args:
        pairs: rule and message, and the path of the faulty field, such as `.active`, if there is one.
    """
    return {
        VALIDATIONS: [
            {"rule": rule, "message": message, **({"fieldPath": path[0]} if path else {})}
            for rule, message, *path in pairs
        ]
    }


def list_map(*keys: str) -> dict[str, Any]:
    """Make a list a map by `keys`: the API server rejects duplicates and merges entry by entry."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def filled(part: BaseModel) -> dict[str, Any]:
    """Make a part the default of its field: the API server fills it in, so that people see the values in use."""
    return {"default": part.model_dump(mode="json", by_alias=True, exclude_none=True)}


ATOMIC: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}

Passthrough = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]
"""A part of a pod's spec that is copied as it is; the API server validates it in the Deployment."""
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
Finite = Annotated[float, Field(allow_inf_nan=False)]
"""JSON has no other numbers; a text such as `NaN`, or 1e999, would become one."""
