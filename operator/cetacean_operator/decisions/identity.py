"""The identity of a rollout: the variables that name it, its digests, and how to read its model from a Deployment.

The pod template says all about what a pod serves. So a model that the registry has dropped can be recognised and kept
from the Deployment alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from pydantic.alias_generators import to_camel

from cetacean_operator.api.names import ANNOTATION_ROLLOUT_ID, CONTAINER
from cetacean_operator.api.spec import AntiFraud, Model
from cetacean_operator.api.status import ModelRef
from cetacean_registry.companions import COMPANION_FILES
from cetacean_registry.digests import canonical_digest
from cetacean_registry.registry import ModelEntry

UNVERIFIED = "unverified"
"""In place of the digest if the registry names none."""
_MODEL, _GATE = "CETACEAN_MODEL__", "CETACEAN_GATE__"
MODEL_FIELDS: Final = (
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
    "files",
    "signature_url",
)
"""Fields of a registry entry that pods get as variables; a new one restarts the pods of each model that has it."""
_DEFINITION_FIELDS: Final = tuple(
    field for field in MODEL_FIELDS if field not in ("name", "version", "weights_url", "sha256", "signature_url")
)
"""Those of them that decide what a model answers, beside its weights."""
_JSON_FIELDS: Final = frozenset({"files"})
"""Those of them whose variable is JSON."""
GATE_FIELDS: Final = (
    "architecture",
    "pretrained",
    "revision",
    "config_url",
    "config_sha256",
    "weights_url",
    "sha256",
)
"""Fields of spec.antiFraud.model that pods get as variables."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """One model under one configuration."""

    model: Model
    env: Mapping[str, str]
    """The variables that identify it to the pod, in a fixed order."""
    weights_digest: str
    config_digest: str
    id: str


def rollout_of(model: Model, anti_fraud: AntiFraud) -> Rollout:
    """Return the rollout of a model under a configuration; the same arguments give the same rollout."""
    named = _variables(_MODEL, MODEL_FIELDS, model)
    gate = {f"{_GATE}THRESHOLD": repr(float(anti_fraud.threshold))}
    if anti_fraud.calibrated_at:
        gate[f"{_GATE}CALIBRATED_AT"] = anti_fraud.calibrated_at
    if anti_fraud.model:
        gate |= _variables(_GATE, GATE_FIELDS, anti_fraud.model)
    weights = model.sha256 or UNVERIFIED
    config = canonical_digest({key: value for key, value in (named | gate).items() if key != f"{_MODEL}SHA256"})
    return Rollout(model, named | gate, weights, config, canonical_digest([weights, config])[:10])


def entry_id(model: Model) -> str:
    """Return the identity of a model by its own fields, under whatever configuration it runs."""
    return canonical_digest(_variables(_MODEL, MODEL_FIELDS, model))[:10]


def definition(model: ModelEntry) -> str:
    """Return the digest of how a model's weights are used: all that decides its answers beside the weights themselves.

    It covers the files of its classes and species by their digests, and the fields that say how the network is built.
    The same weights under another definition are another model: it answers otherwise.
    """
    values = (getattr(model, field) for field in _DEFINITION_FIELDS)
    return _definition(tuple(frozenset(value.items()) if isinstance(value, dict) else value for value in values))


def changed_fields(model: Model, before: Model) -> tuple[str, ...]:
    """Return the fields, as the resource names them, that make two entries of one name and version different models."""
    if label(model) != label(before):
        return ()
    fields = ("weights_url" if model.sha256 is before.sha256 is None else "sha256", *_DEFINITION_FIELDS)
    return tuple(to_camel(field) for field in fields if getattr(model, field) != getattr(before, field))


@lru_cache(maxsize=4096)
def _definition(values: tuple[object, ...]) -> str:
    # Asked a dozen times in each decision: it is cached by the values, because models are copied with changes.
    given = zip(_DEFINITION_FIELDS, values, strict=True)
    named = {field: dict(value) if isinstance(value, frozenset) else value for field, value in given}
    return canonical_digest({field: value for field, value in named.items() if value is not None})


def deployed_model(deployment: Mapping[str, Any] | None) -> Model | None:
    """Read the model from a Deployment's pod template, None if it names no valid model."""
    pod = ((deployment or {}).get("spec") or {}).get("template", {}).get("spec") or {}
    for container in pod.get("containers", ()):
        if container.get("name") != CONTAINER:
            continue
        env = {item["name"]: item.get("value") for item in container.get("env", ())}
        named = {field: env.get(_MODEL + field.upper()) for field in MODEL_FIELDS}
        given = {key: value for key, value in named.items() if value}
        try:
            parsed = {key: json.loads(value) if key in _JSON_FIELDS else value for key, value in given.items()}
            return Model.model_validate(parsed)
        except (ValueError, RecursionError):  # a ValidationError is a ValueError
            return None
    return None


def deployed_rollout(deployment: Mapping[str, Any] | None) -> str | None:
    """Return the id of the rollout in a Deployment's pod template, None if it names none."""
    template = ((deployment or {}).get("spec") or {}).get("template") or {}
    found = ((template.get("metadata") or {}).get("annotations") or {}).get(ANNOTATION_ROLLOUT_ID)
    return str(found) if found else None


def reference(model: Model, digest: str | None = None) -> ModelRef:
    """Name a model; `digest` is the one that pods found, for a model without one in the registry."""
    return ModelRef(name=model.name, version=model.version, digest=model.sha256 or digest, definition=definition(model))


def without_digest(rollout: Rollout) -> tuple[str, ...]:
    """Return which of the files that decide a rollout's answers cannot be verified, as its pods report them."""
    model, env = rollout.model, rollout.env
    digests = {
        "checkpoint": model.sha256,
        **{name: (model.files or {}).get(name) for name in COMPANION_FILES},
        "gate weights": env.get(f"{_GATE}SHA256"),
    }
    if f"{_GATE}CONFIG_URL" in env:
        digests["gate config"] = env.get(f"{_GATE}CONFIG_SHA256")
    return tuple(name for name, digest in digests.items() if digest is None)


def label(model: Model) -> str:
    """Return name and version for people."""
    return f"{model.name} {model.version}"


def _variables(prefix: str, fields: tuple[str, ...], source: object) -> dict[str, str]:
    given = ((field, getattr(source, field)) for field in fields)
    return {prefix + field.upper(): _text(value) for field, value in given if value is not None}


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":")) if isinstance(value, dict) else str(value)
