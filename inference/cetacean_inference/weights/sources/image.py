"""oci://registry/repository@sha256:…[/path]: a file of an image that the pod mounts as a volume."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cetacean_inference.errors import WeightsNotFound
from cetacean_inference.weights.sources.mounted import MountedSource
from cetacean_registry.weights_schemes import mount_of

WEIGHTS: Final = (".safetensors", ".ckpt", ".pt", ".pth")
"""Ends of the names that a file of weights has."""
_DIGEST_LENGTH: Final = 64


class ImageSource(MountedSource):
    """A file of an image; without a path the only file of weights in the image's root."""

    @staticmethod
    def sibling(url: str, name: str) -> str:
        """Return the URL of the file `name` in the folder of `url`, of the same image."""
        mount = mount_of(url)
        folder, slash, _ = (mount.path if mount else "").rpartition("/")
        image = url[: url.index("@sha256:") + len("@sha256:") + _DIGEST_LENGTH]
        return f"{image}/{folder}{slash}{name}"

    def file_in(self, volume: Path, path: str) -> Path:
        """Return the path of the file.

        Raises:
            WeightsNotFound: the URL has no path, and the image not exactly one file of weights.
        """
        if path:
            return volume / path
        found = sorted(file.name for file in volume.iterdir() if file.suffix in WEIGHTS)
        if len(found) != 1:
            raise WeightsNotFound(
                f"{self.name}: expected one file ending in {', '.join(WEIGHTS)} in the image's root, "
                f"got {', '.join(found[:5]) or 'none'} - name it behind the digest"
            )
        return volume / found[0]
