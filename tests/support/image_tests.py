"""Runs tests with the interpreter and the packages of the inference service's image: `python -m support.image_tests`.

The image's root holds the service and its packages; the checkout and what runs tests are mounted into it, read-only.
Without Docker this needs root, as building the image does. Everything runs in namespaces of its own, so that nothing
stays mounted and no process runs on, also after an interruption.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from filelock import FileLock

from cetacean_tools.container_images import IMAGES, build
from cetacean_tools.image_store import Buildah, BuiltImage, images_folder, run
from cetacean_tools.workspace import REPOSITORY, cache_root, run_tool

LOCK: Final = Path("tests/image/requirements.lock")
"""What runs tests, without what the image has."""
TESTS: Final = ("tests/image", "tests/unit/inference", "tests/unit/evaluation")
CONTAINER: Final = "cetacean-image-tests"
CHECKOUT: Final = "/checkout"
PACKAGES: Final = "/test-packages"
PATH_FILE: Final = "test-packages.pth"
"""Names the folder of packages, which Python adds after all others, also in processes with another PYTHONPATH."""
SITE: Final = "/usr/lib/python3/dist-packages"
"""Debian's folder: the last one on the path."""
ENVIRONMENT: Final = {
    # The service itself is the image's, in /app.
    "PYTHONPATH": ":".join(("/app", *(f"{CHECKOUT}/{name}" for name in ("inference", "models", "scripts", "tests")))),
    "HYPOTHESIS_STORAGE_DIRECTORY": "/tmp/hypothesis",
    # Most packages of the image come without compiled modules, and many tests start processes.
    "PYTHONDONTWRITEBYTECODE": "",
    "PYTHONPYCACHEPREFIX": "/tmp/pycache",
}
PYTEST: Final = (
    *("python", "-m", "pytest", "-p", "no:cacheprovider", "-o", "pythonpath="),
    *("-m", "not not_in_image", "-n", "2", "--dist", "worksteal"),
)
Runner = Callable[[BuiltImage, Mapping[str, Path], Sequence[str]], None]
"""Runs a command in an image; the folders and files are mounted read-only at their names."""


def main() -> int:
    """Run the tests named on the command line, all that are for the image if none is named."""
    return run_tool(lambda: run_tests(sys.argv[1:] or TESTS))


def run_tests(tests: Sequence[str]) -> int:
    """Run tests in the image; returns pytest's exit code."""
    image = build(IMAGES["inference"])
    packages = install_packages(REPOSITORY / LOCK, cache_root())
    mounted = {CHECKOUT: REPOSITORY, PACKAGES: packages, f"{SITE}/{PATH_FILE}": packages / PATH_FILE}
    runner: Runner = run_with_docker if image.archive is None else run_with_buildah
    try:
        runner(image, mounted, (*PYTEST, *tests))
    except subprocess.CalledProcessError as error:
        return error.returncode  # pytest has shown what failed
    return 0


def install_packages(lock: Path, cache: Path) -> Path:
    """Return the folder of what runs tests, installed for the image's Python unless it is there."""
    name = f"image-tests-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    folder, partial = cache / name, cache / f"{name}.partial"
    with FileLock(cache / "image-tests.lock"):
        if folder.exists():
            return folder
        shutil.rmtree(partial, ignore_errors=True)
        run(
            [
                *(str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet"),
                *("--target", str(partial), "--python-version", "3.13", "--python-platform", "x86_64-manylinux_2_40"),
                *("--no-deps", "--require-hashes", "-r", str(lock)),
            ]
        )
        (partial / PATH_FILE).write_text(f"{PACKAGES}\n", encoding="utf-8")
        for outdated in cache.glob("image-tests-*"):
            if outdated.is_dir() and outdated != partial:
                shutil.rmtree(outdated)
        partial.rename(folder)
    return folder


def run_with_docker(image: BuiltImage, mounted: Mapping[str, Path], command: Sequence[str]) -> None:
    """Run a command with Docker.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    name = f"{CONTAINER}-{os.getpid()}"
    program, *arguments = command
    try:
        run(
            [
                *("docker", "run", "--rm", "--init", "--network", "host", "--name", name, "--workdir", CHECKOUT),
                *_options(mounted),
                *("--entrypoint", program, image.reference, *arguments),
            ]
        )
    except KeyboardInterrupt:
        # The client is killed; the container would go on.
        with contextlib.suppress(subprocess.CalledProcessError):
            run(["docker", "rm", "--force", name])
        raise


def run_with_buildah(image: BuiltImage, mounted: Mapping[str, Path], command: Sequence[str]) -> None:
    """Run a command with buildah, in a chroot.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    folder = images_folder()
    with FileLock(folder / "image-tests.lock"):
        buildah = Buildah(folder)
        if not buildah.holds(image.reference):
            buildah.run("pull", "--quiet", f"docker-archive:{image.archive}")
        if buildah.holds(CONTAINER):  # of a run that was killed
            buildah.run("rm", CONTAINER)
        try:
            buildah.run("from", "--quiet", "--pull-never", "--name", CONTAINER, image.reference)
            buildah.run(
                *("run", "--isolation", "chroot", "--workingdir", CHECKOUT, *_options(mounted), CONTAINER, "--"),
                *command,
            )
        finally:
            buildah.run("rm", CONTAINER)


def _options(mounted: Mapping[str, Path]) -> list[str]:
    volumes = [f"--volume={path}:{name}:ro" for name, path in mounted.items()]
    return volumes + [f"--env={name}={value}" for name, value in ENVIRONMENT.items()]


if __name__ == "__main__":
    raise SystemExit(main())
