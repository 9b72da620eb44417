"""From the files in the cache to torch networks. Whoever imports this module has torch in memory."""

from __future__ import annotations

import logging
import time

import torch
from torch import nn

from cetacean_inference.engines.base import NetworkName
from cetacean_inference.engines.cpus import usable_cpus
from cetacean_inference.models.gate import load_gate
from cetacean_inference.models.identification import load_identification
from cetacean_inference.models.prompts import default_prompts
from cetacean_inference.settings import Settings
from cetacean_inference.weights.cache import WeightsCache
from cetacean_inference.weights.fetch import Files
from cetacean_inference.weights.verified import open_verified

logger = logging.getLogger(__name__)


def load_network(name: NetworkName, settings: Settings, *, files: Files, cache: WeightsCache) -> tuple[nn.Module, int]:
    """One network and the side of its input in pixels, from bytes that are verified as they are read.

    Raises:
        errors.CannotGoOn: with the reason.
    """
    begun = time.monotonic()
    torch.set_num_threads(settings.engine.threads or usable_cpus())
    loaded = _gate(settings, files, cache) if name == "gate" else _identification(settings, files, cache)
    logger.info("loaded the %s in %.1f s", name, time.monotonic() - begun)
    return loaded


def _gate(settings: Settings, files: Files, cache: WeightsCache) -> tuple[nn.Module, int]:
    config = None
    if files.gate_config:
        with open_verified(files.gate_config, cache) as stream:
            config = stream.read().decode()
    with open_verified(files.gate_weights, cache) as stream:
        return load_gate(
            stream,
            files.gate_weights,
            architecture=settings.gate.architecture,
            config=config,
            prompts=default_prompts(),
            derived=cache.derived,
        )


def _identification(settings: Settings, files: Files, cache: WeightsCache) -> tuple[nn.Module, int]:
    with open_verified(files.checkpoint, cache) as stream:
        return load_identification(stream, files.checkpoint, settings.model), settings.model.input_size
