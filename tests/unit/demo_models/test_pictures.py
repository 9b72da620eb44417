"""The splits: disjoint, each subject in each, and files that say what they show."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from PIL import Image

from cetacean_evaluation.manifest import read_manifest
from cetacean_tools.demo_models import DemoModels, recipe
from cetacean_tools.demo_models.drawing import SCENES, SPECIES, WEATHERS
from cetacean_tools.demo_models.pictures import Drawing, draw_training_set, drawings, known
from cetacean_tools.demo_models.recipe import Counts

HELD_OUT = dict(recipe.HELD_OUT)


def test_there_are_more_rows_than_known_individuals_as_in_the_field() -> None:
    assert len(known()) == recipe.PER_SPECIES * len(SPECIES) < recipe.HEAD_ROWS


def test_no_picture_is_in_two_splits() -> None:
    splits = [set(drawings(counts)) for counts in (recipe.TRAINING, *HELD_OUT.values())]
    assert len(set().union(*splits)) == sum(map(len, splits))


@pytest.mark.parametrize("split", [recipe.TRAINING, *HELD_OUT.values()])
def test_the_first_pictures_of_a_split_already_show_every_subject(split: Counts) -> None:
    """A demo that sends the first fifty must not show two species only."""
    animals = [drawing.subject for drawing in drawings(split) if drawing.individual][: len(known())]
    assert animals == list(range(len(known())))
    others = [drawing.subject for drawing in drawings(split) if not drawing.individual][: len(SCENES) - 1]
    assert others == [*SCENES[:-1]]


def test_files_have_names_of_their_own() -> None:
    for counts in HELD_OUT.values():
        names = [drawing.name for drawing in drawings(counts)]
        assert len(set(names)) == len(names)
    assert Drawing(3, 20_001).name == f"{known()[3].identifier}-20001"
    assert Drawing("boat", 20_001).name == "boat-20001"


def test_a_drifted_picture_shows_the_same_scene_and_the_weathers_take_turns() -> None:
    clear = [Drawing(subject, 20_000) for subject in range(3)]
    drifted = [replace(one, drifted=True) for one in clear]
    assert {kind for one in drifted for kind in WEATHERS if kind in one.name} == set(WEATHERS)
    for before, after in zip(clear, drifted, strict=True):
        assert before.draw().tobytes() != after.draw().tobytes()
        assert after.individual == before.individual


def test_a_jpeg_is_the_drawing_but_for_what_jpeg_loses() -> None:
    drawing = Drawing(0, 1)
    decoded = Image.open(io.BytesIO(drawing.jpeg()))
    assert decoded.format == "JPEG"
    assert decoded.size == drawing.draw().size
    assert drawing.jpeg() == drawing.jpeg()


def test_a_training_set_holds_the_pictures_that_each_network_takes() -> None:
    made = draw_training_set(Counts(first=0, per_individual=1, per_other=2, aerial=1))
    cetaceans, everything = len(known()), len(known()) + 1 + 2 * (len(SCENES) - 1)
    assert made.gate_images.shape == (everything, recipe.GATE_SIDE, recipe.GATE_SIDE, 3)
    assert made.individual_images.shape == (cetaceans, recipe.INPUT_SIZE, recipe.INPUT_SIZE, 3)
    assert made.individuals.tolist() == list(range(cetaceans))
    assert set(made.sorts.tolist()) == set(range(len(SPECIES) + len(SCENES)))


def test_the_manifest_names_the_subjects_of_the_files(tiny: DemoModels) -> None:
    pictures = read_manifest(tiny.folder / "pictures/manifest.csv", split="test")
    by_id = {one.identifier: one for one in known()}
    cetaceans = [picture for picture in pictures if picture.cetacean]
    assert {picture.individual_id for picture in cetaceans} == set(by_id)
    for picture in cetaceans:
        shown = by_id[picture.individual_id or ""]
        assert picture.species == shown.species
        assert shown.identifier in picture.path.name
    assert all(picture.individual_id is None for picture in pictures if not picture.cetacean)
