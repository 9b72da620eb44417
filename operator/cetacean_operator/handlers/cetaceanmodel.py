"""kopf as the watching edge: no finalizers, no annotations, no peering, no retries of its own.

`on.event` handlers write nothing. They are called for every object that kopf lists; `WatchMiddleware` stores what its
watches carry afterwards.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import kopf

from cetacean_operator.api import names
from cetacean_operator.handlers.watch_middleware import WatchLiveness, WatchMiddleware
from cetacean_operator.kube.client import ApiClient
from cetacean_operator.kube.resources import CHILDREN, MODELS, PODS, SERVICE_MONITORS, ResourceType
from cetacean_operator.kube.store import Key, Store
from cetacean_operator.reconcile.queue import WorkQueue
from cetacean_operator.settings import Settings

_LOG = logging.getLogger(__name__)
_ECHO = 0.1
"""Seconds between what happens to a child or a pod and the look at it: one change brings several others with it."""
_NEVER = 1e9
_BOOKMARKS = 70.0
"""Seconds after which even a quiet watch has carried something: the API server sends a bookmark each minute."""


class _NothingKept(kopf.DiffBaseStorage):
    """No handler asks what has changed, and to copy each object for the comparison takes most of an event's time."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:  # noqa: ARG002 -- kopf's names
        """Find nothing to compare."""
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002 -- kopf's names
        """Remember nothing."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Write nothing."""


def settings_for(settings: Settings) -> kopf.OperatorSettings:
    """Return kopf's settings: watching and nothing else."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.peering.standalone = True
    chosen.persistence.diffbase_storage = _NothingKept()
    chosen.persistence.progress_storage = kopf.StatusProgressStorage()  # which has least to look for
    chosen.scanning.disabled = True  # neither CRDs nor namespaces are watched: fewer rights
    # A watch that the server ends in time shows by its next answer that it lives.
    chosen.watching.server_timeout = max(1, int(settings.watch_age_limit * 0.6))
    chosen.watching.inactivity_timeout = _NEVER  # `WatchMiddleware` see to that
    chosen.watching.connect_timeout = settings.request_timeout
    chosen.networking.request_timeout = settings.request_timeout
    chosen.queueing.idle_timeout = 0.2  # each object's last event is kept in memory for so long
    # Where kopf itself has failed, nothing is seen any longer: the process is to be started anew soon.
    chosen.process.ultimate_exiting_timeout = 10.0
    for resource in (PODS, *CHILDREN, SERVICE_MONITORS):
        chosen.watching.label_selectors[resource.group, resource.version, resource.plural] = names.LABEL_MODEL
    return chosen


def silence_for(settings: Settings) -> float:
    """Return after how many seconds a watch that has carried nothing is begun anew: later than the server ends it."""
    return min(_BOOKMARKS, settings.watch_age_limit * 0.75)


def registry_for(
    *,
    kube: ApiClient,
    store: Store,
    queue: WorkQueue[Key],
    ages: WatchLiveness,
    streams: WatchMiddleware,
    namespaces: tuple[str, ...],
    service_monitors: bool,
) -> kopf.OperatorRegistry:
    """Return a registry with one event handler for each kind that is watched, in some namespaces or in all."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        """Hand kopf the same connection that the reconciler uses."""
        return kopf.AiohttpSession(server=kube.configuration.host, aiohttp_session=kube.session(streams))

    for resource in (MODELS, PODS, *CHILDREN, *((SERVICE_MONITORS,) if service_monitors else ())):
        for namespace in namespaces or (None,):
            ages.expect(resource, namespace)
        kopf.on.event(resource.group, resource.version, resource.plural, registry=registry)(
            _handler(resource, taker(store, queue))
        )
    return registry


def take_in(resource: ResourceType, event: Mapping[str, Any], store: Store, queue: WorkQueue[Key]) -> None:
    """Put one watch event into the store, and the resource concerned into the queue where it is news."""
    obj = {"apiVersion": resource.api_version, "kind": resource.kind, **event["object"]}
    meta = obj["metadata"]
    if event.get("type") == "DELETED":
        store.add_tombstone(meta["uid"], int(meta.get("resourceVersion") or 0))
        key = store.remove(resource.kind, meta["namespace"], meta["name"], meta["uid"])
    else:
        key = store.put(obj)
    if key is None:
        return
    if resource is MODELS:
        queue.add(key, urgent=_is_new(obj))
    else:
        queue.add_after(key, _ECHO)


def _is_new(model: Mapping[str, Any]) -> bool:
    """Whether a resource's spec has not been acted on yet."""
    return bool(model["metadata"].get("generation") != (model.get("status") or {}).get("observedGeneration"))


def taker(store: Store, queue: WorkQueue[Key]) -> Callable[[ResourceType, Mapping[str, Any]], None]:
    """Return what takes in whatever comes: an object that cannot be read is told, and left to the next listing."""

    def taken(resource: ResourceType, event: Mapping[str, Any]) -> None:
        try:
            take_in(resource, event, store, queue)
        except (KeyError, TypeError, ValueError) as error:
            _LOG.error("watch of %s: unreadable object: %r", resource.plural, error, extra={"reason": "BadObject"})

    return taken


def _handler(resource: ResourceType, taken: Callable[[ResourceType, Mapping[str, Any]], None]) -> Callable[..., Any]:
    async def seen(event: Mapping[str, Any], **_: Any) -> None:
        taken(resource, event)

    seen.__name__ = f"seen_{resource.plural}"
    return seen
