"""A program of the PATH is used if its version fits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cetacean_tools.local_cluster import tools
from cetacean_tools.local_cluster.layout import Layout
from cetacean_tools.local_cluster.pins import Module, stamp
from cetacean_tools.local_cluster.tools import HELM, KIND, KUBECTL, Tool, modules_to_build

from .stand_ins import HELM_4, KIND_033, StandIns, kubectl


@pytest.mark.parametrize(
    ("tool", "printed", "fits"),
    [
        (KUBECTL, "Client Version: v1.36.0", True),
        (KUBECTL, "Client Version: v1.38.4-gke.1", True),
        (KUBECTL, "Client Version: v1.35.9", False),
        (KUBECTL, "Client Version: v1.32.4-dispatcher", False),
        (KUBECTL, 'Client Version: version.Info{Major:"1", Minor:"20", GitVersion:"v1.20.1"}', False),
        (KUBECTL, "error: no such command", False),
        (HELM, "v4.3", True),
        (HELM, "v4.0.0+g99cd196", True),
        (HELM, "v3.19.2+g8766e71", False),
        (KIND, "kind v0.31.0 go1.25.5 linux/amd64", True),
        (KIND, "kind v1.0.0 go1.27.0 linux/amd64", True),
        (KIND, "kind v0.30.0 go1.24.6 linux/amd64", False),
    ],
)
def test_only_a_version_that_fits_is_used(stand_ins: StandIns, tool: Tool, printed: str, *, fits: bool) -> None:
    path = stand_ins.add(tool.name, f"echo '{printed}'")
    assert tool.on_path() == (path if fits else None)


def test_a_program_that_fails_is_not_used(stand_ins: StandIns) -> None:
    stand_ins.add("helm", "echo v4.3.1; exit 1")
    assert HELM.on_path() is None


def test_a_program_that_does_not_answer_is_not_waited_for(
    stand_ins: StandIns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)  # nothing is ever written to it
    stand_ins.add("helm", f'echo v4.3.1; read -r line <"{fifo}"')
    monkeypatch.setattr(tools, "USE_WITHIN", 0.2)
    assert HELM.on_path() is None
    assert stand_ins.calls() == ["helm version --short"]


def test_only_missing_tools_are_built(stand_ins: StandIns, layout: Layout) -> None:
    stand_ins.add("kind", KIND_033)
    stand_ins.add("helm", "echo v3.19.2")
    stand_ins.add("kubectl", kubectl("v1.20.0"))
    assert [module.name for module in modules_to_build((KIND, HELM, KUBECTL), layout)] == ["helm", "kubectl"]
    stand_ins.add("helm", HELM_4)
    stand_ins.add("kubectl", kubectl("v1.37.0"))
    assert modules_to_build((KIND, HELM, KUBECTL), layout) == []


@pytest.mark.parametrize("module", KUBECTL.modules, ids=lambda module: module.name)
def test_kubectl_is_not_built_twice(stand_ins: StandIns, layout: Layout, module: Module) -> None:
    assert stand_ins.calls() == []
    layout.bin.mkdir(parents=True)
    assert modules_to_build([KUBECTL], layout) == [KUBECTL.modules[0]]
    for name in module.binaries:
        (layout.bin / name).touch()
    stamp(module, layout).touch()
    assert modules_to_build([KUBECTL], layout) == []


def test_the_kubectl_for_a_server_is_within_one_minor_version_of_it() -> None:
    tool = tools.kubectl((1, 35))
    assert [minor for minor in range(30, 40) if tool.fits((1, minor))] == [34, 35, 36]
