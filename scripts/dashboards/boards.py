"""Which dashboards there are, and their text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import inference, operator_itself

FOLDER: Final = Path(__file__).resolve().parents[2] / "charts/cetacean-operator/dashboards"

BOARDS: Final[Mapping[str, Callable[[], Dashboard]]] = {
    "inference": inference.build,
    "operator": operator_itself.build,
}
"""By the name of their file."""


def written(name: str) -> str:
    """A dashboard as Grafana reads it, the same for the same program."""
    return json.dumps(BOARDS[name]().build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"
