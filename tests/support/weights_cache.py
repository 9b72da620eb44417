"""A small cache of weights, and what lies in it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from cetacean_inference.weights.cache import RECORD_FILE, WeightsCache


def opened(root: Path, *, limit: int = 1000, keep_seconds: float = 0.0) -> WeightsCache:
    """A cache as another pod would open it."""
    cache = WeightsCache(root, limit_bytes=limit, keep_seconds=keep_seconds)
    cache.prepare()
    return cache


def adopt(cache: WeightsCache, content: bytes, *, age: float = 1000.0) -> str:
    """A blob that was last used `age` seconds ago."""
    digest = hashlib.sha256(content).hexdigest()
    partial = cache.partial(digest)
    partial.write_bytes(content)
    path = cache.adopt(partial, digest)
    when = path.stat().st_mtime - age
    os.utime(path, (when, when))
    return digest


def blobs(root: Path) -> set[str]:
    """Digests of what is there."""
    return {path.name for path in (root / "blobs" / "sha256").iterdir()}


def derive(cache: WeightsCache, name: str, *, age: float = 1000.0) -> Path:
    """A derived directory of 300 bytes that was last used `age` seconds ago."""
    with cache.staged(name) as staging:
        (staging / "big").write_bytes(b"x" * 298)
        (staging / RECORD_FILE).write_bytes(b"{}")
    record = cache.derived / name / RECORD_FILE
    when = record.stat().st_mtime - age
    os.utime(record, (when, when))
    return record.parent
