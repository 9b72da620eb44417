"""Build an image once: into an archive by buildah, or under a name in Docker's own store."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from filelock import FileLock

from cetacean_tools.container_images.images import Image
from cetacean_tools.image_store import Buildah, BuiltImage, images_folder, run
from cetacean_tools.workspace import docker_answers, ensure_commands

BASE_SUITE = "trixie"
BASE_PACKAGES = "ca-certificates"
LOCAL_BASE = f"localhost/debian:{BASE_SUITE}"
DOCKER_BASE = "debian:trixie-slim@sha256:a29215f6a35e51e22adffa17f89e9d2ef06214e64a2bad10d765c46aea49f11f"
"""As the Dockerfiles name it: the digest of its index, for all architectures."""
HOST_CERTIFICATES = Path("/etc/ssl/certs")
CERTIFICATE_BUNDLE = HOST_CERTIFICATES / "ca-certificates.crt"
IN_USE = 3600.0
"""Seconds for which an archive is kept after its last use: another checkout may be about to load it."""


def build(image: Image, *, base_image: str | None = None) -> BuiltImage:
    """Build the image unless it was built from the same sources before.

    Raises:
        MissingError: there is no Docker daemon, and buildah cannot be installed.
        subprocess.CalledProcessError: the build itself failed; its output has been shown.
    """
    if docker_answers():
        return _build_with_docker(image, base_image or DOCKER_BASE)
    folder = images_folder()
    with FileLock(folder / "build.lock"):
        reference = image.reference(base_image or LOCAL_BASE)
        archive = folder / f"{reference.rpartition('/')[2].replace(':', '-')}.tar"
        if not archive.exists():
            _build_archive(image, base_image, reference, archive)
        os.utime(archive)
        return BuiltImage(reference, archive, archive.stat().st_size)


def _build_with_docker(image: Image, base_image: str) -> BuiltImage:
    reference = image.reference(base_image)
    arguments = [f"--build-arg={key}={value}" for key, value in (("BASE_IMAGE", base_image), *image.build_args)]
    run(["docker", "build", "-f", str(image.dockerfile), "-t", reference, *arguments, str(image.context)])
    inspect = ["docker", "image", "inspect", "--format", "{{.Size}}", reference]
    size = subprocess.run(inspect, check=True, capture_output=True, text=True).stdout
    return BuiltImage(reference, archive=None, size=int(size))


def _build_archive(image: Image, base_image: str | None, reference: str, archive: Path) -> None:
    buildah = Buildah(archive.parent)
    started = time.monotonic()
    print(f"building {reference}", flush=True)
    arguments = [("BASE_IMAGE", base_image or _local_base(buildah, archive.parent)), *image.build_args]
    if CERTIFICATE_BUNDLE.exists():
        arguments.append(("PIP_CERT", str(CERTIFICATE_BUNDLE)))
    buildah.run(
        *("build", "--isolation", "chroot", "--layers"),
        *("--volume", f"{HOST_CERTIFICATES}:{HOST_CERTIFICATES}:ro"),
        *(f"--build-arg={key}={value}" for key, value in arguments),
        *("-f", str(image.dockerfile), "-t", reference, str(image.context)),
    )
    partial = archive.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    buildah.run("push", "--quiet", reference, f"docker-archive:{partial}:{reference}")
    for outdated in archive.parent.glob(f"{image.name}-*.tar"):
        if outdated.stat().st_mtime < time.time() - IN_USE:
            outdated.unlink()
    partial.rename(archive)
    size = archive.stat().st_size / 1e9
    print(f"built {reference}: {size:.2f} GB in {time.monotonic() - started:.0f} s", flush=True)


def _local_base(buildah: Buildah, folder: Path) -> str:
    """Make a Debian root file system on this machine: there may be no image registry to pull one from."""
    if buildah.holds(LOCAL_BASE):
        return LOCAL_BASE
    ensure_commands({"mmdebstrap": "mmdebstrap"})
    context = folder / "base"
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir()
    print(f"making a Debian {BASE_SUITE} root file system", flush=True)
    options = ("--quiet", "--variant=minbase", f"--include={BASE_PACKAGES}")
    run(["mmdebstrap", *options, BASE_SUITE, str(context / "rootfs.tar")])
    (context / "Dockerfile").write_text('FROM scratch\nADD rootfs.tar /\nCMD ["bash"]\n')
    buildah.run("build", "--isolation", "chroot", "-t", LOCAL_BASE, str(context))
    shutil.rmtree(context)
    return LOCAL_BASE
