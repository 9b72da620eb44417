"""Volumes, mounts and containers that `spec.serving` adds to the pods as they are; reserved names are refused.

The API server validates the rest of them in the Deployment.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Self

from pydantic import ConfigDict, Field, model_validator

from cetacean_operator.api.base import ApiModel, Passthrough, ShortString, list_map, rules
from cetacean_operator.api.names import CONTAINER, INIT_CONTAINER, PORT, PORT_NAME

CONTAINERS: Final = (INIT_CONTAINER, CONTAINER)
VOLUMES: Final = ("weights", "monitoring", "tmp", "ca-bundle", "signature")
RESERVED_PREFIXES: Final = ("cetacean-", "weights-")
"""Of names of containers and volumes: the operator may add some."""
_OWN_PATHS: Final = "^(/tmp/*|/(var/cache/cetacean|etc/cetacean|mnt/weights)(/.*)?)$"
_OPEN: Final = {"x-kubernetes-preserve-unknown-fields": True}
_Name = Annotated[str, Field(min_length=1, max_length=63)]
Overrides = Passthrough
"""Fields that replace defaults key by key; null removes a default."""


def _free_name(reserved: tuple[str, ...]) -> str:
    names = ", ".join(f"'{name}'" for name in reserved)
    prefixes = (f"!self.name.startsWith('{prefix}')" for prefix in RESERVED_PREFIXES)
    return " && ".join((f"!(self.name in [{names}])", *prefixes))


def _open(*pairs: tuple[str, str] | tuple[str, str, str]) -> ConfigDict:
    """Return the configuration of a part with rules, whose other fields are kept."""
    return ConfigDict(extra="allow", json_schema_extra={**_OPEN, **(rules(*pairs) if pairs else {})})


def _is_reserved(name: str, reserved: tuple[str, ...]) -> bool:
    return name in reserved or name.startswith(RESERVED_PREFIXES)


class ExtraVolume(ApiModel):
    """A Volume of the pods."""

    model_config = _open((_free_name(VOLUMES), "is a volume of the operator: expected another name", ".name"))

    name: _Name = Field(description="Any name but those of the operator's volumes.")

    @model_validator(mode="after")
    def _has_a_free_name(self) -> Self:
        if _is_reserved(self.name, VOLUMES):
            raise ValueError(f"name: {self.name} is a volume of the operator: expected another name")
        return self


class ExtraVolumeMount(ApiModel):
    """A VolumeMount of both containers."""

    model_config = _open(
        (f"!self.mountPath.matches('{_OWN_PATHS}')", "is a mount of the operator: expected another path", ".mountPath")
    )

    name: _Name = Field(description="Name of one of spec.serving.volumes.")
    mount_path: Annotated[str, Field(min_length=1, max_length=1024)] = Field(
        description="Path in the container; not /tmp, nor a path in /var/cache/cetacean, /etc/cetacean or /mnt/weights."
    )

    @model_validator(mode="after")
    def _has_a_free_path(self) -> Self:
        if re.match(_OWN_PATHS, self.mount_path):
            raise ValueError(f"mountPath: {self.mount_path} is a mount of the operator: expected another path")
        return self


class ExtraContainerPort(ApiModel):
    """A ContainerPort of a container that is added."""

    model_config = _open(
        (
            f"self.containerPort != {PORT} && (!has(self.name) || self.name != '{PORT_NAME}')",
            f"the service listens on {PORT}, named {PORT_NAME}: expected another port and name",
        )
    )

    name: ShortString | None = Field(default=None, description="Name of the port.")
    container_port: int = Field(ge=1, le=65535, description="Number of the port.")

    @model_validator(mode="after")
    def _is_free(self) -> Self:
        if self.container_port == PORT or self.name == PORT_NAME:
            raise ValueError(f"the service listens on {PORT}, named {PORT_NAME}: expected another port and name")
        return self


class ExtraContainer(ApiModel):
    """A Container that runs beside those of the operator, or before them."""

    model_config = _open((_free_name(CONTAINERS), "is a container of the operator: expected another name", ".name"))

    name: _Name = Field(description="Any name but those of the operator's containers.")
    ports: (
        Annotated[
            tuple[ExtraContainerPort, ...], Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "atomic"})
        ]
        | None
    ) = Field(default=None, description="Its ports.")
    security_context: Overrides | None = Field(
        default=None,
        description="SecurityContext: replaces the defaults, which are those of the `restricted` standard, key by key; "
        "null removes one.",
    )

    @model_validator(mode="after")
    def _has_a_free_name(self) -> Self:
        if _is_reserved(self.name, CONTAINERS):
            raise ValueError(f"name: {self.name} is a container of the operator: expected another name")
        return self


Volumes = Annotated[tuple[ExtraVolume, ...], Field(max_length=32, json_schema_extra=list_map("name"))]
VolumeMounts = Annotated[tuple[ExtraVolumeMount, ...], Field(max_length=32, json_schema_extra=list_map("mountPath"))]
Containers = Annotated[tuple[ExtraContainer, ...], Field(max_length=8, json_schema_extra=list_map("name"))]

POD_RULES: Final = (
    (
        (
            "!has(self.volumeMounts) || self.volumeMounts.all(mount, "
            "has(self.volumes) && self.volumes.exists(volume, volume.name == mount.name))"
        ),
        "each must name one of spec.serving.volumes",
        ".volumeMounts",
    ),
    (
        (
            "!has(self.sidecars) || !has(self.extraInitContainers) || "
            "self.sidecars.all(one, !self.extraInitContainers.exists(other, other.name == one.name))"
        ),
        "expected other names than those of extraInitContainers",
        ".sidecars",
    ),
)
"""CEL rules of `spec.serving` about several of these fields; `check_pod_fields` is the same."""


def check_pod_fields(
    volumes: tuple[ExtraVolume, ...],
    mounts: tuple[ExtraVolumeMount, ...],
    sidecars: tuple[ExtraContainer, ...],
    init_containers: tuple[ExtraContainer, ...],
) -> None:
    """Check that mounts name volumes and that containers have different names.

    Raises:
        ValueError: they do not.
    """
    if unknown := sorted({mount.name for mount in mounts} - {volume.name for volume in volumes}):
        raise ValueError(f"volumeMounts: each must name one of spec.serving.volumes, got {', '.join(unknown)}")
    if both := sorted({one.name for one in sidecars} & {one.name for one in init_containers}):
        raise ValueError(f"sidecars: expected other names than those of extraInitContainers, got {', '.join(both)}")


def wire_all(parts: tuple[ApiModel, ...]) -> list[dict[str, Any]]:
    """Return parts as Kubernetes has them."""
    return [part.wire() for part in parts]
