"""Identification of individuals: model classes by architecture name.

`CetaceanIdentificationModel` is a timm backbone, global average pooling, a linear embedding, L2, and the cosine to the
ArcFace rows of the individuals. The margin is used in training only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import IO, Final, Protocol

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.models.network import Network, Normalise
from cetacean_inference.models.state_dict import load_strictly, read_state
from cetacean_inference.settings import ModelSettings
from cetacean_inference.weights.blob import Blob

ARCFACE_SCALE: Final = 30.0
IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)


class ArcFaceRows(nn.Module):
    """The head: one row per individual of the training set, (classes, embedding)."""

    def __init__(self, classes: int, embedding: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, embedding))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))


class CetaceanIdentificationModel(nn.Module):
    """The parameters as the checkpoint names them: `model.*`, `embedding.*`, `arc.weight`.

    Args:
        backbone: timm name; the model has no classifier.
        embedding_size: length of the embedding.
        classes: rows of the ArcFace head.
    """

    def __init__(self, *, backbone: str, embedding_size: int, classes: int) -> None:
        super().__init__()
        self.model = timm.create_model(backbone, pretrained=False, num_classes=0, global_pool="avg")
        # MobileNetV3 and similar models have another layer after the pooling, which `num_features` does not count.
        features = getattr(self.model, "head_hidden_size", None) or self.model.num_features
        self.embedding = nn.Linear(features, embedding_size)
        self.arc = ArcFaceRows(classes, embedding_size)

    def forward(self, images: Tensor) -> Tensor:
        """Cosine of each normalised picture (N, 3, H, W) to each row: (N, classes)."""
        embedded = functional.normalize(self.embedding(self.model(images)))
        return functional.linear(embedded, functional.normalize(self.arc.weight))


class IdentificationHead(nn.Module):
    """Turns pooled features into probabilities of the known individuals; the rows are normalised once.

    Args:
        trained: gives the embedding and the rows.
        known: number of known individuals: the first rows.
    """

    rows: Tensor

    def __init__(self, trained: CetaceanIdentificationModel, *, known: int) -> None:
        super().__init__()
        self.embedding = trained.embedding
        self.register_buffer(
            "rows", functional.normalize(trained.arc.weight.detach()[:known]).clone(), persistent=False
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, F) → (N, known)."""
        embedded = functional.normalize(self.embedding(features))
        return functional.softmax(functional.linear(embedded, self.rows) * ARCFACE_SCALE, dim=1)


def identification_network(trained: CetaceanIdentificationModel, *, known: int) -> Network:
    """Build the network that serves: uint8 (N, S, S, 3) → probabilities of the known individuals (N, known)."""
    trunk = nn.Sequential(Normalise(IMAGENET_MEAN, IMAGENET_STD), trained.model)
    return Network(trunk, IdentificationHead(trained, known=known)).eval()


class Loader(Protocol):
    """Reads a checkpoint of one architecture."""

    def __call__(self, stream: IO[bytes], blob: Blob, settings: ModelSettings, *, pickle_allowed: bool) -> Network:
        """Read the checkpoint; raises an `errors.FatalError`."""


def load_arcface(stream: IO[bytes], blob: Blob, settings: ModelSettings, *, pickle_allowed: bool) -> Network:
    """Read a .safetensors checkpoint, or a pickled one: a state dict, alone or under the key `state_dict`.

    Other top-level keys beside `state_dict` (Lightning writes some) are ignored.

    Raises:
        ConfigInvalid: timm has no such backbone, or more individuals are known than the head has rows.
        CheckpointMismatch: the parameters are not exactly the architecture's.
    """
    if settings.num_classes_active > settings.num_classes_head:
        raise ConfigInvalid(
            f"model.num_classes_active: expected at most num_classes_head ({settings.num_classes_head}), "
            f"got {settings.num_classes_active}"
        )
    if not timm.is_model(settings.backbone):
        raise ConfigInvalid(f"model.backbone: expected a model of timm, got {settings.backbone!r}")
    state = read_state(stream, blob, pickle_allowed=pickle_allowed)
    trained = CetaceanIdentificationModel(
        backbone=settings.backbone, embedding_size=settings.embedding_size, classes=settings.num_classes_head
    )
    load_strictly(trained, state, url=blob.url)
    return identification_network(trained, known=settings.num_classes_active)


ARCHITECTURES: Final[Mapping[str, Loader]] = MappingProxyType({"CetaceanIdentificationModel": load_arcface})


def load_identification(stream: IO[bytes], blob: Blob, settings: ModelSettings, *, pickle_allowed: bool) -> Network:
    """Load the network of the registry entry's architecture: uint8 (N, S, S, 3) → probabilities (N, known).

    Args:
        stream: the checkpoint.
        blob: its URL and digest.
        settings: the registry entry.
        pickle_allowed: take a pickled checkpoint; it should be False if the entry has no digest.

    Raises:
        ConfigInvalid: no such architecture.
        CheckpointMismatch: the parameters are not the architecture's.
    """
    if (load := ARCHITECTURES.get(settings.architecture)) is None:
        raise ConfigInvalid(
            f"model.architecture: expected one of {', '.join(ARCHITECTURES)}, got {settings.architecture!r}"
        )
    return load(stream, blob, settings, pickle_allowed=pickle_allowed)
