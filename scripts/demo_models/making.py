"""Train the gate and all versions, and write them with their registry."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from cetacean_inference.models.prompts import default_prompts
from cetacean_registry import ModelEntry, Registry, file_sha256
from demo_models import recipe
from demo_models.gate import train_gate, write_gate
from demo_models.identification import State, train_identification, write_checkpoint
from demo_models.pictures import TrainingSet, known
from demo_models.recipe import Schedule, Version

NOWHERE = "http://weights.invalid"
"""Stands in the stored registry; whoever serves the weights says where they are (`DemoModels.registry`)."""


def make_models(
    folder: Path,
    pictures: TrainingSet,
    *,
    trained_at: str,
    show: Callable[[str], None],
    gate_schedule: Schedule = recipe.GATE_SCHEDULE,
    versions: Sequence[Version] = recipe.VERSIONS,
) -> None:
    """Train on `pictures` and write `gate/`, `weights/` and `registry.json` into the folder.

    Args:
        folder: where to.
        pictures: what they learn from.
        trained_at: ISO 8601.
        show: told of the progress.
        gate_schedule: how the gate is trained.
        versions: how the identification models are.
    """
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    show("training the gate")
    state = train_gate(
        torch.from_numpy(pictures.gate_images),
        torch.from_numpy(pictures.sorts),
        default_prompts(),
        schedule=gate_schedule,
        show=show,
    )
    write_gate(folder / "gate", state)
    images, individuals = torch.from_numpy(pictures.individual_images), torch.from_numpy(pictures.individuals)
    states: dict[str, State] = {}
    entries = []
    for version in versions:
        show(f"training {version.name}")
        start = states[version.starts_from] if version.starts_from else None
        states[version.name] = train_identification(images, individuals, version, start=start, show=show)
        path = f"weights/{version.name}/{version.name}.ckpt"
        write_checkpoint(folder / path, states[version.name], known())
        entries.append(_entry(version, path, sha256=file_sha256(folder / path), trained_at=trained_at))
    registry = Registry(active=recipe.ACTIVE, models=tuple(entries))
    (folder / "registry.json").write_text(registry.to_json(), encoding="utf-8")


def _entry(version: Version, path: str, *, sha256: str, trained_at: str) -> ModelEntry:
    return ModelEntry(
        name=version.name,
        display_name=version.display_name,
        version=version.version,
        architecture="CetaceanIdentificationModel",
        weights_url=f"{NOWHERE}/{path}",
        sha256=sha256,
        trained_at=trained_at,
        metrics_snapshot=f"reports/{version.name}.json",
        weights_path=path,
        backbone=recipe.BACKBONE,
        embedding_size=recipe.EMBEDDING_SIZE,
        num_classes_head=recipe.HEAD_ROWS,
        num_classes_active=len(known()),
        input_size=recipe.INPUT_SIZE,
        license="Apache-2.0",
        notes=version.notes,
    )
