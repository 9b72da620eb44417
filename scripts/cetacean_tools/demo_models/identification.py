"""Train the identification model with ArcFace, and write it as checkpoints of the field are."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cetacean_inference.models.identification import (
    ARCFACE_SCALE,
    IMAGENET_MEAN,
    IMAGENET_STD,
    CetaceanIdentificationModel,
)
from cetacean_inference.models.network import Normalise
from cetacean_inference.weights.fetch import CLASSES_FILE, SPECIES_FILE
from cetacean_tools.demo_models import recipe
from cetacean_tools.demo_models.drawing import Individual
from cetacean_tools.demo_models.recipe import Version
from cetacean_tools.demo_models.training import train

State = dict[str, Tensor]


def train_identification(
    images: Tensor, individuals: Tensor, version: Version, *, start: State | None, show: Callable[[str], None]
) -> State:
    """Train one version.

    Args:
        images: uint8 (N, S, S, 3).
        individuals: which row of the head each shows, (N,).
        version: how.
        start: parameters to continue from; random ones when None.
        show: told of the progress.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.SEED)
        model = CetaceanIdentificationModel(
            backbone=recipe.BACKBONE, embedding_size=recipe.EMBEDDING_SIZE, classes=recipe.HEAD_ROWS
        )
    if start is not None:
        model.load_state_dict(start)
    normalise = Normalise(IMAGENET_MEAN, IMAGENET_STD)

    def loss_of(batch: Tensor, indices: Tensor) -> Tensor:
        labels = individuals[indices]
        logits = with_margin(model(normalise(batch)), labels, version.margin) * ARCFACE_SCALE
        return functional.cross_entropy(logits, labels, label_smoothing=version.smoothing)

    generator = torch.Generator().manual_seed(recipe.SEED)
    train(images, loss_of, model.parameters(), schedule=version.schedule, generator=generator, show=show)
    return {key: tensor.detach().clone() for key, tensor in model.state_dict().items()}


def with_margin(cosine: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Make it harder: turn each picture away from its own row by `margin` radians.

    Deng et al., ArcFace (2019), equation 3; beyond π, where the cosine would rise again, its slope goes on.

    Args:
        cosine: (N, classes).
        labels: (N,).
        margin: radians.
    """
    angle = torch.acos(cosine.clamp(-1 + 1e-6, 1 - 1e-6))
    turned = torch.where(angle + margin < torch.pi, torch.cos(angle + margin), cosine - margin * np.sin(margin))
    return torch.where(functional.one_hot(labels, cosine.shape[1]).bool(), turned, cosine)


def write_checkpoint(path: Path, state: State, known: tuple[Individual, ...]) -> None:
    """Write the checkpoint, and the classes and species beside it."""
    path.parent.mkdir(parents=True)
    torch.save({"state_dict": state}, path)
    np.save(path.with_name(CLASSES_FILE), np.array([one.identifier for one in known]))
    with path.with_name(SPECIES_FILE).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("individual_id", "species"))
        writer.writerows((one.identifier, one.species) for one in known)
