"""The number of processors: affinity, and the quotas of control groups of both versions."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from cetacean_inference.system.cpus import cpu_quota, usable_cpus


class Node:
    """A folder with control groups, and the file that names the groups of a process."""

    def __init__(self, root: Path) -> None:
        self.cgroups = root / "cgroup"
        self.membership = root / "self"
        self.cgroups.mkdir()

    def group(self, path: str, **files: str) -> Node:
        folder = self.cgroups / path
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / f"cpu.{name}").write_text(content)
        return self

    def member(self, *lines: str) -> Node:
        self.membership.write_text("".join(f"{line}\n" for line in lines))
        return self

    @property
    def quota(self) -> float:
        return cpu_quota(self.cgroups, self.membership)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.mark.parametrize(
    ("content", "quota"),
    [
        ("150000 100000\n", 1.5),
        ("50000 100000\n", 0.5),
        ("max 100000\n", math.inf),
        ("max\n", math.inf),
        ("", math.inf),
        ("100000 0\n", math.inf),
        ("0 100000\n", math.inf),
        ("words 100000\n", math.inf),
    ],
)
def test_the_quota_of_version_2_is_read(node: Node, content: str, quota: float) -> None:
    assert node.group(".", max=content).quota == quota


@pytest.mark.parametrize("folder", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize(
    ("allowed", "period", "quota"), [("250000", "100000", 2.5), ("-1", "100000", math.inf), ("100000", "", math.inf)]
)
def test_the_quota_of_version_1_is_read(node: Node, folder: str, allowed: str, period: str, quota: float) -> None:
    assert node.group(folder, cfs_quota_us=f"{allowed}\n", cfs_period_us=f"{period}\n").quota == quota


def test_the_smallest_quota_of_all_groups_above_the_process_counts(node: Node) -> None:
    node.member("0::/user.slice/session.scope/inner").group("user.slice/session.scope/inner", max="max 100000")
    node.group("user.slice", max="300000 100000").group("user.slice/session.scope", max="400000 100000")
    assert node.quota == 3
    node.group("user.slice/session.scope/inner", max="200000 100000")
    assert node.quota == 2
    node.group("another.slice", max="100000 100000")
    assert node.quota == 2, "another process's group"


@pytest.mark.parametrize("controllers", ["cpu,cpuacct", "cpu", "cpuacct,cpu"])
def test_the_own_group_of_version_1_is_read(node: Node, controllers: str) -> None:
    node.member("5:memory:/elsewhere", f"4:{controllers}:/job/step", "0::/elsewhere")
    node.group(f"{controllers}/job", cfs_quota_us="100000", cfs_period_us="50000")
    node.group(f"{controllers}/job/step", cfs_quota_us="-1", cfs_period_us="100000")
    node.group("memory/elsewhere", cfs_quota_us="1", cfs_period_us="100000")
    assert node.quota == 2


def test_the_own_group_of_a_hybrid_hierarchy_is_read(node: Node) -> None:
    node.member("0::/job").group("unified/job", max="100000 100000")
    assert node.quota == 1


@pytest.mark.parametrize("line", ["0::/../../outside", "0::/absent/group", "", "words", "::", "0::/"])
def test_a_group_that_is_not_mounted_leaves_the_quota_at_the_top(node: Node, line: str) -> None:
    (node.cgroups.parent / "outside").mkdir()
    (node.cgroups.parent / "outside" / "cpu.max").write_text("100000 100000")
    assert node.member(line).group(".", max="700000 100000").quota == 7


def test_without_control_groups_there_is_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path / "absent", tmp_path / "absent") == math.inf


@pytest.mark.parametrize(
    ("processors", "quota", "usable"),
    [(8, "150000 100000", 2), (1, "400000 100000", 1), (8, "max 100000", 8), (8, "1000 100000", 1)],
)
def test_affinity_and_quota_bound_the_number_of_processors(
    node: Node, monkeypatch: pytest.MonkeyPatch, processors: int, quota: str, usable: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)))
    node.group(".", max=quota)
    assert usable_cpus(node.cgroups, node.membership) == usable


@pytest.mark.parametrize("name", ["a:b", "Xa", "кит"])
def test_a_group_has_any_name(node: Node, name: str) -> None:
    assert node.group(name, max="50000 100000").member(f"0::/{name}").quota == 0.5


def test_a_group_of_version_1_may_be_mounted_under_the_name_of_its_controller(node: Node) -> None:
    node.group("cpu/a", cfs_quota_us="50000", cfs_period_us="100000").member("4:cpu,cpuacct:/a")
    assert node.quota == 0.5


def test_a_group_outside_of_the_namespace_is_left_out_and_the_next_one_is_read(node: Node) -> None:
    node.group("../b", max="10000 100000").member("0::/../b")
    assert node.quota == math.inf
    node.group("a", max="50000 100000").member("1:cpu:/../b", "0::/../b", "0::/a")
    assert node.quota == 0.5


def test_the_own_group_bounds_the_number_of_processors(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    node.group("a", max="150000 100000").member("0::/a")
    assert usable_cpus(node.cgroups, node.membership) == 2
