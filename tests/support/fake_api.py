"""An API server in memory: resourceVersions, uids, server-side apply, the status subresource. Nothing goes over HTTP."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable
from typing import Any

from cetacean_operator.api.kinds import BY_KIND, CRD_CHILDREN, ResourceType
from cetacean_operator.api.observed import Object
from cetacean_operator.kube.client import FIELD_MANAGER, ApiError, Page

Ref = tuple[str, str, str]
Refusal = Callable[[str, ResourceType, str], ApiError | None]


def no_refusal(_verb: str, _resource: ResourceType, _name: str) -> ApiError | None:
    """Refuse nothing."""
    return None


class FakeApi:
    """The objects by (kind, namespace, name), and every call of the operator."""

    def __init__(self) -> None:
        self.objects: dict[Ref, Object] = {}
        self.calls: list[tuple[str, str]] = []
        """Verb and `Kind/name`, followed by the subresource if there is one."""
        self.refuse: Refusal = no_refusal
        """Returns the error of a call, None if the call succeeds."""
        optional = {resource.plural for resource in CRD_CHILDREN}
        self.served: set[str] = {resource.plural for resource in BY_KIND.values()} - optional
        self._version = 100
        self._owned: dict[tuple[Ref, str, str], Object] = {}

    # --- For tests ----------------------------------------------------------------------------------------------------

    def put(self, obj: Object) -> Object:
        """Create or replace an object as another client does; return it as a watch reports it."""
        meta = obj["metadata"]
        ref = (obj["kind"], meta["namespace"], meta["name"])
        before = self.objects.get(ref)
        stored = copy.deepcopy(obj)
        stored["metadata"].setdefault("uid", before["metadata"]["uid"] if before else f"uid-{self._version}")
        return copy.deepcopy(self._store(ref, before, stored))

    def find(self, kind: str, name: str = "whales", namespace: str = "sea") -> Object | None:
        return copy.deepcopy(self.objects.get((kind, namespace, name)))

    def writes(self) -> list[tuple[str, str]]:
        return [call for call in self.calls if call[0] in ("apply", "create", "delete")]

    # --- For the operator ---------------------------------------------------------------------------------------------

    async def apply(
        self, resource: ResourceType, manifest: Object, *, subresource: str | None = None, manager: str = FIELD_MANAGER
    ) -> Object:
        meta = manifest["metadata"]
        ref = (resource.kind, meta["namespace"], meta["name"])
        self._call("apply", resource, meta["name"] + (f"/{subresource}" if subresource else ""))
        live = copy.deepcopy(self.objects.get(ref))
        checked: tuple[str, ...] = ("uid", "resourceVersion")
        if live is None:
            checked = ("uid",)  # an object that does not exist yet has no version
            if subresource or "uid" in meta:
                raise ApiError("apply", resource.path(*ref[1:]), 404, "NotFound", "not found")
            live = {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "metadata": {"uid": f"uid-{self._version}"},
            }
        for key in checked:
            if key in meta and meta[key] != live["metadata"].get(key):
                raise ApiError("apply", resource.path(*ref[1:]), 409, "Conflict", f"{key} has changed")
        part = {"status": manifest["status"]} if subresource else {k: v for k, v in manifest.items() if k != "status"}
        sent = copy.deepcopy(part)
        for key in ("uid", "resourceVersion"):
            sent.get("metadata", {}).pop(key, None)
        owned = (ref, manager, subresource or "")
        others = [item for key, item in self._owned.items() if key[0] == ref and key != owned]
        _remove_disowned(live, self._owned.get(owned, {}), [sent, *others])
        _merge(live, sent)
        self._owned[owned] = sent
        return copy.deepcopy(self._store(ref, self.objects.get(ref), live))

    async def set_managers(self, resource: ResourceType, live: Object, managed: list[Object]) -> None:
        meta = live["metadata"]
        self._call("patch", resource, meta["name"])
        self.objects[resource.kind, meta["namespace"], meta["name"]]["metadata"]["managedFields"] = managed

    async def create(self, resource: ResourceType, manifest: Object) -> Object:
        meta = manifest["metadata"]
        self._call("create", resource, meta["name"])
        return self.put({**manifest, "kind": resource.kind})

    async def get(self, resource: ResourceType, namespace: str, name: str) -> Object | None:
        self._call("get", resource, name)
        return self.find(resource.kind, name, namespace)

    async def delete(self, resource: ResourceType, namespace: str, name: str, *, uid: str) -> None:
        self._call("delete", resource, name)
        live = self.objects.get((resource.kind, namespace, name))
        if live is not None and live["metadata"]["uid"] == uid:
            del self.objects[resource.kind, namespace, name]

    async def list(
        self, resource: ResourceType, namespace: str | None, *, label_selector: str = ""
    ) -> AsyncIterator[Page]:
        """Yield at least two pages, so that no caller can rely on a single one."""
        self._call("list", resource, label_selector)
        version, found = str(self._version), []
        for (kind, space, _), obj in list(self.objects.items()):
            labels = obj["metadata"].get("labels", {})
            if (
                kind == resource.kind
                and namespace in (None, space)
                and (not label_selector or label_selector in labels)
            ):
                found.append(copy.deepcopy(obj))
        yield Page(found[:1], version)
        yield Page(found[1:], version)

    async def server_version(self) -> tuple[int, int] | None:
        return (1, 37)

    async def serves(self, resource: ResourceType) -> bool:
        return resource.plural in self.served

    def _call(self, verb: str, resource: ResourceType, name: str) -> None:
        self.calls.append((verb, f"{resource.kind}/{name}"))
        if refusal := self.refuse(verb, resource, name):
            raise refusal

    def _store(self, ref: Ref, before: Object | None, obj: Object) -> Object:
        old = copy.deepcopy(before) if before else {}
        changed = old.get("spec") != obj.get("spec")
        meta = obj["metadata"]
        meta["generation"] = (
            int(old.get("metadata", {}).get("generation", 0)) + 1
            if changed
            else old.get("metadata", {}).get("generation", 1)
        )
        meta.setdefault("resourceVersion", "0")
        if {**obj, "metadata": {**meta, "resourceVersion": ""}} != {
            **old,
            "metadata": {**old.get("metadata", {}), "resourceVersion": ""},
        }:
            self._version += 1
            meta["resourceVersion"] = str(self._version)
        self.objects[ref] = obj
        return obj


def _merge(live: Any, sent: Any) -> None:
    for key, value in sent.items():
        if isinstance(value, dict) and isinstance(live.get(key), dict):
            _merge(live[key], value)
        else:
            live[key] = copy.deepcopy(value)


def _remove_disowned(live: Any, owned: Any, held: list[Any]) -> None:
    """Remove the fields that this manager applied last time and that neither it nor another manager applies now."""
    for key, value in owned.items():
        holders = [item[key] for item in held if isinstance(item, dict) and key in item]
        if not holders:
            live.pop(key, None)
        elif isinstance(value, dict) and isinstance(live.get(key), dict):
            _remove_disowned(live[key], value, holders)
