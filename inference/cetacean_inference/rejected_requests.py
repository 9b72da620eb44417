"""Requests that are answered with an HTTP error status."""

from __future__ import annotations

from typing import Final

from cetacean_inference.messages import printable

LONGEST_DETAIL: Final = 600
"""Characters of a message; it may quote names and types that the client has sent."""


class RequestRejected(Exception):  # noqa: N818 - an answer to a client, not an error of the service
    """A request that is answered with `status` and a message.

    Args:
        status: HTTP status.
        detail: one sentence: expected and found; kept as one line of bounded length.
        retry_after: seconds after which the client may try again.
    """

    def __init__(self, status: int, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = printable(detail[: 2 * LONGEST_DETAIL])[:LONGEST_DETAIL]
        self.retry_after = retry_after


class UnusableImage(RequestRejected):
    """A picture that cannot be decoded or exceeds a bound.

    Args:
        status: HTTP status.
        detail: one sentence: expected and found.
        size: width and height in pixels as far as they are known, else 0.
    """

    def __init__(self, status: int, detail: str, *, size: tuple[int, int] = (0, 0)) -> None:
        super().__init__(status, detail)
        self.size = size
        self.sha256: str | None = None
        """Digest of the file; set by the caller that read the bytes."""
