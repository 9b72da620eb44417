"""Loads verified weights and computes scores; used by `serve`, by `replay` and by the evaluation of models.

torch is imported only if an eager engine computes: another process converts networks for OpenVINO.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from cetacean_inference.decision import accepts
from cetacean_inference.engines.base import CompiledNetwork, ConvertedNetworks
from cetacean_inference.engines.conversion_cache import converted_networks
from cetacean_inference.engines.selection import (
    Device,
    SelectedEngines,
    check_engine,
    select_engines,
)
from cetacean_inference.errors import CheckpointMismatch, GateUnavailable
from cetacean_inference.imaging.preprocessing import Pixels
from cetacean_inference.imaging.resizing import resize
from cetacean_inference.likeliest import likeliest
from cetacean_inference.models.classes import read_classes, read_species
from cetacean_inference.settings import Settings
from cetacean_inference.system.memory import drop_pages, release_memory
from cetacean_inference.system.start_times import StartTimes
from cetacean_inference.types import Candidate, NetworkName, Resize, Scores, ServedIdentity
from cetacean_inference.weights.fetch import WeightFiles, locate_all, open_own_cache, open_verified
from cetacean_inference.weights.verified import VerifiedFiles
from cetacean_registry.companions import CLASSES_FILE, SPECIES_FILE

logger = logging.getLogger(__name__)

RANKS: Final = 5


@dataclass(frozen=True, slots=True)
class Prepared:
    """One picture resized for both networks, in bytes, (S, S, 3) each."""

    gate: Pixels
    identification: Pixels


class NetworksPipeline:
    """Both networks, ready to compute; implements `types.Pipeline`.

    Args:
        identity: weights and engine.
        engines: the compiled networks.
        individuals: id and species of each row of the identification.
        open_files: keeps the weights from being evicted until it is closed.
    """

    def __init__(
        self,
        *,
        identity: ServedIdentity,
        engines: SelectedEngines,
        individuals: Sequence[tuple[str, str]],
        open_files: ExitStack,
    ) -> None:
        self.identity = identity
        self.num_workers: Final = engines.batches_at_once
        self._gate = engines.gate
        self._identification = engines.identification
        self._individuals = individuals
        self._open_files = open_files

    @property
    def resizes(self) -> tuple[Resize, Resize]:
        """How pictures are resized for the gate and for the identification."""
        return Resize("crop_centre", self._gate.side), Resize("squash", self._identification.side)

    def pack(self, pixels: Sequence[Pixels]) -> Prepared:
        """Make the input of `predict` from one picture, resized as `resizes` says."""
        gate, identification = pixels
        return Prepared(gate, identification)

    def prepare(self, image: Image.Image) -> Prepared:
        """Resize one RGB picture for both networks; thread safe, Pillow releases the GIL while it resizes."""
        return self.pack([np.asarray(resize(image, how)) for how in self.resizes])

    def predict(self, batch: Sequence[Prepared], *, threshold: float = 0.0) -> list[Scores]:
        """Score a batch, in its order; called by at most `num_workers` threads at once."""
        if not batch:
            return []
        scores = [float(score) for score in self._gate.run(np.stack([one.gate for one in batch]))]
        accepted = [accepts(score, threshold) for score in scores]
        passed = [one.identification for one in compress(batch, accepted)]
        rankings = map(self._rank, self._identification.run(np.stack(passed)) if passed else ())
        return [Scores(score, next(rankings) if one else ()) for score, one in zip(scores, accepted, strict=True)]

    def close(self) -> None:
        """Close the files in the cache; from now on they may be evicted."""
        self._open_files.close()

    def _rank(self, probabilities: np.ndarray[tuple[int], np.dtype[np.float32]]) -> tuple[Candidate, ...]:
        order = likeliest(probabilities, RANKS)
        ids = (self._individuals[index] for index in order)
        return tuple(
            Candidate(individual, species, float(probability))
            for (individual, species), probability in zip(ids, probabilities[order], strict=True)
        )


def load_pipeline(settings: Settings, *, times: StartTimes | None = None) -> NetworksPipeline:
    """Load both models from the cache, verify the bytes that are loaded, and warm up.

    Converted networks have digests of their own, and a record of the verified weights that they were made from. So the
    weights are hashed only where they are read: to convert them, and by eager torch.

    Needs no network: `weights.fetch.fetch_all` must have run, and `restore_all` if a file was evicted since then.
    `weights.fetch.load_intact` calls it again after damaged files were fetched again.

    Args:
        settings: all of them.
        times: of the process's start so far; None to measure only the parts of this function.

    Raises:
        errors.FatalError: with the reason.
    """
    times = times or StartTimes()
    check_engine(settings.engine)
    files, own = locate_all(settings), open_own_cache(settings)
    with ExitStack() as open_files:
        verified = open_files.enter_context(open_verified(settings))
        for blob in files.all():
            verified.keep(blob)
        mapped: list[Path] = []
        with ExitStack() as until_compiled:

            def converted() -> ConvertedNetworks:
                found = converted_networks(
                    settings,
                    files=files,
                    cache=own,
                    times=times,
                    until_compiled=until_compiled,
                    hold=verified.hold,
                )
                mapped.extend(file for network in found.values() for file in network.weights)
                return found

            def eager(name: NetworkName, device: Device) -> CompiledNetwork:
                with times.measure("verify"):
                    verified.open(files.of(name))
                return _load_eager(name, device, settings=settings, files=files, verified=verified)

            with times.measure("load"):
                engines = select_engines(settings.engine, converted=converted, eager=eager)
        with times.measure("verify"):
            individuals = _read_individuals(settings, files, verified)
        pipeline = NetworksPipeline(
            identity=ServedIdentity(
                weights_sha256=files.checkpoint.sha256,
                gate_sha256=files.gate_weights.sha256,
                files={CLASSES_FILE: files.classes.sha256, SPECIES_FILE: files.species.sha256},
                engine=engines.name,
                rejected_engines=engines.rejected_engines,
                engine_times_ms=engines.times_ms,
            ),
            engines=engines,
            individuals=individuals,
            open_files=open_files.pop_all(),
        )
    with times.measure("warm_up"):
        _warm_up(pipeline, files)
    release_memory()
    drop_pages(mapped)
    pipeline.identity = replace(pipeline.identity, start_seconds=times.seconds)
    logger.info("ready to compute with %s after %s", engines.name, times)
    return pipeline


def _read_individuals(settings: Settings, files: WeightFiles, verified: VerifiedFiles) -> tuple[tuple[str, str], ...]:
    known, largest = settings.model.num_classes_active, settings.fetch.max_companion_bytes
    classes = read_classes(verified.read(files.classes, max_bytes=largest), files.classes, known=known)
    species = read_species(verified.read(files.species, max_bytes=largest), files.species, classes=classes)
    return tuple(zip(classes, species, strict=True))


def _load_eager(
    name: NetworkName, device: Device, *, settings: Settings, files: WeightFiles, verified: VerifiedFiles
) -> CompiledNetwork:
    import torch  # noqa: PLC0415 - takes seconds and memory

    from cetacean_inference.engines.eager import EagerEngine  # noqa: PLC0415 - imports torch
    from cetacean_inference.models.loading import load_network  # noqa: PLC0415 - imports torch

    network, side = load_network(name, settings, files=files, verified=verified)
    return CompiledNetwork(EagerEngine(torch.device(device)).compile(network), side)


def _warm_up(pipeline: NetworksPipeline, files: WeightFiles) -> None:
    """Compute a grey picture.

    Raises:
        GateUnavailable, CheckpointMismatch: a score is not finite.
    """
    grey = pipeline.prepare(Image.new("RGB", (640, 480), (90, 120, 150)))
    (scores,) = pipeline.predict([grey])
    if not np.isfinite(scores.cetacean_score):
        raise GateUnavailable(
            f"{files.gate_weights.url}: expected a finite score of a grey picture, got {scores.cetacean_score}"
        )
    if not all(np.isfinite(candidate.probability) for candidate in scores.ranking):
        raise CheckpointMismatch(f"{files.checkpoint.url}: expected finite probabilities of a grey picture")
