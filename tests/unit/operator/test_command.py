"""The command line of the operator's image."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cetacean_operator.__main__ import main


def test_help_names_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    assert "run" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["walk"], ["run", "away"]])
def test_a_command_other_than_run_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2


def test_a_wrong_setting_is_named_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CETACEAN_OPERATOR_WORKERS", "none")
    assert main(["run"]) == 2
    assert "CETACEAN_OPERATOR_WORKERS: " in capsys.readouterr().err


def test_without_a_cluster_the_operator_exits_with_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    missing = tmp_path_factory.mktemp("nothing") / "kubeconfig"
    code = "import sys; from cetacean_operator.__main__ import main; sys.exit(main(['run']))"
    environment = {"KUBECONFIG": str(missing), "PYTHONPATH": ":".join(sys.path), "PATH": ""}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "no connection to a cluster" in ended.stderr
