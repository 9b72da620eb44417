"""The machine is checked within seconds, before anything long; the programs of the PATH are stand-ins."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cetacean_tools.local_cluster import contexts, prerequisites, tools
from cetacean_tools.local_cluster.kind import KindCluster
from cetacean_tools.local_cluster.named import NamedCluster
from cetacean_tools.local_cluster.prerequisites import check, main
from cetacean_tools.local_cluster.protocol import ClusterError
from cetacean_tools.workspace import REPOSITORY, MissingError, ToolError

from .stand_ins import HELM_4, KIND_033, StandIns, kubectl

CONTEXT = {"KUBE_CONTEXT": "sea"}
GO = "echo go1.26.8"


@pytest.fixture
def sea(stand_ins: StandIns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    """A machine whose kubeconfig has the context `sea`, with a kubectl and a Helm that fit, and no Go."""
    (tmp_path / "kubeconfig").touch()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    stand_ins.add("kubectl", kubectl("v1.35.1", server=("1", "35+")))
    stand_ins.add("helm", HELM_4)
    return stand_ins


@pytest.fixture
def dock(stand_ins: StandIns) -> StandIns:
    """A machine with Docker and kind, Helm and kubectl that fit, and no Go."""
    stand_ins.add("docker", "exit 0")
    stand_ins.add("kind", KIND_033)
    stand_ins.add("helm", HELM_4)
    stand_ins.add("kubectl", kubectl("v1.37.0"))
    return stand_ins


@pytest.fixture
def bare(stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    """A machine with root, apt-get and Go, and without Docker."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(sys, "platform", "linux")
    stand_ins.add("apt-get", "exit 1")
    stand_ins.add("go", GO)
    return stand_ins


def test_all_waits_together_stay_below_five_seconds() -> None:
    """Docker is asked first, then everything else side by side: a tool, and Go if the tool does not fit."""
    assert 3 * tools.ANSWER_WITHIN < 5
    assert contexts.FOUND_WITHIN + contexts.ANSWER_WITHIN < 5


def test_a_context_that_does_not_exist_is_an_error_before_anything_else_is_asked(sea: StandIns) -> None:
    with pytest.raises(
        ClusterError,
        match=r"^context nope: not found: .*/kubeconfig config .*: error: context nope not found; `kubectl c",
    ) as raised:
        check({"KUBE_CONTEXT": "nope"}, images=True, programs=True)
    assert "\n" not in str(raised.value)
    assert len(sea.calls()) == 1


def test_a_named_cluster_needs_a_kubectl(sea: StandIns) -> None:
    (sea.folder / "kubectl").unlink()
    with pytest.raises(MissingError, match=r"^missing: kubectl, with which the context sea is used; install it$"):
        check(CONTEXT)


def test_a_context_in_the_second_kubeconfig_is_found(
    sea: StandIns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = os.environ["KUBECONFIG"]
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'none'}:{second}")
    check(CONTEXT)
    assert NamedCluster("sea").kubeconfig == Path(second)
    assert [call for call in sea.calls("kubectl") if second in call]


def test_a_named_cluster_needs_no_go_if_the_tools_of_the_path_fit(sea: StandIns) -> None:
    check(CONTEXT)
    cluster = NamedCluster("sea")
    cluster.up()
    assert (cluster.kubectl, cluster.helm) == (sea.folder / "kubectl", sea.folder / "helm")
    assert not cluster.layout.bin.exists()
    assert any(call.endswith("--context sea get --raw /readyz") for call in sea.calls("kubectl"))


@pytest.mark.parametrize(
    ("name", "script", "message"),
    [
        (
            "helm",
            "echo v3.19.2",
            r"missing: helm 4 \(.*/helm is 3.19\), or Go to compile it \(no Go on the PATH\); install",
        ),
        ("helm", "exit 1", r"missing: helm 4 \(.*/helm is of no version that it prints\), or Go"),
        (
            "kubectl",
            kubectl("v1.32.4", server=("1", "37")),
            r"missing: kubectl 1.36 to 1.38 \(.*/kubectl is 1.32\), or Go .*; install kubectl 1.36 to 1.38, or Go 1.26",
        ),
        (
            "kubectl",
            kubectl("v1.37.0", server=("1", "34")),
            "context sea: expected Kubernetes 1.35 or later, got 1.34; upg",
        ),
        (
            "kubectl",
            kubectl("v1.37.0"),
            "`kubectl .* --context sea version -o json` failed: Unable to connect to the server: no route to host",
        ),
        ("kubectl", "echo x", "context sea: expected kubectl to print the server's version, got 'x"),
    ],
)
def test_the_missing_thing_of_a_named_cluster_is_one_line(
    sea: StandIns, monkeypatch: pytest.MonkeyPatch, name: str, script: str, message: str
) -> None:
    sea.add(name, script)
    with pytest.raises(ToolError, match=f"^{message}") as raised:
        check(CONTEXT)
    assert "\n" not in str(raised.value)


def test_a_server_that_keeps_kubectl_waiting_is_not_waited_for(
    sea: StandIns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "fifo")  # nothing is ever written to it
    sea.add("kubectl", f'case "$*" in *json*) read -r line <"{tmp_path}/fifo" ;; esac')
    monkeypatch.setattr(contexts, "ANSWER_WITHIN", 1.2)
    with pytest.raises(ClusterError, match=r"`kubectl .* version -o json` did not end within 1.2 s"):
        check(CONTEXT)


def test_go_replaces_tools_that_do_not_fit(sea: StandIns) -> None:
    sea.add("helm", "echo v3.19.2")
    sea.add("go", GO)
    check(CONTEXT)


