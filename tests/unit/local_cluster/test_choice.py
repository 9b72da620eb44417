"""A cluster that was not named is never touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cetacean_tools.local_cluster.kind import KindCluster
from cetacean_tools.local_cluster.local import LocalCluster
from cetacean_tools.local_cluster.named import NamedCluster
from cetacean_tools.local_cluster.protocol import ClusterError
from cetacean_tools.local_cluster.use import choose


def _docker() -> bool:
    return True


def _no_docker() -> bool:
    return False


def test_a_machine_with_docker_gets_kind() -> None:
    assert isinstance(choose({}, docker=_docker), KindCluster)


def test_a_machine_without_docker_gets_the_cluster_of_processes() -> None:
    assert isinstance(choose({}, docker=_no_docker), LocalCluster)


@pytest.mark.parametrize("docker", [_docker, _no_docker])
def test_a_named_context_wins(*, docker: object) -> None:
    chosen = choose({"KUBE_CONTEXT": "production"}, docker=docker)  # type: ignore[arg-type]
    assert isinstance(chosen, NamedCluster)
    assert chosen.context == "production"


@pytest.mark.parametrize("environment", [{"KUBECONFIG": "/some/config"}, {"KUBE_CONTEXT": "", "KUBECONFIG": "/x"}])
def test_a_kubeconfig_alone_is_not_enough(environment: dict[str, str]) -> None:
    assert isinstance(choose(environment, docker=_no_docker), LocalCluster)
    assert isinstance(choose(environment, docker=_docker), KindCluster)


def test_the_named_cluster_is_never_ended_and_must_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Callable[[str, str], None]
) -> None:
    program("kubectl", "echo no such context >&2; exit 1")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("CETACEAN_CACHE", str(tmp_path))
    cluster = choose({"KUBE_CONTEXT": "production"}, docker=_no_docker)
    with pytest.raises(ClusterError, match=r"context production: not found: .*no such context"):
        cluster.up()
    cluster.down()
    assert cluster.status() == [("production", "does not answer")]
