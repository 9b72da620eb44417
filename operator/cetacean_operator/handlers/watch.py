"""kopf as the watching edge: no finalizers, no annotations, no peering, no retries of its own.

`on.event` handlers write nothing and are called for every object, at the listing and at each change. All they do is
to put the object into the store and the resource concerned into the queue, so nothing in them can fail for long.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import aiohttp
import kopf

from cetacean_operator.api import names
from cetacean_operator.metrics import Metrics
from cetacean_operator.reconciler import kube as api
from cetacean_operator.reconciler.kube import Kube
from cetacean_operator.reconciler.queue import WorkQueue
from cetacean_operator.reconciler.store import Key, Store
from cetacean_operator.settings import Settings

_LOG = logging.getLogger(__name__)
_SHORTEST_WATCH = 10


class WatchAges:
    """When each watch last carried anything, or was last answered: the age of what we believe."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        """Feed the gauge of `metrics`; `clock` returns monotonic seconds."""
        self._metrics, self._clock = metrics, clock
        self._seen: dict[str, float] = {}

    def expect(self, plural: str) -> None:
        """Begin to measure a watch."""
        self.touch(plural)
        self._metrics.watch_age.labels(plural).set_function(lambda: self._clock() - self._seen[plural])

    def touch(self, plural: str) -> None:
        """Take note that a watch is alive."""
        self._seen[plural] = self._clock()

    def oldest(self) -> tuple[str, float]:
        """Return the watch that has been silent for longest, and for how many seconds."""
        now = self._clock()
        ages = {plural: now - seen for plural, seen in self._seen.items()}
        return max(ages.items(), key=lambda item: item[1], default=("", 0.0))

    def trace(self) -> aiohttp.TraceConfig:
        """Return a trace that touches a watch whenever the API server answers its request, and counts all requests."""

        async def answered(_: aiohttp.ClientSession, __: SimpleNamespace, end: aiohttp.TraceRequestEndParams) -> None:
            plural = end.url.path.rsplit("/", 1)[-1]
            if end.response.status == 200 and plural in self._seen:
                self.touch(plural)
            self._count(plural, end.response.status, watch="watch" in end.url.query)

        async def unanswered(
            _: aiohttp.ClientSession, __: SimpleNamespace, end: aiohttp.TraceRequestExceptionParams
        ) -> None:
            self._count(end.url.path.rsplit("/", 1)[-1], 0, watch="watch" in end.url.query)

        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(answered)
        trace.on_request_exception.append(unanswered)
        return trace

    def _count(self, plural: str, code: int, *, watch: bool) -> None:
        verb = "watch" if watch else "list" if plural in self._seen else "discover"
        self._metrics.api_requests.labels(verb, str(code)).inc()


async def begin_anew_where_gone(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Ask for what there is now where the API server no longer knows the past that was asked for: 410.

    kopf knows a 410 that comes as an event of a watch, and ends the process for one that is the answer.
    """
    response = await handler(request)
    if response.status == 410:
        response.release()
        request.url = request.url.without_query_params("resourceVersion", "continue")
        response = await handler(request)
    return response


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
    chosen.scanning.disabled = True  # neither CRDs nor namespaces are watched: fewer rights
    # A watch that the server ends in time shows by its next answer that it lives.
    chosen.watching.server_timeout = max(_SHORTEST_WATCH, int(settings.watch_age_limit * 0.6))
    # One that carries nothing for longer, not even the bookmark of each minute, is begun anew.
    chosen.watching.inactivity_timeout = min(chosen.watching.inactivity_timeout, chosen.watching.server_timeout)
    chosen.watching.connect_timeout = settings.request_timeout
    chosen.networking.request_timeout = settings.request_timeout
    chosen.queueing.idle_timeout = 1.0
    # Where a watch of kopf's has failed for good, nothing is seen any longer: the process is to be started anew soon.
    chosen.process.ultimate_exiting_timeout = 10.0
    for resource in (api.PODS, *api.CHILDREN, api.SERVICE_MONITORS):
        chosen.watching.label_selectors[resource.group, resource.version, resource.plural] = names.LABEL_MODEL
    return chosen


def registry_for(
    *, kube: Kube, store: Store, queue: WorkQueue[Key], ages: WatchAges, service_monitors: bool
) -> kopf.OperatorRegistry:
    """Return a registry with one event handler for each kind that is watched."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        """Hand kopf the same connection that the reconciler uses."""
        return kopf.AiohttpSession(
            server=kube.configuration.host, aiohttp_session=kube.session(ages.trace(), begin_anew_where_gone)
        )

    for resource in (api.MODELS, api.PODS, *api.CHILDREN, *((api.SERVICE_MONITORS,) if service_monitors else ())):
        ages.expect(resource.plural)
        kopf.on.event(resource.group, resource.version, resource.plural, registry=registry)(
            _handler(resource, store, queue, ages)
        )
    return registry


def take_in(resource: api.Resource, event: Mapping[str, Any], store: Store, queue: WorkQueue[Key]) -> None:
    """Put one watch event into the store, and the resource concerned into the queue where it is news."""
    obj = {"apiVersion": resource.api_version, "kind": resource.kind, **event["object"]}
    meta = obj["metadata"]
    if event.get("type") == "DELETED":
        key = store.remove(resource.kind, meta["namespace"], meta["name"], meta["uid"])
    else:
        key = store.put(obj)
    if key is not None:
        queue.add(key, urgent=resource is api.MODELS and _is_new(obj))


def _is_new(model: Mapping[str, Any]) -> bool:
    """Whether a resource's spec has not been acted on yet."""
    return bool(model["metadata"].get("generation") != (model.get("status") or {}).get("observedGeneration"))


def _handler(resource: api.Resource, store: Store, queue: WorkQueue[Key], ages: WatchAges) -> Callable[..., Any]:
    async def seen(event: Mapping[str, Any], **_: Any) -> None:
        ages.touch(resource.plural)
        try:
            take_in(resource, event, store, queue)
        except (KeyError, TypeError, ValueError) as error:
            # kopf would stop calling for this object; the next listing repairs what is missing.
            _LOG.error("watch of %s: unreadable object: %r", resource.plural, error, extra={"reason": "BadObject"})

    seen.__name__ = f"seen_{resource.plural}"
    return seen
