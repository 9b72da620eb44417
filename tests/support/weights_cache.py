"""A small cache of weights, and its content."""

from __future__ import annotations

import hashlib
import os
from io import BufferedReader, BytesIO
from pathlib import Path

import pytest

from cetacean_inference.weights.blob import digest_of
from cetacean_inference.weights.cache import RECORD_FILE, WeightsCache


def open_cache(root: Path, *, limit: int = 1000, keep_unused_seconds: float = 0.0) -> WeightsCache:
    """Open a cache as another pod would."""
    cache = WeightsCache(root, limit_bytes=limit, keep_unused_seconds=keep_unused_seconds)
    cache.prepare()
    return cache


def add_blob(cache: WeightsCache, content: bytes, *, age: float = 1000.0) -> str:
    """Add a blob that was last used `age` seconds ago; returns its digest."""
    digest = hashlib.sha256(content).hexdigest()
    partial = cache.partial(digest)
    partial.write_bytes(content)
    _make_older(cache.commit(partial, digest), age)
    return digest


def add_derived(cache: WeightsCache, name: str, *, age: float = 1000.0) -> Path:
    """Add a derived directory of 300 bytes that was last used `age` seconds ago."""
    with cache.staging_directory(name) as staging:
        (staging / "big").write_bytes(b"x" * 298)
        (staging / RECORD_FILE).write_bytes(b"{}")
    record = cache.derived / name / RECORD_FILE
    _make_older(record, age)
    return record.parent


def add_incomplete(cache: WeightsCache, key: str, *, age: float = 1000.0) -> Path:
    """Add 300 bytes of an interrupted download that was last written `age` seconds ago."""
    partial = cache.partial(key)
    partial.write_bytes(b"x" * 300)
    _make_older(partial, age)
    return partial


def record_hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which the digest of each file is added that `VerifiedFiles` hashes from now on."""
    hashed: list[str] = []

    def recording(stream: BufferedReader | BytesIO) -> str:
        hashed.append(digest_of(stream))
        return hashed[-1]

    monkeypatch.setattr("cetacean_inference.weights.verified.digest_of", recording)
    return hashed


def blobs(root: Path) -> set[str]:
    """Return the digests in the cache."""
    return {path.name for path in (root / "blobs" / "sha256").iterdir()}


def _make_older(path: Path, age: float) -> None:
    when = path.stat().st_mtime - age
    os.utime(path, (when, when))
