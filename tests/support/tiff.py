"""Builds TIFF files of directories and tags, without pixels."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

BYTE, SHORT, LONG, UNDEFINED, SIGNED_SHORT, IFD = 1, 3, 4, 7, 8, 13
FORMATS: Final = {
    BYTE: "B",
    2: "B",
    SHORT: "H",
    LONG: "I",
    UNDEFINED: "B",
    SIGNED_SHORT: "h",
    IFD: "I",
    16: "Q",
    18: "Q",
}
_SUB_DIRECTORIES: Final = 330


@dataclass(frozen=True)
class Entry:
    """One tag."""

    tag: int
    kind: int
    values: tuple[int, ...]
    at: int | None = None
    """Where the values are said to be; they are written after the directory if it is None."""


@dataclass(frozen=True)
class Directory:
    """One picture of a file."""

    entries: Sequence[Entry]
    subdirectories: Sequence[Directory] = ()
    following: int | None = None
    """Where the next directory is said to be; None for where it is."""
    count: int | None = None
    """How many tags there are said to be."""


def tiff(directories: Sequence[Directory], *, order: str = "<", big: bool = False) -> bytes:
    """Return a file with these directories; the last one ends the file unless it has long values or subdirectories."""
    mark = {"<": b"II", ">": b"MM"}[order]
    head = mark + (struct.pack(f"{order}HHHQ", 43, 8, 0, 16) if big else struct.pack(f"{order}HI", 42, 8))
    return head + _chain(directories, len(head), order=order, big=big)


def _chain(directories: Sequence[Directory], offset: int, *, order: str, big: bool) -> bytes:
    content = b""
    for number, directory in enumerate(directories):
        content += _written(directory, offset + len(content), order=order, big=big, last=number == len(directories) - 1)
    return content


def _written(directory: Directory, offset: int, *, order: str, big: bool, last: bool) -> bytes:
    link = "Q" if big else "I"
    room = struct.calcsize(link)
    number = len(directory.entries) + bool(directory.subdirectories)
    size = struct.calcsize("=Q" if big else "=H") + number * struct.calcsize(f"=HH{link}{link}") + room
    after = b""

    def entry(tag: int, kind: int, values: tuple[int, ...], at: int | None) -> bytes:
        nonlocal after
        raw = struct.pack(f"{order}{len(values)}{FORMATS[kind]}", *values)
        if at is not None or len(raw) > room:
            at = offset + size + len(after) if at is None else at
            after, raw = after + raw, struct.pack(order + link, at)
        return struct.pack(f"{order}HH{link}", tag, kind, len(values)) + raw.ljust(room, b"\0")

    written = [entry(one.tag, one.kind, one.values, one.at) for one in directory.entries]
    if directory.subdirectories:
        places = []
        for inner in directory.subdirectories:
            places.append(offset + size + len(after))
            after += _written(inner, places[-1], order=order, big=big, last=True)
        written.append(entry(_SUB_DIRECTORIES, IFD, tuple(places), None))
    count = number if directory.count is None else directory.count
    following = offset + size + len(after)
    if directory.following is not None:
        following = directory.following
    elif last:
        following = 0
    head = struct.pack(order + ("Q" if big else "H"), count)
    return head + b"".join(written) + struct.pack(order + link, following) + after
