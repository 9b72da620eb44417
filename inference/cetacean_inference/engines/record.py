"""What is kept of a conversion: the files' digests, eager torch's answers, and all that it depends on.

What eager torch answers with given weights is measured once and recorded with them; every start measures what an engine
answers on the processor at hand, and compares.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files as package_files
from pathlib import Path
from typing import Final, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from cetacean_inference.engines.base import Converted, NetworkName
from cetacean_inference.models.prompts import default_prompts
from cetacean_inference.settings import Settings
from cetacean_inference.weights.cache import RECORD_FILE
from cetacean_inference.weights.fetch import Files
from cetacean_registry import file_sha256

PACKAGES: Final = ("openvino", "torch", "timm", "open_clip_torch")
CODE: Final = ("models", "engines")
"""The packages whose code decides what a network computes."""
MODEL_SETTINGS: Final = frozenset(
    {"architecture", "backbone", "input_size", "embedding_size", "num_classes_head", "num_classes_active"}
)


class Recorded(BaseModel):
    """One network."""

    model_config = ConfigDict(frozen=True)

    side: int
    answers: list[float]
    sha256: dict[str, str]
    """Of its files, by name."""

    @classmethod
    def of(cls, name: NetworkName, directory: Path, *, side: int, answers: list[float]) -> Self:
        """The network of that name in `directory`."""
        described = parts(directory, name)
        files = [file for one in described for file in (one, one.with_suffix(".bin"))]
        return cls(side=side, answers=answers, sha256={one.name: file_sha256(one) for one in files})


class Record(BaseModel):
    """Both, and what they were made from."""

    model_config = ConfigDict(frozen=True)

    made_from: dict[str, str | int | None]
    networks: dict[NetworkName, Recorded]

    def write(self, directory: Path) -> None:
        """Put it beside the networks."""
        (directory / RECORD_FILE).write_text(self.model_dump_json(indent=2), encoding="utf-8")


def origin(settings: Settings, files: Files) -> dict[str, str | int | None]:
    """Everything that what is converted depends on."""
    return {
        "checkpoint": files.checkpoint.sha256,
        "gate": files.gate_weights.sha256,
        "gate_config": files.gate_config.sha256 if files.gate_config else None,
        "gate_architecture": settings.gate.architecture,
        "prompts": default_prompts().sha256,
        **settings.model.model_dump(include=set(MODEL_SETTINGS)),
        **{name: _version(name) for name in PACKAGES},
        "code": _code(),
    }


def name_of(made_from: Mapping[str, str | int | None]) -> str:
    """The directory in the cache."""
    return f"networks-{hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:32]}"


def read(directory: Path, *, made_from: Mapping[str, str | int | None]) -> dict[NetworkName, Converted] | None:
    """The networks in `directory`; None when they are not there, not those, or damaged."""
    try:
        record = Record.model_validate_json((directory / RECORD_FILE).read_bytes())
        whole = record.made_from == made_from and all(
            file_sha256(directory / name) == sha256
            for one in record.networks.values()
            for name, sha256 in one.sha256.items()
        )
    except (OSError, ValidationError):
        return None
    if not whole:
        return None
    return {
        name: Converted(name, *parts(directory, name), one.side, np.array(one.answers, dtype=np.float32))
        for name, one in record.networks.items()
    }


def parts(directory: Path, name: NetworkName) -> tuple[Path, Path]:
    """The `.xml` of a network's trunk and of its head; their weights lie beside them in `.bin`."""
    return directory / f"{name}.xml", directory / f"{name}-head.xml"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _code() -> str:
    digest = hashlib.sha256()
    for name in CODE:
        folder = package_files(f"cetacean_inference.{name}")
        for file in sorted((one for one in folder.iterdir() if one.name.endswith(".py")), key=lambda one: one.name):
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
