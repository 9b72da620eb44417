"""From watch events to the cache and the queue: the object is stored, and the CetaceanModel concerned is queued."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from cetacean_operator.api.kinds import MODELS, PODS, ResourceType
from cetacean_operator.api.observed import CetaceanModel, Object
from cetacean_operator.decisions.plan import EventSpec
from cetacean_operator.kube.json_reader import UnreadableObject
from cetacean_operator.kube.store import Key, Store
from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.pods.observed_pods import without_unused_fields
from cetacean_operator.reconcile.queue import WorkQueue
from cetacean_operator.reconcile.relevance import is_deletion_relevant, is_relevant

_LOG = logging.getLogger(__name__)
_MOST_UNREADABLE = 1000
CHILD_EVENT_DEBOUNCE_SECONDS: Final = 0.1
"""Between an event of a child or a pod and the reconcile: one change brings several events with it."""


class CacheUpdater:
    """Stores what lists and watches bring, and queues the resources that it concerns."""

    def __init__(
        self,
        store: Store,
        queue: WorkQueue[Key],
        metrics: Metrics,
        *,
        record: Callable[[CetaceanModel, Iterable[EventSpec]], None] = lambda _resource, _events: None,
    ) -> None:
        """Take the cache, the queue, and the metrics that count lists and repairs; `record` records Events."""
        self._store, self._queue, self._metrics, self._record = store, queue, metrics, record
        self._unreadable: dict[str, str] = {}
        """The last version of each unreadable object by its uid: each version is reported once."""

    def store_event(self, resource: ResourceType, event: Mapping[str, Any]) -> None:
        """Store the object of a watch event, or forget it; an object that cannot be read is logged and left out."""
        try:
            self._store_event(resource, event)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            self._metrics.unreadable_objects.labels(resource.plural).inc()
            extra = {"resource": resource.plural, "reason": "UnreadableObject"}
            _LOG.error("%s: an object without the fields of every object: %r", resource.plural, error, extra=extra)

    def is_known(self, resource: ResourceType, event: Mapping[str, Any]) -> bool:
        """Return true if the event has no later version than the stored one: most often the echo of an own write."""
        meta = event["object"]["metadata"]
        stored = self._store.version(resource.kind, str(meta.get("namespace")), str(meta.get("name")))
        version = str(meta["resourceVersion"])
        return event["type"] != "DELETED" and stored is not None and version.isdecimal() and int(version) <= stored

    def report_unreadable(self, resource: ResourceType, found: UnreadableObject) -> None:
        """Log, count and record an Event for an object that cannot be parsed; its last readable state stays stored.

        Args:
            resource: its kind.
            found: its name, as far as that can be read.
        """
        if self._unreadable.get(found.uid) == found.version and found.uid:
            return
        if len(self._unreadable) >= _MOST_UNREADABLE:
            self._unreadable.clear()
        self._unreadable[found.uid] = found.version
        self._metrics.unreadable_objects.labels(resource.plural).inc()
        name = f"{found.namespace}/{found.name}" if found.name else "an object without a readable name"
        message = f"{resource.kind} {name} cannot be read and is left out: {found.error}"
        _LOG.error("%s", message, extra={"resource": resource.plural, "reason": "UnreadableObject"})
        if resource is MODELS and found.name:
            about = CetaceanModel(
                namespace=found.namespace,
                name=found.name,
                uid=found.uid,
                generation=0,
                resource_version=found.version,
                spec={},
                status={},
                annotations={},
            )
            text = f"the resource cannot be read, what was rolled out last goes on: {found.error}; simplify spec"
            self._record(about, [EventSpec("Warning", "UnreadableObject", text)])

    def _store_event(self, resource: ResourceType, event: Mapping[str, Any]) -> None:
        obj: Object = {"apiVersion": resource.api_version, "kind": resource.kind, **event["object"]}
        meta = obj["metadata"]
        before = None if resource is MODELS else self._store.get(resource.kind, meta["namespace"], meta["name"])
        if event.get("type") == "DELETED":
            # The deletion has a version of its own, later than the last one that is stored.
            self._store.add_tombstone(meta["uid"], int(meta.get("resourceVersion") or 0))
            key = self._store.remove(resource.kind, meta["namespace"], meta["name"], meta["uid"])
            relevant = before is None or is_deletion_relevant(before)
        else:
            stored = without_unused_fields(obj) if resource is PODS else obj
            key = self._store.put(stored)
            relevant = before is None or is_relevant(before, stored)
        if key is None or not relevant:
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
