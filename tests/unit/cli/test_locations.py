"""Positions in JSON texts of any layout, and edits that keep the rest."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cetacean_cli.errors import BadInputError
from cetacean_cli.registry_file import edit
from cetacean_cli.registry_file.locations import JsonText, Location
from cetacean_cli.registry_file.versions import precedence
from cetacean_registry.errors import RegistryError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
_colons = st.sampled_from([":", ": ", " : "])
layouts = st.builds(
    lambda indent, ascii_only, comma, colon: {
        "indent": indent,
        "ensure_ascii": ascii_only,
        "separators": (comma if indent is None else ",", colon),
    },
    st.sampled_from([None, 0, 1, 2, 4, "\t"]),
    st.booleans(),
    st.sampled_from([",", ", "]),
    _colons,
)


def walk(value: Any, location: Location = ()) -> Iterator[tuple[Location, Any]]:
    yield location, value
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from walk(child, (*location, key))


def index_of(text: str, line: int, column: int) -> int:
    return sum(len(part) + 1 for part in text.split("\n")[: line - 1]) + column - 1


@given(st.dictionaries(st.text("abcé", min_size=1, max_size=4), values, max_size=4), layouts, st.booleans())
def test_each_value_is_at_its_position(content: dict[str, Any], layout: dict[str, Any], windows: bool) -> None:
    text = json.dumps(content, **layout)
    if windows:
        text = text.replace("\n", "\r\n")
    document = JsonText.parse(text, source="a.json")
    for location, value in walk(content):
        found, _ = json.JSONDecoder().raw_decode(text, index_of(text, *document.position(location)))
        assert found == value


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "\u2028", "b": 1}',
        '{"a": "\x85\x7f", "b": 1}',
        '{"a": "\U0001f600", "b": 1}',
        r'{"a": "\ud83d\ude00", "b": 1}',
    ],
)
def test_characters_that_yaml_reads_differently_do_not_shift_positions(text: str) -> None:
    line, column = JsonText.parse(text, source="a.json").position(("b",))
    assert (line, text[column - 1]) == (1, "1")


def test_a_missing_value_has_the_position_of_the_value_around_it() -> None:
    document = JsonText.parse('{\n "models": [\n  {"name": "a"}\n ]\n}', source="a.json")
    assert document.position(("models", 0, "version")) == (3, 3)
    assert document.position(("active",)) == (1, 1)
    assert document.position(("models", 5)) == (2, 12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,}', "a.json:1:9: expected JSON"),
        ("", "a.json:1:1: expected JSON"),
        ('{"a"\n: 1}', "a.json: expected each ':' on the line of its key"),
    ],
)
def test_a_text_that_is_no_json_is_reported_with_line_and_column(text: str, message: str) -> None:
    with pytest.raises(RegistryError, match="^" + message):
        JsonText.parse(text, source="a.json")


models = st.lists(
    st.fixed_dictionaries({"name": st.text("abcé\U0001f40b", min_size=1), "sha256": st.none() | st.text("0f")}),
    min_size=1,
    max_size=3,
)


@given(models, layouts, st.booleans(), st.text("abc", min_size=1))
def test_edits_keep_the_rest_byte_for_byte(
    entries: list[dict[str, Any]], layout: dict[str, Any], windows: bool, name: str
) -> None:
    content = {"note": "x", "active": entries[0]["name"], "models": entries, "more": [1]}
    text = json.dumps(content, **layout) + "\n"
    if windows:
        text = text.replace("\n", "\r\n")
    document = JsonText.parse(text, source="a.json")
    switched = edit.set_active(document, name)
    assert json.loads(switched) == content | {"active": name}
    key = f'active"{layout["separators"][1]}'
    old = json.dumps(content["active"], ensure_ascii=layout["ensure_ascii"])
    assert switched == text.replace(f"{key}{old}", f'{key}"{name}"', 1)

    entry = {"name": name, "sha256": None}
    longer = edit.append_model(document, entry)
    assert json.loads(longer) == content | {"models": [*entries, entry]}
    expected = json.dumps(content | {"models": [*entries, entry]}, **layout) + "\n"
    assert longer == (expected.replace("\n", "\r\n") if windows else expected), "in the layout of its neighbours"


@pytest.mark.parametrize("text", ['{"active": "a"}', '{"active": "a", "models": []}', '{"active": "a", "models": [1]}'])
def test_a_model_is_appended_only_after_another_model(text: str) -> None:
    with pytest.raises(BadInputError, match="at least one model"):
        edit.append_model(JsonText.parse(text, source="a.json"), {"name": "b"})


def test_versions_have_the_order_of_semantic_versioning() -> None:
    ordered = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11"]
    ordered += ["1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0-0", "2.0.0"]
    assert all(precedence(a) < precedence(b) for a, b in itertools.pairwise(ordered))
    assert precedence("1.0.0+a") == precedence("1.0.0+b")
