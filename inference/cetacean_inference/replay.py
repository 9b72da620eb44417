"""Computes a recorded answer again; it depends only on the picture, the model's version and the gate's threshold.

Another engine may have computed the recorded answer, and engines differ: by default, numbers are equal if they differ
by no more than an engine may differ from eager torch.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from pydantic import ValidationError

from cetacean_inference.decision import Alternative, Detection, RejectionReason, corrupted, decide
from cetacean_inference.engines.agreement import PROBABILITY_FACTOR, SCORE_FACTOR
from cetacean_inference.imaging.decoding import decode
from cetacean_inference.rejected_requests import UnusableImage
from cetacean_inference.settings import EngineSettings, Settings
from cetacean_inference.types import Pipeline
from cetacean_registry.errors import describe

EXIT_SAME, EXIT_DIFFERENT, EXIT_UNUSABLE = 0, 1, 2
TOLERANCE: Final = 1e-4
"""One unit of the last digit of an answer: another processor or batch size may round differently."""
BINARY_FRACTION: Final = 1e-9
"""Added to the tolerance, because a difference of exactly the tolerance is not exact in binary."""
NOT_COMPARED: Final = frozenset({"image_ind", "mask", "class_animal", "id_animal", "probability", "candidates"})
"""The file may have another name now; a mask may be missing for lack of time; individuals are compared by name."""
Line = tuple[str, object, object]
"""One compared value: its path, as recorded, and now."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Largest differences that count as equal."""

    cetacean_score: float
    probability: float

    @classmethod
    def of(cls, settings: EngineSettings) -> Self:
        """Return by how much an engine may differ from eager torch on any picture, and one unit of the last digit."""
        return cls(
            settings.max_score_deviation * SCORE_FACTOR + TOLERANCE,
            settings.max_probability_deviation * PROBABILITY_FACTOR + TOLERANCE,
        )


def replay(
    settings: Settings,
    pipeline: Pipeline[Any],
    *,
    picture: Path,
    recorded: Path | None,
    tolerance: float | None = None,
) -> int:
    """Print the Detection of a picture; compare it with a recorded one.

    Args:
        settings: the threshold, the version and the bounds of pictures.
        pipeline: computes.
        picture: the file.
        recorded: JSON of one Detection, as the service answered it.
        tolerance: largest difference of numbers that counts as equal; `Tolerance.of` the engines if None.

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
    allowed = Tolerance.of(settings.engine) if tolerance is None else Tolerance(tolerance, tolerance)
    differences = list(_differences(expected, detection, allowed))
    for line in differences:
        print(line, file=sys.stderr)
    if not differences:
        for line in _differences(expected, detection, Tolerance(TOLERANCE, TOLERANCE)):
            print(f"within the tolerance: {line}", file=sys.stderr)
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


def run(settings: Settings, *, picture: Path, recorded: Path | None, tolerance: float | None) -> int:
    """Run `replay` with the weights of the settings; returns its exit status.

    Raises:
        errors.FatalError: the weights cannot be loaded.
    """
    from cetacean_inference.pipeline import load_pipeline  # noqa: PLC0415 - may import torch

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    with closing(load_pipeline(settings)) as pipeline:
        return replay(settings, pipeline, picture=picture, recorded=recorded, tolerance=tolerance)


def _differences(expected: Detection, found: Detection, tolerance: Tolerance) -> Iterator[str]:
    for path, old, new in _compared(expected, found):
        if isinstance(old, float) and isinstance(new, float):
            allowed = tolerance.cetacean_score if path == "cetacean_score" else tolerance.probability
            # Written so that NaN is different from everything, also from NaN.
            if not abs(old - new) <= allowed + BINARY_FRACTION:
                yield f"{path}: recorded {old}, now {new}"
        elif old != new:
            yield f"{path}: recorded {old!r}, now {new!r}"


def _compared(expected: Detection, found: Detection) -> Iterator[Line]:
    for name in Detection.model_fields:
        if name not in NOT_COMPARED:
            yield name, _plain(getattr(expected, name)), _plain(getattr(found, name))
    yield "number of candidates", len(expected.candidates), len(found.candidates)
    # By name, because about equally likely individuals may change places, the likeliest one too.
    old, new = (_ranking(answer) for answer in (expected, found))
    least_old, least_new = (min(one.probability for one in every.values()) for every in (old, new))
    for name in {**old, **new}:
        path = "" if name == expected.class_animal == found.class_animal else f"individuals[{name}]."
        if name in old and name in new:
            yield f"{path}id_animal", old[name].id_animal, new[name].id_animal
        # One that is not among the candidates is at most as likely as the least likely of them.
        recorded = old[name].probability if name in old else min(least_old, new[name].probability)
        now = new[name].probability if name in new else min(least_new, old[name].probability)
        yield f"{path}probability", recorded, now


def _ranking(answer: Detection) -> dict[str, Alternative]:
    best = Alternative(class_animal=answer.class_animal, id_animal=answer.id_animal, probability=answer.probability)
    return {one.class_animal: one for one in (best, *answer.candidates)}


def _plain(value: object) -> object:
    return value.value if isinstance(value, RejectionReason) else value


def _report_unusable(message: str) -> int:
    print(message, file=sys.stderr)
    return EXIT_UNUSABLE
