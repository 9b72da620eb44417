"""Which engine computes, by the settings."""

from __future__ import annotations

import torch

from cetacean_inference.engines.base import Engine
from cetacean_inference.engines.eager import EagerEngine, choose_device
from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.settings import EngineSettings

AVAILABLE = ("auto", "torch-eager")


def choose_engine(settings: EngineSettings) -> Engine:
    """The engine that is asked for, and never another one in its place.

    Raises:
        ConfigInvalid: when it, or the device it is to compute on, is not there.
    """
    if settings.name not in AVAILABLE:
        raise ConfigInvalid(f"engine.name: expected one of {', '.join(AVAILABLE)}, got {settings.name}")
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ConfigInvalid("engine.device: expected a CUDA device, found none")
    return EagerEngine(choose_device(settings.device))
