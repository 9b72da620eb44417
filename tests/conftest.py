"""Fixtures of all tiers."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support import order
from support.order import pytest_addoption
from support.skips import pytest_make_collect_report, pytest_runtest_makereport

from cetacean_tools.demo.kubectl import Kubectl

__all__ = [
    "pytest_addoption",
    "pytest_make_collect_report",
    "pytest_runtest_makereport",
]

# No deadline: if the machine is busy, drawing an example may take long.
settings.register_profile("cetacean", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("cetacean")


def pytest_configure() -> None:
    """Prepare this process, and those that tests start, for tests in parallel and in the background."""
    # A shell starts background jobs with SIGINT ignored, and processes that tests start inherit that: tests that send
    # SIGINT would wait for ever.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # By default torch's threads keep a processor busy while they wait for each other.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the tests as asked for, and require a reason for each that `make test-image` leaves out."""
    order.pytest_collection_modifyitems(config, items)
    for item in items:
        for mark in item.iter_markers("not_in_image"):
            if not mark.kwargs.get("reason"):
                raise pytest.UsageError(f'{item.nodeid}: expected not_in_image(reason="…"), got no reason')


def _needed(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        # Fail instead of skipping: a tier that runs without its cluster tests nothing.
        pytest.fail(f"{variable} is not set; run `make test-api` or `make test-e2e`, or see CONTRIBUTING.md")
    return Path(value)


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    """The cluster that `python -m cetacean_tools.local_cluster run` has started."""
    return _needed("KUBECONFIG")


@pytest.fixture(scope="session")
def helm() -> Path:
    """Helm 4."""
    return _needed("CETACEAN_HELM")


@pytest.fixture(scope="session")
def kubectl(kubeconfig: Path, helm: Path) -> Kubectl:
    """kubectl as the cluster's administrator."""
    return Kubectl(_needed("CETACEAN_KUBECTL"), helm, kubeconfig)