def test_images_for_a_named_cluster_need_a_registry_and_a_builder(
    sea: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingError, match=r"^missing: IMAGE_REGISTRY, .*; set it, as in IMAGE_REGISTRY="):
        check(CONTEXT, images=True)
    monkeypatch.setenv("IMAGE_REGISTRY", "registry.example.org/team")
    with pytest.raises(MissingError, match=r"^missing Debian packages: buildah "):
        check(CONTEXT, images=True)
    sea.add("docker", "exit 0")
    check(CONTEXT, images=True)


def test_kind_needs_no_go_if_the_tools_of_the_path_fit(dock: StandIns, monkeypatch: pytest.MonkeyPatch) -> None:
    check({}, images=True)
    assert "docker info" in dock.calls()
    asked = len(dock.calls("kind"))
    cluster = KindCluster()
    cluster.up()
    monkeypatch.setenv("CLUSTERS", "cetacean")
    cluster.load_image("localhost/operator:1", None)
    cluster.load_image("localhost/store:1", Path("/store.tar"))
    cluster.down()
    config = cluster.kubeconfig
    assert [call for call in dock.calls("kind")[asked:] if call != "kind version"] == [
        "kind get clusters",
        f"kind create cluster --name cetacean --kubeconfig {config} --wait 180s",
        "kind load docker-image localhost/operator:1 --name cetacean",
        "kind load image-archive /store.tar --name cetacean",
        "kind get clusters",
        f"kind delete cluster --name cetacean --kubeconfig {config}",
    ]
    assert (cluster.kubectl, cluster.helm) == (dock.folder / "kubectl", dock.folder / "helm")
    assert not cluster.layout.bin.exists()


@pytest.mark.parametrize(
    ("name", "wanted"), [("kind", "kind 0.31 or later"), ("helm", "helm 4"), ("kubectl", "kubectl 1.36 to 1.38")]
)
def test_a_tool_that_kind_needs_is_named_if_it_cannot_be_built(dock: StandIns, name: str, wanted: str) -> None:
    (dock.folder / name).unlink()
    with pytest.raises(MissingError, match=rf"^missing: {wanted} \(none on the PATH\), or Go to compile it"):
        check({})
    dock.add("go", "echo go1.24.3")
    with pytest.raises(MissingError, match=rf"^missing: {wanted} .*\(.*/go is 1.24\); install {wanted}, or Go 1.26"):
        check({})
    dock.add("go", GO)
    check({})


def test_a_docker_that_does_not_answer_is_an_error(
    dock: StandIns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "fifo")  # nothing is ever written to it
    dock.add("docker", f'read -r line <"{tmp_path}/fifo"')
    monkeypatch.setattr(prerequisites, "ANSWER_WITHIN", 0.2)
    with pytest.raises(MissingError, match=r"^Docker: `docker info` did not end within .* s; restart the daemon"):
        check({})


def test_a_docker_client_without_a_daemon_does_not_count(bare: StandIns) -> None:
    bare.add("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    check({}, images=True)
    assert "docker info" in bare.calls()
    assert not bare.calls("apt-get", "kind")


def test_the_local_cluster_needs_go_and_nothing_is_installed_by_the_check(bare: StandIns) -> None:
    check({}, images=True, programs=True)
    (bare.folder / "go").unlink()
    message = r"^missing: Go 1.26 or later, to make kubernetes, .*\(no Go on the PATH\); install .*; or start Docker"
    with pytest.raises(MissingError, match=message):
        check({})
    assert set(bare.calls()) == {"go env GOVERSION"}


def test_the_local_cluster_needs_root(bare: StandIns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MissingError, match=r"^missing: root, .*; run it with sudo; or start Docker, or name your own"):
        check({})
    assert bare.calls() == ["go env GOVERSION"]


def test_the_local_cluster_needs_debian_packages_or_apt(bare: StandIns) -> None:
    (bare.folder / "apt-get").unlink()
    with pytest.raises(MissingError, match=r"^missing Debian packages: .*openssl.* \(install them with: apt-get"):
        check({})


def test_the_local_cluster_needs_namespaces(bare: StandIns) -> None:
    bare.add("unshare", "echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1")
    with pytest.raises(MissingError, match=r"^missing: the right to create namespaces \(`unshare .* not permitted\)"):
        check({})
    assert bare.calls("unshare") == ["unshare --mount --net --pid --ipc --uts --fork true"]


def test_the_programs_of_the_tests_need_go(dock: StandIns) -> None:
    check({})
    with pytest.raises(
        MissingError, match=r"^missing: Go 1.26 or later, to make prometheus, metrics-server, contour, monitoring"
    ):
        check({}, programs=True)


def test_the_oldest_kubernetes_is_that_of_the_charts() -> None:
    for chart in ("cetacean-operator", "cetacean-model"):
        content = yaml.safe_load((REPOSITORY / f"charts/{chart}/Chart.yaml").read_text())
        assert content["kubeVersion"] == ">={}.{}.0-0".format(*prerequisites.OLDEST_KUBERNETES)


def test_the_command_prints_one_line(bare: StandIns, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--images"]) == 0
    (bare.folder / "go").unlink()
    assert main(["--images"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.fullmatch(r"error: missing: Go .*\n", printed.err)


def _without_packages(*context: str) -> subprocess.CompletedProcess[str]:
    """Run the check in a Python that has nothing but its standard library."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "scripts"), "KUBE_CONTEXT": "".join(context)}
    command = [sys.executable, "-S", "-m", "cetacean_tools.local_cluster.prerequisites"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_check_runs_before_the_python_environment_exists(sea: StandIns, tmp_path: Path) -> None:
    assert _without_packages("sea").stderr == ""
    assert sea.calls("helm") == ["helm version --short"]
    missing = _without_packages("nope")
    assert missing.returncode == 1
    assert missing.stderr.startswith("error: context nope: not found")
