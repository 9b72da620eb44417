"""JSON files that are read into types, with errors that name the file, the place and the field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ValidationError

from cetacean_registry.errors import RegistryError, describe


class Document(BaseModel):
    """A file of JSON with snake_case keys."""

    @classmethod
    def parse(cls, text: str, *, source: str = "document") -> Self:
        """Read it from JSON text.

        Raises:
            RegistryError: no JSON, or a field is missing or wrong; the message names `source` and the field's path.
        """
        try:
            return cls.model_validate(json.loads(text), by_alias=False, by_name=True)
        except json.JSONDecodeError as error:
            raise RegistryError(f"{source}:{error.lineno}:{error.colno}: expected JSON, {error.msg}") from error
        except ValidationError as error:
            raise RegistryError(f"{source}: {describe(error)}") from error

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file.

        Raises:
            RegistryError: it cannot be read, or is not what it should be.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RegistryError(f"{path}: cannot be read: {error}") from error
        return cls.parse(text, source=str(path))
