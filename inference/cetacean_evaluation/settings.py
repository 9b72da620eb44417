"""From a registry entry to the service's settings; needs no torch."""

from __future__ import annotations

from cetacean_inference.settings import ModelSettings
from cetacean_registry import ModelEntry

_CARRIED = ("sha256", "backbone", "input_size", "embedding_size", "num_classes_head", "num_classes_active")


def model_settings(entry: ModelEntry, *, weights_url: str | None = None) -> ModelSettings:
    """What the service would be told of a registry entry; what the entry does not say keeps the service's default.

    Args:
        entry: the registry's.
        weights_url: where the weights lie, when not where the entry says (`file://` for local files).
    """
    carried = {name: value for name in _CARRIED if (value := getattr(entry, name)) is not None}
    return ModelSettings(
        name=entry.name,
        version=entry.version,
        architecture=entry.architecture,
        weights_url=weights_url or entry.weights_url,
        **carried,
    )
