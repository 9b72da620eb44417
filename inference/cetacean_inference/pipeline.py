"""Verified weights in, scores out: what `serve`, `replay` and the evaluation of models all compute with."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Final

import numpy as np
import torch
from PIL import Image

from cetacean_inference.engines.base import Networks, Runner
from cetacean_inference.engines.choice import Chosen, check_engine, choose_engine
from cetacean_inference.engines.cpus import usable_cpus
from cetacean_inference.engines.memory import release_memory
from cetacean_inference.errors import CheckpointMismatch, DigestMismatch, GateUnavailable, WeightsNotFound
from cetacean_inference.models.classes import read_classes, read_species
from cetacean_inference.models.gate import load_gate
from cetacean_inference.models.identification import load_identification
from cetacean_inference.models.preprocessing import Pixels, crop_centre, squash
from cetacean_inference.models.prompts import default_prompts
from cetacean_inference.settings import Settings
from cetacean_inference.types import Candidate, Scores, ServedIdentity
from cetacean_inference.weights.cache import Blob, WeightsCache, digest_of
from cetacean_inference.weights.fetch import locate_all, open_cache

logger = logging.getLogger(__name__)

RANKS: Final = 5


@dataclass(frozen=True, slots=True)
class Prepared:
    """One picture as both networks take it: bytes, (S, S, 3) each; normalised where it is computed."""

    gate: Pixels
    identification: Pixels


class TorchPipeline:
    """Both networks, ready to compute; implements `types.Pipeline`."""

    def __init__(
        self,
        *,
        identity: ServedIdentity,
        gate: Runner,
        gate_side: int,
        identification: Runner,
        identification_side: int,
        individuals: Sequence[tuple[str, str]],
        held: Sequence[IO[bytes]] = (),
    ) -> None:
        self.identity: Final = identity
        self._gate = gate
        self._gate_side = gate_side
        self._identification = identification
        self._identification_side = identification_side
        self._individuals = individuals
        self._held = held  # open files keep the blobs from being evicted

    def prepare(self, image: Image.Image) -> Prepared:
        """Resize one RGB picture for both networks; thread safe, Pillow releases the GIL while it resizes."""
        return Prepared(crop_centre(image, self._gate_side), squash(image, self._identification_side))

    def predict(self, batch: Sequence[Prepared]) -> list[Scores]:
        """Score a batch, in its order; called by one thread at a time."""
        if not batch:
            return []
        scores = self._gate(np.stack([one.gate for one in batch]))
        probabilities = self._identification(np.stack([one.identification for one in batch]))
        return [
            Scores(cetacean_score=float(score), ranking=self._rank(row))
            for score, row in zip(scores, probabilities, strict=True)
        ]

    def close(self) -> None:
        """Let go of the weights in the cache."""
        for stream in self._held:
            stream.close()

    def _rank(self, probabilities: np.ndarray[tuple[int], np.dtype[np.float32]]) -> tuple[Candidate, ...]:
        # Stable, so that equal probabilities are ranked by the order of the rows.
        order = np.argsort(-probabilities, kind="stable")[:RANKS]
        ids = (self._individuals[index] for index in order)
        return tuple(
            Candidate(individual, species, float(probability))
            for (individual, species), probability in zip(ids, probabilities[order], strict=True)
        )


def load_pipeline(settings: Settings) -> TorchPipeline:
    """Load both models from the cache, verify the very bytes that are loaded, and warm up.

    Needs no network: `weights.fetch.fetch_all` must have run.

    Raises:
        errors.CannotGoOn: with the reason.
    """
    begun = time.monotonic()
    check_engine(settings.engine)
    files = locate_all(settings)
    cache = open_cache(settings)
    torch.set_num_threads(settings.engine.threads or usable_cpus())
    with ExitStack() as stack:
        checkpoint = stack.enter_context(_verified(files.checkpoint, cache))
        gate_weights = stack.enter_context(_verified(files.gate_weights, cache))
        classes_file = stack.enter_context(_verified(files.classes, cache))
        species_file = stack.enter_context(_verified(files.species, cache))
        config = None
        if files.gate_config:
            config = stack.enter_context(_verified(files.gate_config, cache)).read().decode()
        classes = read_classes(classes_file, files.classes, known=settings.model.num_classes_active)
        species = read_species(species_file, files.species, classes=classes)
        gate, gate_side = load_gate(
            gate_weights,
            files.gate_weights,
            architecture=settings.gate.architecture,
            config=config,
            prompts=default_prompts(),
            derived=cache.derived,
        )
        networks = Networks(
            gate=gate,
            gate_side=gate_side,
            identification=load_identification(checkpoint, files.checkpoint, settings.model),
            identification_side=settings.model.input_size,
        )
        engine = choose_engine(settings.engine, networks)
        del gate, networks  # from here on only an engine that computes with torch's weights holds them
        pipeline = TorchPipeline(
            identity=_identity(settings, files.checkpoint, files.gate_weights, engine),
            gate=engine.gate,
            gate_side=gate_side,
            identification=engine.identification,
            identification_side=settings.model.input_size,
            individuals=tuple(zip(classes, species, strict=True)),
            held=[
                cache.hold(blob.sha256) for blob in (files.checkpoint, files.gate_weights, files.classes, files.species)
            ],
        )
    release_memory()
    _warm_up(pipeline, files.checkpoint.url, files.gate_weights.url)
    logger.info("ready to compute after %.1f s with %s", time.monotonic() - begun, engine.name)
    return pipeline


def _verified(blob: Blob, cache: WeightsCache) -> IO[bytes]:
    """The blob, opened once: the bytes that are hashed here are those that are read afterwards."""
    try:
        stream = cache.hold(blob.sha256)
    except FileNotFoundError as error:
        raise WeightsNotFound(f"{blob.url}: evicted from the cache {cache.root} since it was fetched") from error
    if (found := digest_of(stream)) != blob.sha256:
        stream.close()
        raise DigestMismatch(f"{blob.url}: expected sha256:{blob.sha256}, got sha256:{found} in the cache {cache.root}")
    stream.seek(0)
    return stream


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


def _warm_up(pipeline: TorchPipeline, checkpoint_url: str, gate_url: str) -> None:
    grey = pipeline.prepare(Image.new("RGB", (640, 480), (90, 120, 150)))
    (scores,) = pipeline.predict([grey])
    if not np.isfinite(scores.cetacean_score):
        raise GateUnavailable(f"{gate_url}: expected a finite score of a grey picture, got {scores.cetacean_score}")
    if not all(np.isfinite(candidate.probability) for candidate in scores.ranking):
        raise CheckpointMismatch(f"{checkpoint_url}: expected finite probabilities of a grey picture")
