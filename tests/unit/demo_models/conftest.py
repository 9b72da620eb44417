"""Models trained for one moment on a handful of pictures: they know nothing, but every file is there and real."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from cetacean_tools.demo_models import DemoModels, recipe
from cetacean_tools.demo_models.making import make_models
from cetacean_tools.demo_models.measuring import measure
from cetacean_tools.demo_models.pictures import draw_training_set, write_held_out
from cetacean_tools.demo_models.recipe import Counts, Schedule

Item = TypeVar("Item")
Result = TypeVar("Result")

ONE_PASS = Schedule(epochs=1, rate=1e-3, batch=40)
HELD_OUT = (("calibration", Counts(10_000, 1, 1)), ("test", Counts(20_000, 1, 1)))


class InThisProcess:
    """Draws here and now."""

    def map(self, work: Callable[[Item], Result], items: Iterable[Item], /) -> Iterable[Result]:
        return map(work, items)


@pytest.fixture(scope="session")
def workers() -> InThisProcess:
    return InThisProcess()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, workers: InThisProcess) -> DemoModels:
    """As `ensure_models` lays them out, but for the quality."""
    folder: Path = tmp_path_factory.mktemp("models")
    write_held_out(folder / "pictures", workers, splits=HELD_OUT, drifted_per_individual=1)
    make_models(
        folder,
        draw_training_set(workers, Counts(first=0, per_individual=1, per_other=1, per_aerial=1)),
        trained_at="2026-11-24",
        show=lambda _: None,
        gate_schedule=ONE_PASS,
        versions=[replace(version, schedule=ONE_PASS) for version in recipe.VERSIONS],
    )
    models = DemoModels(folder)
    measure(models, now="2026-11-24T12:00:00+00:00")
    return models
