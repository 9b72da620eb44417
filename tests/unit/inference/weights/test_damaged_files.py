"""A file of the cache that is damaged is never read: whoever finds it removes it, and it is fetched again."""

from __future__ import annotations

import hashlib
import os
import re
import weakref
from collections.abc import Sequence
from io import BufferedReader
from pathlib import Path

import pytest
from support.inference_world import FakePipeline
from support.weights_store import MODEL_1, V1, Store, model_of

from cetacean_inference.errors import DigestMismatch, FatalError, WeightsUnreachable
from cetacean_inference.http.serve import run
from cetacean_inference.settings import Settings
from cetacean_inference.weights import fetch as fetching_module
from cetacean_inference.weights.blob import digest_of
from cetacean_inference.weights.fetch import fetch_all, fetching, load_intact, locate_all, open_verified

CHECKPOINT = hashlib.sha256(V1["v1.ckpt"]).hexdigest()
MODEL = ("v1.ckpt", "encoder_classes.npy", "species_map.csv")
LARGEST = 100
"""Bytes of a companion file that are read."""


def cached(store: Store, name: str) -> Path:
    """Return a file of the pod's cache, or of the one that it shares."""
    return next(store.root.rglob(hashlib.sha256(V1[name]).hexdigest()))


def damage(store: Store, name: str = "v1.ckpt", content: bytes = b"damaged") -> Path:
    path = cached(store, name)
    path.write_bytes(content)
    return path


def load_and_end(settings: Settings) -> FakePipeline:
    files = locate_all(settings)
    with open_verified(settings) as verified:
        verified.open(files.checkpoint)
        for blob in (files.classes, files.species):
            verified.read(blob, max_bytes=LARGEST)
    raise FatalError("end")


def served_files(settings: Settings) -> list[list[bytes]]:
    """Serve, and return what each attempt to load has found; the process ends after one that finds no damage."""
    found: list[list[bytes]] = []

    def load(given: Settings) -> FakePipeline:
        found.append(model_of(locate_all(given)))
        return load_and_end(given)

    with pytest.raises(FatalError, match="end"):
        run(settings, load=load)
    return found


@pytest.mark.usefixtures("_restored_logging")
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("names", [MODEL[:1], MODEL[1:2], MODEL[2:], MODEL], ids="+".join)
def test_a_container_that_finds_damaged_files_fetches_them_again_and_serves(
    store: Store, names: Sequence[str], capfd: pytest.CaptureFixture[str], *, shared: bool
) -> None:
    pod = store.pod(shared=shared)
    fetch_all(pod)
    for name in names:
        damage(store, name)
    asked = store.server.requests.total()
    first, second = served_files(pod)
    assert first != MODEL_1
    assert second == MODEL_1
    assert store.server.requests.total() == asked + len(names)
    cache = cached(store, names[0]).parents[2]
    message = rf"{names[0]}: expected sha256:\w+, got sha256:\w+ in the cache {cache}; verifying all files"
    assert re.search(message, capfd.readouterr().err)
    assert served_files(pod) == [MODEL_1]


def test_a_companion_file_that_became_too_long_is_fetched_again(store: Store) -> None:
    pod = store.pod()
    fetch_all(pod)
    damage(store, "species_map.csv", b"s" * (LARGEST + 1))
    assert len(served_files(pod)) == 2
    assert cached(store, "species_map.csv").read_bytes() == V1["species_map.csv"]


def test_what_was_loaded_before_the_damage_was_found_is_freed(store: Store) -> None:
    class Network:
        pass

    pod = store.pod()
    fetch_all(pod)
    networks: list[weakref.ref[Network]] = []

    def load(_: Settings) -> bool:
        if networks:
            return networks[0]() is None
        network = Network()
        networks.append(weakref.ref(network))
        raise DigestMismatch("found late")

    assert load_intact(load, pod)


def test_who_finds_damage_removes_nothing(store: Store) -> None:
    """Another pod may have fetched the file again meanwhile, and `replay` in a live pod changes nothing."""
    pod = store.pod()
    files = fetch_all(pod)
    path = damage(store)
    with open_verified(pod) as verified, pytest.raises(DigestMismatch):
        verified.open(files.checkpoint)
    assert path.exists()


def test_a_file_that_is_damaged_each_time_ends_the_container(store: Store) -> None:
    pod = store.pod()
    fetch_all(pod)
    loads: list[Path] = []

    def load(given: Settings) -> FakePipeline:
        loads.append(damage(store))
        with open_verified(given) as verified:
            verified.open(locate_all(given).checkpoint)
        raise AssertionError("loaded a damaged file")

    with pytest.raises(DigestMismatch, match=r"v1\.ckpt: expected sha256:"):
        run(pod, load=load)
    assert len(loads) == 2


def test_if_the_store_is_down_the_container_ends_with_a_reason_that_may_pass(store: Store) -> None:
    pod = store.pod()
    fetch_all(pod)
    damage(store)
    store.server.down = {"v1.ckpt"}
    with pytest.raises(WeightsUnreachable, match=r"v1\.ckpt"):
        run(pod, load=load_and_end)
    store.server.down = set()
    assert served_files(pod) == [MODEL_1], "the next container fetches it"


# --- files that nobody will read -------------------------------------------------------------------------------------


def test_fetch_hashes_no_file_that_nobody_will_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[int] = []

    def counted(stream: BufferedReader) -> str:
        hashed.append(os.fstat(stream.fileno()).st_size)
        return digest_of(stream)

    monkeypatch.setattr(fetching_module, "digest_of", counted)
    pod = store.pod()
    fetch_all(pod)
    assert hashed == []
    with fetching(pod, unread={CHECKPOINT}) as files:
        assert model_of(files) == MODEL_1
    assert sorted(hashed) == sorted(len(content) for name, content in V1.items() if not name.endswith(".ckpt"))


def test_a_file_that_nobody_will_read_is_fetched_if_it_is_not_there(store: Store) -> None:
    with fetching(store.pod(), unread={CHECKPOINT}) as files:
        assert model_of(files) == MODEL_1


def test_a_file_that_is_read_all_the_same_is_verified_by_its_reader(store: Store) -> None:
    pod = store.pod()
    fetch_all(pod)
    damage(store)
    with fetching(pod, unread={CHECKPOINT}):
        pass
    assert served_files(pod) == [[b"damaged", *MODEL_1[1:]], MODEL_1]


def test_a_file_that_will_be_read_is_verified_before(store: Store) -> None:
    pod = store.pod()
    fetch_all(pod)
    damage(store)
    with fetching(pod, unread={"ab" * 32}) as files:
        assert model_of(files) == MODEL_1
