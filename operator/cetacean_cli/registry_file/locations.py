"""The positions of the values in a JSON text, for messages with line and column and for edits that keep the rest.

JSON without tabs is YAML, and PyYAML's nodes have a start and an end; the standard library's parser gives none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import yaml

from cetacean_registry.documents import parse_json
from cetacean_registry.errors import RegistryError

Location = tuple[str | int, ...]
"""E.g. `("models", 1, "sha256")`."""
_UNREADABLE: Final = re.compile(
    "[^\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""Characters that YAML rejects or reads as the end of a line, and JSON does not."""


@dataclass(frozen=True, slots=True)
class JsonText:
    """A JSON text and the nodes of its values."""

    text: str
    root: yaml.Node

    @classmethod
    def parse(cls, text: str, *, source: str) -> JsonText:
        """Parse a text and keep the positions of its values.

        Args:
            text: JSON.
            source: the file, for messages.

        Raises:
            RegistryError: the text is no JSON; the message has line and column.
        """
        parse_json(text, source=source)
        try:
            # One character for one character keeps the positions.
            root = yaml.compose(_UNREADABLE.sub(" ", text), Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            raise RegistryError(f"{source}: expected each ':' on the line of its key: {error}") from error
        except RecursionError as error:
            raise RegistryError(f"{source}: expected JSON, got more levels of nesting than can be read") from error
        assert root is not None  # noqa: S101 -- a JSON text has a value
        return cls(text, root)

    def node(self, location: Sequence[str | int]) -> yaml.Node | None:
        """Return the value at a location, None if there is none."""
        node: yaml.Node = self.root
        for part in location:
            if isinstance(part, int) and isinstance(node, yaml.SequenceNode) and part < len(node.value):
                node = node.value[part]
            elif isinstance(part, str) and isinstance(node, yaml.MappingNode):
                found = [value for key, value in node.value if self._key(key) == part]
                if not found:
                    return None
                node = found[-1]  # the standard library also takes the last of equal keys
            else:
                return None
        return node

    def position(self, location: Sequence[str | int]) -> tuple[int, int]:
        """Return line and column, from 1, of a value; if it is missing, of the innermost value around it."""
        parts = list(location)
        while (node := self.node(parts)) is None:
            parts.pop()
        return self.line_and_column(node.start_mark.index)

    def line_and_column(self, index: int) -> tuple[int, int]:
        """Return line and column, from 1, of a position in the text."""
        before = self.text[:index]
        return before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1

    def repeated_keys(self) -> Iterator[tuple[str, int]]:
        """Yield each duplicate key of an object, with the index of the later one."""
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
        # YAML reads some escape sequences differently.
        return str(json.loads(self.text[node.start_mark.index : node.end_mark.index]))
