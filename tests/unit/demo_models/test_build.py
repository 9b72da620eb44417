"""Models are trained once for the same sources; a failed training leaves no folder under the final name."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from cetacean_tools.demo_models import TrainingError, build, ensure_models
from cetacean_tools.workspace import REPOSITORY

Trainer = Callable[[Path, Callable[[str], None]], None]


class Trainings:
    """Stands in for training; counts."""

    def __init__(self) -> None:
        self.folders: list[Path] = []

    def __call__(self, folder: Path, show: Callable[[str], None]) -> None:
        self.folders.append(folder)
        folder.mkdir()


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Trainings:
    made = Trainings()
    monkeypatch.setenv("CETACEAN_CACHE", str(tmp_path))
    monkeypatch.setattr(build, "train_models", made)
    return made


def sources(repository: Path) -> None:
    for pattern in (
        "scripts/cetacean_tools/demo_models",
        "inference/cetacean_evaluation",
        "inference/cetacean_inference",
        "models/cetacean_signing",
    ):
        shutil.copytree(REPOSITORY / pattern, repository / pattern)


def test_models_are_trained_once(trainings: Trainings, tmp_path: Path) -> None:
    first, second = ensure_models(lambda _: None), ensure_models(lambda _: None)
    assert first == second
    assert trainings.folders == [first.folder]
    assert first.folder.parent == tmp_path / "demo-models"


def test_the_digest_changes_only_with_files_that_models_depend_on(tmp_path: Path) -> None:
    sources(tmp_path)
    before = build.sources_digest(tmp_path)
    assert before == build.sources_digest(REPOSITORY)
    for path in ("inference/cetacean_evaluation/report.py", "inference/cetacean_inference/settings.py"):
        (tmp_path / path).write_text("# changed")
    assert build.sources_digest(tmp_path) == before
    seen = {before}
    for path in (
        "scripts/cetacean_tools/demo_models/recipe.py",
        "scripts/cetacean_tools/demo_models/drawing/canvas.py",
        "inference/cetacean_evaluation/figures.py",
        "inference/cetacean_inference/models/prompts.txt",
        "models/cetacean_signing/sign.py",
    ):
        (tmp_path / path).write_text("# changed")
        seen.add(build.sources_digest(tmp_path))
    assert len(seen) == 6


def test_every_pattern_of_sources_matches_something() -> None:
    assert all(list(REPOSITORY.glob(pattern)) for pattern in build.SOURCES)


def test_a_second_process_waits_and_finds_the_models(trainings: Trainings, tmp_path: Path) -> None:
    said = threading.Event()
    found: list[Path] = []
    root = tmp_path / "demo-models"
    root.mkdir()

    def second() -> None:
        found.append(ensure_models(lambda line: said.set() if "another process" in line else None).folder)

    thread = threading.Thread(target=second)
    with FileLock(root / "train.lock"):
        thread.start()
        assert said.wait(30)
        (root / build.sources_digest(REPOSITORY)).mkdir()
    thread.join(30)
    assert found == [root / build.sources_digest(REPOSITORY)]
    assert trainings.folders == []


def test_models_that_are_not_good_enough_are_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CETACEAN_CACHE", str(tmp_path))

    def failing(folder: Path, _: Callable[[str], None]) -> None:
        folder.with_suffix(".partial").mkdir()
        raise TrainingError("expected better")

    monkeypatch.setattr(build, "train_models", failing)
    with pytest.raises(TrainingError, match="expected better"):
        ensure_models(lambda _: None)
    assert not (tmp_path / "demo-models" / build.sources_digest(REPOSITORY)).exists()


def test_models_of_other_sources_are_removed_when_unused(trainings: Trainings, tmp_path: Path) -> None:
    root = tmp_path / "demo-models"
    long_ago, lately = root / "0000000000000000", root / "1111111111111111"
    for folder in (long_ago, lately):
        folder.mkdir(parents=True)
    old = time.time() - build.KEPT_UNUSED_SECONDS - 60
    os.utime(long_ago, (old, old))
    kept = ensure_models(lambda _: None).folder
    assert not long_ago.exists()
    assert lately.exists()
    assert kept.exists()
