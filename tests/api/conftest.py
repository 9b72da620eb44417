"""A real API server with the CRD, and a namespace for each test module."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cetacean_tools.demo.definitions import wait_until_served
from cetacean_tools.demo.kubectl import Kubectl

REPOSITORY = Path(__file__).resolve().parent.parent.parent
CRDS = REPOSITORY / "crds"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the tests that wait longest first, so that the others run meanwhile."""
    items.sort(key=lambda item: item.get_closest_marker("waits") is None)


@pytest.fixture(scope="session")
def crd(kubectl: Kubectl) -> str:
    """Both CRDs, established; returns the name of that of CetaceanModels."""
    kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    names = ("cetaceanmodels.ecomarineai.org", "modelapprovals.ecomarineai.org")
    for name in names:
        wait_until_served(kubectl, name)
    return names[0]


@pytest.fixture(scope="module")
def namespaced(kubectl: Kubectl, crd: str) -> Iterator[Kubectl]:
    """The administrator's kubectl in a namespace that is deleted after the module."""
    assert crd
    name = f"test-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    yield replace(kubectl, namespace=name)
    kubectl("delete", "namespace", name, "--wait=false")
