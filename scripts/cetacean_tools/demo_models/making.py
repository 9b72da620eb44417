"""Train the gate and all versions, and write them with their registry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cetacean_inference.models.prompts import default_prompts
from cetacean_inference.system.openmp import num_threads
from cetacean_registry.digests import file_sha256
from cetacean_registry.registry import ModelEntry, Registry
from cetacean_signing import Signer, sign
from cetacean_tools.demo_models import recipe
from cetacean_tools.demo_models.gate import State, train_gate, write_gate
from cetacean_tools.demo_models.identification import train_identification, write_checkpoint
from cetacean_tools.demo_models.pictures import TrainingSet, known
from cetacean_tools.demo_models.recipe import Schedule, Version

NOWHERE = "http://weights.invalid"
"""Stands in the stored registry; `DemoModels.registry` puts the address of the weights' server in its place."""


def make_models(
    folder: Path,
    pictures: TrainingSet,
    *,
    trained_at: str,
    show: Callable[[str], None],
    gate_schedule: Schedule = recipe.GATE_SCHEDULE,
    versions: Sequence[Version] = recipe.VERSIONS,
) -> None:
    """Train on `pictures` and write `gate/`, `weights/`, `demo.pub` and `registry.json` into the folder.

    Args:
        folder: where to.
        pictures: the training set.
        trained_at: ISO 8601.
        show: called with each line about the progress.
        gate_schedule: of the gate's training.
        versions: the identification models, each after the one it starts from.
    """
    torch.set_num_threads(num_threads())
    show("training the gate")
    gate = train_gate(pictures.gate_images, pictures.sorts, default_prompts(), schedule=gate_schedule, show=show)
    write_gate(folder / "gate", gate)
    key = ec.generate_private_key(ec.SECP256R1())  # kept in memory only: nobody else can sign as the demo
    (folder / "demo.pub").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    states: dict[str, State] = {}
    entries = []
    for version in versions:
        show(f"{'permuting' if version.permuted else 'training'} {version.name}")
        start = states[version.starts_from] if version.starts_from else None
        state = train_identification(pictures.individual_images, pictures.individuals, version, start=start, show=show)
        states[version.name] = state
        path = f"weights/{version.name}/{version.name}.safetensors"
        write_checkpoint(folder / path, state, known())
        files = {one.name: file_sha256(one) for one in (folder / path).parent.iterdir()}
        (folder / f"{path}.sig").write_bytes(sign(files, Signer(key), subject=version.name))
        entries.append(_entry(version, path, sha256=file_sha256(folder / path), trained_at=trained_at))
    registry = Registry(active=recipe.ACTIVE, models=tuple(entries))
    (folder / "registry.json").write_text(registry.to_json(), encoding="utf-8")


def _entry(version: Version, path: str, *, sha256: str, trained_at: str) -> ModelEntry:
    return ModelEntry(
        name=version.name,
        display_name=f"Drawn cetaceans {version.version}",
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
