"""Reads the API server's JSON although one object in it may be unreadable.

The API server stores objects that this process cannot parse: it accepts 10,000 levels of nesting, the parser 200. One
tenant's object must not hide all others, so a list that cannot be parsed is split by a scan that needs no stack, and
each object is parsed on its own. An object that cannot be parsed still has a name: it is parsed apart from the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from pydantic_core import from_json

from cetacean_operator.api.observed import Object

# A string without an end is one token up to the end: the scan stays linear, whatever the text.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[{}\[\],]', re.DOTALL)
_EXCERPT_BYTES = 60


class UnreadableError(ValueError):
    """An answer that is no JSON object, or that is nested too deep; the message quotes how it begins."""


class UnreadableObject(NamedTuple):
    """The name of an object that cannot be parsed; fields are empty if not even that can be read."""

    namespace: str
    name: str
    uid: str
    version: str
    error: str


class ListAnswer(NamedTuple):
    """The parts of a list."""

    items: list[Object]
    unreadable: list[UnreadableObject]
    version: str
    continue_token: str


def parse_object(raw: bytes) -> Object:
    """Read a JSON object.

    Raises:
        UnreadableError: it is none.
    """
    try:
        answer = from_json(raw)
    except ValueError as error:
        raise UnreadableError(f"expected a JSON object, got {_excerpt(raw)}: {error}") from error
    if not isinstance(answer, dict):
        raise UnreadableError(f"expected a JSON object, got {_excerpt(raw)}")
    return answer


def parse_list(raw: bytes) -> ListAnswer:
    """Read a list of objects; one that cannot be parsed is named apart from the others.

    Raises:
        UnreadableError: it is no list of Kubernetes objects.
    """
    try:
        answer = parse_object(raw)
    except UnreadableError:
        members = _members(raw)
        if "items" not in members:
            raise
        meta = parse_object(members.get("metadata", b""))
        read: list[object] = [parse_item(element) for element in _elements(members["items"])]
    else:
        if "items" not in answer:
            raise UnreadableError(f"expected a list with items, got {_excerpt(raw)}")
        # An empty list is `[]`, or `null` from old API servers.
        meta = answer.get("metadata") or {}
        read = [] if answer["items"] is None else answer["items"]
        if not isinstance(meta, dict) or not isinstance(read, list):
            raise UnreadableError(f"expected a list with metadata and items, got {_excerpt(raw)}")
    items = [item for item in read if isinstance(item, dict) and _has_name(item)]
    unreadable = [
        item if isinstance(item, UnreadableObject) else UnreadableObject("", "", "", "", "it has no metadata")
        for item in read
        if not (isinstance(item, dict) and _has_name(item))
    ]
    return ListAnswer(items, unreadable, str(meta.get("resourceVersion") or ""), str(meta.get("continue") or ""))


def name_of(raw: bytes, error: str) -> UnreadableObject:
    """Return the name of an object that cannot be parsed."""
    # Each on its own: managedFields, beside the name, is nested as deep as the spec.
    meta = _members(_members(raw).get("metadata", b""))
    namespace, name, uid, version = (
        _string(meta.get(key, b"")) for key in ("namespace", "name", "uid", "resourceVersion")
    )
    return UnreadableObject(namespace, name, uid, version, error)


def object_of_event(line: bytes) -> bytes:
    """Return the text of the object in a watch event that cannot be parsed as a whole; empty if there is none."""
    return _members(line).get("object", b"")


def parse_item(raw: bytes) -> Object | UnreadableObject:
    """Read one object; return its name if it cannot be parsed."""
    try:
        return parse_object(raw)
    except UnreadableError as error:
        return name_of(raw, str(error))


def _string(raw: bytes) -> str:
    """Return a JSON string's value; empty if it is anything else."""
    try:
        value = from_json(raw)
    except ValueError:
        return ""
    return value if isinstance(value, str) else ""


def _has_name(item: Object) -> bool:
    meta = item.get("metadata")
    return isinstance(meta, dict) and all(isinstance(meta.get(key), str) for key in ("namespace", "name", "uid"))


def _members(raw: bytes) -> dict[str, bytes]:
    """Return the text of each member of an object, by name; of text that is no object, whatever can be found."""
    found: dict[str, bytes] = {}
    for part in _parts(raw, b"{"):
        key, colon, value = part.partition(b":")
        name = key.strip().strip(b'"')
        if colon and key.strip().startswith(b'"'):
            found.setdefault(name.decode(errors="replace"), value.strip())
    return found


def _elements(raw: bytes) -> list[bytes]:
    """Return the text of each element of an array."""
    return [part for part in (part.strip() for part in _parts(raw, b"[")) if part]


def _parts(raw: bytes, opening: bytes) -> Iterator[bytes]:
    """Yield the text between the commas on the first level of an object or an array."""
    depth, begin = 0, 0
    for token in _TOKEN.finditer(raw):
        text = token.group()
        if depth == 0:
            if text != opening:
                return
            depth, begin = 1, token.end()
        elif text in (b"{", b"["):
            depth += 1
        elif text in (b"}", b"]"):
            depth -= 1
            if depth == 0:
                yield raw[begin : token.start()]
                return
        elif text == b"," and depth == 1:
            yield raw[begin : token.start()]
            begin = token.end()


def _excerpt(raw: bytes) -> str:
    return repr(raw[:_EXCERPT_BYTES].decode(errors="replace")) if raw else "nothing"
