"""All writes to the API server: each asks for the lease first and ends before another may take it."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from cetacean_operator.api import names
from cetacean_operator.api.observed import CetaceanModel, Object
from cetacean_operator.decisions.ownership import is_owned_by
from cetacean_operator.decisions.plan import ChildRef, EventSpec
from cetacean_operator.kube import managed_fields
from cetacean_operator.kube.client import ApiError, NamespaceTerminatingError
from cetacean_operator.kube.lease import Leadership
from cetacean_operator.kube.resources import BY_KIND, EVENTS, MODELS, ResourceType
from cetacean_operator.kube.store import Store

_LOG = logging.getLogger(__name__)
_HANDOVER = f"{names.MANAGER}-handover"
_NOTE_LIMIT = 1024
_OF_NOTHING = "1"
"""A resourceVersion that no object has: what is applied with it is created, and never changes what is there (409)."""
T = TypeVar("T")


class NameConflictError(Exception):
    """A name belongs to someone else; the message is kind and name."""


class ApiClientProtocol(Protocol):
    """What is needed of the API server."""

    async def apply(
        self, resource: ResourceType, manifest: Object, *, subresource: str | None = None, manager: str = ...
    ) -> Object:
        """Server-side apply."""

    async def set_managers(self, resource: ResourceType, live: Object, managed: list[Object]) -> None:
        """Set who manages which fields of an object."""

    async def create(self, resource: ResourceType, manifest: Object) -> Object:
        """Create an object."""

    async def get(self, resource: ResourceType, namespace: str, name: str) -> Object | None:
        """Return an object, or None."""

    async def delete(self, resource: ResourceType, namespace: str, name: str, *, uid: str) -> None:
        """Delete the object with this uid."""


class Writer:
    """Writes, and puts what the API server answers into the store."""

    def __init__(
        self,
        kube: ApiClientProtocol,
        store: Store,
        leadership: Leadership,
        *,
        instance: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the API server, the store and the lease; `instance` names this process in events."""
        self._kube, self._store, self._leadership = kube, store, leadership
        self._instance, self._clock = instance, clock

    async def create(self, resource: CetaceanModel, manifest: Object) -> ChildRef | None:
        """Create one child of a resource; return what would delete it again, None where there was one of ours already.

        Raises:
            NameConflictError: an object of that name exists and is someone else's.
        """
        kind, meta = BY_KIND[manifest["kind"]], manifest["metadata"]
        only_new = {**manifest, "metadata": {**meta, "resourceVersion": _OF_NOTHING}}
        try:
            answer = await self._led(lambda: self._kube.apply(kind, only_new))
        except ApiError as error:
            if error.code != 409:
                raise
            await self.require_free(resource, manifest)
            self._put(await self._led(lambda: self._kube.apply(kind, manifest)))
            return None
        self._put(answer)
        return ChildRef(kind.kind, meta["name"], answer["metadata"]["uid"])

    async def require_free(self, resource: CetaceanModel, manifest: Object) -> None:
        """Look whether a child's name is free, or the object is the resource's own.

        Raises:
            NameConflictError: it is someone else's.
        """
        kind, meta = BY_KIND[manifest["kind"]], manifest["metadata"]
        live = await self._kube.get(kind, meta["namespace"], meta["name"])
        if live is not None and not is_owned_by(live, resource):
            raise NameConflictError(f"{kind.kind} {meta['name']}")

    async def child(self, manifest: Object, live: Object) -> None:
        """Apply one child that is there."""
        resource = BY_KIND[manifest["kind"]]
        if manifest["kind"] == "Deployment" and "replicas" not in manifest["spec"]:
            await self._hand_replicas_over(resource, manifest, live)
        try:
            answer = await self._led(lambda: self._kube.apply(resource, manifest))
        except ApiError as error:
            if error.code != 422 or not await self._adopt(resource, manifest):
                raise
            answer = await self._led(lambda: self._kube.apply(resource, manifest))
        self._put(answer)

    async def delete(self, namespace: str, doomed: ChildRef) -> None:
        """Delete one child."""
        resource = BY_KIND[doomed.kind]
        await self._led(lambda: self._kube.delete(resource, namespace, doomed.name, uid=doomed.uid))
        self._store.remove(doomed.kind, namespace, doomed.name, doomed.uid)

    async def annotate(self, resource: CetaceanModel, annotations: Mapping[str, str]) -> CetaceanModel:
        """Set the resource's annotations that are ours; return it as it is then."""
        manifest = {"metadata": {**_identity(resource), "annotations": dict(annotations)}}
        answer = await self._led(lambda: self._kube.apply(MODELS, manifest))
        self._put(answer)
        return CetaceanModel.of(answer)

    async def status(self, resource: CetaceanModel, status: Mapping[str, Any]) -> CetaceanModel:
        """Set the status, unless the resource has changed since it was read (then 409); return it as it is then."""
        manifest = {"metadata": _identity(resource), "status": dict(status)}
        answer = await self._led(lambda: self._kube.apply(MODELS, manifest, subresource="status"))
        self._put(answer)
        return CetaceanModel.of(answer)

    async def event(self, resource: CetaceanModel, event: EventSpec) -> None:
        """Tell of a transition; one that cannot be told is only logged."""
        manifest = {
            "metadata": {"namespace": resource.namespace, "name": f"{resource.name}.{uuid.uuid4().hex[:16]}"},
            "eventTime": self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": f"{names.GROUP}/{names.MANAGER}",
            "reportingInstance": self._instance[:128],
            "action": event.action,
            "reason": event.reason,
            "type": event.type,
            "note": event.message.encode()[:_NOTE_LIMIT].decode(errors="ignore"),
            "regarding": {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "namespace": resource.namespace,
                "name": resource.name,
                "uid": resource.uid,
            },
        }
        try:
            await self._led(lambda: self._kube.create(EVENTS, manifest))
        except NamespaceTerminatingError:
            pass  # it would have gone with the namespace
        except (ApiError, TimeoutError) as error:
            extra = {"resource": f"{resource.namespace}/{resource.name}", "reason": "EventNotTold"}
            _LOG.warning("event %s: %s", event.reason, error, extra=extra)

    async def _hand_replicas_over(self, resource: ResourceType, manifest: Object, live: Object) -> None:
        """Keep the number of replicas when it stops being ours.

        A field that nobody owns any longer falls back to its default: one replica. So another manager holds it until
        the autoscaler writes it.
        """
        if names.ANNOTATION_AUTOSCALED in (live["metadata"].get("annotations") or {}):
            return
        meta = {key: manifest["metadata"][key] for key in ("namespace", "name")}
        held = {"metadata": meta, "spec": {"replicas": int(live["spec"].get("replicas", 1))}}
        await self._led(lambda: self._kube.apply(resource, held, manager=_HANDOVER))

    async def _adopt(self, resource: ResourceType, manifest: Object) -> bool:
        """Make ours what others have written into a child; return whether there was anything."""
        meta = manifest["metadata"]
        live = await self._kube.get(resource, meta["namespace"], meta["name"])
        managed = managed_fields.adopted((live or {"metadata": {}})["metadata"].get("managedFields", ()))
        if live is None or managed is None:
            return False
        await self._led(lambda: self._kube.set_managers(resource, live, managed))
        return True

    async def _led(self, write: Callable[[], Awaitable[T]]) -> T:
        async with asyncio.timeout(self._leadership.require()):
            return await write()

    def _put(self, answer: Object) -> None:
        self._store.put(answer)


def _identity(resource: CetaceanModel) -> Object:
    # With uid and resourceVersion an apply cannot create anew what was deleted, nor overwrite what was not seen.
    return {
        "namespace": resource.namespace,
        "name": resource.name,
        "uid": resource.uid,
        "resourceVersion": resource.resource_version,
    }
