"""Configuration files, networks and cgroups of the local cluster."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from cetacean_tools.local_cluster import cgroups, configs, network
from cetacean_tools.local_cluster.configs import components
from cetacean_tools.local_cluster.layout import Layout, Link
from cetacean_tools.local_cluster.protocol import ClusterError

LINK = Link("10.201.0.1", "10.201.0.2")


@pytest.fixture
def written(layout: Layout) -> Layout:
    layout.pki.mkdir(parents=True)
    for name in ("admin", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "coredns", "ca"):
        for kind in ("crt", "key"):
            (layout.pki / f"{name}.{kind}").write_text(f"{name} {kind}")
    configs.write_all(layout, LINK)
    return layout


def test_everything_stands_under_one_folder(written: Layout) -> None:
    containerd = tomllib.loads((written.config / "containerd.toml").read_text())
    kubelet = yaml.safe_load((written.config / "kubelet.yaml").read_text())
    cni = json.loads((written.config / "cni/10-local.conflist").read_text())
    for path in (containerd["root"], kubelet["podLogsDir"], cni["plugins"][0]["ipam"]["dataDir"]):
        assert Path(path).is_relative_to(written.root)
    for component in components(written, LINK):
        assert Path(component.command[0]).parent == written.bin


def test_the_kubelet_authenticates_and_authorizes_its_clients(written: Layout) -> None:
    kubelet = yaml.safe_load((written.config / "kubelet.yaml").read_text())
    assert kubelet["authentication"]["anonymous"] == {"enabled": False}
    assert kubelet["authorization"] == {"mode": "Webhook"}
    assert kubelet["failCgroupV1"] is False


def test_the_node_has_cgroups_of_its_own(written: Layout) -> None:
    kubelet = yaml.safe_load((written.config / "kubelet.yaml").read_text())
    assert kubelet["cgroupRoot"] == f"/{written.name}"


def test_a_kubeconfig_holds_all_it_needs(written: Layout) -> None:
    content = yaml.safe_load(configs.kubeconfig(written, LINK, "admin"))
    assert content["clusters"][0]["cluster"]["server"] == "https://10.201.0.2:6443"
    assert all(key.endswith("-data") for key in content["users"][0]["user"])


def test_components_start_after_those_they_need(layout: Layout) -> None:
    seen: set[str] = set()
    for component in components(layout, LINK):
        assert seen >= set(component.after)
        seen.add(component.name)


def test_two_folders_have_two_names(tmp_path: Path) -> None:
    first, second = Layout(tmp_path / "a"), Layout(tmp_path / "b")
    assert first.name != second.name
    assert len(first.name) < 16  # a network link's name can be no longer


def test_the_link_avoids_what_is_routed(program: Callable[[str, str], None]) -> None:
    routes = [{"dst": "default"}, {"dst": "10.201.0.0/30"}, {"dst": "10.201.0.4/31"}, {"dst": "192.168.1.0/24"}]
    program("ip", f"echo '{json.dumps(routes)}'")
    assert network.free_link() == Link("10.201.0.9", "10.201.0.10")


def test_a_machine_without_a_free_network_is_an_error(program: Callable[[str, str], None]) -> None:
    program("ip", """echo '[{"dst": "10.0.0.0/8"}]'""")
    with pytest.raises(ClusterError, match="no free network"):
        network.free_link()


@pytest.mark.parametrize("version", [1, 2])
def test_all_cgroups_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    hierarchies = [tmp_path / "cpuset", tmp_path / "memory"] if version == 1 else [tmp_path]
    for hierarchy in hierarchies:
        hierarchy.mkdir(exist_ok=True)
        (hierarchy / "cgroup.procs").touch()
    if version == 1:
        (tmp_path / "not-a-hierarchy").mkdir()
    else:
        (tmp_path / "cgroup.controllers").touch()
    cgroups.create_cgroups("ours")
    for hierarchy in hierarchies:
        (hierarchy / "ours/kubepods/pod1").mkdir(parents=True)
    assert cgroups.remove_cgroups("ours") == []
    assert not list(tmp_path.rglob("ours"))


def test_cgroups_in_use_are_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    (tmp_path / "cgroup.controllers").touch()
    busy = tmp_path / "ours"
    busy.mkdir()
    (busy / "a-file-keeps-it").touch()  # as a process would
    assert cgroups.remove_cgroups("ours") == [busy]
