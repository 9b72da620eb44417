"""The drawn pictures: a training set in memory, and held-out splits as JPEG files with a manifest.

pictures/manifest.csv            of the splits `calibration` and `test`
pictures/<split>/<subject>-<number>.jpg
pictures/drifted/<number>-<individual>-<weather>.jpg
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cetacean_evaluation.manifest import CETACEAN, NON_CETACEAN, write_manifest
from cetacean_inference.imaging.preprocessing import crop_centre, squash
from cetacean_tools.demo_models import recipe
from cetacean_tools.demo_models.captions import SORTS
from cetacean_tools.demo_models.drawing import (
    SCENES,
    WEATHERS,
    Individual,
    draw_cetacean,
    draw_scene,
    individuals,
    weather,
)
from cetacean_tools.demo_models.recipe import Counts


@dataclass(frozen=True, slots=True)
class Drawing:
    """One picture, before it is drawn."""

    subject: int | str
    """Index into the known individuals, or one of `SCENES`."""
    number: int
    drifted: bool = False
    """If the picture of an individual is drawn in bad weather."""

    @property
    def individual(self) -> Individual | None:
        """The animal that it shows, None if it shows a scene."""
        return None if isinstance(self.subject, str) else known()[self.subject]

    @property
    def sort(self) -> int:
        """Index into `SORTS`."""
        return SORTS.index(self.individual.species if self.individual else self.subject)

    @property
    def name(self) -> str:
        """Of its file, without suffix."""
        subject = self.individual.identifier if self.individual else self.subject
        # The number comes first, so that the first files in alphabetical order show many animals.
        return f"{self.number}-{subject}-{self._weather}" if self.drifted else f"{subject}-{self.number}"

    @property
    def _weather(self) -> str:
        return WEATHERS[(self.number + int(self.subject)) % len(WEATHERS)]

    def draw(self) -> Image.Image:
        """Draw it."""
        if isinstance(self.subject, str):
            return draw_scene(self.subject, recipe.SEED, self.number)
        clear = draw_cetacean(known()[self.subject], recipe.SEED, self.number)
        rng = np.random.default_rng([recipe.SEED, 4, self.subject, self.number])
        return weather(self._weather, clear, rng) if self.drifted else clear

    def jpeg(self) -> bytes:
        """Draw it and encode it."""
        encoded = io.BytesIO()
        self.draw().save(encoded, "JPEG", quality=90)
        return encoded.getvalue()


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Pictures as the two networks take them, and what they show."""

    gate_images: Tensor
    """uint8 (N, S, S, 3)."""
    sorts: Tensor
    """(N,), indices into `SORTS`."""
    individual_images: Tensor
    """uint8 (M, T, T, 3)."""
    individuals: Tensor
    """(M,), indices into `known()`."""


def known() -> tuple[Individual, ...]:
    """The individuals that the models know, in the order of the head's rows."""
    return individuals(recipe.SEED, recipe.PER_SPECIES)


def drawings(counts: Counts) -> Iterator[Drawing]:
    """All pictures of a split, subject after subject, so that the first few already show all of them."""
    *others, aerial = SCENES
    animals = range(len(known()))
    for subjects, many in ((animals, counts.per_individual), (others, counts.per_other), ([aerial], counts.aerial)):
        for number in range(counts.first, counts.first + many):
            yield from (Drawing(subject, number) for subject in subjects)


def draw_training_set(counts: Counts = recipe.TRAINING) -> TrainingSet:
    """Draw a training set; every picture goes through JPEG, as those do that the service gets."""
    wanted = list(drawings(counts))
    images = [Image.open(io.BytesIO(drawing.jpeg())) for drawing in wanted]
    animals = [
        (squash(image, recipe.INPUT_SIZE), drawing.subject)
        for image, drawing in zip(images, wanted, strict=True)
        if drawing.individual
    ]
    return TrainingSet(
        gate_images=torch.from_numpy(np.stack([crop_centre(image, recipe.GATE_SIDE) for image in images])),
        sorts=torch.tensor([drawing.sort for drawing in wanted]),
        individual_images=torch.from_numpy(np.stack([image for image, _ in animals])),
        individuals=torch.tensor([subject for _, subject in animals]),
    )


def write_held_out(
    folder: Path,
    *,
    splits: Sequence[tuple[str, Counts]] = recipe.HELD_OUT,
    drifted_per_individual: int = recipe.DRIFTED_PER_INDIVIDUAL,
) -> None:
    """Draw the held-out splits into a folder and write their manifest.

    Args:
        folder: where to.
        splits: names and sizes; of the last one's cetaceans some are drawn again, drifted.
        drifted_per_individual: how many of each.
    """
    rows = []
    for split, counts in splits:
        wanted = list(drawings(counts))
        _write(folder / split, wanted)
        rows += [
            {
                "relpath": f"{split}/{drawing.name}.jpg",
                "label": CETACEAN if drawing.individual else NON_CETACEAN,
                "individual_id": drawing.individual.identifier if drawing.individual else "",
                "species": drawing.individual.species if drawing.individual else "",
                "source": "drawn by program",
                "license": "Apache-2.0",
                "split": split,
            }
            for drawing in wanted
        ]
    write_manifest(folder / "manifest.csv", rows)
    _, last = splits[-1]
    again = drawings(Counts(last.first, per_individual=drifted_per_individual, per_other=0))
    _write(folder / "drifted", [replace(drawing, drifted=True) for drawing in again])


def _write(folder: Path, wanted: Sequence[Drawing]) -> None:
    folder.mkdir(parents=True)
    for drawing in wanted:
        (folder / f"{drawing.name}.jpg").write_bytes(drawing.jpeg())
