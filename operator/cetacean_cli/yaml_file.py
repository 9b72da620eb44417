"""YAML files that people name on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cetacean_cli.errors import BadInputError
from cetacean_cli.named_files import read_named_file
from cetacean_registry.yaml_text import parse_yaml


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file.

    Raises:
        BadInputError: the file cannot be read, is too large, or is no YAML.
    """
    text = read_named_file(path)
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise BadInputError(f"{path}: expected YAML: {error}") from error
