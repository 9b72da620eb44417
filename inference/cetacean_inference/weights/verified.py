"""Opens what is in the cache, and lets nothing through that is not what its name says."""

from __future__ import annotations

from typing import IO

from cetacean_inference.errors import DigestMismatch, WeightsNotFound
from cetacean_inference.weights.cache import Blob, WeightsCache, digest_of


def open_verified(blob: Blob, cache: WeightsCache) -> IO[bytes]:
    """The blob, opened once: the bytes that are hashed here are those that are read afterwards.

    As long as the file is open the blob is not evicted.

    Raises:
        WeightsNotFound: when it was evicted meanwhile.
        DigestMismatch: when it is damaged.
    """
    try:
        stream = cache.hold(blob.sha256)
    except FileNotFoundError as error:
        raise WeightsNotFound(f"{blob.url}: evicted from the cache {cache.root} since it was fetched") from error
    if (found := digest_of(stream)) != blob.sha256:
        stream.close()
        raise DigestMismatch(f"{blob.url}: expected sha256:{blob.sha256}, got sha256:{found} in the cache {cache.root}")
    stream.seek(0)
    return stream
