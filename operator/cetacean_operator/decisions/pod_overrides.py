"""The parts of a pod that `spec.serving` adds, and the defaults that it replaces.

Nothing here changes a pod whose spec has none of these fields: its template stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cetacean_operator.api import names
from cetacean_operator.api.pod_fields import ExtraContainer, wire_all
from cetacean_operator.api.serving import Serving

RESTRICTED: Final[Mapping[str, Any]] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
"""What the `restricted` Pod Security standard asks of each container."""


def with_overrides(pod: Mapping[str, Any], serving: Serving) -> dict[str, Any]:
    """Return the spec of a pod of the service, with all that `spec.serving` adds or replaces.

    Args:
        pod: the spec with the operator's own containers and volumes.
        serving: the fields.
    """
    found = with_shared_overrides(pod, serving)
    found["containers"] = [
        *(_with_lifecycle(container, serving) for container in found["containers"]),
        *_extra(serving.sidecars),
    ]
    return found


def with_shared_overrides(pod: Mapping[str, Any], serving: Serving) -> dict[str, Any]:
    """Return the spec of a pod with what every pod gets: all but sidecars, which never end, and the lifecycle."""
    found = {**pod, "securityContext": replaced(pod["securityContext"], serving.pod_security_context)}
    for kind in ("initContainers", "containers"):
        if kind in pod:
            found[kind] = [_with_mounts(container, serving) for container in pod[kind]]
    if serving.extra_init_containers:
        found["initContainers"] = [*_extra(serving.extra_init_containers), *found.get("initContainers", ())]
    if serving.volumes:
        found["volumes"] = [*pod["volumes"], *wire_all(serving.volumes)]
    if serving.host_aliases:
        found["hostAliases"] = list(serving.host_aliases)
    if serving.dns_config:
        found["dnsConfig"] = serving.dns_config
    return found


def replaced(defaults: Mapping[str, Any], overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the defaults with keys replaced; null removes a key."""
    merged = {**defaults, **(overrides or {})}
    return {key: value for key, value in merged.items() if value is not None}


def _with_mounts(container: Mapping[str, Any], serving: Serving) -> dict[str, Any]:
    return {
        **container,
        "securityContext": replaced(container["securityContext"], serving.security_context),
        "volumeMounts": [*container["volumeMounts"], *wire_all(serving.volume_mounts)],
    }


def _with_lifecycle(container: Mapping[str, Any], serving: Serving) -> dict[str, Any]:
    if container["name"] != names.CONTAINER or serving.lifecycle is None:
        return dict(container)
    lifecycle = replaced(container.get("lifecycle", {}), serving.lifecycle)
    rest = {key: value for key, value in container.items() if key != "lifecycle"}
    return rest | ({"lifecycle": lifecycle} if lifecycle else {})


def _extra(containers: tuple[ExtraContainer, ...]) -> list[dict[str, Any]]:
    """Return containers that satisfy the `restricted` standard unless they say otherwise."""
    return [
        {**container.wire(), "securityContext": replaced(RESTRICTED, container.security_context)}
        for container in containers
    ]
