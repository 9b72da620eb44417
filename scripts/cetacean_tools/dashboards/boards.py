"""Which dashboards there are, and their text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from cetacean_tools.dashboards import inference, operator_itself
from cetacean_tools.workspace import REPOSITORY

FOLDER: Final = REPOSITORY / "charts/cetacean-operator/dashboards"

BOARDS: Final[Mapping[str, Callable[[], Dashboard]]] = {"inference": inference.build, "operator": operator_itself.build}
"""By the name of their file."""


def written(name: str) -> str:
    """A dashboard as Grafana reads it, the same for the same program."""
    return json.dumps(BOARDS[name]().build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"
