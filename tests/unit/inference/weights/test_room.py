"""The room of a download: reserved at once if its length is known, and while its bytes come."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest
from support.file_server import FileServer
from support.waiting import wait_until
from support.weights_cache import add_blob, blobs, open_cache

from cetacean_inference.errors import CacheFull
from cetacean_inference.settings import MIB, FetchSettings
from cetacean_inference.weights import room
from cetacean_inference.weights.fetch import fetch
from cetacean_inference.weights.room import Room

BIG = os.urandom(3 * MIB)


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "STEP", MIB)


@pytest.fixture(params=["with its length", "chunked", "compressed"])
def big_file(request: pytest.FixtureRequest, server: FileServer) -> str:
    """Return the URL of a file of 3 MiB that is sent so."""
    (server.directory / "big.ckpt").write_bytes(BIG)
    server.chunked = request.param == "chunked"
    server.encoding = "gzip" if request.param == "compressed" else None
    return f"{server.url}/big.ckpt"


def size_of(root: Path) -> int:
    return sum(path.stat().st_size for path in (root / "blobs").rglob("*") if path.is_file())


def test_a_file_evicts_unused_ones_within_the_limit(big_file: str, tmp_path: Path, options: FetchSettings) -> None:
    filled = open_cache(tmp_path / "c", limit=5 * MIB)
    newest = [add_blob(filled, os.urandom(MIB), age=1000 - n) for n in range(4)][-1]
    cache = open_cache(tmp_path / "c", limit=5 * MIB)
    blob = fetch(big_file, sha256=None, cache=cache, settings=options)
    assert blob.path.read_bytes() == BIG
    assert newest in blobs(cache.root)
    assert size_of(cache.root) <= 5 * MIB


def test_a_file_larger_than_the_limit_is_refused(big_file: str, tmp_path: Path, options: FetchSettings) -> None:
    cache = open_cache(tmp_path / "c", limit=2 * MIB)
    digest = hashlib.sha256(BIG).hexdigest()
    with pytest.raises(CacheFull, match="expected at most 2097152"):
        fetch(big_file, sha256=digest, cache=cache, settings=options)
    assert blobs(cache.root) == set()
    parts = [path for path in (cache.root / "incomplete").iterdir() if path.suffix == ".part"]
    assert sum(path.stat().st_size for path in parts) <= 2 * MIB


def test_the_last_bytes_need_no_whole_step(tmp_path: Path, server: FileServer, options: FetchSettings) -> None:
    (server.directory / "big.ckpt").write_bytes(BIG)
    server.chunked = True
    cache = open_cache(tmp_path / "c", limit=len(BIG) + 1000)
    assert fetch(f"{server.url}/big.ckpt", sha256=None, cache=cache, settings=options).path.read_bytes() == BIG


def test_downloads_at_once_share_the_limit(tmp_path: Path, server: FileServer, options: FetchSettings) -> None:
    """Both files fit alone; the second one to grow notices that the first has taken the room."""
    for name in ("one", "two"):
        (server.directory / name).write_bytes(os.urandom(3 * MIB))
    server.hang = threading.Event()
    outcomes: list[str] = []

    def run(name: str) -> None:
        cache = open_cache(tmp_path / "c", limit=5 * MIB, keep_unused_seconds=600)
        try:
            fetch(f"{server.url}/{name}", sha256=None, cache=cache, settings=options)
            outcomes.append("stored")
        except CacheFull:
            outcomes.append("full")

    threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    wait_until(lambda: server.requests.total() == 2)
    server.hang.set()
    for thread in threads:
        thread.join()
    assert set(outcomes) in ({"full"}, {"full", "stored"})
    assert size_of(tmp_path / "c") <= 5 * MIB


def test_room_is_asked_for_in_steps() -> None:
    asked: list[int] = []
    known = Room(asked.append, offset=10, total=2 * MIB + 10)
    known.begin()
    known.require(10, 100)
    known.require(MIB, MIB + 20)
    assert asked == [2 * MIB, MIB + 10]
    asked.clear()
    unknown = Room(asked.append, offset=0, total=None)
    unknown.begin()
    for begin in range(0, 2 * MIB, MIB // 4):
        unknown.require(begin, begin + MIB // 4)
    assert asked == [MIB, MIB]
    asked.clear()
    longer = Room(asked.append, offset=0, total=10)
    longer.begin()
    longer.require(5, 15)
    assert asked == [10, MIB]
