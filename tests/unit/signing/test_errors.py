"""Messages about signatures, which quote what others wrote."""

from __future__ import annotations

from cetacean_registry.messages import LONGEST_MESSAGE
from cetacean_signing.errors import SignatureError


def test_a_message_is_one_line_of_bounded_length() -> None:
    assert str(SignatureError("two\nlines")) == "two lines"
    assert len(str(SignatureError("x" * 10_000))) == LONGEST_MESSAGE
