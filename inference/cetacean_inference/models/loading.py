"""From the files in the cache to torch networks. Whoever imports this module has torch in memory."""

from __future__ import annotations

import logging
import time

import torch

from cetacean_inference.engines.base import NetworkName
from cetacean_inference.engines.cpus import usable_cpus
from cetacean_inference.models.gate import load_gate
from cetacean_inference.models.identification import load_identification
from cetacean_inference.models.network import Network
from cetacean_inference.models.prompts import default_prompts
from cetacean_inference.settings import Settings
from cetacean_inference.weights.fetch import Files
from cetacean_inference.weights.verified import Verified

logger = logging.getLogger(__name__)


def load_network(name: NetworkName, settings: Settings, *, files: Files, verified: Verified) -> tuple[Network, int]:
    """One network and the side of its input in pixels, from bytes that are verified.

    Raises:
        errors.CannotGoOn: with the reason.
    """
    begun = time.monotonic()
    torch.set_num_threads(settings.engine.threads or usable_cpus())
    loaded = _gate(settings, files, verified) if name == "gate" else _identification(settings, files, verified)
    logger.info("loaded the %s in %.1f s", name, time.monotonic() - begun)
    return loaded


def _gate(settings: Settings, files: Files, verified: Verified) -> tuple[Network, int]:
    return load_gate(
        verified.open(files.gate_weights),
        files.gate_weights,
        architecture=settings.gate.architecture,
        config=verified.open(files.gate_config).read().decode() if files.gate_config else None,
        prompts=default_prompts(),
        derived=verified.cache.derived,
    )


def _identification(settings: Settings, files: Files, verified: Verified) -> tuple[Network, int]:
    network = load_identification(verified.open(files.checkpoint), files.checkpoint, settings.model)
    return network, settings.model.input_size
