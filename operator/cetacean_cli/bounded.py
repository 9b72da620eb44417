"""Reads the bodies of pods' responses, which may have any size and come as slowly as the pod likes."""

from __future__ import annotations

import time
from typing import Final

from urllib3.response import BaseHTTPResponse

_CHUNK_BYTES: Final = 2**16


def read_up_to(response: BaseHTTPResponse, max_bytes: int, *, seconds: float) -> bytes:
    """Return the body as it was sent, and close the response.

    Of a body of more than `max_bytes` bytes, a part is returned that is longer than that.

    Raises:
        TimeoutError: it has not come within `seconds`.
    """
    end = time.monotonic() + seconds
    try:
        body = bytearray()
        while len(body) <= max_bytes and (chunk := response.read1(_CHUNK_BYTES, decode_content=False)):
            body += chunk
            if time.monotonic() > end:
                raise TimeoutError
        return bytes(body)
    finally:
        response.close()  # what was not read is left
