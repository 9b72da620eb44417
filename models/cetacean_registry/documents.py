"""JSON files that are read into types; errors name the file, the position and the field."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ValidationError

from cetacean_registry.errors import RegistryError, describe
from cetacean_registry.regular_files import read_regular_file


def parse_json(text: str, *, source: str) -> Any:
    """Parse JSON text; the value can be written as JSON again.

    Raises:
        RegistryError: the text is no JSON; the message names `source`, and line and column if they are known.
    """
    try:
        value = json.loads(text, parse_constant=_finite, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise RegistryError(f"{source}:{error.lineno}:{error.colno}: expected JSON, {error.msg}") from error
    except UnicodeEncodeError as error:
        raise RegistryError(f"{source}: expected Unicode text, got half of a surrogate pair") from error
    except RecursionError as error:
        raise RegistryError(f"{source}: expected JSON, got more levels of nesting than can be read") from error
    except ValueError as error:  # also an integer of thousands of digits
        raise RegistryError(f"{source}: expected JSON with finite numbers, got: {error}") from error
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


class Document(BaseModel):
    """A JSON file with snake_case keys."""

    @classmethod
    def parse(cls, text: str, *, source: str = "document") -> Self:
        """Read the document from JSON text.

        Raises:
            RegistryError: the text is no JSON, or a field is missing or invalid; the message begins with `source`.
        """
        content = parse_json(text, source=source)
        try:
            return cls.model_validate(content, by_alias=False, by_name=True)
        except ValidationError as error:
            raise RegistryError(f"{source}: {describe(error)}") from error

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the document from a file.

        Raises:
            RegistryError: the file cannot be read, is too large or is invalid.
        """
        try:
            text = read_regular_file(path).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise RegistryError(f"{path}: cannot be read: {error}") from error
        return cls.parse(text, source=str(path))

    def to_json(self) -> str:
        """Return the document as JSON: snake_case keys, the fields that were set, unknown keys."""
        return self.model_dump_json(indent=2, exclude_unset=True) + "\n"
