"""Grafana's dashboards, written with Grafana's own library; `make dashboards` puts them into the chart."""

from cetacean_tools.dashboards.boards import BOARDS, written
from cetacean_tools.dashboards.queries import Query, queries

__all__ = ["BOARDS", "Query", "queries", "written"]
