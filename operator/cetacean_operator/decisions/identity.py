"""What a rollout is: which variables name it, its digests, and how to read it back from a live Deployment.

The pod template is the whole truth of what a pod serves, so a model that the registry has forgotten can still be
recognised and kept from the Deployment alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from cetacean_operator.api.names import CONTAINER
from cetacean_operator.api.spec import AntiFraud, Model
from cetacean_operator.api.status import ModelRef
from cetacean_registry import canonical_digest

UNVERIFIED = "unverified"
"""Stands for the digest of weights that the registry names none for."""
_MODEL, _GATE = "CETACEAN_MODEL__", "CETACEAN_GATE__"
_MODEL_FIELDS = (
    "name",
    "version",
    "architecture",
    "weights_url",
    "sha256",
    "backbone",
    "input_size",
    "embedding_size",
    "num_classes_head",
    "num_classes_active",
)
_GATE_FIELDS = ("architecture", "pretrained", "config_url", "weights_url", "sha256")


@dataclass(frozen=True, slots=True)
class Rollout:
    """One model under one configuration."""

    model: Model
    env: Mapping[str, str]
    """What identifies it to the pod, in a fixed order."""
    weights_digest: str
    config_digest: str
    id: str


def rollout_of(model: Model, anti_fraud: AntiFraud) -> Rollout:
    """Derive everything from the two; the same two always give the same."""
    named = _variables(_MODEL, _MODEL_FIELDS, model)
    gate = {f"{_GATE}THRESHOLD": repr(float(anti_fraud.threshold))}
    if anti_fraud.calibrated_at:
        gate[f"{_GATE}CALIBRATED_AT"] = anti_fraud.calibrated_at
    if anti_fraud.model:
        gate |= _variables(_GATE, _GATE_FIELDS, anti_fraud.model)
    weights = model.sha256 or UNVERIFIED
    config = canonical_digest({key: value for key, value in (named | gate).items() if key != f"{_MODEL}SHA256"})
    return Rollout(model, named | gate, weights, config, canonical_digest([weights, config])[:10])


def deployed_model(deployment: Mapping[str, Any] | None) -> Model | None:
    """Read the model out of a Deployment's pod template; None where there is none or it is not one of ours."""
    pod = ((deployment or {}).get("spec") or {}).get("template", {}).get("spec") or {}
    for container in pod.get("containers", ()):
        if container.get("name") != CONTAINER:
            continue
        env = {item["name"]: item.get("value") for item in container.get("env", ())}
        given = {field: env.get(_MODEL + field.upper()) for field in _MODEL_FIELDS}
        try:
            return Model.model_validate(
                {key: value for key, value in given.items() if value}, by_name=True, by_alias=False
            )
        except ValidationError:
            return None
    return None


def same_weights(one: Model, other: Model) -> bool:
    """Whether both name the same bytes: by digest, or by address where the registry has no digest."""
    if one.name != other.name or one.sha256 != other.sha256:
        return False
    return one.sha256 is not None or one.weights_url == other.weights_url


def reference(model: Model, digest: str | None = None) -> ModelRef:
    """Name a model; `digest` is what pods loaded where the registry has none."""
    return ModelRef(name=model.name, version=model.version, digest=model.sha256 or digest)


def label(model: Model) -> str:
    """Return name and version for people."""
    return f"{model.name} {model.version}"


def _variables(prefix: str, fields: tuple[str, ...], source: object) -> dict[str, str]:
    given = ((field, getattr(source, field)) for field in fields)
    return {prefix + field.upper(): str(value) for field, value in given if value is not None}
