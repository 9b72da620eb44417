"""Which individual a picture shows: model classes by architecture name.

`CetaceanIdentificationModel` is a timm backbone, global average pooling, a linear embedding, L2, and the cosine to the
ArcFace rows of the individuals. Training's margin plays no part here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import IO, Final

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from cetacean_inference.errors import CheckpointMismatch, ConfigInvalid
from cetacean_inference.models.statedict import load_strictly, read_pickled
from cetacean_inference.settings import ModelSettings
from cetacean_inference.weights.cache import Blob

ARCFACE_SCALE: Final = 30.0
IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)


class Normalise(nn.Module):
    """Bytes to what a model was trained on: uint8 (N, H, W, 3), RGB → float32 (N, 3, H, W)."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Scale to 0..1, then by mean and deviation."""
        scaled = images.permute(0, 3, 1, 2).to(self.mean.dtype) / 255
        return (scaled - self.mean) / self.std


class ArcFaceRows(nn.Module):
    """The head: one row per individual of the training set, (classes, embedding)."""

    def __init__(self, classes: int, embedding: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, embedding))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))


class CetaceanIdentificationModel(nn.Module):
    """The parameters as the checkpoint names them: `model.*`, `embedding.*`, `arc.weight`.

    Args:
        backbone: timm name; its classifier is left out.
        embedding_size: length of the embedding.
        classes: rows of the ArcFace head.
    """

    def __init__(self, *, backbone: str, embedding_size: int, classes: int) -> None:
        super().__init__()
        self.model = timm.create_model(backbone, pretrained=False, num_classes=0, global_pool="avg")
        # What comes out: MobileNetV3 and its kin have one more layer after the pooling than `num_features` tells of.
        features = getattr(self.model, "head_hidden_size", None) or self.model.num_features
        self.embedding = nn.Linear(features, embedding_size)
        self.arc = ArcFaceRows(classes, embedding_size)

    def forward(self, images: Tensor) -> Tensor:
        """Cosine of each normalised picture (N, 3, H, W) to each row: (N, classes)."""
        embedded = functional.normalize(self.embedding(self.model(images)))
        return functional.linear(embedded, functional.normalize(self.arc.weight))


class IdentificationNetwork(nn.Module):
    """What serves: bytes in, probabilities of the known individuals out; the rows are normalised once."""

    rows: Tensor

    def __init__(self, trained: CetaceanIdentificationModel, *, known: int) -> None:
        super().__init__()
        self.normalise = Normalise(IMAGENET_MEAN, IMAGENET_STD)
        self.backbone = trained.model
        self.embedding = trained.embedding
        self.register_buffer(
            "rows", functional.normalize(trained.arc.weight.detach()[:known]).clone(), persistent=False
        )

    def forward(self, images: Tensor) -> Tensor:
        """uint8 (N, S, S, 3) → probabilities (N, known)."""
        embedded = functional.normalize(self.embedding(self.backbone(self.normalise(images))))
        return functional.softmax(functional.linear(embedded, self.rows) * ARCFACE_SCALE, dim=1)


Loader = Callable[[IO[bytes], Blob, ModelSettings], nn.Module]


def load_arcface(stream: IO[bytes], blob: Blob, settings: ModelSettings) -> nn.Module:
    """Read a checkpoint `{"state_dict": …}`; other top-level keys (Lightning writes some) are ignored.

    Raises:
        ConfigInvalid: when timm has no such backbone, or more individuals are known than the head has rows.
        CheckpointMismatch: when the checkpoint is not exactly this architecture's.
    """
    if settings.num_classes_active > settings.num_classes_head:
        raise ConfigInvalid(
            f"model.num_classes_active: expected at most num_classes_head ({settings.num_classes_head}), "
            f"got {settings.num_classes_active}"
        )
    if not timm.is_model(settings.backbone):
        raise ConfigInvalid(f"model.backbone: expected a model of timm, got {settings.backbone!r}")
    checkpoint = read_pickled(stream, blob)
    state = checkpoint.get("state_dict") if isinstance(checkpoint, Mapping) else None
    if not isinstance(state, Mapping):
        got = sorted(map(str, checkpoint))[:3] if isinstance(checkpoint, Mapping) else type(checkpoint).__name__
        raise CheckpointMismatch(f"{blob.url}: expected a mapping with the key state_dict, got {got}")
    trained = CetaceanIdentificationModel(
        backbone=settings.backbone, embedding_size=settings.embedding_size, classes=settings.num_classes_head
    )
    load_strictly(trained, state, url=blob.url)
    return IdentificationNetwork(trained, known=settings.num_classes_active).eval()


ARCHITECTURES: Final[Mapping[str, Loader]] = MappingProxyType({"CetaceanIdentificationModel": load_arcface})


def load_identification(stream: IO[bytes], blob: Blob, settings: ModelSettings) -> nn.Module:
    """The network of the registry entry's architecture: uint8 (N, S, S, 3) → probabilities (N, known).

    Raises:
        ConfigInvalid: when no such architecture is known.
        CheckpointMismatch: when the checkpoint is not this architecture's.
    """
    if (load := ARCHITECTURES.get(settings.architecture)) is None:
        raise ConfigInvalid(
            f"model.architecture: expected one of {', '.join(ARCHITECTURES)}, got {settings.architecture!r}"
        )
    return load(stream, blob, settings)
