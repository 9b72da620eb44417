"""A plugin of pytest for the runs with mutants: few and fixed random examples, the fastest tests first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

# No shrinking: that a test fails is enough. No database: what one mutant has failed with says nothing about the next.
settings.register_profile(
    "mutants",
    max_examples=20,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the fastest tests first: one that fails ends the run."""
    durations = _durations(config.rootpath / "mutmut-stats.json")
    items.sort(key=lambda item: durations.get(item.nodeid, 0.0))


def _durations(path: Path) -> dict[str, float]:
    if not path.is_file():
        return {}
    found: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))["duration_by_test"]
    return found
