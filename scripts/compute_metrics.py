"""A metrics snapshot of a model: `python3 scripts/compute_metrics.py --help`."""

from __future__ import annotations

from cetacean_tools.launch import launch

if __name__ == "__main__":
    raise SystemExit(launch("compute_metrics"))
