"""The files that belong together: a checkpoint and those beside it, a gate and its configuration.

The cache records them together when a fetch has ended well. A file without a digest may change under its URL, so
without the record a checkpoint could be loaded with the classes of another one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from cetacean_inference.errors import GateUnavailable
from cetacean_inference.settings import GateSettings, MaskSettings, ModelSettings
from cetacean_inference.weights.sources import sibling
from cetacean_registry.companions import COMPANION_FILES

DEFAULT_GATE = ("ViT-B-32", "laion2b_s34b_b79k")
DEFAULT_GATE_URL = "hf://laion/CLIP-ViT-B-32-laion2B-s34B-b79K/open_clip_model.safetensors"
"""open_clip's URL of that gate, repeated here so that a process that serves it never imports open_clip."""


@dataclass(frozen=True, slots=True)
class WantedFile:
    """A file as the settings name it."""

    url: str
    sha256: str | None
    """None if the settings name no digest."""
    small: bool = False
    """It is read into memory, and has a lower bound."""


FileSet = tuple[WantedFile, ...]


def key_of(files: FileSet) -> str:
    """Return the key of a set's record: the same URLs and digests have the same one."""
    return json.dumps([(file.url, file.sha256) for file in files])


def model_files(model: ModelSettings) -> FileSet:
    """Return the checkpoint, the classes and the species map."""
    beside = (WantedFile(sibling(model.weights_url, name), model.files.get(name), True) for name in COMPANION_FILES)
    return (WantedFile(model.weights_url, model.sha256), *beside)


def gate_files(gate: GateSettings) -> FileSet:
    """Return the gate's configuration, if it has one, and then its weights.

    Raises:
        GateUnavailable: open_clip does not have the pretrained tag.
    """
    config = (WantedFile(gate.config_url, gate.config_sha256, True),) if gate.config_url else ()
    return (*config, WantedFile(gate_url(gate), gate.sha256))


def mask_files(mask: MaskSettings) -> FileSet:
    """Return the network that makes masks."""
    return (WantedFile(mask.weights_url, mask.sha256),)


def gate_url(gate: GateSettings) -> str:
    """Return the URL of the gate's weights; open_clip has those of its own pretrained tags.

    Raises:
        GateUnavailable: open_clip has no such tag, no single file for it, or no repository with revisions.
    """
    if gate.weights_url:
        return gate.weights_url
    revision = f"@{gate.revision}" if gate.revision else ""
    if (gate.architecture, gate.pretrained) == DEFAULT_GATE:
        return DEFAULT_GATE_URL + revision
    from open_clip import pretrained  # noqa: PLC0415 - imports torch, which takes seconds and memory

    known = pretrained.get_pretrained_cfg(gate.architecture, gate.pretrained or "")
    if repository := known.get("hf_hub", "").rstrip("/"):
        return f"hf://{repository}/{pretrained.HF_SAFE_WEIGHTS_NAME}{revision}"
    if (url := known.get("url")) and revision:
        raise GateUnavailable(f"gate.revision: expected a pretrained tag of the Hub, got {gate.pretrained!r} at {url}")
    if url:
        return str(url)
    raise GateUnavailable(f"open_clip: expected a pretrained tag of {gate.architecture}, got {gate.pretrained!r}")
