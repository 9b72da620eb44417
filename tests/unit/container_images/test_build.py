"""The choice of the builder; an image is built once."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from cetacean_tools.container_images import IMAGES, Image, build
from cetacean_tools.container_images.build import DOCKER_BASE, IN_USE, LOCAL_BASE
from cetacean_tools.image_store import BuiltImage, push
from cetacean_tools.workspace import MissingError, docker_answers

from .conftest import Commands


def has_docker(monkeypatch: pytest.MonkeyPatch, *, client: bool) -> None:
    monkeypatch.setattr(
        shutil, "which", lambda name, **_: None if name == "docker" and not client else f"/usr/bin/{name}"
    )


def test_a_docker_daemon_that_responds_is_used(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    has_docker(monkeypatch, client=True)
    assert docker_answers()
    assert commands.run == [["docker", "info"]]


def test_a_docker_client_without_a_daemon_is_not_used(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    has_docker(monkeypatch, client=True)
    commands.answer = lambda _command: 1
    assert not docker_answers()


def test_without_a_docker_client_nothing_is_run(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    has_docker(monkeypatch, client=False)
    assert not docker_answers()
    assert commands.run == []


def test_docker_builds_into_its_own_store(image: Image, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    has_docker(monkeypatch, client=True)
    commands.output = "123456\n"
    built = build(image)
    assert built == BuiltImage(image.reference(DOCKER_BASE), archive=None, size=123456)
    _, building, inspecting = commands.run
    assert building[:2] == ["docker", "build"]
    assert building[-1] == str(image.context)
    assert f"--build-arg=BASE_IMAGE={DOCKER_BASE}" in building
    assert building[building.index("-t") + 1] == built.reference == inspecting[-1]


@pytest.fixture
def buildah(commands: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with buildah only, whose pushes leave an archive; returns the folder of images."""
    has_docker(monkeypatch, client=False)
    monkeypatch.setenv("CETACEAN_CACHE", str(tmp_path / "cache"))

    def answer(command: list[str]) -> int:
        if "push" in command:
            Path(command[-1].split(":")[1]).write_bytes(b"archive")
        return 0

    commands.answer = answer
    return tmp_path / "cache/images"


def test_buildah_builds_an_archive_once(image: Image, commands: Commands, buildah: Path) -> None:
    built = build(image)
    assert built.reference == image.reference(LOCAL_BASE)
    assert built.archive is not None
    assert built.archive.parent == buildah
    assert built.archive.read_bytes() == b"archive"
    assert built.size == 7
    commands.run.clear()
    assert build(image) == built
    assert commands.run == []


def test_an_outdated_archive_is_replaced(image: Image, commands: Commands, buildah: Path) -> None:
    old = build(image).archive
    assert old is not None
    used = time.time() - IN_USE
    os.utime(old, (used - 60, used - 60))
    other = buildah / "cetacean-inference-0123456789ab.tar"
    other.write_bytes(b"another image's")
    image.dockerfile.write_text("FROM other")
    new = build(image).archive
    assert not old.exists()
    assert new is not None
    assert new.exists()
    assert other.exists()


def test_an_archive_that_another_checkout_uses_is_kept(image: Image, buildah: Path) -> None:
    old = build(image).archive
    assert old is not None
    aged = time.time() - IN_USE - 60
    os.utime(old, (aged, aged))
    build(image)  # used again
    image.dockerfile.write_text("FROM other")
    build(image)
    assert old.exists()


def test_a_failed_build_leaves_no_archive(image: Image, commands: Commands, buildah: Path) -> None:
    commands.answer = lambda command: int("build" in command)
    with pytest.raises(subprocess.CalledProcessError):
        build(image)
    assert list(buildah.glob("*.tar")) == []


def test_a_failed_push_leaves_the_image_to_be_built_again(image: Image, commands: Commands, buildah: Path) -> None:
    working = commands.answer

    def cut_off(command: list[str]) -> int:
        working(command)
        return int("push" in command)

    commands.answer = cut_off
    with pytest.raises(subprocess.CalledProcessError):
        build(image)
    assert list(buildah.glob("*.tar")) == []
    commands.answer = working
    assert build(image).size == 7


