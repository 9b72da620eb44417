"""Edits of the registry's text that keep the rest byte for byte."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from cetacean_cli.errors import BadInputError, RefusedError
from cetacean_cli.registry_file.locations import JsonText
from cetacean_registry.atomic_files import create_file, replace_file
from cetacean_registry.regular_files import read_regular_file, resolve_path


def set_active(document: JsonText, name: str) -> str:
    """Return the text with a new value of `active`.

    Raises:
        BadInputError: the registry has no key `active`.
    """
    node = document.node(("active",))
    if node is None:
        raise BadInputError("expected the registry to have the key active")
    text = document.text
    return text[: node.start_mark.index] + _dump(name) + text[node.end_mark.index :]


def append_model(document: JsonText, entry: dict[str, Any]) -> str:
    """Return the text with a model appended to `models`, in the layout of the last one.

    Raises:
        BadInputError: the registry has no model whose layout could be used.
    """
    models = document.node(("models",))
    last = models.value[-1] if isinstance(models, yaml.SequenceNode) and models.value else None
    if models is None or not isinstance(last, yaml.MappingNode):
        raise BadInputError("expected the registry to have at least one model")
    text = document.text
    if len(models.value) > 1:
        begin = text.index(",", models.value[-2].end_mark.index) + 1
        gap = text[begin : last.start_mark.index]
    else:
        gap = text[models.start_mark.index + 1 : last.start_mark.index] or _separator(text, last).removeprefix(",")
    end = last.end_mark.index
    return f"{text[:end]},{gap}{_render(text, last, entry)}{text[end:]}"


def _render(text: str, like: yaml.MappingNode, entry: dict[str, Any]) -> str:
    """Return an object in the layout of `like`: on one line, or a key on each line with the same indentation."""
    if not like.value:
        return _dump(entry)
    first, last = like.value[0], like.value[-1]
    opening = text[like.start_mark.index + 1 : first[0].start_mark.index]
    closing = text[last[1].end_mark.index : like.end_mark.index - 1]
    colon = text[first[0].end_mark.index : first[1].start_mark.index]
    fields = (f"{_dump(key)}{colon}{_dump(value)}" for key, value in entry.items())
    return "{" + opening + _separator(text, like).join(fields) + closing + "}"


def _separator(text: str, like: yaml.MappingNode) -> str:
    """Return the text between two fields of an object, the comma included."""
    if len(like.value) < 2:
        return ", "
    (_, value), (key, _) = like.value[:2]
    return text[value.end_mark.index : key.start_mark.index]


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def read(path: Path) -> str:
    """Return a file's text; line ends stay as they are.

    Raises:
        BadInputError: the file cannot be read, or is too large.
    """
    try:
        return read_regular_file(path).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: cannot be read: {error}") from error


def write(path: Path, text: str, *, before: str) -> None:
    """Replace a file's text atomically: other programs read either the old text or the new one.

    Of several writers that have seen the same text, one applies its change and the others are refused.

    Args:
        path: the file.
        text: its new text.
        before: its text when the change was shown.

    Raises:
        RefusedError: the file has another text now.
        BadInputError: the file cannot be written.
        RegistryError: its path leads in a circle.
    """
    target = resolve_path(path)  # a symbolic link stays one
    try:
        with _locked(target.parent):
            if read(path) != before:
                raise RefusedError(f"{path} was changed after it was shown: run the command again")
            replace_file(target, text.encode("utf-8"))
    except OSError as error:
        raise BadInputError(f"{path}: cannot be written: {error.strerror}") from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other writers out, so that no change comes between a check and the write.

    The lock is on the folder: the file is replaced by another one, and a file of its own would stay behind.

    Raises:
        OSError: the folder cannot be opened or locked.
    """
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)  # which ends the lock


def create(path: Path, text: str) -> None:
    """Write a file that does not exist, and the folders around it.

    Raises:
        RefusedError: it exists.
        BadInputError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        create_file(path, text.encode("utf-8"))
    except FileExistsError as error:
        raise RefusedError(f"{path}: expected no file yet") from error
    except OSError as error:
        raise BadInputError(f"{path}: cannot be written: {error.strerror}") from error
