"""Files in volumes that the pod mounts: a source that is no connection."""

from __future__ import annotations

from pathlib import Path

from cetacean_inference.errors import ConfigInvalid, WeightsNotFound
from cetacean_inference.weights.sources.file import FileSource
from cetacean_registry.weights_schemes import Mount, mount_of


class MountedSource(FileSource):
    """A file of a mounted volume; a link in the volume must not lead out of it."""

    def mount(self) -> Mount:
        """Return the volume that the URL names.

        Raises:
            ConfigInvalid: it names none.
        """
        found = mount_of(self.url)
        if found is None or not found.source:
            raise ConfigInvalid(f"{self.name}: expected the name of a volume")
        return found

    def file_in(self, volume: Path, path: str) -> Path:
        """Return the path of the file.

        Args:
            volume: where the volume is mounted.
            path: of the URL.
        """
        return volume / path

    def path(self) -> Path:
        """Return the file's path.

        Raises:
            WeightsNotFound: the volume is not mounted, or the path leads out of it.
        """
        mount = self.mount()
        volume = self.settings.volumes / mount.folder
        if not volume.is_dir():
            raise WeightsNotFound(f"{self.name}: expected a volume at {volume}, as the operator mounts it, got none")
        found = self.file_in(volume, mount.path)
        if not found.resolve().is_relative_to(volume.resolve()):
            raise WeightsNotFound(f"{self.name}: expected a path in the volume, got one that leads out of it")
        return found
