"""The anti-fraud gate: does the picture show a marine mammal at all?

An open_clip model compares the picture with fixed prompts. Their embeddings are computed once and kept beside the
weights; the text tower is then dropped.
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
import torch
from open_clip.transformer import VisionTransformer
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from cetacean_inference.errors import CheckpointMismatch, GateUnavailable
from cetacean_inference.models.network import Network, Normalise
from cetacean_inference.models.prompts import Prompts
from cetacean_inference.models.statedict import load_strictly, read_pickled, read_safetensors
from cetacean_inference.weights.cache import Blob, write_atomically

logger = logging.getLogger(__name__)

CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Final = (0.26862954, 0.26130258, 0.27577711)
LOGIT_SCALE: Final = 100.0
SAFETENSORS_HEAD: Final = 9
"""Eight bytes of length, then the header's brace."""


class GateHead(nn.Module):
    """From what the image tower sees to the cetacean score.

    Args:
        projection: to where the prompts are, (F, D); None when the tower projects.
        texts: normalised embeddings of the prompts, positive ones first, (P, D).
        positive: how many prompts are positive.
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
    """What serves: bytes in, cetacean score out, (N,).

    Args:
        visual: the image tower; (N, 3, S, S) → (N, D), not normalised. A transformer loses its projection to the head.
        texts: normalised embeddings of the prompts, positive ones first, (P, D).
        positive: how many prompts are positive.
    """
    projection = None
    if isinstance(visual, VisionTransformer):
        projection, visual.proj = visual.proj, None
    trunk = nn.Sequential(Normalise(CLIP_MEAN, CLIP_STD), visual)
    return Network(trunk, GateHead(projection, texts=texts, positive=positive)).eval()


def load_gate(
    stream: IO[bytes], blob: Blob, *, architecture: str, config: str | None, prompts: Prompts, derived: Path
) -> tuple[Network, int]:
    """The gate's network and the side of its input in pixels.

    Args:
        stream: the weights, a `torch.save`d state dict or a safetensors file.
        blob: what they are.
        architecture: open_clip's name of the model; only a name when `config` is given.
        config: open_clip model configuration (JSON) of a model that open_clip does not know.
        prompts: what pictures are compared with.
        derived: where the prompts' embeddings are kept.

    Raises:
        GateUnavailable: when the model cannot be built from what is there.
    """
    with tempfile.TemporaryDirectory() as directory:
        name = _described(config, Path(directory)) if config else architecture
        model = _build(name)
        try:
            load_strictly(model, _read_state(stream, blob), url=blob.url)
        except CheckpointMismatch as error:
            raise GateUnavailable(str(error)) from error
        model.eval()
        kept = derived / f"text-embeddings-{blob.sha256[:16]}-{prompts.sha256[:16]}.safetensors"
        texts = _read_texts(kept, blob.sha256, prompts)
        if texts is None:
            texts = embed_texts(model, _tokenizer(name), prompts)
            _keep_texts(kept, texts, blob.sha256, prompts)
    return gate_network(model.visual, texts=texts, positive=len(prompts.positive)), _side(model)


def embed_texts(model: Any, tokenizer: Any, prompts: Prompts) -> Tensor:
    """Normalised embeddings of the prompts, (P, D)."""
    with torch.inference_mode():
        texts: Tensor = model.encode_text(tokenizer(list(prompts.all)), normalize=True)
    return texts.clone()


def _described(config: str, directory: Path) -> str:
    """Make a custom configuration known to open_clip, by a folder and so without changing its global list."""
    try:
        content = json.loads(config)
        content = content if "model_cfg" in content else {"model_cfg": content}
    except (ValueError, TypeError) as error:
        raise GateUnavailable(
            f"gate.config_url: expected an open_clip model configuration in JSON, got: {error}"
        ) from error
    (directory / "open_clip_config.json").write_text(json.dumps(content), encoding="utf-8")
    return f"local-dir:{directory}"


def _build(name: str) -> Any:
    try:
        with _quiet():
            return open_clip.create_model(name, pretrained=None, load_weights=False, pretrained_text=False)
    except (RuntimeError, KeyError, TypeError, ValueError, AssertionError) as error:
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise GateUnavailable(
            f"gate.architecture: expected a model that open_clip can build, got: {message}"
        ) from error


def _tokenizer(name: str) -> Any:
    try:
        with _quiet():
            return open_clip.get_tokenizer(name)
    except (OSError, ImportError, ValueError) as error:
        raise GateUnavailable(f"gate.architecture: expected a tokenizer that needs no network, got: {error}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what open_clip logs on the root logger: that weights are random, as they are until we load them."""

    def not_open_clip(record: logging.LogRecord) -> bool:
        return "open_clip" not in record.pathname

    root = logging.getLogger()
    root.addFilter(not_open_clip)
    try:
        yield
    finally:
        root.removeFilter(not_open_clip)


def _read_state(stream: IO[bytes], blob: Blob) -> dict[str, Tensor]:
    head = stream.read(SAFETENSORS_HEAD)
    stream.seek(0)
    if head[8:] == b"{":
        return read_safetensors(stream, blob)
    content = read_pickled(stream, blob)
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise GateUnavailable(f"{blob.url}: expected a state dict, got {type(content).__name__}")
    return state


def _side(model: Any) -> int:
    size = model.visual.image_size
    height, width = size if isinstance(size, (tuple, list)) else (size, size)
    if height != width:
        raise GateUnavailable(f"gate.architecture: expected a square input, got {height}x{width}")
    return int(height)


def _read_texts(path: Path, gate_sha256: str, prompts: Prompts) -> Tensor | None:
    try:
        with safe_open(path, framework="pt") as kept:
            if kept.metadata() != {"gate": gate_sha256, "prompts": prompts.sha256}:
                return None
            texts: Tensor = kept.get_tensor("texts")
    except (OSError, SafetensorError):
        return None
    return texts if texts.shape[0] == len(prompts.all) and torch.isfinite(texts).all() else None


def _keep_texts(path: Path, texts: Tensor, gate_sha256: str, prompts: Prompts) -> None:
    content = save({"texts": texts.contiguous()}, metadata={"gate": gate_sha256, "prompts": prompts.sha256})
    try:
        write_atomically(path, content)
    except OSError as error:
        # A read-only mount: they are computed again at the next start, which costs a moment and nothing else.
        logger.info("the prompts' embeddings are not kept: %s", error)
