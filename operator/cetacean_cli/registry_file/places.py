"""Where the values of a JSON text stand, for messages with line and column and for edits that keep all else.

JSON without tabs is YAML, and PyYAML's nodes know where they begin and end; the standard library's parser does not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import yaml

from cetacean_registry import RegistryError

Location = tuple[str | int, ...]
"""E.g. `("models", 1, "sha256")`."""
_UNREADABLE: Final = re.compile(
    "[^\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""What YAML refuses or takes for the end of a line, and JSON does not."""


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON text and the nodes of its values."""

    text: str
    root: yaml.Node

    @classmethod
    def parse(cls, text: str, *, source: str) -> Document:
        """Find out where everything stands.

        Args:
            text: JSON.
            source: the file, for messages.

        Raises:
            RegistryError: it is no JSON; the message has line and column.
        """
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            raise RegistryError(f"{source}:{error.lineno}:{error.colno}: expected JSON, {error.msg}") from error
        try:
            # One character for another, so that places stay what they are.
            root = yaml.compose(_UNREADABLE.sub(" ", text), Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            raise RegistryError(f"{source}: expected each ':' on the line of its key: {error}") from error
        assert root is not None  # noqa: S101 -- a JSON text holds a value
        return cls(text, root)

    def node(self, location: Sequence[str | int]) -> yaml.Node | None:
        """Return the value at a location, None where there is none."""
        node: yaml.Node = self.root
        for part in location:
            if isinstance(part, int) and isinstance(node, yaml.SequenceNode) and part < len(node.value):
                node = node.value[part]
            elif isinstance(part, str) and isinstance(node, yaml.MappingNode):
                found = [value for key, value in node.value if self._key(key) == part]
                if not found:
                    return None
                node = found[-1]  # as the standard library takes the last of equal keys
            else:
                return None
        return node

    def place(self, location: Sequence[str | int]) -> tuple[int, int]:
        """Return line and column, from 1, of a value, or of the nearest that contains it where it is missing."""
        parts = list(location)
        while (node := self.node(parts)) is None:
            parts.pop()
        return self.line_and_column(node.start_mark.index)

    def line_and_column(self, index: int) -> tuple[int, int]:
        """Return line and column, from 1, of a position in the text."""
        before = self.text[:index]
        return before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1

    def repeated_keys(self) -> Iterator[tuple[str, int]]:
        """Yield each key that an object has twice, with the position of the later one."""
        yield from self._repeated(self.root)

    def _repeated(self, node: yaml.Node) -> Iterator[tuple[str, int]]:
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                yield from self._repeated(item)
        elif isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                name = self._key(key)
                if name in seen:
                    yield name, key.start_mark.index
                seen.add(name)
                yield from self._repeated(value)

    def _key(self, node: yaml.Node) -> str:
        # YAML reads some escapes otherwise than JSON.
        return str(json.loads(self.text[node.start_mark.index : node.end_mark.index]))
