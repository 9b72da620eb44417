"""The installed release says itself that it works."""

from __future__ import annotations

from dataclasses import replace

from demo import environment
from demo.stage import Installed


def test_helm_test_passes(operator: Installed) -> None:
    inside = replace(operator.kubectl, namespace=environment.OPERATOR_NAMESPACE)
    said = inside.run_helm("test", environment.RELEASE, "--logs", timeout=180)
    assert "a wrong resource is refused" in said
    assert "is ready: 200" in said
    assert "Failed" not in said
