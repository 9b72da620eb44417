"""Fixtures that render the charts with Helm, and that run promtool."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from cetacean_tools.local_cluster.builds import ensure_built
from cetacean_tools.local_cluster.layout import Layout
from cetacean_tools.local_cluster.pins import PROMETHEUS

REPOSITORY = Path(__file__).resolve().parents[3]
CHART = REPOSITORY / "charts/cetacean-operator"
MODEL_CHART = REPOSITORY / "charts/cetacean-model"

ARM = {"matchExpressions": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["arm64"]}]}
EVERYTHING: dict[str, Any] = {
    "replicas": 2,
    "watchNamespaces": ["team-a", "team-b"],
    "commonLabels": {"team": "whales"},
    "image": {"tag": "1.2.3", "pullSecrets": [{"name": "registry"}]},
    "crds": {"install": False},
    "approvalPolicy": {"enabled": True},
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "podLabels": {"zone": "sea"},
    "podAnnotations": {"note": "x"},
    "priorityClassName": "system-cluster-critical",
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "sea", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [ARM]}}},
    "serviceAccount": {"annotations": {"role": "none"}},
    "metrics": {
        "service": {"annotations": {"a": "b"}},
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "models": {"podMonitor": {"enabled": True, "metricRelabelings": [{"action": "labeldrop", "regex": "uid"}]}},
    },
    "networkPolicy": {"enabled": True, "metricsFrom": [{"namespaceSelector": {}}], "apiServerPorts": [6443]},
}


@dataclass(frozen=True, slots=True)
class Rendered:
    """The output of `helm template`."""

    text: str
    objects: list[dict[str, Any]]

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """Return all objects of one kind."""
        return [item for item in self.objects if item["kind"] == kind]

    def one(self, kind: str) -> dict[str, Any]:
        """Return the only object of a kind."""
        (found,) = self.of_kind(kind)
        return found


class UniqueKeys(yaml.SafeLoader):
    """A loader that refuses a key that stands twice in a mapping: parsers disagree about which one counts."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping.

        Raises:
            AssertionError: a key stands twice.
        """
        keys = [key.value for key, _ in node.value]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        assert not twice, f"{twice} twice{node.start_mark}"
        return dict(super().construct_mapping(node, deep=deep))


class RefusedError(Exception):
    """Helm failed; the message is its standard error."""


Render = Callable[..., Rendered]
Promtool = Callable[..., str]


@pytest.fixture(scope="session")
def promtool() -> Promtool:
    """A function that runs promtool, which must succeed, and returns its output."""
    layout = Layout.default()
    ensure_built([PROMETHEUS], layout)

    def run(*arguments: str | Path) -> str:
        command = [layout.bin / "promtool", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def render(helm: Path) -> Render:
    """A function that runs `helm template` with values, for the release `whales` in the namespace `system`."""

    def run(
        values: dict[str, Any] | None = None, *flags: str, release: str = "whales", chart: Path = CHART
    ) -> Rendered:
        done = subprocess.run(
            [helm, "template", release, chart, "--namespace", "system", "--values", "-", *flags],
            input=yaml.safe_dump(values or {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if done.returncode:
            raise RefusedError(done.stderr)
        return Rendered(done.stdout, [item for item in yaml.load_all(done.stdout, UniqueKeys) if item])

    return run
