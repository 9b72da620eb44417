"""The cache of the cluster's objects: from lists and watches, and from the answers to the operator's own writes.

The answer to a write is stored at once, so that the next reconcile does not decide on a state that it has replaced. Of
two versions of an object the one with the higher resourceVersion stays; Kubernetes guarantees since 1.35 that they can
be compared as numbers. Objects are kept as compressed JSON: an idle resource costs about two kilobytes.

A deletion leaves a tombstone for some minutes, because an answer that is under way may still contain the object. The
tombstone holds the version of the deletion: a watch with a selector also reports a deletion if an object has only lost
its label, and such an object may come back with a later version.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pydantic_core import from_json, to_json

from cetacean_operator.api import names
from cetacean_operator.api.observed import Object

Key = tuple[str, str]  # namespace and name of a CetaceanModel
_TOMBSTONE_SECONDS = 300.0
"""No answer is under way for longer."""
_MOST_TOMBSTONES = 20_000
"""Of some 300 bytes each; the oldest goes first."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object."""

    uid: str
    version: int
    owner: Key
    data: bytes

    def object(self) -> Object:
        """Return a fresh copy of the object, without its managedFields."""
        found: Object = from_json(zlib.decompress(self.data))
        return found


class Store:
    """Objects by (kind, namespace, name), and by the resource they belong to."""

    def __init__(
        self,
        owner_of: Callable[[Object], str | None],
        *,
        clock: Callable[[], float] = time.monotonic,
        max_tombstones: int = _MOST_TOMBSTONES,
    ) -> None:
        """Take the function that returns the name of an object's CetaceanModel, None if it has none.

        Args:
            owner_of: that function.
            clock: monotonic seconds.
            max_tombstones: the oldest tombstones beyond this number are removed.
        """
        self._owner_of, self._clock, self._max_tombstones = owner_of, clock, max_tombstones
        self._entries: dict[tuple[str, str, str], Entry] = {}
        self._children: dict[Key, set[tuple[str, str, str]]] = {}
        self._tombstones: dict[str, tuple[int, float]] = {}  # by uid: version and time of the deletion, the latest last

    def put(self, obj: Object) -> Key | None:
        """Store an object; return the resource concerned, None if the object was known."""
        meta = obj["metadata"]
        ref = (obj["kind"], meta["namespace"], meta["name"])
        version = int(meta.get("resourceVersion") or 0)
        before = self._entries.get(ref)
        if before is not None and version <= before.version:
            return None
        if (deleted := self._tombstones.get(meta["uid"])) is not None and version <= deleted[0]:
            return None
        owner = self._owner_of(obj)
        if owner is None:
            return self._drop(ref)
        key = (meta["namespace"], owner)
        slim = {**obj, "metadata": {k: v for k, v in meta.items() if k != "managedFields"}}
        data = zlib.compress(to_json(slim), level=1)
        self._entries[ref] = Entry(meta["uid"], version, key, data)
        if before is not None and before.owner != key:
            self._unlink(ref, before.owner)
        self._children.setdefault(key, set()).add(ref)
        return key

    def _drop(self, ref: tuple[str, str, str]) -> Key | None:
        """Forget an object that has ceased to be anyone's; objects of others, however large, are never kept."""
        entry = self._entries.pop(ref, None)
        if entry is None:
            return None
        self._unlink(ref, entry.owner)
        return entry.owner

    def remove(self, kind: str, namespace: str, name: str, uid: str) -> Key | None:
        """Forget the object with this uid; return the resource concerned, None if the object was not known."""
        ref = (kind, namespace, name)
        entry = self._entries.get(ref)
        if entry is None or entry.uid != uid:
            return None
        del self._entries[ref]
        self._unlink(ref, entry.owner)
        self.add_tombstone(uid, entry.version)
        return entry.owner

    def add_tombstone(self, uid: str, version: int) -> None:
        """Record a tombstone: ignore any version of the object up to the deleted one."""
        now = self._clock()
        known, _ = self._tombstones.pop(uid, (0, now))
        self._tombstones[uid] = (max(version, known), now)
        while (
            len(self._tombstones) > self._max_tombstones
            or now - next(iter(self._tombstones.values()))[1] > _TOMBSTONE_SECONDS
        ):
            del self._tombstones[next(iter(self._tombstones))]

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """Return one object."""
        entry = self._entries.get((kind, namespace, name))
        return entry.object() if entry else None

    def version(self, kind: str, namespace: str, name: str) -> int | None:
        """Return the stored version of an object, None if it is not stored."""
        entry = self._entries.get((kind, namespace, name))
        return entry.version if entry else None

    def belonging(self, key: Key) -> Iterator[Object]:
        """Yield the children of a resource, its pods and approvals; not the resource, which is the largest of them."""
        for ref in sorted(self._children.get(key, ())):
            if ref[0] != names.KIND and (entry := self._entries.get(ref)) is not None:
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

    def _unlink(self, ref: tuple[str, str, str], owner: Key) -> None:
        refs = self._children[owner]
        refs.discard(ref)
        if not refs:
            del self._children[owner]
