"""The demo checks its prerequisites before anything long."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cetacean_tools.demo import __main__ as demo
from cetacean_tools.demo import sample
from cetacean_tools.workspace import MissingError


@pytest.mark.parametrize("arguments", [[], ["--prepare"], ["--keep"]])
def test_the_demo_trains_nothing_on_a_machine_that_lacks_something(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    def check(*, images: bool) -> None:
        raise MissingError(f"missing: Go (images: {images})")

    monkeypatch.setattr(demo, "check", check)
    monkeypatch.setattr(demo, "ensure_models", lambda **_: pytest.fail("trained"))
    monkeypatch.setattr(sys, "argv", ["demo", *arguments])
    assert demo.main() == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "error: missing: Go (images: True)\n")


def test_the_sample_trains_nothing_on_a_machine_that_lacks_something(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(*, images: bool) -> None:
        raise MissingError(f"missing: Go (images: {images})")

    monkeypatch.setattr(sample, "check", check)
    monkeypatch.setattr(sample, "ensure_models", lambda **_: pytest.fail("trained"))
    monkeypatch.setattr(sys, "argv", ["sample"])
    assert sample.main() == 1
    assert capsys.readouterr().err == "error: missing: Go (images: True)\n"


def test_the_demo_with_a_context_that_does_not_exist_ends_with_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    environment = {
        **os.environ,
        "PATH": str(tmp_path),
        "HOME": str(tmp_path),
        "KUBECONFIG": str(tmp_path / "config"),
        "KUBE_CONTEXT": "nope",
        "CETACEAN_CACHE": str(cache),
    }
    kubectl = tmp_path / "kubectl"
    kubectl.write_text("#!/bin/sh\necho 'error: context nope not found' >&2; exit 1\n")
    kubectl.chmod(0o755)
    command = [sys.executable, "-m", "cetacean_tools.demo"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: context nope: not found: `kubectl --kubeconfig {tmp_path}/config config ")
    assert done.stderr.count("\n") == 1
    assert not cache.exists()
