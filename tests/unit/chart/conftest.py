"""The chart as files: nothing here needs helm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def chart() -> Path:
    """The chart's folder."""
    return REPOSITORY / "charts/cetacean-operator"


@pytest.fixture(scope="session")
def values(chart: Path) -> dict[str, Any]:
    """The default values."""
    loaded: dict[str, Any] = yaml.safe_load((chart / "values.yaml").read_text())
    return loaded


@pytest.fixture(scope="session")
def schema(chart: Path) -> dict[str, Any]:
    """The values' JSON schema."""
    loaded: dict[str, Any] = json.loads((chart / "values.schema.json").read_text())
    return loaded


@pytest.fixture(scope="session")
def rules(chart: Path) -> list[dict[str, list[str]]]:
    """The rules of the operator's Role in namespaces of models."""
    loaded: list[dict[str, list[str]]] = yaml.safe_load((chart / "files/operator-rules.yaml").read_text())
    return loaded
