"""A file of the cache that is damaged is never read: whoever finds it removes it, and it is fetched again."""

from __future__ import annotations

import hashlib
import os
import re
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
from cetacean_inference.weights.fetch import fetch_all, fetching, locate_all, open_verified

CHECKPOINT = hashlib.sha256(V1["v1.ckpt"]).hexdigest()


def damage(settings: Settings, name: str = "v1.ckpt") -> Path:
    digest = hashlib.sha256(V1[name]).hexdigest()
    path = settings.weights_cache / "blobs" / "sha256" / digest
    path.write_bytes(b"damaged")
    return path


def load_and_end(settings: Settings) -> FakePipeline:
    files = locate_all(settings)
    with open_verified(settings) as verified:
        verified.open(files.checkpoint)
        for blob in (files.classes, files.species):
            verified.read(blob, max_bytes=100)
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
@pytest.mark.parametrize("name", ["v1.ckpt", "encoder_classes.npy", "species_map.csv"])
def test_a_container_that_finds_a_damaged_file_fetches_it_again_and_serves(
    store: Store, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    pod = store.pod()
    fetch_all(pod)
    damage(pod, name)
    asked = store.server.requests.total()
    first, second = served_files(pod)
    assert first != MODEL_1
    assert second == MODEL_1
    assert store.server.requests.total() == asked + 1
    assert re.search(rf"{name}: expected sha256:.* in the cache .*; fetching it again", capfd.readouterr().err)
    assert served_files(pod) == [MODEL_1]


def test_a_file_that_is_damaged_each_time_ends_the_container(store: Store) -> None:
    pod = store.pod()
    fetch_all(pod)
    loads: list[Path] = []

    def load(given: Settings) -> FakePipeline:
        loads.append(damage(given))
        with open_verified(given) as verified:
            verified.open(locate_all(given).checkpoint)
        raise AssertionError("loaded a damaged file")

    with pytest.raises(DigestMismatch, match=r"v1\.ckpt: expected sha256:"):
        run(pod, load=load)
    assert len(loads) == 2


def test_if_the_store_is_down_the_container_ends_with_a_reason_that_may_pass(store: Store) -> None:
    pod = store.pod()
    fetch_all(pod)
    damage(pod)
    store.server.down = {"v1.ckpt"}
    with pytest.raises(WeightsUnreachable, match=r"v1\.ckpt"):
        run(pod, load=load_and_end)
    store.server.down = set()
    assert served_files(pod) == [MODEL_1], "the next container fetches it"


def test_a_damaged_file_that_cannot_be_removed_is_not_read_either(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    pod = store.pod()
    files = fetch_all(pod)
    path = damage(pod)
    monkeypatch.setattr("cetacean_inference.weights.cache.WeightsCache.remove", read_only)
    with open_verified(pod) as verified, pytest.raises(DigestMismatch):
        verified.open(files.checkpoint)
    assert path.exists()


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
    damage(pod)
    with fetching(pod, unread={CHECKPOINT}):
        pass
    assert served_files(pod) == [[b"damaged", *MODEL_1[1:]], MODEL_1]


def test_a_file_that_will_be_read_is_verified_before(store: Store) -> None:
    pod = store.pod()
    fetch_all(pod)
    damage(pod)
    with fetching(pod, unread={"ab" * 32}) as files:
        assert model_of(files) == MODEL_1