def test_a_named_base_is_used_instead_of_one_made_here(image: Image, commands: Commands, buildah: Path) -> None:
    built = build(image, base_image="registry/debian:13")
    assert built.reference == image.reference("registry/debian:13")
    assert not [command for command in commands.run if "mmdebstrap" in command[0] or "inspect" in command]
    (building,) = [command for command in commands.run if "build" in command]
    assert "--build-arg=BASE_IMAGE=registry/debian:13" in building


def test_a_base_image_is_made_if_there_is_none(image: Image, commands: Commands, buildah: Path) -> None:
    working = commands.answer
    commands.answer = lambda command: int("inspect" in command) or working(command)
    build(image)
    assert [command[0] for command in commands.run if command[0] != "unshare"] == ["mmdebstrap"]
    assert not (buildah / "base").exists()


def test_an_image_is_pushed_to_the_registry_that_is_named(
    commands: Commands, buildah: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands.answer = lambda _command: 0
    assert not buildah.exists()
    monkeypatch.setenv("IMAGE_REGISTRY", "registry.example.org/team/")
    reference = "registry.example.org/team/cetacean-operator:1"
    push(reference)
    assert commands.run[-1][-3:] == ["push", reference, f"docker://{reference}"]


@pytest.mark.parametrize("known", [True, False])
def test_an_image_written_without_a_builder_is_pushed_from_its_archive(
    commands: Commands, buildah: Path, monkeypatch: pytest.MonkeyPatch, *, known: bool
) -> None:
    commands.answer = lambda command: int("inspect" in command and not known)
    monkeypatch.setenv("IMAGE_REGISTRY", "registry.example.org")
    push("registry.example.org/prometheus:1", Path("/images/prometheus.tar"))
    pulled = [command[-1] for command in commands.run if "pull" in command]
    assert pulled == ([] if known else ["docker-archive:/images/prometheus.tar"])
    assert commands.run[-1][-2] == "registry.example.org/prometheus:1"


def test_docker_loads_the_archive_it_pushes(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    has_docker(monkeypatch, client=True)
    monkeypatch.setenv("IMAGE_REGISTRY", "registry.example.org")
    push("registry.example.org/prometheus:1", Path("/images/prometheus.tar"))
    push("registry.example.org/other:1")
    assert [command for command in commands.run if command != ["docker", "info"]] == [
        ["docker", "load", "--input", "/images/prometheus.tar"],
        ["docker", "push", "registry.example.org/prometheus:1"],
        ["docker", "push", "registry.example.org/other:1"],
    ]


@pytest.mark.parametrize("registry", ["", "registry.example.org"])
def test_an_image_of_this_machine_is_not_pushed(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, registry: str
) -> None:
    monkeypatch.setenv("IMAGE_REGISTRY", registry)
    with pytest.raises(MissingError, match="localhost/cetacean-operator:1: missing IMAGE_REGISTRY"):
        push("localhost/cetacean-operator:1")
    assert commands.run == []


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_the_base_is_pinned_and_the_images_user_is_not_root(image: Image) -> None:
    text = image.dockerfile.read_text(encoding="utf-8")
    assert f"\nARG BASE_IMAGE={DOCKER_BASE}\nFROM ${{BASE_IMAGE}}\n" in text
    assert re.fullmatch(r"debian:trixie-slim@sha256:[0-9a-f]{64}", DOCKER_BASE)
    assert "\nUSER 65532:65532\n" in text
    assert "--require-hashes" in text


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_the_copied_files_can_be_read_by_any_user(image: Image) -> None:
    """A checkout may be readable for its owner alone."""
    copies, _, rest = image.dockerfile.read_text(encoding="utf-8").rpartition("COPY ")
    assert copies
    assert "chmod -R a+rX /app" in rest
