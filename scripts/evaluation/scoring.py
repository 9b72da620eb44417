"""Run the pipeline that serves over a split, one picture at a time, as the service gets them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from cetacean_inference.pipeline import TorchPipeline, load_pipeline
from cetacean_inference.settings import EngineSettings, GateSettings, ModelSettings, Settings
from cetacean_inference.weights.fetch import fetch_all
from cetacean_registry import ModelEntry
from evaluation.errors import EvaluationError
from evaluation.figures import Scored
from evaluation.manifest import Picture

Progress = Callable[[int, int], None]
"""Called with the pictures done and the pictures there are."""


def model_settings(entry: ModelEntry, *, weights_url: str | None = None) -> ModelSettings:
    """What the service would be told of a registry entry; what the entry does not say keeps the service's default.

    Args:
        entry: the registry's.
        weights_url: where the weights lie, when not where the entry says (`file://` for local files).
    """
    carried = {
        name: value
        for name in ("sha256", "backbone", "input_size", "embedding_size", "num_classes_head", "num_classes_active")
        if (value := getattr(entry, name)) is not None
    }
    return ModelSettings(
        name=entry.name,
        version=entry.version,
        architecture=entry.architecture,
        weights_url=weights_url or entry.weights_url,
        **carried,
    )


@contextmanager
def open_pipeline(*, model: ModelSettings, gate: GateSettings, cache: Path) -> Iterator[TorchPipeline]:
    """Fetch the weights into a cache, verify and load them as a pod does.

    Raises:
        cetacean_inference.errors.CannotGoOn: with the reason.
    """
    settings = Settings(model=model, gate=gate, weights_cache=cache, engine=EngineSettings(name="torch-eager"))
    fetch_all(settings)
    pipeline = load_pipeline(settings)
    try:
        yield pipeline
    finally:
        pipeline.close()


def score(pipeline: TorchPipeline, pictures: Sequence[Picture], *, progress: Progress | None = None) -> list[Scored]:
    """Score pictures in their order.

    Raises:
        EvaluationError: a picture cannot be decoded.
    """
    scored = []
    for number, picture in enumerate(pictures, start=1):
        begun = time.perf_counter()
        (scores,) = pipeline.predict([pipeline.prepare(_decode(picture.path))])
        latency = (time.perf_counter() - begun) * 1e3
        scored.append(Scored(picture, scores.cetacean_score, scores.ranking, latency))
        if progress:
            progress(number, len(pictures))
    return scored


def _decode(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise EvaluationError(f"{path}: expected a picture, got: {error}") from error
