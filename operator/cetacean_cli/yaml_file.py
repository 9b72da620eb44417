"""YAML files that people name on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from cetacean_cli.errors import BadInputError


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file.

    Raises:
        BadInputError: the file cannot be read, or is no YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise BadInputError(f"{path}: expected YAML: {error}") from error
