"""One-line errors that name the file, the field, the expected and the actual value."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cetacean_registry.messages import LONGEST_MESSAGE, LONGEST_QUOTE, one_line
from cetacean_registry.patterns import EXPECTATIONS
from cetacean_registry.urls import redacted

_LONGEST_VALUE = 80
_LONGEST_PATH = 200


class RegistryError(ValueError):
    """A registry or a snapshot is invalid; the message names the file and each invalid field."""

    def __init__(self, message: str) -> None:
        """Keep the message on one line of bounded length, whatever the file holds."""
        super().__init__(one_line(message, longest=LONGEST_MESSAGE))


def field_path(location: Sequence[str | int]) -> str:
    """Return a pydantic location as a path: `("models", 1, "sha256")` is `models[1].sha256`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def describe(error: ValidationError) -> str:
    """Return the faults of a validation error in one line, each with its field's path and value; the first of many."""
    faults, length = error.errors(), 0
    shown: list[str] = []
    for item in faults:
        shown.append(describe_one(item))
        length += len(shown[-1])
        if length > LONGEST_MESSAGE - 2 * LONGEST_QUOTE and len(shown) < len(faults):
            return f"{'; '.join(shown)}; and {len(faults) - len(shown)} more"
    return "; ".join(shown)


def describe_one(item: ErrorDetails) -> str:
    """Return the message of one of a validation error's `errors()`."""
    return _describe_one(
        field_path(item["loc"]),
        EXPECTATIONS.get(item.get("ctx", {}).get("pattern", ""), item["msg"]),
        item["input"],
    )


def _describe_one(path: str, message: str, value: object) -> str:
    text = one_line(message.removeprefix("Value error, "))
    prefix = f"{one_line(path, longest=_LONGEST_PATH)}: " if path else ""
    if isinstance(value, dict | list):  # as of a missing field, whose value is what it is missing from
        return f"{prefix}{text}"
    shown = redacted(repr(value))
    if len(shown) > _LONGEST_VALUE:
        shown = f"{shown[:_LONGEST_VALUE]}…"
    return f"{prefix}{text}, got {shown}"
