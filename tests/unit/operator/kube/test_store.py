"""The cache of objects: the newest version stays, and a deleted object does not come back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pods import pod_manifest
from support.virtual_time import VirtualClock

from cetacean_operator.decisions.ownership import owner_of
from cetacean_operator.kube.store import Store

KEY = ("sea", "whales")


def child(
    version: int, *, owner: str | None = "whales", name: str = "x", uid: str = "u", **extra: Any
) -> dict[str, Any]:
    labels = {"ecomarineai.org/cetaceanmodel": owner} if owner else {}
    return pod_manifest(name, uid=uid, version=version, labels=labels) | extra


@pytest.fixture
def store() -> Store:
    return Store(owner_of)


def test_a_newer_version_replaces_an_older_one(store: Store) -> None:
    assert store.put(child(1, a=1)) == KEY
    assert store.put(child(2, a=2)) == KEY
    assert store.put(child(2, a=3)) is None
    assert store.put(child(1, a=4)) is None
    found = store.get("Pod", "sea", "x")
    assert found is not None
    assert found["a"] == 2


def test_versions_are_compared_as_numbers(store: Store) -> None:
    store.put(child(9))
    assert store.put(child(10)) == KEY


@given(st.permutations(range(1, 7)))
def test_the_order_of_arrival_does_not_matter(versions: list[int]) -> None:
    store = Store(owner_of)
    for version in versions:
        store.put(child(version, value=version))
    found = store.get("Pod", "sea", "x")
    assert found is not None
    assert found["value"] == 6


def test_managed_fields_are_not_kept(store: Store) -> None:
    obj = child(1)
    obj["metadata"]["managedFields"] = ["many"]
    store.put(obj)
    found = store.get("Pod", "sea", "x")
    assert found is not None
    assert "managedFields" not in found["metadata"]
    assert "managedFields" in obj["metadata"], "the caller's object is not changed"


def test_get_returns_a_copy(store: Store) -> None:
    store.put(child(1, spec={"a": 1}))
    found = store.get("Pod", "sea", "x")
    assert found is not None
    found["spec"]["a"] = 2
    assert (store.get("Pod", "sea", "x") or {})["spec"] == {"a": 1}


def test_an_object_is_removed_only_by_its_own_uid(store: Store) -> None:
    store.put(child(1))
    assert store.remove("Pod", "sea", "x", "another") is None
    assert store.remove("Pod", "sea", "x", "u") == KEY
    assert store.remove("Pod", "sea", "x", "u") is None
    assert len(store) == 0
    assert list(store.belonging(KEY)) == []


def test_a_removed_object_is_not_stored_again_in_an_older_version(store: Store) -> None:
    store.put(child(5))
    store.remove("Pod", "sea", "x", "u")
    assert store.put(child(5)) is None
    assert store.put(child(4)) is None
    assert len(store) == 0


def test_a_tombstone_rejects_versions_up_to_the_deleted_one(store: Store) -> None:
    store.add_tombstone("u", 7)
    assert store.put(child(6)) is None
    store.put(child(1, name="y", uid="v"))
    store.add_tombstone("v", 7)
    store.remove("Pod", "sea", "y", "v")
    assert store.put(child(6, name="y", uid="v")) is None, "the version of the deletion counts, not the last stored one"


def test_an_object_that_has_only_lost_its_label_may_come_back(store: Store) -> None:
    """A watch with a selector reports such an object as deleted."""
    store.put(child(1))
    store.add_tombstone("u", 2)
    store.remove("Pod", "sea", "x", "u")
    assert store.put(child(3)) == KEY


def test_a_tombstone_does_not_reject_a_new_object_of_the_same_name(store: Store) -> None:
    store.put(child(1))
    store.add_tombstone("u", 2)
    store.remove("Pod", "sea", "x", "u")
    assert store.put(child(3, uid="another")) == KEY
    assert store.put(child(1)) is None


def test_tombstones_are_removed_after_five_minutes_or_if_there_are_too_many() -> None:
    clock = VirtualClock()
    store = Store(owner_of, clock=clock.time, max_tombstones=2)
    for uid in ("a", "b", "a", "c"):
        store.add_tombstone(uid, 9)
    assert [store.put(child(1, name=uid, uid=uid)) for uid in "abc"] == [None, KEY, None], "the oldest is removed first"
    clock.advance(301)
    store.add_tombstone("d", 9)
    assert [store.put(child(1, name=uid, uid=uid)) for uid in "acd"] == [KEY, KEY, None]


def test_children_are_found_by_their_resource(store: Store) -> None:
    for name, owner in (("b", "whales"), ("a", "whales"), ("c", "others"), ("d", None)):
        store.put(child(1, name=name, uid=name, owner=owner))
    assert [obj["metadata"]["name"] for obj in store.belonging(KEY)] == ["a", "b"]
    assert sorted(store.keys("Pod")) == [("sea", name) for name in "abc"], "an object of nobody is not kept"


def test_a_child_that_gets_another_owner_is_reported_for_the_owner_concerned(store: Store) -> None:
    store.put(child(1))
    assert store.put(child(2, owner="others")) == ("sea", "others")
    assert list(store.belonging(KEY)) == []
    assert store.put(child(3, owner=None)) == ("sea", "others"), "the former owner is reconciled"
    assert list(store.belonging(("sea", "others"))) == []


def test_a_resource_is_not_among_the_objects_that_belong_to_it(store: Store) -> None:
    model = {
        "kind": "CetaceanModel",
        "metadata": {"namespace": "sea", "name": "whales", "uid": "m", "resourceVersion": "1"},
    }
    assert store.put(model) == KEY
    assert (list(store.belonging(KEY)), store.get("CetaceanModel", *KEY)) == ([], model)


def test_a_stored_object_is_compressed(store: Store) -> None:
    store.put(child(1, spec={"containers": [{"name": f"c{n}", "image": "x" * 100} for n in range(50)]}))
    ((_, _, entry),) = store.refs("Pod")
    assert len(entry.data) < 2048
