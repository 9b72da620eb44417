"""YAML from outside: every text is either read or is an error in words."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cetacean_registry.yaml_text import parse_yaml

UNREADABLE = {
    "a: [": "expected the node content",
    "a: 2026-02-30": "day is out of range for month",
    f"a: {'1' * 5000}": "Exceeds the limit",
    "[" * 5000: "more levels of nesting than can be read",
    "a: !!float abc": "could not convert string to float: 'abc'",
    "a: !!timestamp abc": "a value that does not fit its tag",
    "a: !!int ''": "a value that does not fit its tag",
    "a: !!bool foo": "a value that does not fit its tag",
    "a: 2026-01-01 00:00:00 +99:99": "strictly between",
    "a: !!python/object/apply:os.system ['id']": "could not determine a constructor",
}


@pytest.mark.parametrize("text", UNREADABLE)
def test_a_text_that_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=UNREADABLE[text]):
        parse_yaml(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [("[" * 5000, "more levels of nesting than can be read"), ("a: !!int ''", "a value that does not fit its tag")],
    ids=["deep", "tag"],
)
def test_an_error_without_words_of_its_own_gets_some(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- the whole message is compared
        parse_yaml(text)
    assert str(caught.value) == message


def test_yaml_is_read() -> None:
    assert parse_yaml("\ufeffa: [1, 0.5, x]") == {"a": [1, 0.5, "x"]}


TAGS = st.sampled_from(
    ("float", "int", "bool", "timestamp", "null", "binary", "set", "omap", "pairs", "map", "seq", "merge")
)


@given(TAGS, st.text(max_size=12) | st.sampled_from(("''", "[a]", "{a: b}", "0x", "1:", "-", "2026-01-01 25:00:00")))
def test_a_value_of_any_tag_is_read_or_is_an_error(tag: str, value: str) -> None:
    with contextlib.suppress(ValueError):
        parse_yaml(f"a: !!{tag} {value}")
