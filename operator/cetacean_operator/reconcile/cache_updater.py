"""From watch events to the cache and the queue: the object is stored, and the CetaceanModel concerned is queued."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from cetacean_operator.api.observed import Object
from cetacean_operator.kube.resources import MODELS, ResourceType
from cetacean_operator.kube.store import Key, Store
from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.reconcile.queue import WorkQueue

_LOG = logging.getLogger(__name__)
CHILD_EVENT_DEBOUNCE_SECONDS: Final = 0.1
"""Between an event of a child or a pod and the reconcile: one change brings several events with it."""


class CacheUpdater:
    """Stores what lists and watches bring, and queues the resources that it concerns."""

    def __init__(self, store: Store, queue: WorkQueue[Key], metrics: Metrics) -> None:
        """Take the cache, the queue, and the metrics that count lists and repairs."""
        self._store, self._queue, self._metrics = store, queue, metrics

    def store_event(self, resource: ResourceType, event: Mapping[str, Any]) -> None:
        """Store the object of a watch event, or forget it; an object that cannot be read is logged and left out."""
        try:
            self._store_event(resource, event)
        except (KeyError, TypeError, ValueError) as error:
            extra = {"resource": resource.plural, "reason": "BadObject"}
            _LOG.error("watch of %s: unreadable object: %r", resource.plural, error, extra=extra)

    def _store_event(self, resource: ResourceType, event: Mapping[str, Any]) -> None:
        obj: Object = {"apiVersion": resource.api_version, "kind": resource.kind, **event["object"]}
        meta = obj["metadata"]
        if event.get("type") == "DELETED":
            # The deletion has a version of its own, later than the last one that is stored.
            self._store.add_tombstone(meta["uid"], int(meta.get("resourceVersion") or 0))
            key = self._store.remove(resource.kind, meta["namespace"], meta["name"], meta["uid"])
        else:
            key = self._store.put(obj)
        if key is None:
            return
        if resource is MODELS:
            self._queue.add(key, urgent=_is_new(obj))
        else:
            self._queue.add_after(key, CHILD_EVENT_DEBOUNCE_SECONDS)

    def replace(self, resource: ResourceType, namespace: str | None, names: set[tuple[str, str]], version: str) -> None:
        """Forget the objects of a kind that a list did not name, unless they are newer than the list.

        Args:
            resource: the kind.
            namespace: the namespace that was listed; None: all.
            names: namespace and name of all objects in the list.
            version: the list's resourceVersion.
        """
        self._metrics.relists.labels(resource.plural).inc()
        for space, name, entry in self._store.refs(resource.kind):
            if namespace not in (None, space) or (space, name) in names or entry.version > int(version or 0):
                continue
            self._metrics.repairs.labels(resource.plural).inc()
            if (key := self._store.remove(resource.kind, space, name, entry.uid)) is not None:
                self._queue.add(key)


def _is_new(model: Mapping[str, Any]) -> bool:
    """Return true if the status is not about the spec of now."""
    return bool(model["metadata"].get("generation") != (model.get("status") or {}).get("observedGeneration"))
