"""Compute a recorded answer again: the picture, the model's version and the threshold are all it depends on."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from cetacean_inference.decision import Detection, RejectionReason, corrupted, decide
from cetacean_inference.images import decode
from cetacean_inference.refusals import UnusableImage
from cetacean_inference.settings import Settings
from cetacean_inference.types import Pipeline

SAME, DIFFERS, UNUSABLE = 0, 1, 2
TOLERANCE: Final = 1e-4
"""One unit of the last digit that is shown: another processor or batch size may round the other way."""
SLACK: Final = 1e-9
"""What binary fractions make of a difference of exactly that."""
NOT_COMPARED: Final = frozenset({"image_ind", "mask"})
"""The file may have been renamed since; a mask is made beside the answer, when there is time."""


def replay(
    settings: Settings, pipeline: Pipeline[Any], *, picture: Path, recorded: Path | None, tolerance: float = TOLERANCE
) -> int:
    """Print the Detection of a picture; compare it with a recorded one.

    Args:
        settings: the threshold, the version and the bounds of pictures.
        pipeline: computes.
        picture: the file.
        recorded: JSON of one Detection, as the service answered it.
        tolerance: largest difference of figures that is none.

    Returns:
        0, 1 when the two differ, 2 when a file cannot be used.
    """
    try:
        expected = Detection.model_validate_json(recorded.read_bytes()) if recorded else None
        detection = _detect(settings, pipeline, picture, as_entry=expected is not None and _is_corrupted(expected))
    except UnusableImage as error:
        return _unusable(f"{picture}: {error}")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        return _unusable(f"{recorded}: expected the JSON of one Detection, got: {where}: {first['msg']}")
    except OSError as error:
        return _unusable(f"{error.filename}: {error.strerror}")
    print(detection.model_dump_json(indent=2))
    if expected is None:
        return SAME
    differences = list(
        _differences(expected.model_dump(mode="json"), detection.model_dump(mode="json"), tolerance=tolerance)
    )
    for line in differences:
        print(line, file=sys.stderr)
    return DIFFERS if differences else SAME


def _detect(settings: Settings, pipeline: Pipeline[Any], picture: Path, *, as_entry: bool) -> Detection:
    """The answer for a picture; as an archive's entry even one that cannot be read has one."""
    version = pipeline.identity.version
    try:
        image = decode(picture.read_bytes(), settings.images)
    except UnusableImage as refusal:
        if not as_entry:
            raise
        return corrupted(image_ind=picture.name, size=refusal.size, model_version=version)
    (scores,) = pipeline.predict([pipeline.prepare(image)], threshold=settings.gate.threshold)
    return decide(
        scores, threshold=settings.gate.threshold, image_ind=picture.name, size=image.size, model_version=version
    )


def _is_corrupted(detection: Detection) -> bool:
    return detection.rejection_reason is RejectionReason.CORRUPTED_IMAGE


def run(settings: Settings, *, picture: Path, recorded: Path | None, tolerance: float) -> int:
    """The command: `replay` with the weights that the settings name.

    Raises:
        errors.CannotGoOn: when they cannot be loaded.
    """
    from cetacean_inference.pipeline import load_pipeline  # noqa: PLC0415 - imports torch

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
        if abs(expected - found) > tolerance + SLACK:
            yield f"{path}: recorded {expected}, now {found}"
    elif expected != found:
        yield f"{path}: recorded {expected!r}, now {found!r}"


def _unusable(message: str) -> int:
    print(message, file=sys.stderr)
    return UNUSABLE
