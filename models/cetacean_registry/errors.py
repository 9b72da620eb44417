"""One-line errors that name the file, the field, the expected and the actual value."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cetacean_registry.patterns import EXPECTATIONS
from cetacean_registry.urls import redacted

_LONGEST_VALUE = 80


class RegistryError(ValueError):
    """A registry or a snapshot is invalid; the message names the file and each invalid field."""


def field_path(location: Sequence[str | int]) -> str:
    """Return a pydantic location as a path: `("models", 1, "sha256")` is `models[1].sha256`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def describe(error: ValidationError) -> str:
    """Return all faults of a validation error in one line, each with its field's path and value."""
    return "; ".join(describe_one(item) for item in error.errors(include_url=False))


def describe_one(item: ErrorDetails) -> str:
    """Return the message of one of a validation error's `errors()`."""
    return _describe_one(
        field_path(item["loc"]),
        EXPECTATIONS.get(item.get("ctx", {}).get("pattern", ""), item["msg"]),
        item["type"],
        item["input"],
    )


def _describe_one(path: str, message: str, kind: str, value: object) -> str:
    text = message.removeprefix("Value error, ")
    prefix = f"{path}: " if path else ""
    if kind == "missing" or isinstance(value, dict | list):
        return f"{prefix}{text}"
    shown = redacted(repr(value))
    if len(shown) > _LONGEST_VALUE:
        shown = f"{shown[:_LONGEST_VALUE]}…"
    return f"{prefix}{text}, got {shown}"
