"""Make the service's settings from a registry entry; needs no torch."""

from __future__ import annotations

from cetacean_inference.settings import ModelSettings
from cetacean_registry.registry import ModelEntry

_CARRIED = ("sha256", "backbone", "input_size", "embedding_size", "num_classes_head", "num_classes_active", "files")


def model_settings(entry: ModelEntry, *, weights_url: str | None = None) -> ModelSettings:
    """Return the service's settings for a registry entry; fields that it leaves out keep the service's defaults.

    Args:
        entry: the registry's.
        weights_url: of the weights, instead of the entry's (`file://` for local files).
    """
    carried = {name: value for name in _CARRIED if (value := getattr(entry, name)) is not None}
    return ModelSettings(
        name=entry.name,
        version=entry.version,
        architecture=entry.architecture,
        weights_url=weights_url or entry.weights_url,
        **carried,
    )
