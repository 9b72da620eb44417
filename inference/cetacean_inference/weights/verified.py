"""Opens files of the cache after verifying their digests."""

from __future__ import annotations

import shutil
import tempfile
import threading
from io import BufferedReader, BytesIO
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cetacean_inference.errors import CacheFull, DigestMismatch, WeightsEvicted, WeightsTooLarge
from cetacean_inference.weights.blob import Blob, digest_of
from cetacean_inference.weights.cache import WeightsCache, set_time_of_use

CHUNK: Final = 2**20
"""Bytes that are copied at once."""


class VerifiedFiles:
    """The open files of this process; each is opened and hashed once, even if it is read several times.

    A context manager. Its files are not evicted until it is closed.

    Args:
        cache: the weights cache.
        own: the cache that no other pod can write to, if that is another one. Then files of `cache` are copied there
            while they are hashed, because another pod could change them afterwards.
        refresh_seconds: how often the files' times of use are set to now, None for never. If the process ends, its
            locks end, and only the time protects the files until it has been started again.
    """

    def __init__(
        self, cache: WeightsCache, *, own: WeightsCache | None = None, refresh_seconds: float | None = None
    ) -> None:
        self._cache = cache
        self._own = own or cache
        self._streams: dict[str, BufferedReader] = {}
        self._kept: list[BufferedReader] = []
        self._closing = threading.Event()
        self._refresh: threading.Thread | None = None
        self.refresh_seconds = refresh_seconds

    @property
    def derived(self) -> Path:
        """Directory of files that were computed from weights."""
        return self._own.derived

    def __enter__(self) -> Self:
        if self.refresh_seconds is not None:
            self._refresh = threading.Thread(
                target=self._refresh_times, args=(self.refresh_seconds,), name="cache-times", daemon=True
            )
            self._refresh.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()

    def open(self, blob: Blob) -> BufferedReader:
        """Return the blob, positioned at its first byte; the caller must not close it.

        Reading returns the bytes that were hashed, even if the name is replaced meanwhile, and in a shared cache even
        if the file is written to.

        Raises:
            WeightsEvicted: it was evicted since it was fetched.
            DigestMismatch: it is damaged; `weights.fetch.load_intact` fetches it again.
        """
        stream = self._streams.get(blob.sha256)
        if stream is None:
            stream = self._streams[blob.sha256] = self._open_verified(blob)
        stream.seek(0)
        return stream

    def read(self, blob: Blob, *, max_bytes: int) -> BytesIO:
        """Return the bytes of a small file; they are hashed in memory, so no other process can change them.

        Raises:
            WeightsTooLarge: it has more than `max_bytes`.
            WeightsEvicted: it was evicted since it was fetched.
            DigestMismatch: it is damaged; `weights.fetch.load_intact` fetches it again.
        """
        stream = self._streams.get(blob.sha256)
        if stream is None:
            stream = self._streams[blob.sha256] = _open(blob, self._holder(blob))
        stream.seek(0)
        content = BytesIO(stream.read(max_bytes + 1))
        if len(content.getbuffer()) > max_bytes:
            raise WeightsTooLarge(f"{blob.url}: expected at most {max_bytes} bytes, got more in the cache")
        _check(content, blob, self._holder(blob))
        content.seek(0)
        return content

    def keep(self, blob: Blob) -> None:
        """Keep a blob that nobody reads from being evicted, so that the next start of this pod finds it.

        Raises:
            WeightsEvicted: it was evicted since it was fetched.
        """
        self.hold(_open(blob, self._holder(blob)))

    def hold(self, stream: BufferedReader) -> None:
        """Hold an open, locked file of the cache until all files are closed."""
        self._kept.append(stream)

    def close(self) -> None:
        """Close all files."""
        self._closing.set()
        if self._refresh is not None:
            self._refresh.join()  # a closed file's descriptor may belong to another one
        for stream in (*self._streams.values(), *self._kept):
            stream.close()
        self._streams.clear()
        self._kept.clear()

    def _refresh_times(self, every_seconds: float) -> None:
        while not self._closing.wait(every_seconds):
            for stream in (*self._streams.values(), *self._kept):
                set_time_of_use(stream)

    def _holder(self, blob: Blob) -> WeightsCache:
        return self._own if self._own.find(blob.sha256) else self._cache

    def _open_verified(self, blob: Blob) -> BufferedReader:
        holder = self._holder(blob)
        stream = _open(blob, holder)
        if holder.root != self._own.root:
            stream = _copy(stream, self._own)
        try:
            _check(stream, blob, holder)
        except DigestMismatch:
            stream.close()
            raise
        return stream


def _open(blob: Blob, cache: WeightsCache) -> BufferedReader:
    try:
        return cache.open_locked(blob.sha256)
    except FileNotFoundError as error:
        raise WeightsEvicted(
            f"{blob.url}: evicted from the cache {cache.root} since it was fetched - run fetch again"
        ) from error


def _copy(stream: BufferedReader, own: WeightsCache) -> BufferedReader:
    """Copy a file to a volume that no other pod can write to; the copy has no name and ends with this process.

    Raises:
        CacheFull: there is no room.
    """
    try:
        with stream, tempfile.NamedTemporaryFile(dir=own.root) as copy:
            shutil.copyfileobj(stream, copy, CHUNK)
            copy.flush()
            return Path(copy.name).open("rb")
    except OSError as error:
        raise CacheFull(f"{own.root}: cannot copy weights: {error.strerror or error}") from error


def _check(stream: BufferedReader | BytesIO, blob: Blob, cache: WeightsCache) -> None:
    if (found := digest_of(stream)) != blob.sha256:
        raise DigestMismatch(f"{blob.url}: expected sha256:{blob.sha256}, got sha256:{found} in the cache {cache.root}")
