"""Which weights a registry entry, a promotion and a pod name, and when two of them name the same.

Digests are optional in the registry. One rule covers both cases: a digest names weights wherever they lie; without a
digest the address names them. So an entry with a digest and one without never name the same weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from cetacean_operator.api.spec import Model
from cetacean_operator.api.status import HistoryEntry, Rollback, ServedModel
from cetacean_registry.urls import without_query


class WeightsId(NamedTuple):
    """The weights of one model."""

    model: str
    source: str
    """`sha256:` and the digest, or the address without its query if there is no digest."""


def weights_id(declared: Model | HistoryEntry) -> WeightsId:
    """Return which weights a registry entry or a promotion names."""
    if isinstance(declared, Model):
        return _weights_id(declared.name, declared.sha256, declared.weights_url)
    return _weights_id(declared.model, declared.digest, declared.weights_url)


def same_weights(one: Model | HistoryEntry, other: Model | HistoryEntry) -> bool:
    """Return whether two entries or promotions name the same weights."""
    return weights_id(one) == weights_id(other)


def was_served_as(item: ServedModel, declared: Model | HistoryEntry) -> bool:
    """Return whether the weights that pods have served are those that an entry or a promotion names."""
    return weights_id(declared) in _loaded(item.entry.name, item.digest, item.entry.weights_url)


def is_rejected(model: Model, rollback: Rollback) -> bool:
    """Return whether a rollback has rejected the weights that an entry names."""
    rejected = rollback.rejected
    return weights_id(model) in _loaded(rejected.name, rejected.digest, rollback.rejected_url)


def may_report(model: Model, name: str | None, digest: str | None) -> bool:
    """Return whether pods that serve an entry may report this name and digest.

    Pods report no address: an entry without a digest allows every digest.
    """
    return model.name == name and model.sha256 in (None, digest)


def find_served(served: Iterable[ServedModel], name: str, digest: str | None) -> ServedModel | None:
    """Return the record of the weights that pods report by this name and digest."""
    return next((item for item in served if (item.entry.name, item.digest) == (name, digest)), None)


def _weights_id(model: str, digest: str | None, url: str) -> WeightsId:
    return WeightsId(model, without_query(url) if digest is None else f"sha256:{digest}")


def _loaded(model: str, digest: str | None, url: str) -> tuple[WeightsId, WeightsId]:
    """Weights that pods have loaded are known by both: the digest that was found and the address they came from."""
    return _weights_id(model, digest, url), _weights_id(model, None, url)
