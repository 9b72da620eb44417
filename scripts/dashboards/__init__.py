"""Grafana's dashboards, written with Grafana's own library; `make dashboards` puts them into the chart."""

from dashboards.boards import BOARDS, written
from dashboards.queries import Query, queries

__all__ = ["BOARDS", "Query", "queries", "written"]
