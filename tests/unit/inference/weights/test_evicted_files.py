"""The files of a pod stay in a cache that other pods use; if one was evicted, the next start fetches it again."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from support.inference_world import FakePipeline
from support.waiting import wait_until
from support.weights_cache import add_blob, add_derived, blobs, open_cache
from support.weights_store import GATE_1, MODEL_1, V1, Store, gate_of, model_of

from cetacean_inference.errors import (
    CacheFull,
    FatalError,
    WeightsDenied,
    WeightsEvicted,
    WeightsTruncated,
    WeightsUnreachable,
)
from cetacean_inference.http.serve import run
from cetacean_inference.settings import Settings
from cetacean_inference.weights import fetch as fetching_module
from cetacean_inference.weights.blob import Blob
from cetacean_inference.weights.fetch import fetch_all, fetching, locate_all, open_verified, restore_all
from cetacean_inference.weights.verified import VerifiedFiles

SIZE = sum(len(content) for name, content in V1.items() if name != "v2.ckpt")


def digest_of(name: str) -> str:
    return hashlib.sha256(V1[name]).hexdigest()


def cached(store: Store, name: str) -> Path:
    return store.root / "cache/blobs/sha256" / digest_of(name)


def make_old(store: Store) -> None:
    """Set the times of all files as if nobody had used them for years."""
    for path in (store.root / "cache/blobs/sha256").iterdir():
        os.utime(path, (0, 0))


def fill(store: Store) -> None:
    """Fetch for another pod, which needs the whole cache."""
    open_cache(store.root / "cache", limit=SIZE, keep_unused_seconds=600).make_room(SIZE, purpose="another model")


# --- while files are fetched -----------------------------------------------------------------------------------------


def test_no_file_of_a_slow_fetch_is_evicted_before_the_fetch_ends(store: Store) -> None:
    refused: list[str] = []

    def other_pod() -> None:
        make_old(store)
        try:
            fill(store)
        except CacheFull:
            refused.append("full")

    store.server.before = {name: other_pod for name in V1 if name != "v1.ckpt"}
    assert model_of(fetch_all(store.pod())) == MODEL_1
    assert refused == ["full"] * 4
    assert model_of(locate_all(store.pod())) == MODEL_1


@pytest.mark.parametrize("down", [False, True])
def test_no_file_is_evicted_while_a_signature_is_checked(store: Store, *, down: bool) -> None:
    fetch_all(store.pod())
    store.server.down = {"species_map.csv"} if down else set()
    with fetching(store.pod()) as files:
        make_old(store)
        with pytest.raises(CacheFull):
            fill(store)
        assert (model_of(files), gate_of(files)) == (MODEL_1, GATE_1)


def test_the_files_of_a_fetch_count_as_used_when_it_ends(store: Store) -> None:
    with fetching(store.pod()):
        make_old(store)
    with pytest.raises(CacheFull):
        fill(store)
    assert model_of(locate_all(store.pod())) == MODEL_1


def test_a_file_that_is_evicted_while_others_are_fetched_is_fetched_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_once = fetching_module._fetch  # noqa: SLF001 - `prune` in another pod, between the fetch and the lock
    evicted: list[Path] = []

    def evict_first(*given: Any, **named: Any) -> Blob:
        blob = fetch_once(*given, **named)
        if not evicted:
            evicted.append(blob.path)
            blob.path.unlink()
        return blob

    monkeypatch.setattr(fetching_module, "_fetch", evict_first)
    assert model_of(fetch_all(store.pod())) == MODEL_1
    assert store.server.requests["v1.ckpt"] == 2


# --- while a process serves ------------------------------------------------------------------------------------------


def test_files_that_a_process_serves_from_count_as_used_until_it_ends(store: Store) -> None:
    cache = open_cache(store.root / "cache")
    first, second = (Blob("https://weights.test/a", add_blob(cache, one), Path()) for one in (b"first", b"second"))
    record = add_derived(cache, "networks-a") / "record.json"
    paths = [*(store.root / "cache/blobs/sha256").iterdir(), record]
    with VerifiedFiles(cache, refresh_seconds=0.01) as verified:
        verified.keep(first)
        verified.open(second)
        locked = cache.lock_derived("networks-a")
        assert locked is not None
        verified.hold(locked)
        for path in paths:
            os.utime(path, (0, 0))
        wait_until(lambda: all(path.stat().st_mtime > 0 for path in paths))
    for path in paths:
        os.utime(path, (0, 0))
    assert [path.stat().st_mtime for path in paths] == [0, 0, 0]
    assert "cache-times" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize(("keep", "refresh"), [(600.0, 150.0), (0.5, 1.0), (0.0, None)])
def test_the_time_between_two_refreshes_is_far_below_the_time_that_protects(
    store: Store, keep: float, refresh: float | None
) -> None:
    assert open_verified(store.pod(keep_unused_seconds=keep)).refresh_seconds == refresh


# --- after a file was evicted ----------------------------------------------------------------------------------------


def served_files(settings: Settings) -> list[bytes]:
    """Serve, and return what a process finds when it loads; it ends then."""
    found: list[bytes] = []

    def load(given: Settings) -> FakePipeline:
        found.extend(model_of(locate_all(given)))
        raise FatalError("end")

    with pytest.raises(FatalError, match="end"):
        run(settings, load=load)
    return found


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("name", ["v1.ckpt", "encoder_classes.npy", "species_map.csv"])
def test_a_container_that_restarts_fetches_what_was_evicted_and_nothing_else(
    store: Store, name: str, *, shared: bool
) -> None:
    pod = store.pod(shared=shared)
    fetch_all(pod)
    asked = store.server.requests.total()
    next(path for path in store.root.rglob(digest_of(name))).unlink()
    with pytest.raises(WeightsEvicted, match=re.escape(f"{store.server.url}/{name}: evicted from the cache")):
        locate_all(pod)
    assert served_files(pod) == MODEL_1
    assert store.server.requests.total() == asked + 1
    assert served_files(pod) == MODEL_1
    assert store.server.requests.total() == asked + 1


def test_an_evicted_gate_is_fetched_again_too(store: Store) -> None:
    fetch_all(store.pod())
    cached(store, "gate.safetensors").unlink()
    cached(store, "gate.json").unlink()
    restore_all(store.pod())
    assert gate_of(locate_all(store.pod())) == GATE_1


def test_nothing_is_fetched_by_a_process_that_serves_if_there_was_no_fetch(store: Store) -> None:
    restore_all(store.pod())
    assert store.server.requests.total() == 0


def test_other_bytes_than_those_that_were_checked_are_not_served(store: Store) -> None:
    fetch_all(store.pod())
    store.upload({"encoder_classes.npy": b"not signed"})
    cached(store, "encoder_classes.npy").unlink()
    with pytest.raises(WeightsEvicted) as caught:
        restore_all(store.pod())
    url = f"{store.server.url}/encoder_classes.npy"
    other = hashlib.sha256(b"not signed").hexdigest()
    assert caught.value.line == (
        f"WeightsEvicted: {url}: evicted from the cache {store.root / 'cache'} since this pod has fetched it, or "
        f"damaged there, and it cannot be fetched again (DigestMismatch: {url}: expected sha256:{digest_of('encoder_classes.npy')}, "
        f"got sha256:{other}) - delete the pod: its successor fetches all files"
    )


def test_without_the_credentials_of_fetch_the_message_says_to_delete_the_pod(store: Store) -> None:
    fetch_all(store.pod())
    store.server.authorization = re.compile("Bearer secret")
    cached(store, "v1.ckpt").unlink()
    with pytest.raises(WeightsEvicted, match=rf"\({WeightsDenied.__name__}: .*\) - delete the pod: its successor"):
        restore_all(store.pod())


@pytest.mark.parametrize("failure", [WeightsUnreachable, WeightsTruncated])
def test_a_server_that_fails_is_asked_again_by_the_next_start(store: Store, failure: type[FatalError]) -> None:
    fetch_all(store.pod())
    cached(store, "v1.ckpt").unlink()
    if failure is WeightsTruncated:
        store.server.cut_after = [3]
    else:
        store.server.down = {"v1.ckpt"}
    with pytest.raises(failure):
        restore_all(store.pod())
    store.server.down = set()
    restore_all(store.pod())
    assert model_of(locate_all(store.pod())) == MODEL_1


def test_room_for_an_evicted_file_is_made_from_files_of_other_pods_only(store: Store) -> None:
    pod = store.pod(cache_limit_bytes=SIZE, keep_unused_seconds=0)
    fetch_all(pod)
    cached(store, "v1.ckpt").unlink()
    other = add_blob(open_cache(store.root / "cache"), b"w" * len(V1["v1.ckpt"]))
    make_old(store)
    restore_all(pod)
    assert (model_of(locate_all(pod)), gate_of(locate_all(pod))) == (MODEL_1, GATE_1)
    assert other not in blobs(store.root / "cache")


def test_a_mask_that_was_evicted_is_fetched_again(store: Store) -> None:
    mask = {"enabled": True, "weights_url": f"{store.server.url}/v2.ckpt", "sha256": digest_of("v2.ckpt")}
    pod = store.pod()
    pod = pod.model_copy(update={"mask": pod.mask.model_copy(update=mask)})
    fetch_all(pod)
    cached(store, "v2.ckpt").unlink()
    restore_all(pod)
    assert cached(store, "v2.ckpt").read_bytes() == V1["v2.ckpt"]
