"""Files of pinned modules; Go itself is played."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cetacean_tools.local_cluster import sources
from cetacean_tools.local_cluster.layout import Layout
from cetacean_tools.local_cluster.pins import MODULES, PROMETHEUS_OPERATOR
from cetacean_tools.local_cluster.protocol import ClusterError
from cetacean_tools.local_cluster.sources import module_folder, monitoring_kinds
from cetacean_tools.workspace import MissingError

Program = Callable[[str, str], None]
GO_VERSION = 'if [ "$1" = env ]; then echo go1.26.8; exit; fi'


def test_a_modules_folder_is_the_one_that_go_names(program: Program, tmp_path: Path) -> None:
    program(
        "go",
        f"""{GO_VERSION}; test "$*" = "mod download -json a.org/b" && echo '{json.dumps({"Dir": str(tmp_path)})}'""",
    )
    assert module_folder("kubernetes", "a.org/b") == tmp_path


@pytest.mark.parametrize(
    ("script", "said"),
    [("""echo '{"Error": "checksum mismatch"}'; exit 1""", "checksum mismatch"), ("echo no go >&2; exit 1", "no go")],
)
def test_a_module_that_cannot_be_downloaded_is_named(program: Program, script: str, said: str) -> None:
    program("go", f"{GO_VERSION}; {script}")
    with pytest.raises(ClusterError, match=f"`go mod download -json a.org/b` failed: .*{said}"):
        module_folder("kubernetes", "a.org/b")


def test_a_module_is_not_downloaded_without_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match=r"missing: Go 1.26 or later \(no Go on the PATH\)"):
        module_folder("kubernetes", "a.org/b")


def test_the_kinds_of_the_prometheus_operator_are_pinned_and_read_from_their_module_once(
    monkeypatch: pytest.MonkeyPatch, layout: Layout, tmp_path: Path
) -> None:
    pins, module = PROMETHEUS_OPERATOR
    assert module in (MODULES / pins / "go.mod").read_text()
    assert module in (MODULES / pins / "go.sum").read_text()
    names = [f"monitoring.coreos.com_{kind}.yaml" for kind in ("servicemonitors", "podmonitors", "prometheusrules")]
    source = tmp_path / "module/example/prometheus-operator-crd"
    source.mkdir(parents=True)
    for name in names:
        (source / name).write_text(name)
    modules = [tmp_path / "module"]
    monkeypatch.setattr(sources, "module_folder", lambda *_: modules.pop())
    for _ in range(2):
        assert [path.read_text() for path in monitoring_kinds(layout)] == names
    assert not list(layout.bin.glob(".partial*"))
