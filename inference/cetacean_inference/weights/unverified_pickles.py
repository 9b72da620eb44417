"""The rule for pickled checkpoints: they need a digest that the registry names.

A pickle is a program. It is read as data (models.pickled_state), but this is the second barrier, not the first one.
"""

from __future__ import annotations

from cetacean_inference.errors import CheckpointMismatch
from cetacean_inference.weights.blob import Blob
from cetacean_inference.weights.file_kinds import HEAD_BYTES, is_pickle


def require_digest_of_pickle(blob: Blob, *, sha256: str | None, allowed: bool) -> None:
    """Refuse a pickled checkpoint for which no digest is set.

    Args:
        blob: the file.
        sha256: the digest that the configuration names.
        allowed: the setting `fetch.allow_unverified_pickle`.

    Raises:
        CheckpointMismatch: with the ways out.
    """
    if sha256 or allowed:
        return
    with blob.path.open("rb") as stream:
        if is_pickle(stream.read(HEAD_BYTES)):
            raise unverified_pickle(blob.url)


def unverified_pickle(url: str) -> CheckpointMismatch:
    """Return the error for a pickled checkpoint without a digest."""
    return CheckpointMismatch(
        f"{url}: expected a .safetensors file, or a sha256 for a pickled checkpoint (.ckpt, .pt), got neither "
        "- save it as .safetensors, set its sha256, or set CETACEAN_FETCH__ALLOW_UNVERIFIED_PICKLE=true"
    )
