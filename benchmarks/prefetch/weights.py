"""A model of the demo whose head has so many more random rows that its file has the wanted size."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from safetensors.torch import save_file

from cetacean_inference.models.state_dict import read_state
from cetacean_inference.weights.blob import Blob
from cetacean_registry.digests import file_sha256
from cetacean_registry.registry import ModelEntry

HEAD: Final = "arc.weight"


def enlarge(source: Path, target: Path, entry: ModelEntry, *, size: int, seed: int) -> ModelEntry:
    """Write the model with a larger head; the rows that stand for known individuals stay the same.

    Args:
        source: the checkpoint.
        target: the file to write.
        entry: the model's.
        size: of the file, in bytes.
        seed: of the random rows: another seed gives another digest.

    Returns:
        The entry of the larger model; its URL is not changed.
    """
    with source.open("rb") as stream:
        state = dict(read_state(stream, Blob(str(source), str(entry.sha256), source), pickle_allowed=True))
    known = state[HEAD]
    rows = (size - source.stat().st_size) // (known.shape[1] * known.element_size())
    more = torch.empty(rows, known.shape[1]).uniform_(-0.1, 0.1, generator=torch.Generator().manual_seed(seed))
    save_file({**state, HEAD: torch.cat([known, more])}, target)
    return entry.model_copy(update={"sha256": file_sha256(target), "num_classes_head": rows + known.shape[0]})
