"""Files that Go modules have beside their code: a C program, the definitions of custom resources."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from cetacean_tools.local_cluster.builds import MODULES
from cetacean_tools.local_cluster.protocol import ClusterError

PROMETHEUS_OPERATOR = ("prometheus-operator", "github.com/prometheus-operator/prometheus-operator")
"""Folder under `modules/` and the module pinned there."""


def module_folder(pins: str, module: str) -> Path:
    """Return the folder of a pinned module, downloaded if it is missing.

    Args:
        pins: the folder under `modules/` whose go.mod names its version, and go.sum its checksum.
        module: its path.

    Raises:
        ClusterError: it cannot be downloaded.
    """
    done = subprocess.run(
        ["go", "mod", "download", "-json", module],
        cwd=MODULES / pins,
        env={**os.environ, "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout or "{}")
    if done.returncode != 0 or "Dir" not in found:
        raise ClusterError(f"{module}: cannot be downloaded: {found.get('Error') or done.stderr.strip()}")
    return Path(found["Dir"])


def monitoring_kinds() -> list[Path]:
    """Return the Prometheus Operator's definitions of ServiceMonitor, PodMonitor and PrometheusRule."""
    folder = module_folder(*PROMETHEUS_OPERATOR) / "example/prometheus-operator-crd"
    kinds = ("servicemonitors", "podmonitors", "prometheusrules")
    return [folder / f"monitoring.coreos.com_{kind}.yaml" for kind in kinds]
