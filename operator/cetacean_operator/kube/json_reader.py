"""Reads the API server's JSON although one object in it may be unreadable.

The API server stores objects that this process cannot parse: it accepts 10,000 levels of nesting, the parser 200. One
tenant's object must not hide all others, so a list that cannot be parsed is split by a scan that needs no stack, and
each object is parsed on its own. An object that cannot be parsed still has a name: it is parsed apart from the rest.
"""

from __future__ import annotations

import re
from typing import NamedTuple, cast

from pydantic_core import from_json

from cetacean_operator.api.observed import Object

# A string without an end is one token up to the end: the scan stays linear, whatever the text.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[{}\[\],]', re.DOTALL)
_SPACE = b" \t\r\n"
_EXCERPT_BYTES = 60
_VERSION = re.compile("[0-9]{1,20}", re.ASCII)


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
    except UnreadableError as error:
        try:
            members = _members(raw)
        except UnreadableError:
            raise error from None
        if "items" not in members:
            raise
        meta: object = parse_object(members.get("metadata", b""))
        read: object = [parse_item(element) for element in _split(members["items"], b"[]")]
    else:
        if "items" not in answer:
            raise UnreadableError(f"expected a list with items, got {_excerpt(raw)}") from None
        # An empty list is `[]`, or `null` from old API servers.
        meta = answer.get("metadata") or {}
        read = [] if answer["items"] is None else answer["items"]
    if not isinstance(meta, dict) or not isinstance(read, list):
        raise UnreadableError(f"expected a list with metadata and items, got {_excerpt(raw)}")
    version, token = meta.get("resourceVersion") or "", meta.get("continue") or ""
    if not isinstance(token, str) or not (version == "" or is_version(version)):
        raise UnreadableError(f"expected a list with a resourceVersion, got {_excerpt(raw)}")
    found = [_checked(item) for item in read]
    return ListAnswer(
        [item for item in found if not isinstance(item, UnreadableObject)],
        [item for item in found if isinstance(item, UnreadableObject)],
        version,
        token,
    )


def is_version(value: object) -> bool:
    """Return true for a resourceVersion, which can be compared as a number."""
    return isinstance(value, str) and _VERSION.fullmatch(value) is not None


def unreadable_if_unnamed(obj: object) -> UnreadableObject | None:
    """Return None for an object with the fields of every object, else as much of its name as it has."""
    meta = obj.get("metadata") if isinstance(obj, dict) else None
    if not isinstance(meta, dict):
        return UnreadableObject("", "", "", "", "it has no metadata")
    texts = {key: meta.get(key) for key in ("namespace", "name", "uid")}
    version = meta.get("resourceVersion") or ""
    if all(isinstance(text, str) for text in texts.values()) and (version == "" or is_version(version)):
        return None
    named = {key: text if isinstance(text, str) else "" for key, text in texts.items()}
    error = "it has no namespace, name, uid or resourceVersion"
    return UnreadableObject(**named, version=version if is_version(version) else "", error=error)


def _checked(item: object) -> Object | UnreadableObject:
    if isinstance(item, UnreadableObject):
        return item
    unreadable = unreadable_if_unnamed(item)
    return unreadable if unreadable is not None else cast(Object, item)


def name_of(raw: bytes, error: str) -> UnreadableObject:
    """Return the name of an object that cannot be parsed."""
    try:
        # Each on its own: managedFields, beside the name, is nested as deep as the spec.
        meta = _members(_members(raw).get("metadata", b""))
    except UnreadableError:
        meta = {}
    namespace, name, uid, version = (
        _string(meta.get(key, b"")) for key in ("namespace", "name", "uid", "resourceVersion")
    )
    return UnreadableObject(namespace, name, uid, version if is_version(version) else "", error)


def object_of_event(line: bytes) -> bytes:
    """Return the text of the object in a watch event that cannot be parsed as a whole; empty if there is none."""
    try:
        return _members(line).get("object", b"")
    except UnreadableError:
        return b""


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


def _members(raw: bytes) -> dict[str, bytes]:
    """Return the text of each member of an object, by name.

    Raises:
        UnreadableError: it is no object.
    """
    found: dict[str, bytes] = {}
    for part in _split(raw, b"{}"):
        key = _TOKEN.match(part)
        if key is None or not part.startswith(b'"') or part[key.end() :].lstrip(_SPACE)[:1] != b":":
            raise UnreadableError(f"expected a JSON object, got {_excerpt(raw)}")
        found.setdefault(_string(key.group()), part[key.end() :].lstrip(_SPACE)[1:].strip(_SPACE))
    return found


def _split(raw: bytes, brackets: bytes) -> list[bytes]:
    """Return the text of each part of an object or an array, as its brackets say; the parts need not be JSON.

    Raises:
        UnreadableError: it has no such brackets, or others that are not closed: its parts are not known.
    """
    text = raw.strip(_SPACE)
    parts: list[bytes] = []
    depth, begin = 0, 1
    for token in _TOKEN.finditer(text) if text[:1] + text[-1:] == brackets else ():
        found = token.group()
        if found in (b"{", b"["):
            depth += 1
        elif found in (b"}", b"]"):
            depth -= 1
            if depth == 0 and token.end() < len(text):
                break
        if depth == 0 or (depth == 1 and found == b","):
            parts.append(text[begin : token.start()].strip(_SPACE))
            begin = token.end()
            if depth == 0:
                return [] if parts == [b""] else parts
    raise UnreadableError(f"expected a whole JSON value between {brackets.decode()}, got {_excerpt(raw)}")


def _excerpt(raw: bytes) -> str:
    return repr(raw[:_EXCERPT_BYTES].decode(errors="replace")) if raw else "nothing"
