"""Train the models that are not in the cache, measure them, and return them only if the demo can show what it needs.

A folder of trained models is named after the digest of the sources it comes from, and gets that name only
once it is complete.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from filelock import BaseFileLock, FileLock, Timeout

from cetacean_tools.demo_models.models import DemoModels
from cetacean_tools.workspace import REPOSITORY, ToolError, cache_root

Show = Callable[[str], None]
SOURCES: Final = (
    "scripts/cetacean_tools/demo_models/**/*.py",
    "inference/cetacean_evaluation/figures.py",
    "inference/cetacean_evaluation/manifest.py",
    "inference/cetacean_evaluation/outcomes.py",
    "inference/cetacean_evaluation/scoring.py",
    "inference/cetacean_evaluation/thresholds.py",
    "inference/cetacean_inference/decision.py",
    "inference/cetacean_inference/models/identification.py",
    "inference/cetacean_inference/imaging/preprocessing.py",
    "inference/cetacean_inference/models/prompts.txt",
    "models/cetacean_signing/*.py",
)
"""The files that the models and their figures depend on."""
KEPT_UNUSED_SECONDS: Final = 3 * 24 * 3600.0
"""Models of other sources are removed if they have not been used for so long."""


class TrainingError(ToolError):
    """The trained models are not what the demo needs; one line."""


def ensure_models(show: Show = print) -> DemoModels:
    """The demo's models, trained on the first call: about two minutes on two cores.

    Args:
        show: called with each line about the progress.

    Raises:
        TrainingError: the models are not good enough.
    """
    root = cache_root() / "demo-models"
    root.mkdir(parents=True, exist_ok=True)
    folder = root / sources_digest(REPOSITORY)
    if not folder.is_dir():
        with _acquired(FileLock(root / "train.lock"), show):
            if not folder.is_dir():
                train_models(folder, show)
                _remove_unused(root, keep=folder)
    os.utime(folder)
    return DemoModels(folder)


def sources_digest(repository: Path) -> str:
    """Sixteen hex digits that change with any of the files that the models depend on."""
    digest = hashlib.sha256()
    for pattern in SOURCES:
        for path in sorted(repository.glob(pattern)):
            digest.update(f"{path.relative_to(repository)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _acquired(lock: BaseFileLock, show: Show) -> AbstractContextManager[object]:
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        show("another process is training the demo's models, waiting for it")
        return lock.acquire()


def train_models(folder: Path, show: Show) -> None:
    """Train, measure and check the models; the folder appears under its name when all of it is there.

    Raises:
        TrainingError: the trained models do not fit the demo.
    """
    # torch and open_clip take seconds to import, which only training needs.
    from cetacean_tools.demo_models.checks import check  # noqa: PLC0415
    from cetacean_tools.demo_models.making import make_models  # noqa: PLC0415
    from cetacean_tools.demo_models.measuring import measure  # noqa: PLC0415
    from cetacean_tools.demo_models.pictures import draw_training_set, write_held_out  # noqa: PLC0415

    begun = time.monotonic()
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    show("drawing pictures")
    write_held_out(partial / "pictures")
    training_set = draw_training_set()
    many = len(training_set.sorts)
    show(f"  {many} to train on and {len(list(partial.rglob('*.jpg')))} held out, {time.monotonic() - begun:.0f} s")
    today = dt.datetime.now(dt.UTC)
    make_models(partial, training_set, trained_at=today.date().isoformat(), show=show)
    show("measuring them on the held-out pictures")
    drifted = measure(DemoModels(partial), now=today.isoformat(timespec="seconds"))
    if problems := check(DemoModels(partial), drifted_mean=drifted):
        raise TrainingError(f"the models trained in {partial} are not used: {'; '.join(problems)}")
    partial.rename(folder)
    show(f"the demo's models are in {folder}, {time.monotonic() - begun:.0f} s")


def _remove_unused(root: Path, *, keep: Path) -> None:
    for other in root.iterdir():
        if other.is_dir() and other != keep and time.time() - other.stat().st_mtime > KEPT_UNUSED_SECONDS:
            shutil.rmtree(other)
