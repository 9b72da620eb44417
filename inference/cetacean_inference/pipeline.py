"""Verified weights in, scores out: what `serve`, `replay` and the evaluation of models all compute with.

torch is imported only where it computes: what OpenVINO needs was converted by another process.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import compress
from typing import Final

import numpy as np
from PIL import Image

from cetacean_inference.decision import accepts
from cetacean_inference.engines.base import Computed, NetworkName
from cetacean_inference.engines.choice import Chosen, Device, check_engine, choose_engine
from cetacean_inference.engines.memory import release_memory
from cetacean_inference.engines.preparation import ConvertedNetworks, converted_networks
from cetacean_inference.errors import CheckpointMismatch, GateUnavailable
from cetacean_inference.models.classes import read_classes, read_species
from cetacean_inference.models.preprocessing import Pixels, crop_centre, squash
from cetacean_inference.settings import Settings
from cetacean_inference.types import Candidate, Scores, ServedIdentity
from cetacean_inference.weights.cache import Blob, WeightsCache
from cetacean_inference.weights.fetch import Files, locate_all, open_cache
from cetacean_inference.weights.verified import Verified

logger = logging.getLogger(__name__)

RANKS: Final = 5
LANES: Final = 2
"""Batches at once, where the engine takes turns with the processors: one is identified while another is at the gate."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One picture as both networks take it: bytes, (S, S, 3) each; normalised where it is computed."""

    gate: Pixels
    identification: Pixels


class NetworksPipeline:
    """Both networks, ready to compute; implements `types.Pipeline`.

    Args:
        identity: what is told of them.
        engine: computes them.
        individuals: id and species of each row of the identification.
        held: what keeps the weights in the cache from being evicted.
        cache: where they were loaded from.
    """

    def __init__(
        self,
        *,
        identity: ServedIdentity,
        engine: Chosen,
        individuals: Sequence[tuple[str, str]],
        held: ExitStack,
        cache: WeightsCache,
    ) -> None:
        self.identity: Final = identity
        self._gate = engine.gate
        self._identification = engine.identification
        self._individuals = individuals
        self._held = held
        self._cache = cache
        self.lanes: Final = LANES if engine.by_many_threads else 1

    def prepare(self, image: Image.Image) -> Prepared:
        """Resize one RGB picture for both networks; thread safe, Pillow releases the GIL while it resizes."""
        return Prepared(crop_centre(image, self._gate.side), squash(image, self._identification.side))

    def predict(self, batch: Sequence[Prepared], *, threshold: float = 0.0) -> list[Scores]:
        """Score a batch, in its order; called by as many threads at once as there are lanes."""
        if not batch:
            return []
        scores = [float(score) for score in self._gate.run(np.stack([one.gate for one in batch]))]
        accepted = [accepts(score, threshold) for score in scores]
        passed = [one.identification for one in compress(batch, accepted)]
        rankings = map(self._rank, self._identification.run(np.stack(passed)) if passed else ())
        return [Scores(score, next(rankings) if one else ()) for score, one in zip(scores, accepted, strict=True)]

    def touch(self) -> None:
        """Note that what it computes with is in use, so that no other pod evicts it while its container restarts."""
        self._cache.touch()

    def close(self) -> None:
        """Let go of the weights in the cache."""
        self._held.close()

    def _rank(self, probabilities: np.ndarray[tuple[int], np.dtype[np.float32]]) -> tuple[Candidate, ...]:
        # Stable, so that equal probabilities are ranked by the order of the rows.
        order = np.argsort(-probabilities, kind="stable")[:RANKS]
        ids = (self._individuals[index] for index in order)
        return tuple(
            Candidate(individual, species, float(probability))
            for (individual, species), probability in zip(ids, probabilities[order], strict=True)
        )


def load_pipeline(settings: Settings) -> NetworksPipeline:
    """Load both models from the cache, verify the very bytes that are loaded, and warm up.

    Needs no network: `weights.fetch.fetch_all` must have run.

    Raises:
        errors.CannotGoOn: with the reason.
    """
    begun = time.monotonic()
    check_engine(settings.engine)
    files, cache = locate_all(settings), open_cache(settings)
    with ExitStack() as held:
        verified = held.enter_context(Verified(cache))
        for blob in (files.checkpoint, files.gate_weights):
            verified.open(blob)
        individuals = _individuals(settings, files, verified)
        with ExitStack() as until_compiled:

            def converted() -> ConvertedNetworks:
                return converted_networks(
                    settings, files=files, cache=cache, until_compiled=until_compiled, while_serving=held
                )

            engine = choose_engine(
                settings.engine,
                converted=converted,
                eager=lambda name, device: _eager(name, device, settings=settings, files=files, verified=verified),
            )
        pipeline = NetworksPipeline(
            identity=_identity(settings, files.checkpoint, files.gate_weights, engine),
            engine=engine,
            individuals=individuals,
            held=held.pop_all(),
            cache=cache,
        )
    release_memory()
    _warm_up(pipeline, files.checkpoint.url, files.gate_weights.url)
    logger.info("ready to compute after %.1f s with %s", time.monotonic() - begun, engine.name)
    return pipeline


def _individuals(settings: Settings, files: Files, verified: Verified) -> tuple[tuple[str, str], ...]:
    classes = read_classes(verified.open(files.classes), files.classes, known=settings.model.num_classes_active)
    species = read_species(verified.open(files.species), files.species, classes=classes)
    return tuple(zip(classes, species, strict=True))


def _eager(name: NetworkName, device: Device, *, settings: Settings, files: Files, verified: Verified) -> Computed:
    import torch  # noqa: PLC0415 - takes seconds and memory

    from cetacean_inference.engines.eager import EagerEngine  # noqa: PLC0415 - imports torch
    from cetacean_inference.models.loading import load_network  # noqa: PLC0415 - imports torch

    network, side = load_network(name, settings, files=files, verified=verified)
    return Computed(EagerEngine(torch.device(device)).compile(network), side)


def _identity(settings: Settings, checkpoint: Blob, gate: Blob, engine: Chosen) -> ServedIdentity:
    return ServedIdentity(
        name=settings.model.name,
        version=settings.model.version,
        architecture=settings.model.architecture,
        weights_sha256=checkpoint.sha256,
        expected_sha256=settings.model.sha256,
        gate_architecture=settings.gate.architecture,
        gate_pretrained=None if settings.gate.weights_url else settings.gate.pretrained,
        gate_sha256=gate.sha256,
        engine=engine.name,
        passed_over=engine.passed_over,
    )


def _warm_up(pipeline: NetworksPipeline, checkpoint_url: str, gate_url: str) -> None:
    grey = pipeline.prepare(Image.new("RGB", (640, 480), (90, 120, 150)))
    (scores,) = pipeline.predict([grey])
    if not np.isfinite(scores.cetacean_score):
        raise GateUnavailable(f"{gate_url}: expected a finite score of a grey picture, got {scores.cetacean_score}")
    if not all(np.isfinite(candidate.probability) for candidate in scores.ranking):
        raise CheckpointMismatch(f"{checkpoint_url}: expected finite probabilities of a grey picture")
