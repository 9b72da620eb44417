"""Numbers in headers."""

from __future__ import annotations

import datetime as dt

import pytest

from cetacean_inference.http_headers import decimal_header, retry_after

NOW = dt.datetime(2025, 12, 15, 12, 0, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("12", 12),
        (" 12 ", 12),
        ("0", 0),
        ("-1", None),
        ("1.5", None),
        ("", None),
        ("²", None),
        ("1" * 5000, None),
        ("1" * 18, int("1" * 18)),
        ("1" * 19, None),
    ],
)
def test_only_plain_decimal_numbers_are_read(value: str, number: int | None) -> None:
    assert decimal_header({"Content-Length": value}, "Content-Length") == number
    assert decimal_header({}, "Content-Length") is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("Mon, 15 Dec 2025 12:01:30 GMT", 90.0),
        ("Monday, 15-Dec-25 12:01:30 GMT", 90.0),
        ("Mon Dec 15 12:01:30 2025", 90.0),
        ("Mon, 15 Dec 2025 11:59:00 GMT", 0.0),
        ("Mon, 15 Dec 2025 14:01:30 +0200", 90.0),
        ("soon", None),
        ("", None),
        ("-5", None),
        ("Mon, 99 Dec 2025 12:01:30 GMT", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": value}, now=NOW) == seconds


def test_without_the_header_there_is_no_time_to_wait() -> None:
    assert retry_after({}) is None
