"""Opens files of the cache after verifying their digests."""

from __future__ import annotations

from io import BufferedReader
from types import TracebackType
from typing import Self

from cetacean_inference.errors import DigestMismatch, WeightsNotFound
from cetacean_inference.weights.blob import Blob, digest_of
from cetacean_inference.weights.cache import WeightsCache


class VerifiedFiles:
    """The open files of this process; each is opened and hashed once, even if it is read several times.

    A context manager. Its files are not evicted until it is closed.
    """

    def __init__(self, cache: WeightsCache) -> None:
        self.cache = cache
        self._streams: dict[str, BufferedReader] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()

    def open(self, blob: Blob) -> BufferedReader:
        """Return the blob, positioned at its first byte; the caller must not close it.

        Reading returns the bytes that were hashed, even if the name is replaced meanwhile.

        Raises:
            WeightsNotFound: it was evicted since it was fetched.
            DigestMismatch: it is damaged.
        """
        stream = self._streams.get(blob.sha256)
        if stream is None:
            stream = self._streams[blob.sha256] = _open_verified(blob, self.cache)
        stream.seek(0)
        return stream

    def close(self) -> None:
        """Close all files."""
        for stream in self._streams.values():
            stream.close()
        self._streams.clear()


def _open_verified(blob: Blob, cache: WeightsCache) -> BufferedReader:
    try:
        stream = cache.open_locked(blob.sha256)
    except FileNotFoundError as error:
        raise WeightsNotFound(f"{blob.url}: evicted from the cache {cache.root} since it was fetched") from error
    if (found := digest_of(stream)) != blob.sha256:
        stream.close()
        raise DigestMismatch(f"{blob.url}: expected sha256:{blob.sha256}, got sha256:{found} in the cache {cache.root}")
    return stream
