"""A file server on loopback, and a cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.file_server import FileServer, serving
from support.weights_store import Store

from cetacean_inference.settings import FetchSettings
from cetacean_inference.weights.cache import WeightsCache

CONTENT = os.urandom(300_000)


@pytest.fixture
def content() -> bytes:
    """The server's file `a.ckpt`."""
    return CONTENT


@pytest.fixture
def digest() -> str:
    return hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    directory = tmp_path / "served"
    directory.mkdir()
    (directory / "a.ckpt").write_bytes(CONTENT)
    with serving(directory) as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    directory = tmp_path / "store"
    directory.mkdir()
    with serving(directory) as server:
        yield Store(tmp_path, server)


@pytest.fixture
def options() -> FetchSettings:
    return FetchSettings(attempts=3, backoff_initial_seconds=0, backoff_max_seconds=0, keep_unused_seconds=0)


@pytest.fixture
def cache(tmp_path: Path) -> WeightsCache:
    cache = WeightsCache(tmp_path / "cache", limit_bytes=10_000_000, keep_unused_seconds=0)
    cache.prepare()
    return cache
