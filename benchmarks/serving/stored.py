"""The networks in the formats that engines read, made once and kept in the cache, and the manifest that peers load."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, get_args

from benchmarks.converted import converted
from benchmarks.material import environment, write_weights
from benchmarks.serving.peers.networks import Stored

from cetacean_inference.engines.base import ConvertedNetworks
from cetacean_inference.engines.conversion_record import directory_name, origin
from cetacean_inference.settings import Settings, load_settings
from cetacean_inference.types import NetworkName
from cetacean_inference.weights.fetch import fetch_all, locate_all, open_verified
from cetacean_registry.companions import CLASSES_FILE, SPECIES_FILE
from cetacean_tools.workspace import cache_root

NETWORKS: Final[tuple[NetworkName, ...]] = get_args(NetworkName)
FILES: Final = cache_root() / "benchmarks" / "serving"
WEIGHTS: Final = cache_root() / "benchmarks" / "inference"
"""The same weights as those of `make bench-inference`."""


def our_environment() -> dict[str, str]:
    """Return our service's environment; writes the weights first if they do not exist."""
    write_weights(WEIGHTS)
    FILES.mkdir(parents=True, exist_ok=True)
    return {**environment(WEIGHTS), "CETACEAN_HTTP__INTERNAL_PORT": "0"}


def load_our_settings() -> Settings:
    """Read our service's settings from the environment, and copy the weights into its cache."""
    settings = load_settings()
    fetch_all(settings)
    return settings


def stored(settings: Settings) -> dict[NetworkName, dict[str, Stored]]:
    """Return each network's files by engine; writes those that do not exist."""
    files = locate_all(settings)
    folder = FILES / "-".join(directory_name(origin(name, settings, files)) for name in NETWORKS)
    ours = converted(settings)
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _export(settings, folder, sides={name: ours[name].side for name in NETWORKS})
        (folder / "complete").touch()
    return {name: _by_engine(folder, name, ours) for name in NETWORKS}


def _by_engine(folder: Path, name: NetworkName, ours: ConvertedNetworks) -> dict[str, Stored]:
    one, whole = ours[name], (folder / f"{name}.xml",)
    return {
        "openvino-split": Stored("openvino-split", (one.trunk, one.head), one.side),
        "openvino": Stored("openvino", whole, one.side),
        "openvino-fp32": Stored("openvino-fp32", whole, one.side),
        "onnxruntime": Stored("onnxruntime", (folder / f"{name}.onnx",), one.side),
    }


def write_manifest(settings: Settings, chosen: Mapping[NetworkName, str]) -> Path:
    """Write the file that peers load.

    Args:
        settings: of our service.
        chosen: the engine of each network.

    Returns:
        Its path.
    """
    every = stored(settings)
    manifest: dict[str, Any] = {
        **{name: asdict(every[name][engine]) for name, engine in chosen.items()},
        "threshold": settings.gate.threshold,
        "classes": WEIGHTS / CLASSES_FILE,
        "species": WEIGHTS / SPECIES_FILE,
    }
    path = FILES / "manifest.json"
    path.write_text(json.dumps(manifest, indent=2, default=str) + "\n", encoding="utf-8")
    return path


def _export(settings: Settings, folder: Path, *, sides: Mapping[NetworkName, int]) -> None:
    """Write each network as a whole, for batches of any size."""
    import openvino  # noqa: PLC0415 - not needed if the files exist
    import torch  # noqa: PLC0415 - as above

    from cetacean_inference.models.loading import load_network  # noqa: PLC0415 - imports torch

    files = locate_all(settings)
    with open_verified(settings) as verified, warnings.catch_warnings():
        # Both exporters warn that torch has a newer one, which needs other packages.
        warnings.simplefilter("ignore")
        for name, side in sides.items():
            network, _ = load_network(name, settings, files=files, verified=verified)
            pictures = torch.zeros((2, side, side, 3), dtype=torch.uint8)
            shape = openvino.PartialShape([-1, side, side, 3])
            with torch.no_grad():  # not for ONNX, which lacks the attention that torch would use
                whole = openvino.convert_model(network, example_input=pictures, input=[shape])
            openvino.save_model(whole, folder / f"{name}.xml", compress_to_fp16=False)
            torch.onnx.export(
                network,
                (pictures,),
                folder / f"{name}.onnx",
                dynamo=False,
                input_names=["images"],
                output_names=["scores"],
                dynamic_axes={"images": {0: "pictures"}, "scores": {0: "pictures"}},
            )
