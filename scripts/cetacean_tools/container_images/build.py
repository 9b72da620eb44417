"""Build an image once and hand it on: an archive from buildah, or a name in Docker's own store."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from cetacean_tools.container_images.images import REGISTRY_VARIABLE, Image, registry
from cetacean_tools.workspace import MissingError, cache_root, ensure_commands

BASE_SUITE = "trixie"
BASE_PACKAGES = "ca-certificates"
LOCAL_BASE = f"localhost/debian:{BASE_SUITE}"
DOCKER_BASE = "debian:trixie-slim@sha256:a29215f6a35e51e22adffa17f89e9d2ef06214e64a2bad10d765c46aea49f11f"
"""As the Dockerfiles name it: the digest of its index, for all architectures."""
HOST_CERTIFICATES = Path("/etc/ssl/certs")
CERTIFICATE_BUNDLE = HOST_CERTIFICATES / "ca-certificates.crt"
IN_USE = 3600.0
"""Seconds for which an archive is kept after its last use: another checkout may be about to load it."""


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image that is ready to be loaded into a cluster."""

    reference: str
    archive: Path | None
    """A docker-archive of it; None when it lies in Docker's own store under its name."""
    size: int
    """Bytes, unpacked."""


def docker_answers() -> bool:
    """Whether a Docker daemon is there: a client alone builds nothing."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=30).returncode == 0


def build(image: Image, *, base_image: str | None = None) -> BuiltImage:
    """Build the image unless it was built from the same sources before.

    Raises:
        MissingError: neither a Docker daemon nor buildah can be had here.
        subprocess.CalledProcessError: the build itself failed; its output has been shown.
    """
    if docker_answers():
        return _build_with_docker(image, base_image or DOCKER_BASE)
    folder = cache_root() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "build.lock"):
        return _Buildah(folder).build(image, base_image)


def push(reference: str, archive: Path | None = None) -> None:
    """Push an image to the registry that its name begins with.

    Args:
        reference: the image's name.
        archive: a docker-archive of it; None when Docker's own store holds it.

    Raises:
        MissingError: it is named for this machine only.
        subprocess.CalledProcessError: the registry refused it; what it said has been shown.
    """
    if registry() is None or not reference.startswith(f"{registry()}/"):
        raise MissingError(
            f"{reference}: missing {REGISTRY_VARIABLE}, the registry that the cluster's nodes pull images from "
            f"({REGISTRY_VARIABLE}=registry.example.org/team)"
        )
    if docker_answers():
        if archive is not None:
            _run(["docker", "load", "--input", str(archive)])
        _run(["docker", "push", reference])
        return
    folder = cache_root() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "build.lock"):
        _Buildah(folder).push(reference, archive)


def _build_with_docker(image: Image, base_image: str) -> BuiltImage:
    reference = image.reference(base_image)
    arguments = [f"--build-arg={key}={value}" for key, value in (("BASE_IMAGE", base_image), *image.build_args)]
    _run(["docker", "build", "-f", str(image.dockerfile), "-t", reference, *arguments, str(image.context)])
    inspect = ["docker", "image", "inspect", "--format", "{{.Size}}", reference]
    return BuiltImage(reference, archive=None, size=int(_output(inspect)))


class _Buildah:
    """buildah without a daemon, its storage in the cache.

    Every call runs in a mount namespace of its own, so that an interrupted one leaves nothing mounted.
    """

    def __init__(self, folder: Path) -> None:
        ensure_commands({"buildah": "buildah", "mmdebstrap": "mmdebstrap", "unshare": "util-linux"})
        self._folder = folder
        self._buildah = [
            *("unshare", "--mount", "--", "buildah"),
            *(
                "--root",
                str(folder / "storage"),
                "--runroot",
                str(folder / "run"),
                "--storage-driver",
                "overlay",
            ),
        ]

    def build(self, image: Image, base_image: str | None) -> BuiltImage:
        reference = image.reference(base_image or LOCAL_BASE)
        archive = self._folder / f"{reference.rpartition('/')[2].replace(':', '-')}.tar"
        if not archive.exists():
            self._build_archive(image, base_image, reference, archive)
        os.utime(archive)
        return BuiltImage(reference, archive, archive.stat().st_size)

    def push(self, reference: str, archive: Path | None) -> None:
        known = subprocess.run([*self._buildah, "inspect", reference], capture_output=True, check=False)
        if known.returncode != 0 and archive is not None:
            # Not one that was built here, but written: a program's image.
            _run([*self._buildah, "pull", f"docker-archive:{archive}"])
        _run([*self._buildah, "push", reference, f"docker://{reference}"])

    def _build_archive(self, image: Image, base_image: str | None, reference: str, archive: Path) -> None:
        started = time.monotonic()
        print(f"building {reference}", flush=True)
        arguments = [("BASE_IMAGE", base_image or self._local_base()), *image.build_args]
        if CERTIFICATE_BUNDLE.exists():
            arguments.append(("PIP_CERT", str(CERTIFICATE_BUNDLE)))
        _run(
            [
                *(*self._buildah, "build", "--isolation", "chroot", "--layers"),
                *("--volume", f"{HOST_CERTIFICATES}:{HOST_CERTIFICATES}:ro"),
                *(f"--build-arg={key}={value}" for key, value in arguments),
                *("-f", str(image.dockerfile), "-t", reference, str(image.context)),
            ]
        )
        partial = archive.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        _run([*self._buildah, "push", "--quiet", reference, f"docker-archive:{partial}:{reference}"])
        for outdated in self._folder.glob(f"{image.name}-*.tar"):
            if outdated.stat().st_mtime < time.time() - IN_USE:
                outdated.unlink()
        partial.rename(archive)
        size = archive.stat().st_size / 1e9
        print(f"built {reference}: {size:.2f} GB in {time.monotonic() - started:.0f} s", flush=True)

    def _local_base(self) -> str:
        """A Debian root file system made on this machine, since there may be no image registry to pull one from."""
        exists = subprocess.run([*self._buildah, "inspect", LOCAL_BASE], capture_output=True, check=False)
        if exists.returncode == 0:
            return LOCAL_BASE
        context = self._folder / "base"
        shutil.rmtree(context, ignore_errors=True)
        context.mkdir()
        root_file_system = context / "rootfs.tar"
        print(f"making a Debian {BASE_SUITE} root file system", flush=True)
        _run(
            [
                *("mmdebstrap", "--quiet", "--variant=minbase", f"--include={BASE_PACKAGES}"),
                *(BASE_SUITE, str(root_file_system)),
            ]
        )
        (context / "Dockerfile").write_text('FROM scratch\nADD rootfs.tar /\nCMD ["bash"]\n')
        _run([*self._buildah, "build", "--isolation", "chroot", "-t", LOCAL_BASE, str(context)])
        shutil.rmtree(context)
        return LOCAL_BASE


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


__all__ = ["BuiltImage", "MissingError", "build", "docker_answers", "push"]
