"""The operator's view of the cluster."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.virtual_time import VirtualClock

from cetacean_operator.kube import store as module
from cetacean_operator.kube.store import Store
from cetacean_operator.reconcile.reconciler import owner_of

KEY = ("sea", "whales")


def child(
    version: int, *, owner: str | None = "whales", name: str = "x", uid: str = "u", **extra: Any
) -> dict[str, Any]:
    labels = {"ecomarineai.org/cetaceanmodel": owner} if owner else {}
    meta = {"namespace": "sea", "name": name, "uid": uid, "resourceVersion": str(version), "labels": labels}
    return {"kind": "Pod", "metadata": meta, **extra}


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


def test_versions_are_numbers(store: Store) -> None:
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
    assert "managedFields" in obj["metadata"], "the caller's object is left alone"


def test_what_is_handed_out_is_a_copy(store: Store) -> None:
    store.put(child(1, spec={"a": 1}))
    found = store.get("Pod", "sea", "x")
    assert found is not None
    found["spec"]["a"] = 2
    assert (store.get("Pod", "sea", "x") or {})["spec"] == {"a": 1}


def test_removal_is_of_the_very_object(store: Store) -> None:
    store.put(child(1))
    assert store.remove("Pod", "sea", "x", "another") is None
    assert store.remove("Pod", "sea", "x", "u") == KEY
    assert store.remove("Pod", "sea", "x", "u") is None
    assert len(store) == 0
    assert list(store.belonging(KEY)) == []


def test_what_was_deleted_is_not_brought_back_by_an_answer_under_way(store: Store) -> None:
    store.put(child(5))
    store.remove("Pod", "sea", "x", "u")
    assert store.put(child(5)) is None
    assert store.put(child(4)) is None
    assert len(store) == 0


def test_nor_is_what_was_deleted_before_it_was_seen(store: Store) -> None:
    store.add_tombstone("u", 7)
    assert store.put(child(6)) is None
    store.put(child(1, name="y", uid="v"))
    store.add_tombstone("v", 7)
    store.remove("Pod", "sea", "y", "v")
    assert store.put(child(6, name="y", uid="v")) is None, (
        "the deletion's version counts, not the last one that was seen"
    )


def test_what_only_lost_its_label_may_come_back(store: Store) -> None:
    """A watch with a selector calls that a deletion."""
    store.put(child(1))
    store.add_tombstone("u", 2)
    store.remove("Pod", "sea", "x", "u")
    assert store.put(child(3)) == KEY


def test_what_is_made_anew_under_the_same_name_is_another_object(store: Store) -> None:
    store.put(child(1))
    store.add_tombstone("u", 2)
    store.remove("Pod", "sea", "x", "u")
    assert store.put(child(3, uid="another")) == KEY
    assert store.put(child(1)) is None


def test_deletions_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_TOMBSTONES", 2)
    clock = VirtualClock()
    store = Store(owner_of, clock=clock.time)
    for uid in ("a", "b", "a", "c"):
        store.add_tombstone(uid, 9)
    assert [store.put(child(1, name=uid, uid=uid)) for uid in "abc"] == [None, KEY, None], "the oldest goes first"
    clock.advance(301)
    store.add_tombstone("d", 9)
    assert [store.put(child(1, name=uid, uid=uid)) for uid in "acd"] == [KEY, KEY, None]


def test_children_are_found_by_their_resource(store: Store) -> None:
    for name, owner in (("b", "whales"), ("a", "whales"), ("c", "others"), ("d", None)):
        store.put(child(1, name=name, uid=name, owner=owner))
    assert [obj["metadata"]["name"] for obj in store.belonging(KEY)] == ["a", "b"]
    assert sorted(store.keys("Pod")) == [("sea", name) for name in "abcd"]


def test_a_child_that_changes_hands_concerns_both(store: Store) -> None:
    store.put(child(1))
    assert store.put(child(2, owner="others")) == ("sea", "others")
    assert list(store.belonging(KEY)) == []
    assert store.put(child(3, owner=None)) == ("sea", "others"), "whoever lost it must know"
    assert list(store.belonging(("sea", "others"))) == []


def test_a_resource_belongs_to_itself(store: Store) -> None:
    model = {
        "kind": "CetaceanModel",
        "metadata": {"namespace": "sea", "name": "whales", "uid": "m", "resourceVersion": "1"},
    }
    assert store.put(model) == KEY
    assert [obj["kind"] for obj in store.belonging(KEY)] == ["CetaceanModel"]


def test_an_idle_object_is_small(store: Store) -> None:
    store.put(child(1, spec={"containers": [{"name": f"c{n}", "image": "x" * 100} for n in range(50)]}))
    ((_, _, entry),) = store.refs("Pod")
    assert len(entry.data) < 2048
