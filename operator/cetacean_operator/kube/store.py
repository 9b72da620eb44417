"""The operator's view of the cluster: what watches brought, overlaid by what our own writes returned.

A write's answer counts at once, so the next reconcile does not decide on what it has itself replaced. Of two
versions of an object the one with the higher resourceVersion stays; Kubernetes guarantees since 1.35 that they can
be compared as numbers. Objects are kept as compressed JSON: an idle resource costs about two kilobytes.

What was deleted is remembered for some minutes: a listing's or a write's answer that was under way may still hold it.
Its version decides, not its uid alone: a watch with a selector calls it a deletion too where an object has only lost
its label, and that object may come back.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pydantic_core import from_json, to_json

from cetacean_operator.api.observed import Object

Key = tuple[str, str]  # namespace and name of a CetaceanModel
_REMEMBERED_FOR = 300.0
"""Seconds; no answer is under way for longer."""
_REMEMBERED = 20_000
"""Deletions, of some 300 bytes each; the oldest is forgotten first."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object."""

    uid: str
    version: int
    owner: Key | None
    data: bytes

    def object(self) -> Object:
        """Return a fresh copy of the object, without its managedFields."""
        found: Object = from_json(zlib.decompress(self.data))
        return found


class Store:
    """Objects by (kind, namespace, name), and by the resource they belong to."""

    def __init__(
        self, owner_of: Callable[[Object], str | None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the function that names the CetaceanModel a child belongs to, None for a stranger, and a clock."""
        self._owner_of, self._clock = owner_of, clock
        self._entries: dict[tuple[str, str, str], Entry] = {}
        self._children: dict[Key, set[tuple[str, str, str]]] = {}
        self._deleted: dict[str, tuple[int, float]] = {}  # by uid: up to which version, and when; the latest last

    def put(self, obj: Object) -> Key | None:
        """Take in an object; return the resource concerned where that was news."""
        meta = obj["metadata"]
        ref = (obj["kind"], meta["namespace"], meta["name"])
        version = int(meta.get("resourceVersion") or 0)
        before = self._entries.get(ref)
        if before is not None and version <= before.version:
            return None
        if (deleted := self._deleted.get(meta["uid"])) is not None and version <= deleted[0]:
            return None
        owner = self._owner_of(obj)
        key = (meta["namespace"], owner) if owner is not None else None
        slim = {**obj, "metadata": {k: v for k, v in meta.items() if k != "managedFields"}}
        data = zlib.compress(to_json(slim), level=1)
        self._entries[ref] = Entry(meta["uid"], version, key, data)
        if before is not None and before.owner != key:
            self._unlink(ref, before.owner)
        if key is not None:
            self._children.setdefault(key, set()).add(ref)
        return key or (before.owner if before else None)

    def remove(self, kind: str, namespace: str, name: str, uid: str) -> Key | None:
        """Drop the object with this uid; return the resource concerned where it was there."""
        ref = (kind, namespace, name)
        entry = self._entries.get(ref)
        if entry is None or entry.uid != uid:
            return None
        del self._entries[ref]
        self._unlink(ref, entry.owner)
        self.add_tombstone(uid, entry.version)
        return entry.owner

    def add_tombstone(self, uid: str, version: int) -> None:
        """Take in no state of an object any more that is as old as its deletion, wherever it comes from."""
        now = self._clock()
        known, _ = self._deleted.pop(uid, (0, now))
        self._deleted[uid] = (max(version, known), now)
        while len(self._deleted) > _REMEMBERED or now - next(iter(self._deleted.values()))[1] > _REMEMBERED_FOR:
            del self._deleted[next(iter(self._deleted))]

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """Return one object."""
        entry = self._entries.get((kind, namespace, name))
        return entry.object() if entry else None

    def belonging(self, key: Key) -> Iterator[Object]:
        """Yield the children of a resource, and its pods."""
        for ref in sorted(self._children.get(key, ())):
            if (entry := self._entries.get(ref)) is not None:
                yield entry.object()

    def refs(self, kind: str) -> Iterator[tuple[str, str, Entry]]:
        """Yield namespace, name and entry of every object of a kind."""
        for (found, namespace, name), entry in list(self._entries.items()):
            if found == kind:
                yield namespace, name, entry

    def keys(self, kind: str) -> Iterable[Key]:
        """Return namespace and name of every object of a kind."""
        return [(namespace, name) for namespace, name, _ in self.refs(kind)]

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self._entries)

    def _unlink(self, ref: tuple[str, str, str], owner: Key | None) -> None:
        if owner is None or (refs := self._children.get(owner)) is None:
            return
        refs.discard(ref)
        if not refs:
            del self._children[owner]
