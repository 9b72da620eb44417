"""Loads torch networks from verified files; importing this module imports torch."""

from __future__ import annotations

import logging
import time

import torch

from cetacean_inference.models.gate import load_gate
from cetacean_inference.models.identification import load_identification
from cetacean_inference.models.network import Network
from cetacean_inference.models.prompts import default_prompts
from cetacean_inference.settings import Settings
from cetacean_inference.system.openmp import num_threads
from cetacean_inference.types import NetworkName
from cetacean_inference.weights.fetch import WeightFiles
from cetacean_inference.weights.verified import VerifiedFiles

logger = logging.getLogger(__name__)


def load_network(
    name: NetworkName, settings: Settings, *, files: WeightFiles, verified: VerifiedFiles
) -> tuple[Network, int]:
    """Load one network; returns it and the side of its input in pixels.

    Raises:
        errors.FatalError: with the reason.
    """
    begun = time.monotonic()
    torch.set_num_threads(settings.engine.threads or num_threads())
    unverified_allowed = settings.fetch.allow_unverified_pickle
    if name == "gate":
        largest = settings.fetch.max_companion_bytes
        config = verified.read(files.gate_config, max_bytes=largest).read() if files.gate_config else None
        loaded = load_gate(
            verified.open(files.gate_weights),
            files.gate_weights,
            architecture=settings.gate.architecture,
            config=config,
            prompts=default_prompts(),
            derived=verified.derived,
            pickle_allowed=unverified_allowed or settings.gate.sha256 is not None,
        )
    else:
        network = load_identification(
            verified.open(files.checkpoint),
            files.checkpoint,
            settings.model,
            pickle_allowed=unverified_allowed or settings.model.sha256 is not None,
        )
        loaded = network, settings.model.input_size
    logger.info("loaded the %s in %.1f s", name, time.monotonic() - begun)
    return loaded
