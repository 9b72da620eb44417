"""The commands; `run` always ends a cluster that was not up before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.fake_cluster import FakeCluster

from cetacean_tools.image_store import BuiltImage
from cetacean_tools.local_cluster import __main__ as cli
from cetacean_tools.local_cluster.protocol import ClusterError


@pytest.fixture(autouse=True)
def checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The checks of prerequisites that were made, by `programs`; in a cache of the test's own."""
    made: list[bool] = []
    monkeypatch.setenv("CETACEAN_CACHE", str(tmp_path))
    monkeypatch.setattr(cli, "check", lambda *, programs: made.append(programs))
    return made


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_run_starts_the_cluster_runs_the_command_and_ends_the_cluster() -> None:
    cluster = FakeCluster()
    code = "import os, sys; sys.exit(0 if os.environ['KUBECONFIG'] == '/nowhere/kubeconfig' else 1)"
    assert cli.run_against(cluster, _python(code)) == 0
    assert cluster.calls == ["up owned=True", "down"]


def test_run_returns_the_commands_exit_code() -> None:
    cluster = FakeCluster()
    assert cli.run_against(cluster, _python("raise SystemExit(7)")) == 7
    assert not cluster.running


def test_run_leaves_a_cluster_up_that_was_up() -> None:
    cluster = FakeCluster(running=True)
    assert cli.run_against(cluster, _python("pass")) == 0
    assert "down" not in cluster.calls


def test_run_ends_a_cluster_that_did_not_start() -> None:
    cluster = FakeCluster(broken=True)
    with pytest.raises(ClusterError, match="kubelet"):
        cli.run_against(cluster, _python("pass"))
    assert cluster.calls[-1] == "down"


def test_an_interruption_ends_the_command_and_the_cluster() -> None:
    cluster = FakeCluster()
    code = "import os, signal; os.kill(os.getppid(), signal.SIGINT); signal.pause()"
    with pytest.raises(KeyboardInterrupt):
        cli.run_against(cluster, _python(code))
    assert cluster.calls[-1] == "down"


def test_each_command_calls_the_cluster(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = FakeCluster()
    monkeypatch.setattr(cli, "choose", lambda: cluster)
    assert cli.main(["status"]) == 3
    assert cli.main(["up"]) == 0
    assert cli.main(["status"]) == 0
    assert cli.main(["load-image", "localhost/a:1", "a.tar"]) == 0
    assert cli.main(["kubeconfig"]) == 0
    assert cli.main(["down"]) == 0
    assert cluster.calls == ["up owned=False", "load localhost/a:1 a.tar", "down"]
    assert "export KUBECONFIG=/nowhere/kubeconfig" in capsys.readouterr().out


@pytest.mark.parametrize(("command", "made"), [("up", [False]), ("run", [False]), ("programs", [True]), ("status", [])])
def test_a_command_that_may_take_minutes_checks_its_prerequisites_first(
    monkeypatch: pytest.MonkeyPatch,
    checks: list[bool],
    capsys: pytest.CaptureFixture[str],
    command: str,
    made: list[bool],
) -> None:
    def choose() -> FakeCluster:
        raise ClusterError(f"chosen after {len(checks)} checks")

    monkeypatch.setattr(cli, "choose", choose)
    assert cli.main([command]) == 1
    assert checks == made
    assert capsys.readouterr().err == f"error: chosen after {len(made)} checks\n"


def test_a_program_is_loaded_as_an_image(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = FakeCluster()
    image = BuiltImage("localhost/prometheus:1", Path("/images/prometheus.tar"), size=1)
    monkeypatch.setattr(cli, "choose", lambda: cluster)
    monkeypatch.setattr(cli, "ensure_program_image", {"prometheus": image}.__getitem__)
    assert cli.main(["load-program", "prometheus"]) == 0
    assert cluster.calls == ["load localhost/prometheus:1 /images/prometheus.tar"]
    assert capsys.readouterr().out == "localhost/prometheus:1\n"


def test_options_of_the_called_program_are_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text('#!/bin/sh\nprintf "%s," "$@"; exit 4\n')
    kubectl.chmod(0o755)
    monkeypatch.setattr(cli, "choose", lambda: FakeCluster(kubectl=kubectl))
    assert cli.main(["kubectl", "-n", "demo", "get", "--help"]) == 4
    assert capfd.readouterr().out == "-n,demo,get,--help,"


def test_an_error_is_one_line_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "choose", lambda: FakeCluster(broken=True))
    assert cli.main(["up"]) == 1
    assert capsys.readouterr().err == "error: kubelet ended with exit code 1\n"


def test_a_shell_that_evaluates_env_finds_the_cluster(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        cli, "choose", lambda: FakeCluster(kubeconfig=Path("/no where/config"), helm=Path("/the bin/helm"))
    )
    assert cli.main(["env"]) == 0
    seen = 'echo "$KUBECONFIG|${PATH%%:*}|${NO_PROXY##*,}"'
    done = subprocess.run(
        ["bash", "-c", f"{capsys.readouterr().out}{seen}"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "/no where/config|/the bin|10.0.0.0/8\n"
