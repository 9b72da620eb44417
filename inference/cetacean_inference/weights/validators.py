"""Validators of files, ETags and dates: which of them a request can send back."""

from __future__ import annotations


def sendable(validator: str | None) -> str | None:
    """Return a validator that a header can have, None for any other.

    A server may send an ETag of bytes that are not ASCII, and other pods may write the notes of a shared cache.
    """
    return validator if validator and validator.isascii() and validator.isprintable() else None
