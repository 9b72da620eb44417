"""A tag changes exactly when something that goes into the image does."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cetacean_tools.container_images import IMAGES, NAMED_IMAGES, Image

BASE = "debian:trixie-slim"


def write(name: str, text: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        path = root / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)

    return change


def rename(root: Path) -> None:
    (root / "operator/cetacean_operator/main.py").rename(root / "operator/cetacean_operator/start.py")


def remove(root: Path) -> None:
    (root / "models/cetacean_registry/__init__.py").unlink()


@pytest.mark.parametrize(
    "change",
    [
        write("operator/Dockerfile", "FROM other"),
        write("operator/requirements.lock", "a==2"),
        write("operator/cetacean_operator/main.py", "changed"),
        write("operator/cetacean_operator/api/deep/new.txt", ""),
        write("models/cetacean_registry/gate.py", "x"),
        rename,
        remove,
    ],
    ids=["dockerfile", "lock", "content", "new file", "shared package", "renamed", "removed"],
)
def test_a_file_of_the_image_changes_the_tag(image: Image, change: Callable[[Path], None]) -> None:
    before = image.reference(BASE)
    change(image.context)
    assert image.reference(BASE) != before


@pytest.mark.parametrize(
    "change",
    [
        write("README.md", "x"),
        write("operator/README.md", "x"),
        write("inference/cetacean_inference/main.py", "x"),
        write("operator/cetacean_operator/__pycache__/main.pyc", "x"),
        write("operator/cetacean_operator/main.py", "main"),
        lambda root: os.utime(root / "operator/Dockerfile", (0, 0)),
    ],
    ids=["readme", "beside the package", "the other image", "bytecode", "written again", "touched"],
)
def test_a_file_outside_of_the_image_does_not_change_the_tag(image: Image, change: Callable[[Path], None]) -> None:
    before = image.reference(BASE)
    change(image.context)
    assert image.reference(BASE) == before


def test_content_moved_between_files_changes_the_tag(image: Image) -> None:
    package = image.context / "operator/cetacean_operator"
    (package / "a").write_text("xy")
    (package / "b").write_text("z")
    before = image.reference(BASE)
    (package / "a").write_text("x")
    (package / "b").write_text("yz")
    assert image.reference(BASE) != before


def test_base_image_and_build_arguments_change_the_tag(image: Image) -> None:
    references = {
        image.reference(BASE),
        image.reference("debian:sid"),
        replace(image, build_args=(("A", "1"),)).reference(BASE),
        replace(image, build_args=(("A", "2"),)).reference(BASE),
    }
    assert len(references) == 4


def test_the_repositorys_folder_does_not_change_the_tag(image: Image, tmp_path: Path) -> None:
    before = image.reference(BASE)
    image.context.rename(tmp_path / "elsewhere")
    moved = tmp_path / "elsewhere"
    sources = tuple(moved / source.relative_to(image.context) for source in image.sources)
    assert Image(image.name, moved / "operator/Dockerfile", moved, sources).reference(BASE) == before


@pytest.mark.parametrize("name", ["operator", "inference", "inference-mask"])
def test_a_reference_without_a_registry_is_localhosts(name: str) -> None:
    assert re.fullmatch(rf"localhost/cetacean-{name}:[0-9a-f]{{12}}", NAMED_IMAGES[name].reference(BASE))
    assert all(source.exists() for source in NAMED_IMAGES[name].sources)


def test_masks_are_in_an_image_of_their_own() -> None:
    assert "inference-mask" not in IMAGES
    usual, larger = ({path.name for path in NAMED_IMAGES[name].sources} for name in ("inference", "inference-mask"))
    assert usual ^ larger == {"requirements.lock", "requirements-mask.lock"}
    assert NAMED_IMAGES["inference-mask"].build_args == (("EXTRAS", "mask"),)


def test_masks_change_nothing_else_of_the_image() -> None:
    folder = IMAGES["inference"].context / "inference"
    usual, larger = (
        dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (folder / name).read_text(), flags=re.MULTILINE))
        for name in ("requirements.lock", "requirements-mask.lock")
    )
    assert usual.items() < larger.items()
    assert "rembg" in larger.keys() - usual.keys()
