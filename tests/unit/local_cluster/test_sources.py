"""Files of pinned modules; Go itself is played."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cetacean_tools.local_cluster import sources
from cetacean_tools.local_cluster.builds import MODULES
from cetacean_tools.local_cluster.protocol import ClusterError
from cetacean_tools.local_cluster.sources import PROMETHEUS_OPERATOR, module_folder, monitoring_kinds

Program = Callable[[str, str], None]


def test_a_modules_folder_is_the_one_that_go_names(program: Program, tmp_path: Path) -> None:
    program("go", f"""test "$*" = "mod download -json a.org/b" && echo '{json.dumps({"Dir": str(tmp_path)})}'""")
    assert module_folder("kubernetes", "a.org/b") == tmp_path


@pytest.mark.parametrize(
    ("script", "said"),
    [("""echo '{"Error": "checksum mismatch"}'; exit 1""", "checksum mismatch"), ("echo no go >&2; exit 1", "no go")],
)
def test_a_module_that_cannot_be_downloaded_is_named(program: Program, script: str, said: str) -> None:
    program("go", script)
    with pytest.raises(ClusterError, match=f"a.org/b: cannot be downloaded: {said}"):
        module_folder("kubernetes", "a.org/b")


def test_the_kinds_of_the_prometheus_operator_are_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    pins, module = PROMETHEUS_OPERATOR
    assert module in (MODULES / pins / "go.mod").read_text()
    assert module in (MODULES / pins / "go.sum").read_text()
    monkeypatch.setattr(sources, "module_folder", lambda *_: Path("/go/module"))
    assert [path.name for path in monitoring_kinds()] == [
        "monitoring.coreos.com_servicemonitors.yaml",
        "monitoring.coreos.com_podmonitors.yaml",
        "monitoring.coreos.com_prometheusrules.yaml",
    ]
