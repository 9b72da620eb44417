"""Which model a registry entry, a promotion and a pod name, and when two of them name the same.

A model is its weights and its definition, which says how they are used (`identity.definition`). Digests of weights are
optional in the registry. One rule covers both cases: a digest names weights wherever they lie; without a digest the
address names them. So an entry with a digest and one without never name the same weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from cetacean_operator.api.observed import Pod
from cetacean_operator.api.spec import Model
from cetacean_operator.api.status import HistoryEntry, ModelRef, Rollback, ServedModel
from cetacean_operator.decisions.identity import definition
from cetacean_registry.registry import ModelEntry
from cetacean_registry.urls import without_query


class _Weights(NamedTuple):
    model: str
    source: str
    """`sha256:` and the digest, or the address without its query if there is no digest."""


def same_model(one: ModelEntry | HistoryEntry, other: ModelEntry | HistoryEntry) -> bool:
    """Return whether two entries or promotions name the same model."""
    return _weights_of(one) == _weights_of(other) and _definition_of(one) == _definition_of(other)


def was_served_as(item: ServedModel, declared: ModelEntry | HistoryEntry) -> bool:
    """Return whether the model that pods have served is the one that an entry or a promotion names."""
    loaded = _loaded(item.entry.name, item.digest, item.entry.weights_url)
    return _weights_of(declared) in loaded and _definition_of(declared) == definition(item.entry)


def is_rejected(model: Model, rollback: Rollback) -> bool:
    """Return whether a rollback has rejected the model that an entry names."""
    rejected = rollback.rejected
    loaded = _loaded(rejected.name, rejected.digest, rollback.rejected_url)
    return _weights_of(model) in loaded and _is_defined_by(model, rejected)


def reported_model(pod: Pod) -> ModelRef | None:
    """Return the model that a pod reports, None if it does not name it or has not loaded its weights.

    The definition comes from the pod's template: pods report none.
    """
    report = pod.identity
    if report is None or not report.name or not report.digest:
        return None
    return ModelRef(name=report.name, version=report.version, digest=report.digest, definition=pod.definition)


def may_report(model: Model, reported: ModelRef) -> bool:
    """Return whether pods that serve an entry may report a model.

    Pods report no address: an entry without a digest allows every digest.
    """
    is_loaded = model.name == reported.name and model.sha256 in (None, reported.digest)
    return is_loaded and _is_defined_by(model, reported)


def find_served(served: Iterable[ServedModel], reported: ModelRef) -> ServedModel | None:
    """Return the record of a model that pods report."""
    name_and_digest = reported.name, reported.digest
    found = (item for item in served if (item.entry.name, item.digest) == name_and_digest)
    return next((item for item in found if _is_defined_by(item.entry, reported)), None)


def _weights_of(declared: ModelEntry | HistoryEntry) -> _Weights:
    if isinstance(declared, ModelEntry):
        return _weights(declared.name, declared.sha256, declared.weights_url)
    return _weights(declared.model, declared.digest, declared.weights_url)


def _weights(model: str, digest: str | None, url: str) -> _Weights:
    return _Weights(model, without_query(url) if digest is None else f"sha256:{digest}")


def _loaded(model: str, digest: str | None, url: str) -> tuple[_Weights, _Weights]:
    """Weights that pods have loaded are known by both: the digest that was found and the address they came from."""
    return _weights(model, digest, url), _weights(model, None, url)


def _definition_of(declared: ModelEntry | HistoryEntry) -> str:
    return definition(declared) if isinstance(declared, ModelEntry) else declared.definition


def _is_defined_by(model: Model, reference: ModelRef) -> bool:
    """Return whether a reference names a model's definition, or none: pods that a person has started name none."""
    return reference.definition in (None, definition(model))
