"""Errors: one line that names what was expected and what was found."""

from __future__ import annotations

from cetacean_registry.messages import LONGEST_MESSAGE, one_line


class SignatureError(ValueError):
    """A signature cannot be read, or does not hold for the files and the trusted keys."""

    def __init__(self, message: str) -> None:
        """Keep the message on one line of bounded length, whatever the signature holds."""
        super().__init__(one_line(message, longest=LONGEST_MESSAGE))


class KeyUnreadableError(SignatureError):
    """A key or a certificate on this side cannot be read; the message begins with its file."""
