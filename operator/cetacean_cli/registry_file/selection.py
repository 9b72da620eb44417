"""The models of a large registry that a CetaceanModel holds: it has room for a bounded number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cetacean_operator.api.objects import mapping_of, mappings_of
from cetacean_registry.registry import Registry


def select(registry: Registry, *, served: Iterable[str], most: int) -> tuple[Registry, tuple[str, ...]]:
    """Return the registry with at most so many models, in the file's order, and the names of the others.

    The active model comes first, then those that have served, because a rollback needs them, then the newest: the last
    ones of the file. Of too many that have served, the newest are kept.

    Args:
        registry: the whole registry.
        served: names of models that have served.
        most: the number of models.
    """
    names = [entry.name for entry in registry.models]
    needed = set(served)
    newest_first = names[::-1]
    ranked = sorted(newest_first, key=lambda name: (name != registry.active, name not in needed))
    kept = set(ranked[:most])
    models = tuple(entry for entry in registry.models if entry.name in kept)
    return registry.model_copy(update={"models": models}), tuple(name for name in names if name not in kept)


def served_models(manifest: Mapping[str, Any]) -> set[str]:
    """Return the models that have served, by a CetaceanModel: its status, and the model that its spec names as active.

    A manifest from a repository has no status; one that `kubectl get -o yaml` prints has.
    """
    status, registry = mapping_of(manifest.get("status")), mapping_of(mapping_of(manifest.get("spec")).get("registry"))
    found = {mapping_of(item.get("entry")).get("name") for item in mappings_of(status.get("served"))}
    found |= {item.get("model") for item in mappings_of(status.get("history"))}
    return {name for name in (*found, registry.get("active")) if isinstance(name, str)}
