"""The runner of tests in the image: what it mounts, what it leaves out, and what is left after an interruption."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import image_tests
from support.image_tests import CONTAINER, install_packages, run_with_buildah, run_with_docker

from cetacean_tools.image_store import BuiltImage

from .conftest import Commands

MOUNTED = {"/checkout": Path("/somewhere/project"), "/test-packages": Path("/cache/packages")}
IMAGE = BuiltImage("localhost/cetacean-inference:0123", Path("/cache/images/a.tar"), 1)


def buildah_calls(commands: Commands) -> list[list[str]]:
    """Return buildah's subcommands and their arguments."""
    return [command[command.index("overlay") + 1 :] for command in commands.run if "buildah" in command]


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr("shutil.which", lambda name, **_: f"/usr/bin/{name}")
    monkeypatch.setenv("CETACEAN_CACHE", str(tmp_path))
    return tmp_path


def test_docker_runs_it_with_the_folders_read_only(commands: Commands) -> None:
    run_with_docker(IMAGE, MOUNTED, ("python", "-m", "pytest"))
    (command,) = commands.run
    assert command[:3] == ["docker", "run", "--rm"]
    assert {"--volume=/somewhere/project:/checkout:ro", "--volume=/cache/packages:/test-packages:ro"} <= set(command)
    assert command[-5:] == ["--entrypoint", "python", IMAGE.reference, "-m", "pytest"]


def test_an_interruption_removes_dockers_container(commands: Commands) -> None:
    def interrupt(command: list[str]) -> int:
        if "run" in command:
            raise KeyboardInterrupt
        return 1  # the container was removed already

    commands.answer = interrupt
    with pytest.raises(KeyboardInterrupt):
        run_with_docker(IMAGE, MOUNTED, ("python",))
    started, removed = commands.run
    assert removed == ["docker", "rm", "--force", started[started.index("--name") + 1]]


@pytest.mark.usefixtures("cache")
def test_buildah_takes_an_image_that_it_holds_and_removes_the_container(commands: Commands) -> None:
    commands.answer = lambda command: int(command[-2:] == ["inspect", CONTAINER])
    run_with_buildah(IMAGE, MOUNTED, ("python", "-m", "pytest"))
    calls = buildah_calls(commands)
    assert [call[0] for call in calls] == ["inspect", "inspect", "from", "run", "rm"]
    assert "--volume=/somewhere/project:/checkout:ro" in calls[3]
    assert calls[3][-5:] == [CONTAINER, "--", "python", "-m", "pytest"]


@pytest.mark.usefixtures("cache")
def test_an_image_of_an_archive_is_pulled_and_a_killed_runs_container_replaced(commands: Commands) -> None:
    commands.answer = lambda command: int(command[-2:] == ["inspect", IMAGE.reference])
    run_with_buildah(IMAGE, MOUNTED, ("python",))
    calls = buildah_calls(commands)
    assert [call[0] for call in calls] == ["inspect", "pull", "inspect", "rm", "from", "run", "rm"]
    assert calls[1][-1] == "docker-archive:/cache/images/a.tar"


@pytest.mark.usefixtures("cache")
def test_an_interruption_removes_buildahs_container(commands: Commands) -> None:
    def interrupt(command: list[str]) -> int:
        if "run" in command[command.index("overlay") :]:
            raise KeyboardInterrupt
        return 0

    commands.answer = interrupt
    with pytest.raises(KeyboardInterrupt):
        run_with_buildah(IMAGE, MOUNTED, ("python",))
    assert buildah_calls(commands)[-1] == ["rm", CONTAINER]
    assert {"--kill-child", "--pid", "--mount"} <= set(commands.run[-1]), "a killed buildah leaves nothing"


def test_packages_of_tests_are_installed_once_for_each_lock(commands: Commands, tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"

    def install(command: list[str]) -> int:
        Path(command[command.index("--target") + 1]).mkdir()
        return 0

    commands.answer = install
    lock.write_text("pytest==1")
    first = install_packages(lock, tmp_path)
    assert install_packages(lock, tmp_path) == first
    assert len(commands.run) == 1
    assert "--require-hashes" in commands.run[0]
    lock.write_text("pytest==2")
    second = install_packages(lock, tmp_path)
    assert (second / "test-packages.pth").read_text() == "/test-packages\n"
    assert second.is_dir()
    assert not first.exists()


def test_the_exit_code_is_that_of_pytest(commands: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(image_tests, "build", lambda _image: BuiltImage("an:image", None, 1))
    monkeypatch.setattr(image_tests, "install_packages", lambda *_: tmp_path)
    commands.answer = lambda _command: 5
    assert image_tests.run_tests(["tests/unit/inference"]) == 5
    (command,) = commands.run
    assert command[command.index("pytest") :][-1] == "tests/unit/inference"
    assert command[command.index("-m", command.index("pytest")) + 1] == "not not_in_image"
