"""The anti-fraud gate: scores how likely a picture shows a marine mammal.

An open_clip model compares the picture with fixed prompts. The prompts are embedded once and stored in the
cache; the text tower is not kept in memory.
"""

from __future__ import annotations

import contextlib
import json
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import open_clip
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional

from cetacean_inference.errors import CheckpointMismatch, GateUnavailable
from cetacean_inference.messages import one_line
from cetacean_inference.models.network import Network, Normalise
from cetacean_inference.models.prompts import Prompts
from cetacean_inference.models.state_dict import load_strictly, read_state
from cetacean_inference.models.text_embeddings import TextEmbeddings, embed_texts
from cetacean_inference.weights.blob import Blob

logger = logging.getLogger(__name__)

CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Final = (0.26862954, 0.26130258, 0.27577711)
LOGIT_SCALE: Final = 100.0


class GateHead(nn.Module):
    """Turns the image tower's features into the cetacean score.

    Args:
        projection: to the space of the prompts, (F, D); None if the tower projects.
        texts: normalised embeddings of the prompts, positive ones first, (P, D).
        positive: number of positive prompts.
    """

    texts: Tensor

    def __init__(self, projection: nn.Parameter | None, *, texts: Tensor, positive: int) -> None:
        super().__init__()
        self.projection = projection
        self.positive = positive
        self.register_buffer("texts", texts, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """(N, F) → sum of the softmax over the positive prompts, (N,)."""
        projected = features if self.projection is None else features @ self.projection
        embedded = functional.normalize(projected, dim=-1)
        likelihoods = functional.softmax(functional.linear(embedded, self.texts) * LOGIT_SCALE, dim=-1)
        return likelihoods[:, : self.positive].sum(dim=-1)


def gate_network(visual: nn.Module, *, texts: Tensor, positive: int) -> Network:
    """Build the network that serves: uint8 (N, S, S, 3) → cetacean scores (N,).

    Args:
        visual: the image tower; (N, 3, S, S) → (N, D), not normalised. A transformer's projection moves to the head.
        texts: normalised embeddings of the prompts, positive ones first, (P, D).
        positive: number of positive prompts.
    """
    projection = None
    if isinstance(visual, VisionTransformer):
        projection, visual.proj = visual.proj, None
    trunk = nn.Sequential(Normalise(CLIP_MEAN, CLIP_STD), visual)
    return Network(trunk, GateHead(projection, texts=texts, positive=positive)).eval()


def load_gate(
    stream: IO[bytes],
    blob: Blob,
    *,
    architecture: str,
    config: bytes | None,
    prompts: Prompts,
    derived: Path,
    pickle_allowed: bool,
) -> tuple[Network, int]:
    """Load the gate; returns its network and the side of its input in pixels.

    Args:
        stream: the weights, a safetensors file or a state dict of `torch.save`.
        blob: their URL and digest.
        architecture: open_clip's name of the model; only a label if `config` is given.
        config: JSON configuration of a model that is not one of open_clip's own.
        prompts: the texts that pictures are compared with.
        derived: directory that stores the prompts' embeddings.
        pickle_allowed: take a file of `torch.save`; it should be False if no digest is set.

    Raises:
        GateUnavailable: the model cannot be built from these files.
    """
    with tempfile.TemporaryDirectory() as directory:
        name = _write_config(config, Path(directory)) if config else architecture
        model = _build(name)
        try:
            load_strictly(model, read_state(stream, blob, pickle_allowed=pickle_allowed), url=blob.url)
        except CheckpointMismatch as error:
            raise GateUnavailable(str(error)) from error
        model.eval()
        stored = TextEmbeddings(derived, gate_sha256=blob.sha256, prompts=prompts)
        if (texts := stored.read()) is None:
            texts = embed_texts(model, _tokenizer(name), prompts)
            stored.write(texts)
    return gate_network(model.visual, texts=texts, positive=len(prompts.positive)), _side(model)


def _write_config(config: bytes, directory: Path) -> str:
    """Write a custom configuration into a folder and return its name for open_clip, whose own list stays unchanged."""
    try:
        content = json.loads(config)
        content = content if "model_cfg" in content else {"model_cfg": content}
    except (ValueError, TypeError, RecursionError) as error:
        raise GateUnavailable(
            f"gate.config_url: expected an open_clip model configuration in JSON, got: {one_line(error)}"
        ) from error
    (directory / "open_clip_config.json").write_text(json.dumps(content), encoding="utf-8")
    return f"local-dir:{directory}"


def _build(name: str) -> Any:
    try:
        with _without_open_clip_logs():
            return open_clip.create_model(name, pretrained=None, load_weights=False, pretrained_text=False)
    except Exception as error:  # a configuration of a stranger reaches the constructors of many layers
        raise GateUnavailable(
            f"gate.architecture: expected a model that open_clip can build, got: {one_line(error)}"
        ) from error


def _tokenizer(name: str) -> Any:
    try:
        with _without_open_clip_logs():
            return open_clip.get_tokenizer(name)
    except (OSError, ImportError, ValueError) as error:
        raise GateUnavailable(f"gate.architecture: expected a tokenizer that needs no network, got: {error}") from error


@contextlib.contextmanager
def _without_open_clip_logs() -> Iterator[None]:
    """Suppress open_clip's records on the root logger, such as the warning that the weights are still random."""

    def not_open_clip(record: logging.LogRecord) -> bool:
        return "open_clip" not in record.pathname

    root = logging.getLogger()
    root.addFilter(not_open_clip)
    try:
        yield
    finally:
        root.removeFilter(not_open_clip)


def _side(model: Any) -> int:
    size = model.visual.image_size
    height, width = size if isinstance(size, (tuple, list)) else (size, size)
    if height != width:
        raise GateUnavailable(f"gate.architecture: expected a square input, got {height}x{width}")
    return int(height)
