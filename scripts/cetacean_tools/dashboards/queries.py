"""The queries of a dashboard, as they are asked of Prometheus."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from string import Template


@dataclass(frozen=True, slots=True)
class Query:
    """One query of one panel, or of the dashboard's annotations."""

    panel: str
    """The panel's title, or the annotation's name."""
    expr: str
    """With Grafana's variables in it."""
    legend: str
    instant: bool
    unit: str

    def asked(self, variables: Mapping[str, str]) -> str:
        """PromQL with the variables' values in their places.

        Args:
            variables: by name, without the dollar sign.
        """
        return Template(self.expr).safe_substitute(variables)


def queries(dashboard: str) -> Iterator[Query]:
    """All queries of a dashboard's JSON, in the order in which it shows them."""
    content = json.loads(dashboard)
    for panel in content["panels"]:
        unit = panel.get("fieldConfig", {}).get("defaults", {}).get("unit", "")
        for target in panel.get("targets", []):
            instant = bool(target.get("instant"))
            yield Query(panel["title"], target["expr"], target.get("legendFormat", ""), instant, unit)
    for annotation in content["annotations"].get("list", []):
        yield Query(annotation["name"], annotation["expr"], annotation["titleFormat"], instant=False, unit="")
