"""Files that Go modules have beside their code: a C program, the definitions of custom resources."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path

from cetacean_tools.local_cluster.layout import Layout
from cetacean_tools.local_cluster.pins import MODULES, PROMETHEUS_OPERATOR, monitoring_kinds_folder
from cetacean_tools.local_cluster.protocol import output
from cetacean_tools.local_cluster.tools import check_go


def module_folder(pins: str, module: str) -> Path:
    """Return the folder of a pinned module, downloaded if it is missing.

    Args:
        pins: the folder under `modules/` whose go.mod names its version, and go.sum its checksum.
        module: its path.

    Raises:
        ClusterError: it cannot be downloaded.
        MissingError: Go is missing or too old.
    """
    check_go()
    environment = {**os.environ, "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    found = output("go", "mod", "download", "-json", module, cwd=MODULES / pins, env=environment)
    return Path(json.loads(found)["Dir"])


def monitoring_kinds(layout: Layout | None = None) -> list[Path]:
    """Return the Prometheus Operator's definitions of ServiceMonitor, PodMonitor and PrometheusRule.

    They are kept beside the built programs, so Go is needed once only.

    Args:
        layout: of programs; the user's cache by default.
    """
    kept = monitoring_kinds_folder(layout or Layout.default())
    names = [f"monitoring.coreos.com_{kind}.yaml" for kind in ("servicemonitors", "podmonitors", "prometheusrules")]
    if not kept.exists():
        source = module_folder(*PROMETHEUS_OPERATOR) / "example/prometheus-operator-crd"
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=kept.parent) as partial:
            made = Path(partial, kept.name)
            made.mkdir()
            for name in names:
                shutil.copyfile(source / name, made / name)
            with contextlib.suppress(OSError):  # another process was faster; its files are the same
                made.rename(kept)
    return [kept / name for name in names]
