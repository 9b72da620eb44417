"""How many bytes a server may send before the body of its answer, or in a whole answer.

h11 bounds one head, but a server may send any number of informational ones (1xx) before it, or a body in pieces of one
byte each. Each takes far more processor time than to send it, and none of it reaches the code that bounds the body.
"""

from __future__ import annotations

from typing import Final

import httpcore

PIECE: Final = 4096
"""Bytes that are read at once: what they contain is parsed without a pause, in the event loop too."""


class AnswerBudget:
    """The bytes that a connection may still receive until its next request is sent.

    Args:
        limit: of them, until `release`.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._remaining: int | None = limit

    def restart(self) -> None:
        """Begin an answer: a request is sent."""
        self._remaining = self._limit

    def release(self) -> None:
        """End the bound: what follows is bounded by those who read it."""
        self._remaining = None

    def allowed(self, wanted: int) -> int:
        """Return how many bytes may be read at once, at most `wanted`.

        Raises:
            httpcore.NetworkError: all of them were received.
        """
        if self._remaining is None:
            return wanted
        if self._remaining <= 0:
            raise httpcore.NetworkError(f"expected at most {self._limit} bytes before the body, got more")
        return min(wanted, PIECE, self._remaining)

    def received(self, count: int) -> None:
        """Count bytes that were read."""
        if self._remaining is not None:
            self._remaining -= count
