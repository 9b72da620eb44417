"""Messages about invalid fields: paths, values and lengths."""

from __future__ import annotations

import pytest
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from cetacean_registry.errors import describe, field_path
from cetacean_registry.messages import LONGEST_MESSAGE, LONGEST_QUOTE

ROOM = LONGEST_MESSAGE - 2 * LONGEST_QUOTE
"""Characters of faults after which the rest is counted."""


def invalid(message: str, number: int = 1, *, at: str = "a", value: object = None) -> ValidationError:
    faults = [InitErrorDetails(type=PydanticCustomError("invalid", message), loc=(at,), input=value or {})]
    return ValidationError.from_exception_data("document", faults * number)


def test_a_field_path_has_dots_and_indices() -> None:
    assert field_path(("models", 1, "sha256")) == "models[1].sha256"
    assert field_path((0, "a", "b")) == "[0].a.b"
    assert field_path(()) == ""


@pytest.mark.parametrize("number", [1, 4, 5, 6, 7])
def test_faults_are_shown_until_they_need_more_than_their_room(number: int) -> None:
    fault = "a: " + "x" * (ROOM // 5 - 3)
    shown = min(number, 6)  # five fill the room, and a sixth is the first to need more
    rest = f"; and {number - shown} more" if number > shown else ""
    assert describe(invalid(fault.removeprefix("a: "), number)) == "; ".join([fault] * shown) + rest


def test_a_long_path_and_a_long_value_are_shortened() -> None:
    assert describe(invalid("wrong", at="p" * 1000)) == f"{'p' * 199}…: wrong"
    assert describe(invalid("wrong", value="v" * 78)) == f"a: wrong, got {'v' * 78!r}"
    assert describe(invalid("wrong", value="v" * 79)) == f"a: wrong, got '{'v' * 79}…"


def test_a_collection_is_not_shown() -> None:
    assert describe(invalid("wrong", value=["v"])) == "a: wrong"
