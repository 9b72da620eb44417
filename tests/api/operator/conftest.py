"""The operator as a process, for the whole cluster or for one namespace; each test module starts its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.accounts import Account
from support.forged_pods import forged_node
from support.live_operator import OperatorProcess, running

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.local_cluster.local import LocalCluster
from cetacean_tools.local_cluster.use import choose


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for kubeconfigs and logs."""
    return tmp_path_factory.mktemp("operator")


@pytest.fixture(scope="session")
def local_cluster() -> LocalCluster:
    """The cluster made of processes, whose audit log can be read and whose API server can be killed."""
    cluster = choose()
    if not isinstance(cluster, LocalCluster):
        pytest.skip(f"needs the local cluster, not {cluster.kind}")
    return cluster


@pytest.fixture(scope="module")
def home(kubectl: Kubectl) -> Iterator[Kubectl]:
    """The administrator's kubectl in the operator's own namespace."""
    name = f"test-operator-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    yield replace(kubectl, namespace=name)
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def node(kubectl: Kubectl) -> Iterator[str]:
    """A node without a kubelet."""
    with forged_node(kubectl) as name:
        yield name


@pytest.fixture(scope="module")
def cluster_account(home: Kubectl, folder: Path) -> Iterator[Account]:
    """The account of an operator that serves every namespace."""
    with Account.granted(home, folder) as account:
        yield account


@pytest.fixture(scope="module")
def namespaced_account(home: Kubectl, namespaced: Kubectl, folder: Path) -> Iterator[Account]:
    """The account of an operator that serves the module's namespace."""
    with Account.granted(home, folder, served=(namespaced.namespace,)) as account:
        yield account


@pytest.fixture(scope="module")
def cluster_operator(
    request: pytest.FixtureRequest, cluster_account: Account, namespaced: Kubectl, folder: Path
) -> Iterator[OperatorProcess]:
    """An operator that serves every namespace."""
    assert request.node.get_closest_marker("alone"), "it would serve the resources of tests that run at the same time"
    with running(cluster_account, folder) as operator:
        yield operator
        _remove_all(namespaced)


@pytest.fixture(scope="module")
def namespaced_operator(namespaced_account: Account, namespaced: Kubectl, folder: Path) -> Iterator[OperatorProcess]:
    """An operator that serves the module's namespace."""
    with running(namespaced_account, folder) as operator:
        yield operator
        _remove_all(namespaced)


def _remove_all(kubectl: Kubectl) -> None:
    # In a terminating namespace nothing can be created, and the operator would log a refusal.
    kubectl("delete", "cetaceanmodels", "--all", "--wait=true")
