"""`spec.serving.route`: the HTTPRoute (Gateway API) by which clients outside of the cluster reach the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from cetacean_operator.api.base import ATOMIC, ApiModel, rules

GATEWAY_GROUP: Final = "gateway.networking.k8s.io"
_HOSTNAME = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_PATH = r"^/[-A-Za-z0-9._~/]*$"
_DURATION = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"
_DEFAULTS: Final[Mapping[str, object]] = {
    "group": GATEWAY_GROUP,
    "kind": "Gateway",
    "namespace": "",
    "sectionName": "",
    "port": 0,
}
"""Of the optional fields that distinguish one parent from another."""
# CEL reserves `namespace`. The rule ignores defaults and compares no `has()` with another: the API server must know how
# long what it compares can be, or the rule counts as too expensive. The validator knows the defaults.
_SAME = " && ".join(
    ["a.name == b.name"]
    + [
        f"(has(a.{name}) ? has(b.{name}) && a.{name} == b.{name} : !has(b.{name}))"
        for name in ("group", "kind", "__namespace__", "sectionName", "port")
    ]
)
_ONCE = "expected each entry once"
_EACH_PARENT_ONCE = (f"self.all(a, self.exists_one(b, {_SAME}))", _ONCE)
_SET: Final = {"x-kubernetes-list-type": "set"}


class ParentReference(ApiModel):
    """A ParentReference of the Gateway API: a Gateway, or one of its listeners."""

    group: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description=f"API group; {GATEWAY_GROUP} if unset."
    )
    kind: Annotated[str, Field(min_length=1, max_length=63)] | None = Field(
        default=None, description="Kind; Gateway if unset."
    )
    namespace: Annotated[str, Field(min_length=1, max_length=63)] | None = Field(
        default=None, description="The resource's own if unset. A Gateway of another one must allow its routes."
    )
    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="Name of the Gateway.")
    section_name: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        default=None, description="Name of a listener; all listeners that match if unset."
    )
    port: int | None = Field(default=None, ge=1, le=65535, description="Port of the listeners; any if unset.")


class Route(ApiModel):
    """An HTTPRoute N for the Service N, if the cluster serves the Gateway API."""

    parent_refs: Annotated[
        tuple[ParentReference, ...],
        Field(min_length=1, max_length=8, json_schema_extra=ATOMIC | rules(_EACH_PARENT_ONCE)),
    ] = Field(description="The Gateways or listeners that the route attaches to.")
    hostnames: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=253, pattern=_HOSTNAME)], ...],
        Field(max_length=16, json_schema_extra=_SET),
    ] = Field(
        default=(),
        description="Names in the Host header; `*.` stands for any subdomain. All that the listener takes if unset.",
    )
    paths: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=256, pattern=_PATH)], ...],
        Field(max_length=16, json_schema_extra=_SET),
    ] = Field(
        default=(),
        description="Prefixes of the paths that clients may reach; if unset, predictions, feedback and health. "
        "`/` also exposes metrics and what pods report to the operator.",
    )
    request_timeout: Annotated[str, Field(max_length=32, pattern=_DURATION)] | None = Field(
        default=None, description="Time for a whole request, such as 120s; the gateway's default if unset."
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        parents = [parent_key(parent.wire()) for parent in self.parent_refs]
        for name, entries in (("parentRefs", parents), ("hostnames", self.hostnames), ("paths", self.paths)):
            if len(set(entries)) != len(entries):
                raise ValueError(f"{name}: {_ONCE}")
        return self


def parent_key(reference: Mapping[str, object], namespace: str | None = None) -> tuple[object, ...]:
    """Return what distinguishes a ParentReference from others, with the Gateway API's defaults of unset fields.

    Args:
        reference: a ParentReference as it is on the wire.
        namespace: of the route, the default of the parent's; if None, an unset one differs from every other.
    """
    defaults = _DEFAULTS if namespace is None else {**_DEFAULTS, "namespace": namespace}
    return (reference.get("name"), *(reference.get(name, default) for name, default in defaults.items()))
