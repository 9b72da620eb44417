"""All writes to the API server: each needs the lease, and ends before another process may acquire it."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from cetacean_operator.api import names
from cetacean_operator.api.kinds import BY_KIND, EVENTS, MODELS, ResourceType
from cetacean_operator.api.observed import CetaceanModel, Object
from cetacean_operator.decisions.ownership import is_owned_by
from cetacean_operator.decisions.plan import ChildRef, EventSpec
from cetacean_operator.kube import managed_fields
from cetacean_operator.kube.client import ApiError, NamespaceTerminatingError
from cetacean_operator.kube.lease import Leadership
from cetacean_operator.kube.store import Store

_LOG = logging.getLogger(__name__)
_HANDOVER = f"{names.MANAGER}-handover"
_NOTE_LIMIT = 1024
_VERSION_OF_NO_OBJECT = "1"
"""An apply with it creates an object, and answers 409 if there is one already: no object has this resourceVersion."""
T = TypeVar("T")


class NameConflictError(Exception):
    """An object of someone else has the name of a child; the message is kind and name."""


class ApiClientProtocol(Protocol):
    """The part of the API client that writes need."""

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
    """Writes, and stores the answers of the API server."""

    def __init__(
        self,
        kube: ApiClientProtocol,
        store: Store,
        leadership: Leadership,
        *,
        instance: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the API server, the store and the lease; `instance` names this process in Events."""
        self._kube, self._store, self._leadership = kube, store, leadership
        self._instance, self._clock = instance, clock

    async def create(self, resource: CetaceanModel, manifest: Object) -> None:
        """Create one child of a resource, or apply it if the resource has it already.

        Raises:
            NameConflictError: an object of someone else has that name.
        """
        kind, meta = BY_KIND[manifest["kind"]], manifest["metadata"]
        only_new = {**manifest, "metadata": {**meta, "resourceVersion": _VERSION_OF_NO_OBJECT}}
        try:
            self._put(await self._led(lambda: self._kube.apply(kind, only_new)))
        except ApiError as error:
            if error.code != 409:
                raise
            await self.require_free(resource, manifest)
            self._put(await self._led(lambda: self._kube.apply(kind, manifest)))

    async def require_free(self, resource: CetaceanModel, manifest: Object) -> None:
        """Check that a child's name is free, or that the object belongs to the resource.

        Raises:
            NameConflictError: the object belongs to someone else.
        """
        kind, meta = BY_KIND[manifest["kind"]], manifest["metadata"]
        live = await self._kube.get(kind, meta["namespace"], meta["name"])
        if live is not None and not is_owned_by(live, resource):
            raise NameConflictError(f"{kind.kind} {meta['name']}")

    async def child(self, manifest: Object, live: Object) -> None:
        """Apply one child that exists."""
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

    async def delete(self, namespace: str, child: ChildRef) -> None:
        """Delete one child."""
        resource = BY_KIND[child.kind]
        await self._led(lambda: self._kube.delete(resource, namespace, child.name, uid=child.uid))
        self._store.remove(child.kind, namespace, child.name, child.uid)

    async def annotate(self, resource: CetaceanModel, annotations: Mapping[str, str]) -> CetaceanModel:
        """Set the operator's annotations of a resource; return the new state of the resource."""
        manifest = {"metadata": {**_identity(resource), "annotations": dict(annotations)}}
        answer = await self._led(lambda: self._kube.apply(MODELS, manifest))
        self._put(answer)
        return CetaceanModel.of(answer)

    async def status(self, resource: CetaceanModel, status: Mapping[str, Any]) -> CetaceanModel:
        """Write the status, unless the resource has changed since it was read (409); return its new state."""
        manifest = {"metadata": _identity(resource), "status": dict(status)}
        answer = await self._led(lambda: self._kube.apply(MODELS, manifest, subresource="status"))
        self._put(answer)
        return CetaceanModel.of(answer)

    async def event(self, resource: CetaceanModel, event: EventSpec) -> None:
        """Create an Event; if that fails, log it only."""
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
            pass  # the Event would be deleted with the namespace
        except (ApiError, TimeoutError) as error:
            extra = {"resource": f"{resource.namespace}/{resource.name}", "reason": "EventNotCreated"}
            _LOG.warning("event %s: %s", event.reason, error, extra=extra)

    async def _hand_replicas_over(self, resource: ResourceType, manifest: Object, live: Object) -> None:
        """Keep the number of replicas when the operator ceases to own the field.

        A field without an owner gets its default value, one replica. So another manager of the operator owns it until
        the autoscaler writes it.
        """
        if names.ANNOTATION_AUTOSCALED in (live["metadata"].get("annotations") or {}):
            return
        meta = {key: manifest["metadata"][key] for key in ("namespace", "name")}
        held = {"metadata": meta, "spec": {"replicas": int(live["spec"].get("replicas", 1))}}
        await self._led(lambda: self._kube.apply(resource, held, manager=_HANDOVER))

    async def _adopt(self, resource: ResourceType, manifest: Object) -> bool:
        """Take over fields that others have written into a child; return true if there were any."""
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
    # With uid and resourceVersion an apply cannot create a deleted object again, nor overwrite an unseen change.
    return {
        "namespace": resource.namespace,
        "name": resource.name,
        "uid": resource.uid,
        "resourceVersion": resource.resource_version,
    }
