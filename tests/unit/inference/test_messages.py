"""Messages about errors of other packages are one line of printable characters."""

from __future__ import annotations

import pytest

from cetacean_inference.errors import CheckpointMismatch
from cetacean_inference.messages import one_line, printable, with_type
from cetacean_inference.rejected_requests import LONGEST_DETAIL, RequestRejected


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\n  lines\t here", "two lines here"),
        ("\x1b[1;31mred\x1b[0m and \x1b[4munderlined\x1b[24m", "red and underlined"),
        ("\x1bMup", "up"),
        ("a\x00b\x07c\x9bd", "a\ufffdb\ufffdc\ufffdd"),
        ("right\u202eto left", "right\ufffdto left"),
        ("\ud800", "\ufffd"),
        ("Größe", "Größe"),
    ],
)
def test_control_codes_are_removed(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert one_line(ValueError(text)) == shown
    assert with_type(ValueError(text)) == f"ValueError: {shown}"
    assert CheckpointMismatch(text).line == f"CheckpointMismatch: {shown}"


def test_a_long_message_is_cut() -> None:
    assert one_line(ValueError("x" * 1000)) == "x" * 200
    assert with_type(ValueError("x" * 1000)) == f"ValueError: {'x' * 500}"


def test_the_detail_of_a_request_is_cut_before_it_is_read_and_after() -> None:
    found = RequestRejected(400, f"{' ' * (2 * LONGEST_DETAIL - 1)}abc")
    assert found.detail == "a"
    assert str(found).endswith("abc")
    assert RequestRejected(400, "x" * 10_000).detail == "x" * LONGEST_DETAIL


def test_an_error_without_a_message_is_named_by_its_type() -> None:
    assert one_line(ValueError()) == "ValueError"
