"""pvc://claim/path: a file of a PersistentVolumeClaim that somebody else fills."""

from __future__ import annotations

from cetacean_inference.weights.sources.mounted import MountedSource


class ClaimSource(MountedSource):
    """A file of a claim, which the pod mounts read-only."""
