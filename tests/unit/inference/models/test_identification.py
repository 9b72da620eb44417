"""Model classes by architecture name, with any backbone of timm."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torchvision import transforms

from cetacean_inference.errors import CheckpointMismatch, ConfigInvalid
from cetacean_inference.models.identification import CetaceanIdentificationModel, load_identification
from cetacean_inference.settings import ModelSettings
from cetacean_inference.weights.blob import Blob

CLASSES, KNOWN, EMBEDDING, SIDE = 7, 5, 8, 64
BLOB = Blob("https://weights.test/a.ckpt", "ab" * 32, Path("a.ckpt"))


def settings(backbone: str, **others: object) -> ModelSettings:
    return ModelSettings.model_validate(
        {
            "name": "tiny",
            "version": "1.0.0",
            "weights_url": BLOB.url,
            "backbone": backbone,
            "input_size": SIDE,
            "embedding_size": EMBEDDING,
            "num_classes_head": CLASSES,
            "num_classes_active": KNOWN,
            **others,
        }
    )


def checkpoint(backbone: str) -> io.BytesIO:
    torch.manual_seed(0)
    trained = CetaceanIdentificationModel(backbone=backbone, embedding_size=EMBEDDING, classes=CLASSES)
    stream = io.BytesIO()
    torch.save({"state_dict": trained.state_dict()}, stream)
    stream.seek(0)
    return stream


# The last two have a layer after the pooling; its width is head_hidden_size, not num_features.
@pytest.mark.parametrize(
    "backbone", ["test_resnet", "test_efficientnet", "mobilenetv3_small_050", "mobilenetv4_conv_small_050"]
)
def test_a_backbone_is_loaded_by_its_name(backbone: str) -> None:
    network = load_identification(checkpoint(backbone), BLOB, settings(backbone), pickle_allowed=True)
    pictures = torch.randint(0, 256, (2, SIDE, SIDE, 3), dtype=torch.uint8)
    with torch.inference_mode():
        probabilities = network(pictures)
    assert probabilities.shape == (2, KNOWN)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(2))


def test_the_probabilities_equal_the_trained_models() -> None:
    torch.manual_seed(0)
    trained = CetaceanIdentificationModel(backbone="test_resnet", embedding_size=EMBEDDING, classes=CLASSES).eval()
    pictures = torch.randint(0, 256, (3, SIDE, SIDE, 3), dtype=torch.uint8)
    prepare = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    )
    with torch.inference_mode():
        cosines = trained(torch.stack([prepare(one.numpy()) for one in pictures]))
        expected = (30 * cosines[:, :KNOWN]).softmax(dim=1)
        network = load_identification(checkpoint("test_resnet"), BLOB, settings("test_resnet"), pickle_allowed=True)
        torch.testing.assert_close(network(pictures), expected, atol=1e-5, rtol=0)


def altered(change: Callable[[dict[str, torch.Tensor]], object]) -> io.BytesIO:
    """Return a checkpoint after `change` modified its parameters."""
    content = torch.load(checkpoint("test_resnet"), weights_only=True)
    change(content["state_dict"])
    stream = io.BytesIO()
    torch.save(content, stream)
    stream.seek(0)
    return stream


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("arc.weight"), "1 missing: arc.weight"),
        (lambda state: state.update(head=torch.zeros(1)), "1 unexpected: head"),
        (
            lambda state: state.update({"embedding.bias": torch.zeros(9)}),
            r"1 of another shape: embedding\.bias \(expected 8, got 9\)",
        ),
        (lambda state: state["arc.weight"].fill_(float("nan")), "1 with NaN or infinity: arc.weight"),
    ],
    ids=["missing", "unexpected", "shape", "not a number"],
)
def test_the_error_names_a_wrong_parameter(change: Callable[[dict[str, torch.Tensor]], object], message: str) -> None:
    with pytest.raises(CheckpointMismatch, match=rf"a\.ckpt: .*{message}"):
        load_identification(altered(change), BLOB, settings("test_resnet"), pickle_allowed=True)


def test_a_checkpoint_of_another_backbone_is_an_error() -> None:
    with pytest.raises(CheckpointMismatch, match=r"a\.ckpt: expected the .* parameters"):
        load_identification(checkpoint("test_resnet"), BLOB, settings("test_efficientnet"), pickle_allowed=True)


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"backbone": "no_such_net"}, "model.backbone: expected a model of timm, got 'no_such_net'"),
        ({"architecture": "Another"}, "model.architecture: expected one of CetaceanIdentificationModel, got 'Another'"),
        ({"num_classes_active": 8}, "expected at most num_classes_head"),
    ],
)
def test_an_impossible_setting_is_an_error(others: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigInvalid, match=message):
        load_identification(
            checkpoint("test_resnet"), BLOB, settings("test_resnet").model_copy(update=others), pickle_allowed=True
        )
