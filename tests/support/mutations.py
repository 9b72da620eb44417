"""Hypothesis strategies for hostile input: mutated bytes of valid files, and hostile values in valid objects."""

from __future__ import annotations

import copy
import json
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from hypothesis import strategies as st

_NUMBERS: Final = (
    0,
    1,
    2,
    7,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x7FFF,
    0x8000,
    0xFFFF,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**64 - 1,
)
_LARGEST_GROWTH: Final = 20_000
_MOST_REPEATS: Final = 40
MOST_BYTES: Final = 400_000
"""Mutations stop growing a file there."""

Mutation = Callable[[bytearray, Callable[[st.SearchStrategy[Any]], Any]], None]


@st.composite
def mutated(draw: Callable[[st.SearchStrategy[Any]], Any], seeds: Sequence[bytes], *, most: int = 5) -> bytes:
    """Return one of the seeds after one or more mutations: truncate, flip, overwrite, insert, duplicate, splice, grow.

    Args:
        draw: of Hypothesis.
        seeds: small valid files.
        most: mutations of one file.
    """
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, most))):
        draw(st.sampled_from(_MUTATIONS))(data, draw)
        if draw(st.integers(0, 9)) == 0:
            _splice(data, draw(st.sampled_from(seeds)), draw)
        if len(data) > MOST_BYTES:
            break
    return bytes(data)


def _position(data: bytearray, draw: Any) -> int:
    # The heads and the ends of files hold the lengths and the offsets.
    choice = draw(st.integers(0, 3))
    if choice == 0:
        return min(len(data), int(draw(st.integers(0, 64))))
    if choice == 1:
        return max(0, len(data) - int(draw(st.integers(0, 64))))
    return int(draw(st.integers(0, len(data))))


def _truncate(data: bytearray, draw: Any) -> None:
    del data[_position(data, draw) :]


def _flip(data: bytearray, draw: Any) -> None:
    if (at := _position(data, draw)) < len(data):
        data[at] ^= 1 << draw(st.integers(0, 7))


def _set(data: bytearray, draw: Any) -> None:
    if (at := _position(data, draw)) < len(data):
        data[at] = draw(st.integers(0, 255))


def _overwrite_number(data: bytearray, draw: Any) -> None:
    letter, order = draw(st.sampled_from("BHIQ")), draw(st.sampled_from("<>"))
    size = struct.calcsize(letter)
    value = draw(st.sampled_from(_NUMBERS)) & (2 ** (8 * size) - 1)
    at = _position(data, draw)
    data[at : at + size] = struct.pack(order + letter, value)


def _insert(data: bytearray, draw: Any) -> None:
    at = _position(data, draw)
    data[at:at] = draw(st.binary(min_size=1, max_size=40))


def _delete(data: bytearray, draw: Any) -> None:
    at = _position(data, draw)
    del data[at : at + draw(st.integers(1, 64))]


def _duplicate(data: bytearray, draw: Any) -> None:
    at = _position(data, draw)
    part = bytes(data[at : at + draw(st.integers(1, 512))])
    data[at:at] = part * draw(st.integers(1, _MOST_REPEATS))


def _grow(data: bytearray, draw: Any) -> None:
    at = _position(data, draw)
    unit = draw(st.sampled_from((b"\0", b"\xff", b" ", b"(", b"[", b"{", b"a", b'"', b"\\", b"\n", b"9", b"\x28\x85")))
    data[at:at] = unit * draw(st.integers(1, _LARGEST_GROWTH))


def _splice(data: bytearray, other: bytes, draw: Any) -> None:
    at, begin = _position(data, draw), draw(st.integers(0, len(other)))
    data[at:] = other[begin:]


_MUTATIONS: Final[tuple[Mutation, ...]] = (
    _truncate,
    _flip,
    _flip,
    _set,
    _set,
    _overwrite_number,
    _overwrite_number,
    _insert,
    _delete,
    _duplicate,
    _grow,
)

SCALARS: Final[st.SearchStrategy[Any]] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from((2**31, 2**53 + 1, 2**63, -(2**63) - 1, 10**400)),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=30),
    st.sampled_from(("", " ", "\n", "\0", "x" * 10_000, "1e999", "NaN", "-1", "\u202e", "\x1b[31m", "a\nb", "é" * 300)),
)
"""Values that the API server's JSON can hold: UTF-8, finite numbers."""
VALUES: Final[st.SearchStrategy[Any]] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
"""The same, and objects and arrays of them."""
TEXTS: Final[st.SearchStrategy[bytes]] = st.one_of(
    st.sampled_from(
        (
            b"NaN",
            b"-Infinity",
            b"1e999",
            b"-0",
            b"9" * 5000,
            b'"\\ud800"',
            b'"\\u0000"',
            b'"\xff"',
            b'"unfinished',
            b"",
            b"[" * 300 + b"]" * 300,
            b"[" * 20_000 + b"]" * 20_000,
            b'{"a":' * 5000 + b"1" + b"}" * 5000,
            b'{"a":1,"a":2}',
            b"tru",
            b"'single'",
            b"[1,]",
            b'"' + b"\\" * 4001 + b'"',
        )
    ),
    st.binary(max_size=30),
)
"""Texts in place of a JSON value: beyond the bounds of parsers, or no JSON at all."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value, containers included."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], hostile: Any) -> Any:
    """Return a copy with another value at one place."""
    if not path:
        return hostile
    copied = copy.deepcopy(value)
    at = copied
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = hostile
    return copied


@st.composite
def with_hostile_values(
    draw: Callable[[st.SearchStrategy[Any]], Any],
    value: Any,
    hostile: st.SearchStrategy[Any] = VALUES,
    *,
    most: int = 3,
    within: tuple[Any, ...] = (),
) -> Any:
    """Return a copy of a JSON value with hostile values at some places, or without what was there.

    Args:
        draw: of Hypothesis.
        value: objects, arrays and scalars.
        hostile: generates the values.
        most: places that change.
        within: only places below this path.
    """
    for _ in range(draw(st.integers(1, most))):
        found = [path for path in places(value) if path[: len(within)] == within and path != within]
        if not found:
            return value
        path = draw(st.sampled_from(found))
        if draw(st.integers(0, 5)):
            value = replaced(value, path, draw(hostile))
            continue
        value = copy.deepcopy(value)
        at = value
        for key in path[:-1]:
            at = at[key]
        del at[path[-1]]
    return value


_MARK: Final = "\N{SYMBOL FOR SUBSTITUTE}"


def with_text(value: Any, path: tuple[Any, ...], text: bytes) -> bytes:
    """Return an object as JSON, with any text in place of one value."""
    return json.dumps(replaced(value, path, _MARK), ensure_ascii=False).encode().replace(f'"{_MARK}"'.encode(), text)


@st.composite
def as_hostile_text(draw: Callable[[st.SearchStrategy[Any]], Any], value: Any) -> bytes:
    """Return an object as JSON with a hostile text in place of one value, or with mutated bytes."""
    choice = draw(st.integers(0, 2))
    if choice == 0:
        return with_text(value, draw(st.sampled_from(list(places(value)))), draw(TEXTS))
    if choice == 1:
        return json.dumps(draw(with_hostile_values(value))).encode()
    mutant: bytes = draw(mutated((json.dumps(value).encode(),)))
    return mutant
