"""Computes a recorded answer again; it depends only on the picture, the model's version and the gate's threshold."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from cetacean_inference.decision import Detection, RejectionReason, corrupted, decide
from cetacean_inference.imaging.decoding import decode
from cetacean_inference.rejected_requests import UnusableImage
from cetacean_inference.settings import Settings
from cetacean_inference.types import Pipeline
from cetacean_registry.errors import describe

EXIT_SAME, EXIT_DIFFERENT, EXIT_UNUSABLE = 0, 1, 2
TOLERANCE: Final = 1e-4
"""One unit of the last digit of an answer: another processor or batch size may round differently."""
BINARY_FRACTION: Final = 1e-9
"""Added to the tolerance, because a difference of exactly the tolerance is not exact in binary."""
NOT_COMPARED: Final = frozenset({"image_ind", "mask"})
"""The file may have another name now; a mask may be missing for lack of time."""


def replay(
    settings: Settings, pipeline: Pipeline[Any], *, picture: Path, recorded: Path | None, tolerance: float = TOLERANCE
) -> int:
    """Print the Detection of a picture; compare it with a recorded one.

    Args:
        settings: the threshold, the version and the bounds of pictures.
        pipeline: computes.
        picture: the file.
        recorded: JSON of one Detection, as the service answered it.
        tolerance: largest difference of numbers that counts as equal.

    Returns:
        0 if they are equal or nothing is compared, 1 if they differ, 2 if a file cannot be used.
    """
    try:
        expected = Detection.model_validate_json(recorded.read_bytes()) if recorded else None
        from_archive = expected is not None and expected.rejection_reason is RejectionReason.CORRUPTED_IMAGE
        detection = _detect(settings, pipeline, picture, from_archive=from_archive)
    except UnusableImage as error:
        return _report_unusable(f"{picture}: {error}")
    except ValidationError as error:
        return _report_unusable(f"{recorded}: expected the JSON of one Detection, got: {describe(error)}")
    except OSError as error:
        return _report_unusable(f"{error.filename}: {error.strerror}")
    print(detection.model_dump_json(indent=2))
    if expected is None:
        return EXIT_SAME
    differences = list(
        _differences(expected.model_dump(mode="json"), detection.model_dump(mode="json"), tolerance=tolerance)
    )
    for line in differences:
        print(line, file=sys.stderr)
    return EXIT_DIFFERENT if differences else EXIT_SAME


def _detect(settings: Settings, pipeline: Pipeline[Any], picture: Path, *, from_archive: bool) -> Detection:
    """Answer for a picture; only a picture of an archive has an answer if it cannot be decoded."""
    version, threshold = settings.model.version, settings.gate.threshold
    try:
        image = decode(picture.read_bytes(), settings.images)
    except UnusableImage as error:
        if not from_archive:
            raise
        return corrupted(image_ind=picture.name, size=error.size, model_version=version)
    (scores,) = pipeline.predict([pipeline.prepare(image)], threshold=threshold)
    return decide(scores, threshold=threshold, image_ind=picture.name, size=image.size, model_version=version)


def run(settings: Settings, *, picture: Path, recorded: Path | None, tolerance: float) -> int:
    """Run `replay` with the weights of the settings; returns its exit status.

    Raises:
        errors.FatalError: the weights cannot be loaded.
    """
    from cetacean_inference.pipeline import load_pipeline  # noqa: PLC0415 - may import torch

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    with closing(load_pipeline(settings)) as pipeline:
        return replay(settings, pipeline, picture=picture, recorded=recorded, tolerance=tolerance)


def _differences(expected: Any, found: Any, *, tolerance: float, path: str = "") -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in expected:
            if path or key not in NOT_COMPARED:
                inner = f"{path}.{key}" if path else key
                yield from _differences(expected[key], found[key], tolerance=tolerance, path=inner)
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, pair in enumerate(zip(expected, found, strict=True)):
            yield from _differences(*pair, tolerance=tolerance, path=f"{path}[{index}]")
    elif isinstance(expected, float) and isinstance(found, float):
        if abs(expected - found) > tolerance + BINARY_FRACTION:
            yield f"{path}: recorded {expected}, now {found}"
    elif expected != found:
        yield f"{path}: recorded {expected!r}, now {found!r}"


def _report_unusable(message: str) -> int:
    print(message, file=sys.stderr)
    return EXIT_UNUSABLE
