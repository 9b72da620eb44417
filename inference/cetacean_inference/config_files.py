"""The YAML files in the configuration directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from cetacean_inference.errors import ConfigInvalid


def read_threshold(path: Path) -> dict[str, Any]:
    """Take what the service needs from the old service's calibration file; the rest is the calibration report.

    Raises:
        ConfigInvalid: when it names no threshold.
    """
    content = read_mapping(path)
    if content and "threshold" not in content:
        raise ConfigInvalid(f"{path}: expected a key 'threshold', got {sorted(map(str, content))}")
    gate = {key: content[key] for key in ("threshold", "calibrated_at") if key in content}
    return {"gate": gate} if gate else {}


def read_mapping(path: Path) -> dict[str, Any]:
    """A file's content; none when there is no such file.

    Raises:
        ConfigInvalid: when it cannot be read, or is no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigInvalid(f"{path}: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigInvalid(f"{path}: expected a mapping, got {type(content).__name__}")
    return content
