"""`spec.serving.service`: the type, the annotations and more ports of the Service."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from cetacean_operator.api.base import ApiModel, ShortMap, list_map, rules
from cetacean_operator.api.names import GROUP, PORT_NAME, SERVICE_PORT

OWN_KEYS: Final = (
    f"self.all(key, !key.startsWith('{GROUP}/') && !key.startsWith('app.kubernetes.io/'))",
    f"keys under {GROUP}/ and app.kubernetes.io/ are the operator's",
)


class ExtraServicePort(ApiModel):
    """A ServicePort that leads to a sidecar."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "x-kubernetes-preserve-unknown-fields": True,
            **rules(
                (
                    f"self.port != {SERVICE_PORT} && self.name != '{PORT_NAME}'",
                    f"port {SERVICE_PORT}, named {PORT_NAME}, leads to the service: expected another port and name",
                )
            ),
        },
    )

    name: Annotated[str, Field(min_length=1, max_length=63)] = Field(description="Name of the port.")
    port: int = Field(ge=1, le=65535, description="Number of the port; targetPort is the same if it is absent.")

    @model_validator(mode="after")
    def _is_free(self) -> Self:
        if self.port == SERVICE_PORT or self.name == PORT_NAME:
            raise ValueError(
                f"port {SERVICE_PORT}, named {PORT_NAME}, leads to the service: expected another port and name"
            )
        return self


class ServiceFields(ApiModel):
    """The Service that has the resource's name."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] | None = Field(
        default=None, description="Type of the Service; if unset ClusterIP."
    )
    annotations: Annotated[ShortMap, Field(json_schema_extra=rules(OWN_KEYS))] | None = Field(
        default=None, description="Annotations of the Service."
    )
    ports: Annotated[tuple[ExtraServicePort, ...], Field(max_length=16, json_schema_extra=list_map("name"))] = Field(
        default=(), description="More ports, which lead to sidecars."
    )
