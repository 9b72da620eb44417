"""The gate: scores equal open_clip's, prompts are embedded once, and the text tower is not kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from support.inference_world import make_settings
from support.tiny_weights import GATE, sections, sha256
from torch import nn
from torchvision import transforms

from cetacean_inference.errors import GateUnavailable
from cetacean_inference.imaging.preprocessing import crop_centre
from cetacean_inference.models import gate, text_embeddings
from cetacean_inference.models.loading import load_network
from cetacean_inference.models.prompts import default_prompts
from cetacean_inference.models.text_embeddings import TextEmbeddings, embed_texts
from cetacean_inference.settings import Settings
from cetacean_inference.weights.blob import Blob
from cetacean_inference.weights.fetch import fetch_all, locate_all, open_cache
from cetacean_inference.weights.verified import VerifiedFiles

VOCABULARY = 49408
"""Rows of the text tower's largest parameter."""


@pytest.fixture
def settings(weights: Path, tmp_path: Path) -> Settings:
    settings = make_settings(tmp_path, **sections(weights.as_uri()))
    fetch_all(settings)
    return settings


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of prompts of each call of `embed_texts`."""
    times: list[int] = []
    really: Callable[..., torch.Tensor] = embed_texts

    def noting(model: Any, tokenizer: Any, prompts: Any) -> torch.Tensor:
        times.append(len(prompts.all))
        return really(model, tokenizer, prompts)

    monkeypatch.setattr(gate, "embed_texts", noting)
    return times


def load(settings: Settings) -> nn.Module:
    with VerifiedFiles(open_cache(settings)) as verified:
        network, side = load_network("gate", settings, files=locate_all(settings), verified=verified)
    assert side == 32
    return network


def scores(network: nn.Module, *pictures: Image.Image) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = network(torch.from_numpy(np.stack([crop_centre(one, 32) for one in pictures])))
    return found


def pictures(count: int) -> list[Image.Image]:
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 256, (50, 70, 3), dtype=np.uint8)) for _ in range(count)]


def test_the_score_equals_open_clips(settings: Settings, weights: Path) -> None:
    model: Any = open_clip.CLIP(**GATE)
    model.load_state_dict(load_file(weights / "gate.safetensors"))
    model.eval()
    shown = pictures(3)
    prepare = transforms.Compose(
        [
            transforms.Resize(32, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(32),
            transforms.ToTensor(),
            transforms.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
        ]
    )
    prompts = default_prompts()
    assert (len(prompts.positive), len(prompts.negative)) == (10, 14)
    with torch.inference_mode():
        images = model.encode_image(torch.stack([prepare(one) for one in shown]), normalize=True)
        texts = model.encode_text(open_clip.get_tokenizer("ViT-B-32")(list(prompts.all)), normalize=True)
        expected = (100 * images @ texts.T).softmax(dim=-1)[:, :10].sum(dim=-1)
    torch.testing.assert_close(scores(load(settings), *shown), expected, atol=1e-5, rtol=0)


def test_the_prompts_have_the_wording_that_the_threshold_was_calibrated_with() -> None:
    """A new wording, or another order, changes every score: calibrate the threshold again, then change the digest here."""
    assert default_prompts().sha256 == "43d0dfed0bd7e89621418e6c44e4b5175ec087606da69e3f3eb8982cc6d173af"


def test_the_prompts_are_embedded_once_and_stored_by_digest(
    settings: Settings, weights: Path, embedded: list[int]
) -> None:
    shown = pictures(2)
    first, again = scores(load(settings), *shown), scores(load(settings), *shown)
    assert embedded == [24]
    torch.testing.assert_close(first, again)
    (kept,) = open_cache(settings).derived.iterdir()
    assert sha256(weights / "gate.safetensors")[:16] in kept.name
    assert default_prompts().sha256[:16] in kept.name


@pytest.mark.parametrize("content", [b"", b"words", None], ids=["empty", "words", "of other weights"])
def test_damaged_or_foreign_embeddings_are_computed_again(
    settings: Settings, embedded: list[int], content: bytes | None
) -> None:
    expected = scores(load(settings), *pictures(2))
    (kept,) = open_cache(settings).derived.iterdir()
    if content is None:
        other = TextEmbeddings(kept.parent / "other", gate_sha256="ab" * 32, prompts=default_prompts())
        other.write(torch.zeros(24, 16))
        (written,) = (kept.parent / "other").iterdir()
        written.replace(kept)
        written.parent.rmdir()
    else:
        kept.write_bytes(content)
    torch.testing.assert_close(scores(load(settings), *pictures(2)), expected)
    assert embedded == [24, 24]


def test_on_a_read_only_volume_the_prompts_are_embedded_at_each_start(
    settings: Settings, embedded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(path: Path, content: bytes) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(text_embeddings, "write_atomically", read_only)
    load(settings)
    load(settings)
    assert embedded == [24, 24]


def test_the_text_tower_is_not_kept_in_memory(settings: Settings) -> None:
    whole: Any = open_clip.CLIP(**GATE)
    assert any(VOCABULARY in parameter.shape for parameter in whole.parameters())
    network = load(settings)
    kept = {name: tensor.shape for name, tensor in (*network.named_parameters(), *network.named_buffers())}
    assert not [name for name, shape in kept.items() if VOCABULARY in shape]
    assert sum(one.numel() for one in network.parameters()) == sum(one.numel() for one in whole.visual.parameters())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (b"\xff\xfe", "in JSON, got: "),
        (b"<html>", "in JSON, got: "),
        (b"[" * 100_000, "in JSON, got: "),
        (b"7", "in JSON, got: "),
        (b"[]", "that open_clip can build, got: "),
        (b"{}", "that open_clip can build, got: "),
        (b'{"embed_dim": 16, "vision_cfg": 5, "text_cfg": {}}', "that open_clip can build, got: "),
        (b'{"embed_dim": -1, "vision_cfg": {"width": "a"}, "text_cfg": {}}', "that open_clip can build, got: "),
        (b'{"embed_dim": 16, "vision_cfg": {"width": 1e9}, "text_cfg": null}', "that open_clip can build, got: "),
    ],
)
def test_a_configuration_that_makes_no_model_is_an_error(
    weights: Path, tmp_path: Path, config: bytes, message: str
) -> None:
    with (weights / "gate.safetensors").open("rb") as stream, pytest.raises(GateUnavailable) as caught:
        gate.load_gate(
            stream,
            Blob("https://weights.test/gate.safetensors", "ab" * 32, weights / "gate.safetensors"),
            architecture="tiny-clip",
            config=config,
            prompts=default_prompts(),
            derived=tmp_path,
            pickle_allowed=False,
        )
    assert message in caught.value.line
    assert caught.value.line.isprintable()
