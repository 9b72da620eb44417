"""The tests of this run use the interpreter, the packages and the service of the image: `make test-image`."""

from __future__ import annotations

import importlib.metadata
import os
import stat
import sys
import tomllib
from pathlib import Path

import numpy as np
import PIL
import pytest
import torch
import torchvision
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import cetacean_inference
from cetacean_tools.workspace import REPOSITORY

ENVIRONMENT = Path("/opt/venv/lib/python3.13/site-packages")
DEBIAN = Path("/usr/lib/python3/dist-packages")
TEST_PACKAGES = Path("/test-packages")


def floors() -> dict[str, Requirement]:
    """Return what the project requires of the service's packages, by name."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = [*project["dependencies"], *project["optional-dependencies"]["inference"]]
    return {canonicalize_name(one.name): one for one in map(Requirement, required)}


def test_the_interpreter_and_the_service_are_those_of_the_image() -> None:
    assert Path(sys.executable).parent == Path("/opt/venv/bin")
    assert sys.version_info[:2] == (3, 13)
    assert cetacean_inference.__file__ == "/app/cetacean_inference/__init__.py"
    assert os.getuid() == 65532, "the user of the image"


def test_any_user_may_run_the_service() -> None:
    """OpenShift chooses the user, whose group is 0: nothing may depend on who the image's user is."""
    found = [path for folder in ("/app", "/opt/venv") for path in Path(folder).rglob("*") if not path.is_symlink()]
    assert found
    assert [str(path) for path in found if not path.stat().st_mode & stat.S_IROTH] == []
    assert [str(path) for path in found if path.is_dir() and not path.stat().st_mode & stat.S_IXOTH] == []


def test_torch_is_debians_and_the_rest_is_in_the_images_environment() -> None:
    for module, folder in ((torch, DEBIAN), (torchvision, DEBIAN), (np, ENVIRONMENT), (PIL, ENVIRONMENT)):
        assert Path(str(module.__file__)).is_relative_to(folder), module.__file__
    assert not torch.cuda.is_available()


@pytest.mark.parametrize("name", floors())
def test_each_package_has_a_version_that_the_project_requires(name: str) -> None:
    # Debian's torch has a local version, such as 2.6.0+debian.
    found = importlib.metadata.version(name)
    assert floors()[name].specifier.contains(found, prereleases=True), f"{name} {found}"


def test_what_runs_tests_replaces_no_package_of_the_image() -> None:
    assert Path(str(pytest.__file__)).is_relative_to(TEST_PACKAGES)
    folders = (str(ENVIRONMENT), str(DEBIAN), str(TEST_PACKAGES))
    assert [one for one in sys.path if one in folders] == list(folders), "the image's are found first"
