"""The drawn pictures: a training set in memory, and held-out splits as JPEG files with a manifest.

pictures/manifest.csv            of the splits `calibration` and `test`
pictures/<split>/<subject>-<number>.jpg
pictures/drifted/<number>-<subject>-<weather>-<individual>.jpg
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from cetacean_evaluation.manifest import CETACEAN, NON_CETACEAN, write_manifest
from cetacean_inference.imaging.preprocessing import Pixels, crop_centre, squash
from cetacean_tools.demo_models import recipe
from cetacean_tools.demo_models.captions import SORTS
from cetacean_tools.demo_models.drawing import (
    OTHERS,
    SPECIES,
    WEATHERS,
    Individual,
    draw_aerial,
    draw_cetacean,
    draw_other,
    individuals,
    weather,
)
from cetacean_tools.demo_models.recipe import Counts
from cetacean_tools.demo_models.workers import Mapping

JPEG_QUALITY: Final = 90
Kind = Literal["cetacean", "aerial", "other", "drifted"]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Drawing:
    """One picture, before it is drawn."""

    kind: Kind
    subject: int
    """Which of the known individuals, of `SPECIES` (aerial) or of `OTHERS`."""
    number: int

    @property
    def individual(self) -> Individual:
        """Of a `cetacean` or `drifted` picture."""
        return known()[self.subject]

    @property
    def name(self) -> str:
        """Of its file, without suffix."""
        match self.kind:
            case "cetacean":
                return f"{self.individual.identifier}-{self.number}"
            case "drifted":
                return f"{self.number}-{self.subject:02}-{self._weather}-{self.individual.identifier}"
            case "aerial":
                return f"aerial-{SPECIES[self.subject]}-{self.number}"
            case "other":
                return f"{OTHERS[self.subject]}-{self.number}"

    @property
    def sort(self) -> int:
        """Index into `SORTS`; a drifted picture has none."""
        match self.kind:
            case "aerial":
                subject = SPECIES[self.subject]
            case "other":
                subject = OTHERS[self.subject]
            case _:
                subject = self.individual.species
        return SORTS.index((self.kind, subject))

    @property
    def _weather(self) -> Literal["fog", "night", "blur"]:
        return WEATHERS[(self.number + self.subject) % len(WEATHERS)]

    def draw(self) -> Image.Image:
        """Draw it."""
        match self.kind:
            case "cetacean":
                return draw_cetacean(self.individual, recipe.SEED, self.number)
            case "drifted":
                clear = draw_cetacean(self.individual, recipe.SEED, self.number)
                return weather(self._weather, clear, recipe.SEED, self.subject * 1000 + self.number)
            case "aerial":
                return draw_aerial(SPECIES[self.subject], recipe.SEED, self.number)
            case "other":
                return draw_other(OTHERS[self.subject], recipe.SEED, self.number)

    def jpeg(self) -> bytes:
        """Draw it and encode it."""
        encoded = io.BytesIO()
        self.draw().save(encoded, "JPEG", quality=JPEG_QUALITY)
        return encoded.getvalue()


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Pictures as the two networks take them, and what they show."""

    gate_images: Pixels
    """(N, S, S, 3)."""
    sorts: Indices
    """(N,), indices into `SORTS`."""
    individual_images: Pixels
    """(M, T, T, 3)."""
    individuals: Indices
    """(M,), indices into `known()`."""


def known() -> tuple[Individual, ...]:
    """The individuals that the models know, in the order of the head's rows."""
    return individuals(recipe.SEED, recipe.PER_SPECIES)


def drawings(counts: Counts) -> Iterator[Drawing]:
    """All pictures of a split, subject after subject, so that the first few already show all of them."""
    groups: tuple[tuple[Kind, int, int], ...] = (
        ("cetacean", len(known()), counts.per_individual),
        ("aerial", len(SPECIES), counts.per_aerial),
        ("other", len(OTHERS), counts.per_other),
    )
    for kind, subjects, many in groups:
        for number in range(counts.first, counts.first + many):
            for subject in range(subjects):
                yield Drawing(kind, subject, number)


def draw_training_set(workers: Mapping, counts: Counts = recipe.TRAINING) -> TrainingSet:
    """Draw a training set; every picture goes through JPEG, as those do that the service gets."""
    wanted = list(drawings(counts))
    pairs = list(workers.map(_prepared, wanted))
    of_individuals = [index for index, drawing in enumerate(wanted) if drawing.kind == "cetacean"]
    return TrainingSet(
        gate_images=np.stack([gate for gate, _ in pairs]),
        sorts=np.array([drawing.sort for drawing in wanted]),
        individual_images=np.stack([pairs[index][1] for index in of_individuals]),
        individuals=np.array([wanted[index].subject for index in of_individuals]),
    )


def write_held_out(
    folder: Path,
    workers: Mapping,
    *,
    splits: Sequence[tuple[str, Counts]] = recipe.HELD_OUT,
    drifted_per_individual: int = recipe.DRIFTED_PER_INDIVIDUAL,
) -> None:
    """Draw the held-out splits into a folder and write their manifest.

    Args:
        folder: where to.
        workers: who draws.
        splits: names and sizes; of the last one's cetaceans some are drawn again, drifted.
        drifted_per_individual: how many of each.
    """
    rows = []
    for split, counts in splits:
        wanted = list(drawings(counts))
        _write(folder / split, wanted, workers)
        rows += [_row(split, drawing) for drawing in wanted]
    write_manifest(folder / "manifest.csv", rows)
    _, last = splits[-1]
    again = (drawing for drawing in drawings(last) if drawing.kind == "cetacean")
    many = drifted_per_individual * len(known())
    _write(folder / "drifted", [replace(drawing, kind="drifted") for drawing in islice(again, many)], workers)


def _prepared(drawing: Drawing) -> tuple[Pixels, Pixels]:
    image = Image.open(io.BytesIO(drawing.jpeg()))
    return crop_centre(image, recipe.GATE_SIDE), squash(image, recipe.INPUT_SIZE)


def _write(folder: Path, wanted: list[Drawing], workers: Mapping) -> None:
    folder.mkdir(parents=True)
    for drawing, content in zip(wanted, workers.map(Drawing.jpeg, wanted), strict=True):
        (folder / f"{drawing.name}.jpg").write_bytes(content)


def _row(split: str, drawing: Drawing) -> dict[str, str]:
    animal = drawing.individual if drawing.kind == "cetacean" else None
    return {
        "relpath": f"{split}/{drawing.name}.jpg",
        "label": CETACEAN if animal else NON_CETACEAN,
        "individual_id": animal.identifier if animal else "",
        "species": animal.species if animal else "",
        "source": "drawn by program",
        "license": "Apache-2.0",
        "split": split,
    }
