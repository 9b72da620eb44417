"""The CetaceanModel that mirrors a registry file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cetacean_registry.metrics import MetricsSnapshot
from cetacean_registry.policy import GatePolicy
from cetacean_registry.registry import ModelEntry, Registry

API_VERSION = "ecomarineai.org/v1alpha1"
KIND = "CetaceanModel"


def to_manifest(
    registry: Registry,
    snapshots: Mapping[str, MetricsSnapshot],
    *,
    name: str,
    serving: Mapping[str, Any],
    anti_fraud: Mapping[str, Any] | None = None,
    gates: GatePolicy | None = None,
    drift: Mapping[str, Any] | None = None,
    namespace: str | None = None,
) -> dict[str, Any]:
    """Build a CetaceanModel manifest that mirrors the registry one to one.

    Keys that the resource's schema does not know are left out, as kubectl rejects unknown fields.

    Args:
        registry: the registry file.
        snapshots: metrics snapshots by model name (`load_snapshots`).
        name: the resource's name, which the Deployment and the Service have too.
        serving: `spec.serving` in the resource's camelCase, e.g. `{"image": "…", "replicas": 2}`.
        anti_fraud: `spec.antiFraud`, e.g. `{"threshold": 0.52}`.
        gates: `spec.gates`.
        drift: `spec.drift`.
        namespace: the resource's namespace.

    Returns:
        A manifest ready for `kubectl apply`.
    """
    spec: dict[str, Any] = {
        "registry": {
            "schemaVersion": registry.schema_version,
            "active": registry.active,
            "models": [_mirror(entry, snapshots.get(entry.name)) for entry in registry.models],
        },
        "serving": dict(serving),
    }
    if anti_fraud is not None:
        spec["antiFraud"] = dict(anti_fraud)
    if gates is not None:
        spec["gates"] = gates.model_dump(by_alias=True, exclude_none=True)
    if drift is not None:
        spec["drift"] = dict(drift)
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}


def _mirror(entry: ModelEntry, snapshot: MetricsSnapshot | None) -> dict[str, Any]:
    known = set(ModelEntry.model_fields)
    mirrored = entry.model_dump(by_alias=True, exclude_none=True, include=known)
    if snapshot is not None:
        mirrored["metrics"] = snapshot.metrics.model_dump(mode="json", by_alias=True, exclude_none=True)
    return mirrored
