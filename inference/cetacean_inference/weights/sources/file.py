"""file:///path: files of this machine. Pods never get such a URL."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final
from urllib.parse import unquote, urlsplit

from cetacean_inference.errors import WeightsDenied, WeightsNotFound, WeightsUnreachable
from cetacean_inference.messages import reason_of
from cetacean_inference.weights.sources.source import Body, NotModified, Present, Source, Wanted

CHUNK: Final = 2**20
"""Bytes that are read at once."""


class FileSource(Source):
    """A file of this machine; it is read from its first byte each time."""

    def path(self) -> Path:
        """Return the file's path.

        Raises:
            WeightsNotFound: the URL is of another host.
        """
        parts = urlsplit(self.url)
        if parts.netloc not in ("", "localhost"):
            raise WeightsNotFound(f"{self.name}: expected file:///… with the path of a file")
        return Path(unquote(parts.path))

    @contextmanager
    def open(self, wanted: Wanted) -> Iterator[Body]:
        """Open the file."""
        with self._opened() as stream:
            if wanted.present and self._is(stream, wanted.present):
                raise NotModified
            size = os.fstat(stream.fileno()).st_size
            yield Body(chunks=self._chunks(stream), offset=0, total=size, validator=None, etag=None)

    def _opened(self) -> IO[bytes]:
        try:
            path = self.path()
            if path.exists() and not path.is_file():
                raise WeightsNotFound(f"{self.name}: expected the path of a file")
            return path.open("rb")
        except PermissionError as error:
            hint = "make the file and its folders readable for the user of the pod"
            raise WeightsDenied(f"{self.name}: {reason_of(error)} - {hint}") from error
        except (FileNotFoundError, NotADirectoryError, ValueError) as error:
            raise WeightsNotFound(f"{self.name}: {reason_of(error)}") from error

    def _is(self, stream: IO[bytes], present: Present) -> bool:
        """Compare the bytes in place: a copy would need room beside the file that is there."""
        if os.fstat(stream.fileno()).st_size != present.size:
            return False
        digest, received = hashlib.sha256(), 0
        for chunk in self._chunks(stream):
            digest.update(chunk)
            self.pace.reach(received := received + len(chunk))
            if self.pace.remaining() <= 0:
                break
        self.pace.begin(0)  # the copy has its own time
        stream.seek(0)
        return digest.hexdigest() == present.sha256

    def _chunks(self, stream: IO[bytes]) -> Iterator[bytes]:
        try:
            while chunk := stream.read(CHUNK):
                yield chunk
        except OSError as error:
            raise WeightsUnreachable(f"{self.name}: cannot be read: {reason_of(error)}") from error
