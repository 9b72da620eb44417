"""Opens files of the cache after verifying their digests."""

from __future__ import annotations

from io import BufferedReader, BytesIO
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

    def read(self, blob: Blob) -> BytesIO:
        """Return the bytes of a small file; they are hashed in memory, so no other process can change them.

        Raises:
            WeightsNotFound: it was evicted since it was fetched.
            DigestMismatch: it is damaged.
        """
        stream = self._streams.get(blob.sha256)
        if stream is None:
            stream = self._streams[blob.sha256] = _open(blob, self.cache)
        stream.seek(0)
        content = BytesIO(stream.read())
        _check(content, blob, self.cache)
        content.seek(0)
        return content

    def close(self) -> None:
        """Close all files."""
        for stream in self._streams.values():
            stream.close()
        self._streams.clear()


def _open(blob: Blob, cache: WeightsCache) -> BufferedReader:
    try:
        return cache.open_locked(blob.sha256)
    except FileNotFoundError as error:
        raise WeightsNotFound(f"{blob.url}: evicted from the cache {cache.root} since it was fetched") from error


def _open_verified(blob: Blob, cache: WeightsCache) -> BufferedReader:
    stream = _open(blob, cache)
    try:
        _check(stream, blob, cache)
    except DigestMismatch:
        stream.close()
        raise
    return stream


def _check(stream: BufferedReader | BytesIO, blob: Blob, cache: WeightsCache) -> None:
    if (found := digest_of(stream)) != blob.sha256:
        raise DigestMismatch(f"{blob.url}: expected sha256:{blob.sha256}, got sha256:{found} in the cache {cache.root}")
