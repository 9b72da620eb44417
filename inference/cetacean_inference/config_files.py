"""Reads the YAML files of the configuration directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.messages import one_line
from cetacean_registry.yaml_text import parse_yaml

LONGEST_SHOWN: Final = 200
"""Characters of wrong keys that a message shows."""


def read_threshold(path: Path) -> dict[str, Any]:
    """Read the gate's settings from the calibration file; its other keys are the calibration report.

    Raises:
        ConfigInvalid: it has no threshold.
    """
    content = read_mapping(path)
    if content and "threshold" not in content:
        keys = ", ".join(sorted(map(str, content)))[:LONGEST_SHOWN]
        raise ConfigInvalid(f"{path}: expected a key 'threshold', got {keys}")
    gate = {key: content[key] for key in ("threshold", "calibrated_at") if key in content}
    return {"gate": gate} if gate else {}


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a file's mapping; empty if there is no such file.

    Raises:
        ConfigInvalid: it cannot be read, or is not a mapping.
    """
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigInvalid(f"{path}: expected YAML, got: {one_line(error)}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigInvalid(f"{path}: expected a mapping, got {type(content).__name__}")
    return content
