"""Embeddings of the gate's prompts: computed once for given weights and kept in the cache as a safetensors file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from cetacean_inference.models.prompts import Prompts
from cetacean_inference.weights.cache import write_atomically

logger = logging.getLogger(__name__)


class TextEmbeddings:
    """The file with the embeddings for one gate and one set of prompts.

    Args:
        derived: directory of files computed from weights.
        gate_sha256: digest of the gate's weights.
        prompts: the texts.
    """

    def __init__(self, derived: Path, *, gate_sha256: str, prompts: Prompts) -> None:
        self._path = derived / f"text-embeddings-{gate_sha256[:16]}-{prompts.sha256[:16]}.safetensors"
        self._made_from = {"gate": gate_sha256, "prompts": prompts.sha256}
        self._count = len(prompts.all)

    def read(self) -> Tensor | None:
        """Read normalised embeddings, (P, D); None if they are missing, damaged, or made from other weights."""
        try:
            with safe_open(self._path, framework="pt") as stored:
                if stored.metadata() != self._made_from:
                    return None
                embeddings: Tensor = stored.get_tensor("texts")
        except (OSError, SafetensorError):
            return None
        return embeddings if embeddings.shape[0] == self._count and torch.isfinite(embeddings).all() else None

    def write(self, embeddings: Tensor) -> None:
        """Store embeddings, (P, D); a read-only volume is logged, and they are computed again at the next start."""
        try:
            write_atomically(self._path, save({"texts": embeddings.contiguous()}, metadata=self._made_from))
        except OSError as error:
            logger.info("the prompts' embeddings are not stored: %s", error)


def embed_texts(model: Any, tokenizer: Any, prompts: Prompts) -> Tensor:
    """Compute normalised embeddings of the prompts, (P, D).

    Args:
        model: an open_clip model with its text tower.
        tokenizer: the model's tokenizer.
        prompts: the texts.
    """
    with torch.inference_mode():
        embeddings: Tensor = model.encode_text(tokenizer(list(prompts.all)), normalize=True)
    return embeddings.clone()
