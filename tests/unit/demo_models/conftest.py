"""Models trained for a moment on few pictures: they recognise nothing, but all their files are real."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cetacean_tools.demo_models import DemoModels, recipe
from cetacean_tools.demo_models.making import make_models
from cetacean_tools.demo_models.measuring import measure
from cetacean_tools.demo_models.pictures import draw_training_set, write_held_out
from cetacean_tools.demo_models.recipe import Counts, Schedule

ONE_PASS = Schedule(epochs=1, rate=1e-3, batch=40)
HELD_OUT = (("calibration", Counts(10_000, 1, 1)), ("test", Counts(20_000, 1, 1)))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> DemoModels:
    """In a folder as `ensure_models` makes it, but not trained to be good."""
    folder: Path = tmp_path_factory.mktemp("models")
    write_held_out(folder / "pictures", splits=HELD_OUT, drifted_per_individual=1)
    make_models(
        folder,
        draw_training_set(Counts(first=0, per_individual=1, per_other=1, aerial=1)),
        trained_at="2026-11-24",
        show=lambda _: None,
        gate_schedule=ONE_PASS,
        versions=[replace(version, schedule=ONE_PASS) for version in recipe.VERSIONS],
    )
    models = DemoModels(folder)
    measure(models, now="2026-11-24T12:00:00+00:00")
    return models
