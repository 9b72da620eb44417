"""Undoes the compression of a file by its server, in steps of bounded size.

httpx undoes it too, but it makes one piece of whatever a piece of the answer contains, and takes a part of a stream
for the whole.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

import httpx

from cetacean_inference.weights.sources.source import Interrupted

ENCODINGS: Final = frozenset({"gzip", "x-gzip", "deflate"})
"""Encodings that are undone."""
STEP: Final = 2**20
"""Most bytes that are decompressed at once."""
_ZLIB_METHOD: Final = 8


def decoded(compressed: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the file of a compressed body in pieces of at most `STEP` bytes, and at least one for each piece of it.

    Args:
        compressed: the body as received.
        encoding: one of `ENCODINGS`.

    Raises:
        Interrupted: the body ended before the compressed stream did.
        httpx.DecodingError: it is damaged.
    """
    stream = _Gzip() if encoding.endswith("gzip") else _Deflate()
    for piece in compressed:
        try:
            yield from stream.steps(piece)
        except zlib.error as error:
            raise httpx.DecodingError(f"expected {encoding}, got damaged data: {error}") from error
    if not stream.ended:
        raise Interrupted(f"the {encoding} stream ended too early")


class _Gzip:
    """Members of gzip, one after the other (RFC 1952)."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(16 + zlib.MAX_WBITS)

    @property
    def ended(self) -> bool:
        return self._member.eof

    def steps(self, data: bytes) -> Iterator[bytes]:
        yield from _steps(self._member, data)
        while rest := self._member.unused_data:
            self._member = zlib.decompressobj(16 + zlib.MAX_WBITS)
            yield from _steps(self._member, rest)


class _Deflate:
    """A stream of zlib (RFC 1950), or of bare deflate, which some servers send under the same name."""

    def __init__(self) -> None:
        self._head = b""
        self._stream: zlib._Decompress | None = None

    @property
    def ended(self) -> bool:
        return self._stream is not None and self._stream.eof

    def steps(self, data: bytes) -> Iterator[bytes]:
        if self._stream is None:
            self._head = data = self._head + data
            if len(data) < 2:
                return
            framed = data[0] & 0xF == _ZLIB_METHOD and int.from_bytes(data[:2]) % 31 == 0
            self._stream = zlib.decompressobj(zlib.MAX_WBITS if framed else -zlib.MAX_WBITS)
        yield from _steps(self._stream, data)
        if self._stream.unused_data:
            raise zlib.error("bytes after its end")


def _steps(stream: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    while True:
        step = stream.decompress(data, STEP)
        yield step
        data = stream.unconsumed_tail
        if stream.eof or (not data and len(step) < STEP):
            return
