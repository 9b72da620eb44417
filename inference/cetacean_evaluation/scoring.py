"""Run the pipeline that serves over a split, one picture at a time, as the service gets them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from cetacean_evaluation.errors import EvaluationError
from cetacean_evaluation.figures import Scored
from cetacean_evaluation.manifest import Picture
from cetacean_inference.engines.eager import EagerEngine, choose_device
from cetacean_inference.imaging.decoding import decode
from cetacean_inference.imaging.preprocessing import crop_centre
from cetacean_inference.models.gate import load_gate
from cetacean_inference.models.prompts import default_prompts
from cetacean_inference.pipeline import NetworksPipeline, load_pipeline
from cetacean_inference.rejected_requests import UnusableImage
from cetacean_inference.settings import (
    EngineSettings,
    FetchSettings,
    GateSettings,
    ImageSettings,
    ModelSettings,
    Settings,
)
from cetacean_inference.weights.cache import WeightsCache
from cetacean_inference.weights.fetch import fetch_all, fetch_gate

BATCH: Final = 16
"""Pictures that the gate alone takes at a time: no latency is measured there."""
Progress = Callable[[int, int], None]
"""Called with the pictures done and the pictures there are."""


@contextmanager
def open_pipeline(*, model: ModelSettings, gate: GateSettings, cache: Path) -> Iterator[NetworksPipeline]:
    """Fetch the weights into a cache, verify and load them as a pod does.

    Raises:
        cetacean_inference.errors.FatalError: with the reason.
    """
    settings = Settings(model=model, gate=gate, weights_cache=cache, engine=EngineSettings(name="torch-eager"))
    fetch_all(settings)
    pipeline = load_pipeline(settings)
    try:
        yield pipeline
    finally:
        pipeline.close()


def score(pipeline: NetworksPipeline, pictures: Sequence[Picture], *, progress: Progress | None = None) -> list[Scored]:
    """Score pictures in their order.

    Raises:
        EvaluationError: a picture cannot be decoded.
    """
    scored = []
    for number, picture in enumerate(pictures, start=1):
        begun = time.perf_counter()
        (scores,) = pipeline.predict([pipeline.prepare(_decoded(picture.path))])
        scored.append(Scored(picture, scores, latency_ms=(time.perf_counter() - begun) * 1e3))
        if progress:
            progress(number, len(pictures))
    return scored


def score_gate(
    gate: GateSettings,
    pictures: Sequence[Picture],
    *,
    cache: Path,
    options: FetchSettings,
    progress: Progress | None = None,
) -> list[float]:
    """Return the gate's scores of pictures in their order, without the identification model.

    Raises:
        cetacean_inference.errors.FatalError: with the reason.
        EvaluationError: a picture cannot be decoded.
    """
    store = WeightsCache(cache, limit_bytes=options.cache_limit_bytes, keep_unused_seconds=options.keep_unused_seconds)
    store.prepare()
    config, weights = fetch_gate(gate, cache=store, settings=options)
    with store.open_locked(weights.sha256) as stream:
        network, side = load_gate(
            stream,
            weights,
            architecture=gate.architecture,
            config=config.path.read_bytes() if config else None,
            prompts=default_prompts(),
            derived=store.derived,
            pickle_allowed=options.allow_unverified_pickle or gate.sha256 is not None,
        )
        run = EagerEngine(choose_device("auto")).compile(network)
        scores: list[float] = []
        for begin in range(0, len(pictures), BATCH):
            batch = [crop_centre(_decoded(picture.path), side) for picture in pictures[begin : begin + BATCH]]
            scores += run(np.stack(batch)).tolist()
            if progress:
                progress(len(scores), len(pictures))
    return scores


def _decoded(path: Path) -> Image.Image:
    try:
        return decode(path.read_bytes(), ImageSettings())
    except (UnusableImage, OSError) as error:
        raise EvaluationError(f"{path}: {error}") from error
