"""Fixtures of all tiers."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from cetacean_tools.demo.kubectl import Kubectl

# Time is no property of what is tested: where the machine is busy, drawing an example may take long.
settings.register_profile("cetacean", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("cetacean")


def pytest_configure() -> None:
    """Make the process, and those that tests start, such that tests can run side by side and in the background."""
    # Ctrl-C as at a terminal, also in a job that a shell started in the background with it ignored: processes that
    # tests start would ignore it as well, and those tests that send it would wait for ever.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # torch's threads keep a processor busy while they wait for each other, most of the time where networks are tiny.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _needed(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        # Never skipped: a tier that ran without its cluster would have shown nothing.
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
    """The cluster's administrator."""
    return Kubectl(_needed("CETACEAN_KUBECTL"), helm, kubeconfig)
