"""Programs are built once for each state of their pins; a missing tool is named."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock
from rich.progress import Progress

from cetacean_tools.local_cluster import pins
from cetacean_tools.local_cluster.builds import ensure_built
from cetacean_tools.local_cluster.layout import Layout
from cetacean_tools.local_cluster.pins import Module
from cetacean_tools.local_cluster.protocol import ClusterError
from cetacean_tools.local_cluster.tools import check_go
from cetacean_tools.workspace import MissingError

Program = Callable[[str, str], None]

FAKE_GO = """
case "$1" in
  env) echo go1.26.8 ;;
  list) printf 'a\\nb\\nc\\n' ;;
  build)
    echo run >> "$LOG"
    mkdir "$GOTMPDIR/go-build1"
    while [ "$1" != -o ]; do shift; done
    echo 'go: downloading something'; echo a; echo b
    for name in $MADE; do echo "program $name" > "$2$name"; done
    exit ${CODE:-0} ;;
esac
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    monkeypatch.setattr(pins, "MODULES", tmp_path / "modules")
    folder = tmp_path / "modules/tools"
    folder.mkdir(parents=True)
    (folder / "go.mod").write_text("module tools\n")
    return Module("tools", ("one", "two"))


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Program) -> Path:
    program("go", FAKE_GO)
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setenv("MADE", "one two")
    return tmp_path / "log"


def _runs(log: Path) -> int:
    return len(log.read_text().split()) if log.exists() else 0


def test_a_module_is_built_once(module: Module, layout: Layout, log: Path) -> None:
    ensure_built([module], layout)
    ensure_built([module], layout)
    assert (layout.bin / "one").read_text() == "program one\n"
    assert (layout.bin / "two").exists()
    assert _runs(log) == 1
    assert not list(layout.bin.rglob("go-build*"))


def test_a_built_module_does_not_wait_for_another_build(module: Module, layout: Layout, log: Path) -> None:
    ensure_built([module], layout)
    with FileLock(layout.bin / ".lock"), ThreadPoolExecutor(1) as pool:
        pool.submit(ensure_built, [module], layout).result(10)
    assert _runs(log) == 1


def test_a_module_is_built_again_when_its_pins_change(module: Module, layout: Layout, log: Path) -> None:
    ensure_built([module], layout)
    (module.folder / "go.mod").write_text("module tools\n\nrequire x v1.0.0\n")
    ensure_built([module], layout)
    assert _runs(log) == 2


def test_a_module_is_built_again_when_a_program_is_missing(module: Module, layout: Layout, log: Path) -> None:
    ensure_built([module], layout)
    (layout.bin / "two").unlink()
    ensure_built([module], layout)
    assert _runs(log) == 2


def test_a_main_package_of_another_name_becomes_the_missing_program(
    module: Module, layout: Layout, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MADE", "one server")
    ensure_built([module], layout)
    assert _runs(log) == 1
    assert (layout.bin / "two").read_text() == "program server\n"


def test_a_program_that_go_did_not_make_is_an_error(
    module: Module, layout: Layout, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MADE", "one")
    with pytest.raises(ClusterError, match="building tools: expected two"):
        ensure_built([module], layout)
    assert _runs(log) == 1


def test_a_failed_build_shows_its_last_lines_and_leaves_nothing(
    module: Module, layout: Layout, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODE", "1")
    with pytest.raises(ClusterError, match=r"(?s)building tools failed:.*b"):
        ensure_built([module], layout)
    assert not (layout.bin / "one").exists()
    assert _runs(log) == 1
    assert not list(layout.bin.rglob("go-build*"))


@pytest.mark.parametrize(("said", "found"), [("go1.19.8", "is 1.19"), ("", "is of no version that it prints")])
def test_a_go_that_is_too_old_is_named(program: Program, said: str, found: str) -> None:
    program("go", f"echo {said}")
    with pytest.raises(MissingError, match=rf"missing: Go 1.26 or later \(.*/go {found}\); install"):
        check_go()


def test_a_missing_go_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match=r"missing: Go 1.26 or later \(no Go on the PATH\); install"):
        check_go()


@pytest.mark.parametrize(
    "module", [*pins.LOCAL, *pins.TESTING, pins.HELM, pins.KIND, pins.KUBECTL], ids=lambda module: module.name
)
def test_every_module_is_pinned_with_checksums(module: Module) -> None:
    assert (module.folder / "go.mod").exists()
    assert (module.folder / "go.sum").exists()


def test_a_build_that_is_interrupted_does_not_wait_for_go(
    module: Module, layout: Layout, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)  # nothing is ever written to it
    program("go", f'case "$1" in env) echo go1.26.8 ;; list) echo a ;; build) echo a; exec cat {fifo} ;; esac')

    def interrupt(*_: object, **_named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "update", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ensure_built([module], layout)
    assert not (layout.bin / "one").exists()
