"""Reading lists and events: an unreadable object is named and hides no other; a response that is no list is an error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cetacean_operator.kube.json_reader import (
    UnreadableError,
    UnreadableObject,
    name_of,
    object_of_event,
    parse_item,
    parse_list,
    parse_object,
)

DEEP = b'{"a":' * 5000 + b"1" + b"}" * 5000


def obj(name: str, spec: Any = None) -> dict[str, Any]:
    meta = {"namespace": "sea", "name": name, "uid": f"u-{name}", "resourceVersion": "7"}
    return {"metadata": meta, "spec": spec or {}}


def text(name: str, spec: bytes = DEEP) -> bytes:
    return json.dumps(obj(name)).encode().replace(b'"spec": {}', b'"spec": ' + spec)


def listing(*items: bytes, token: str = "") -> bytes:
    meta = json.dumps({"resourceVersion": "40", "continue": token}).encode()
    return b'{"kind":"List","metadata":' + meta + b',"items":[' + b",".join(items) + b"]}\n"


@pytest.mark.parametrize("raw", [b"", b"<html>login</html>", b"[]", b"null", b'"x"', b'{"a":', DEEP, b"\xff\xfe"])
def test_an_answer_that_is_no_object_is_an_error(raw: bytes) -> None:
    with pytest.raises(UnreadableError, match="expected a JSON object, got"):
        parse_object(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>login</html>",
        b"{}",
        b'{"metadata":{}}',
        b'{"items":[],"metadata":"x"}',
        b'{"metadata":{},"items":{}}',
        b'{"metadata":{},"items":"x"}',
        b'{"kind":"Status","metadata":{},"status":"Success"}',
        b'{"metadata":{"resourceVersion":"1"},"items":{{},{}]}',
        b'{"metadata":{"resourceVersion":"1"},"items":[] garbage}',
        b'{"metadata":{"resourceVersion":"1"},"items":[[]}',
        b'{"metadata":{"resourceVersion":"1"},"items":[]} garbage',
        b'{"metadata":{"resourceVersion":"1"},items:[]}',
        b'{"metadata":{"resourceVersion":"x"},"items":[]}',
        b'{"metadata":{"resourceVersion":7},"items":[]}',
        b'{"metadata":{"resourceVersion":"' + b"9" * 5000 + b'"},"items":[]}',
        b'{"metadata":{"continue":["x"]},"items":[]}',
    ],
)
def test_an_answer_that_is_no_list_is_an_error_and_never_an_empty_list(raw: bytes) -> None:
    with pytest.raises(UnreadableError):
        parse_list(raw)


def test_a_list_is_read_with_its_version_and_continue_token() -> None:
    found = parse_list(listing(json.dumps(obj("a")).encode(), token="next"))
    assert found == ([obj("a")], [], "40", "next")
    assert parse_list(listing()).items == []


def test_an_unreadable_object_in_a_list_is_named_and_hides_no_other() -> None:
    raw = listing(json.dumps(obj("a")).encode(), text("deep"), json.dumps(obj("b")).encode(), token="next")
    found = parse_list(raw)
    assert found.items == [obj("a"), obj("b")]
    ((namespace, name, uid, version, error),) = found.unreadable
    assert (namespace, name, uid, version) == ("sea", "deep", "u-deep", "7")
    assert error
    assert (found.version, found.continue_token) == ("40", "next")


def test_an_object_whose_managed_fields_are_as_deep_as_its_spec_is_named() -> None:
    raw = text("deep").replace(b'{"namespace"', b'{"managedFields":[{"fieldsV1":' + DEEP + b'}],"namespace"')
    found = parse_list(listing(raw))
    assert found.unreadable[0][:4] == ("sea", "deep", "u-deep", "7")


@pytest.mark.parametrize("version", ["x", 7, "-1", "9" * 5000, "٣"])
def test_an_object_whose_version_cannot_be_compared_is_named_and_hides_no_other(version: object) -> None:
    odd = obj("odd")
    odd["metadata"]["resourceVersion"] = version
    found = parse_list(listing(json.dumps(odd).encode(), json.dumps(obj("b")).encode()))
    assert found.items == [obj("b")]
    assert found.unreadable[0][:4] == ("sea", "odd", "u-odd", "")


def test_a_part_of_a_list_that_is_empty_is_an_object_without_a_name() -> None:
    found = parse_list(listing(json.dumps(obj("a")).encode(), b"", text("deep")))
    assert found.items == [obj("a")]
    assert [unreadable.name for unreadable in found.unreadable] == ["", "deep"]


def test_an_object_with_unreadable_metadata_has_no_name_and_hides_no_other() -> None:
    found = parse_list(listing(b'{"metadata":' + DEEP + b"}", json.dumps(obj("b")).encode()))
    assert found.items == [obj("b")]
    assert found.unreadable[0][:4] == ("", "", "", "")


def test_brackets_and_commas_in_strings_split_nothing() -> None:
    odd = obj("odd", {"text": '},{"metadata":[\\" ,'})
    found = parse_list(listing(json.dumps(odd).encode(), text("deep")))
    assert found.items == [odd]


def test_the_unreadable_object_of_an_event_is_named() -> None:
    line = b'{"type":"MODIFIED","object":' + text("deep") + b"}"
    assert name_of(object_of_event(line), "too deep")[:4] == ("sea", "deep", "u-deep", "7")
    assert object_of_event(b"<html>") == b""
    assert isinstance(parse_item(text("deep")), UnreadableObject)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.lists(st.dictionaries(st.text(), JSON), max_size=4))
def test_the_scan_finds_the_same_objects_as_the_parser(specs: list[dict[str, Any]]) -> None:
    items = [obj(f"n{number}", spec) for number, spec in enumerate(specs)]
    raw = listing(*(json.dumps(item).encode() for item in items), text("deep"))
    assert parse_list(raw).items == items


def test_a_string_without_an_end_is_scanned_once() -> None:
    """A scan with backtracking would take hours for this megabyte."""
    with pytest.raises(UnreadableError):
        parse_list(b'{"items":["' + b'\\"' * 500_000)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_raise_unreadable_error(raw: bytes) -> None:
    for read in (parse_object, parse_list):
        try:
            read(raw)
        except UnreadableError:
            continue
    name_of(raw, "")
    object_of_event(raw)
