"""The record of a conversion: digests of the files and everything that the result depends on.

Each network has its own: models of one gate share the converted gate. Eager torch's outputs for given weights are
measured once, during conversion. At every start they are compared with the outputs of an engine on this processor.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files as package_files
from pathlib import Path
from typing import Final, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from cetacean_inference.engines.base import ConvertedNetwork
from cetacean_inference.models.prompts import default_prompts
from cetacean_inference.settings import Settings
from cetacean_inference.types import NetworkName
from cetacean_inference.weights.cache import RECORD_FILE
from cetacean_inference.weights.fetch import WeightFiles
from cetacean_registry.digests import file_sha256

PACKAGES: Final[Mapping[NetworkName, tuple[str, ...]]] = {
    "gate": ("openvino", "torch", "timm", "open_clip_torch"),
    "identification": ("openvino", "torch", "timm"),
}
"""The packages whose versions determine a network's outputs."""
CODE: Final = ("models", "engines", "imaging")
"""Our own packages whose code does."""
MODEL_SETTINGS: Final = frozenset(
    {"architecture", "backbone", "input_size", "embedding_size", "num_classes_head", "num_classes_active"}
)

_DIGESTS: Final = frozenset({"weights", "config"})
"""Of the files that a network was made from."""
Origin = Mapping[str, str | int | None]


class ConversionRecord(BaseModel):
    """The record of one network."""

    model_config = ConfigDict(frozen=True)

    made_from: dict[str, str | int | None]
    side: int
    sha256: dict[str, str]
    """Digests of the network's files, by file name."""

    @classmethod
    def of(cls, name: NetworkName, directory: Path, *, side: int, made_from: Origin) -> Self:
        """Describe the network of that name in `directory`."""
        files = [file for one in parts(directory, name) for file in (one, one.with_suffix(".bin"))]
        files.append(reference_file(directory, name))
        return cls(made_from=dict(made_from), side=side, sha256={one.name: file_sha256(one) for one in files})

    def write(self, directory: Path) -> None:
        """Write it into the directory of the network."""
        (directory / RECORD_FILE).write_text(self.model_dump_json(indent=2), encoding="utf-8")


def origin(name: NetworkName, settings: Settings, files: WeightFiles) -> Origin:
    """Return everything that a converted network depends on: weights, settings, packages and code."""
    digests: dict[str, str | int | None] = {"weights": files.of(name).sha256}
    if name == "gate":
        digests["config"] = files.gate_config.sha256 if files.gate_config else None
    return _without_files(name, settings) | digests


def _without_files(name: NetworkName, settings: Settings) -> dict[str, str | int | None]:
    """Return what a converted network depends on beside the files that it was made from."""
    made_from: dict[str, str | int | None] = {
        **{package: _version(package) for package in PACKAGES[name]},
        "network": name,
        "code": _code_digest(),
    }
    if name == "gate":
        return made_from | {"architecture": settings.gate.architecture, "prompts": default_prompts().sha256}
    return made_from | settings.model.model_dump(include=set(MODEL_SETTINGS))


def converted_weights(settings: Settings, derived: Path) -> frozenset[str]:
    """Return the digests of weights whose converted networks are recorded in a cache, for these settings.

    The networks are not verified, and if the settings name no digest of the gate's configuration, that may be another.

    Args:
        settings: all of them.
        derived: the directory of converted networks.
    """
    wanted = [_without_files(name, settings) for name in PACKAGES]
    config = settings.gate.config_sha256
    found = (_made_from(file) for file in derived.glob(f"network-*/{RECORD_FILE}"))
    return frozenset(
        weights
        for made_from in found
        if {key: value for key, value in made_from.items() if key not in _DIGESTS} in wanted
        and (config is None or made_from.get("config", config) == config)
        and isinstance(weights := made_from.get("weights"), str)
    )


def _made_from(record: Path) -> Origin:
    try:
        return ConversionRecord.model_validate_json(record.read_bytes()).made_from
    except (OSError, ValidationError):
        return {}


def directory_name(made_from: Origin) -> str:
    """Return the name of the directory in the cache."""
    digest = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()
    return f"network-{made_from['network']}-{digest[:32]}"


def read(name: NetworkName, directory: Path, *, made_from: Origin) -> ConvertedNetwork | None:
    """Read the network in `directory`; None if it is missing, damaged, or made from something else."""
    try:
        record = ConversionRecord.model_validate_json((directory / RECORD_FILE).read_bytes())
        intact = record.made_from == made_from and all(
            file_sha256(directory / file) == sha256 for file, sha256 in record.sha256.items()
        )
    except (OSError, ValidationError):
        return None
    if not intact:
        return None
    return ConvertedNetwork(name, *parts(directory, name), record.side, np.load(reference_file(directory, name)))


def parts(directory: Path, name: NetworkName) -> tuple[Path, Path]:
    """Return the `.xml` files of a network's trunk and head; their weights are in `.bin` files of the same names."""
    return directory / f"{name}.xml", directory / f"{name}-head.xml"


def reference_file(directory: Path, name: NetworkName) -> Path:
    """Return the file of eager torch's outputs; see `base.ConvertedNetwork.reference`."""
    return directory / f"{name}-reference.npy"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def _code_digest() -> str:
    digest = hashlib.sha256()
    for name in CODE:
        folder = package_files(f"cetacean_inference.{name}")
        for file in sorted((one for one in folder.iterdir() if one.name.endswith(".py")), key=lambda one: one.name):
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
