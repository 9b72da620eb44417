"""Opens what is in the cache, and lets nothing through that is not what its name says."""

from __future__ import annotations

from types import TracebackType
from typing import IO, Self

from cetacean_inference.errors import DigestMismatch, WeightsNotFound
from cetacean_inference.weights.cache import Blob, WeightsCache, digest_of


class Verified:
    """Files of the cache that this process reads; each is opened and hashed once, however often it is read.

    As long as this is open its files are not evicted. A context manager.
    """

    def __init__(self, cache: WeightsCache) -> None:
        self.cache = cache
        self._streams: dict[str, IO[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()

    def open(self, blob: Blob) -> IO[bytes]:
        """The blob at its first byte: the bytes that were hashed are those that are read. Not to be closed.

        Raises:
            WeightsNotFound: when it was evicted meanwhile.
            DigestMismatch: when it is damaged.
        """
        stream = self._streams.get(blob.sha256)
        if stream is None:
            stream = self._streams[blob.sha256] = _opened(blob, self.cache)
        stream.seek(0)
        return stream

    def close(self) -> None:
        """Let go of all of them."""
        for stream in self._streams.values():
            stream.close()
        self._streams.clear()


def _opened(blob: Blob, cache: WeightsCache) -> IO[bytes]:
    try:
        stream = cache.hold(blob.sha256)
    except FileNotFoundError as error:
        raise WeightsNotFound(f"{blob.url}: evicted from the cache {cache.root} since it was fetched") from error
    if (found := digest_of(stream)) != blob.sha256:
        stream.close()
        raise DigestMismatch(f"{blob.url}: expected sha256:{blob.sha256}, got sha256:{found} in the cache {cache.root}")
    return stream
