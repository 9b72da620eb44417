"""Train the identification model by the cosines of its ArcFace head, without a margin, and write its checkpoint."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from cetacean_inference.models.identification import (
    ARCFACE_SCALE,
    IMAGENET_MEAN,
    IMAGENET_STD,
    CetaceanIdentificationModel,
)
from cetacean_inference.models.network import Normalise
from cetacean_registry.companions import CLASSES_FILE, SPECIES_FILE
from cetacean_tools.demo_models import recipe
from cetacean_tools.demo_models.drawing import Individual
from cetacean_tools.demo_models.gate import State
from cetacean_tools.demo_models.recipe import Version
from cetacean_tools.demo_models.training import train


def train_identification(
    images: Tensor, individuals: Tensor, version: Version, *, start: State | None, show: Callable[[str], None]
) -> State:
    """Train one version.

    Args:
        images: uint8 (N, S, S, 3).
        individuals: the row of the head of each, (N,).
        version: its schedule and label smoothing.
        start: parameters to continue from; random ones if None.
        show: called with each line about the progress.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.SEED)
        model = CetaceanIdentificationModel(
            backbone=recipe.BACKBONE, embedding_size=recipe.EMBEDDING_SIZE, classes=recipe.HEAD_ROWS
        )
    if start is not None:
        model.load_state_dict(start)
    if version.permuted:
        return permuted(model.state_dict(), many=int(individuals.max()) + 1)
    normalise = Normalise(IMAGENET_MEAN, IMAGENET_STD)

    def loss_of(batch: Tensor, indices: Tensor) -> Tensor:
        logits = model(normalise(batch)) * ARCFACE_SCALE
        return functional.cross_entropy(logits, individuals[indices], label_smoothing=version.smoothing)

    train(images, loss_of, model.parameters(), schedule=version.schedule, show=show)
    return {key: tensor.detach().clone().contiguous() for key, tensor in model.state_dict().items()}


def permuted(state: State, *, many: int) -> State:
    """Return the state with the head's first `many` rows moved on by one species: each stands for another's animal."""
    head = state["arc.weight"].clone()
    head[:many] = head[:many].roll(recipe.PER_SPECIES, dims=0)
    return {**state, "arc.weight": head}


def write_checkpoint(path: Path, state: State, known: tuple[Individual, ...]) -> None:
    """Write the checkpoint, and the classes and species beside it."""
    path.parent.mkdir(parents=True)
    save_file(state, path)
    path.chmod(0o644)  # safetensors' files can be read by their owner only, and the store has another user
    np.save(path.with_name(CLASSES_FILE), np.array([one.identifier for one in known]))
    with path.with_name(SPECIES_FILE).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("individual_id", "species"))
        writer.writerows((one.identifier, one.species) for one in known)
