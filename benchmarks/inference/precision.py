"""How far each engine's scores lie from eager torch's with trained weights: `python -m benchmarks.inference.precision`.

The weights are the demo's, the pictures those of its test split and the drifted ones. The bounds of the settings
(`engine.max_score_deviation`, `engine.max_probability_deviation`) follow from these figures.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.converted import converted
from benchmarks.machine import processor
from PIL import Image

from cetacean_evaluation.settings import model_settings
from cetacean_inference.engines.agreement import comparison_inputs, run_in_batches
from cetacean_inference.engines.base import ConvertedNetworks, Outputs
from cetacean_inference.engines.eager import EagerEngine, choose_device
from cetacean_inference.engines.openvino import OpenVinoEngine
from cetacean_inference.imaging.preprocessing import crop_centre, squash
from cetacean_inference.models.loading import load_network
from cetacean_inference.settings import GateSettings, Settings
from cetacean_inference.types import NetworkName
from cetacean_inference.weights.fetch import fetch_all, locate_all, open_verified
from cetacean_registry.registry import ModelEntry
from cetacean_tools.demo_models import DemoModels, ensure_models
from cetacean_tools.workspace import REPOSITORY

RESULTS = REPOSITORY / "benchmarks/results/precision.json"
RANKS = 5
Pixels = npt.NDArray[np.uint8]


def main() -> int:
    """Measure every model of the demo and write the results."""
    parser = argparse.ArgumentParser(prog="benchmarks.inference.precision", description=__doc__)
    parser.add_argument("--models", type=Path, help="folder of trained models (default: the demo's, trained if needed)")
    parser.add_argument("--dry", action="store_true", help="print the results and write nothing")
    options = parser.parse_args()
    models = DemoModels(options.models) if options.models else ensure_models()
    pictures = [*models.cetaceans, *models.others, *models.drifted]
    found: dict[str, Any] = {"processor": processor(), "pictures": len(pictures), "models": {}}
    for entry in models.registry(models.folder.as_uri()).models:
        found["models"][entry.name] = _measure(models, entry, pictures)
    text = json.dumps(found, indent=2) + "\n"
    print(text, end="")
    if not options.dry:
        RESULTS.write_text(text, encoding="utf-8")
    return 0


def _measure(models: DemoModels, entry: ModelEntry, pictures: Sequence[Path]) -> dict[str, Any]:
    measured: dict[str, Any] = {}
    with _converted(models, entry) as (settings, networks):
        names: tuple[NetworkName, ...] = ("gate", "identification")
        for name in names:
            side = networks[name].side
            reference = _eager(name, settings)
            served = _load(name, pictures, side)
            generated = comparison_inputs(name, side)
            for precision in ("bf16", "fp32"):
                run = OpenVinoEngine(precision, threads=1).compile(networks[name])
                measured[f"{name} openvino-{precision}"] = {
                    "pictures": _compare(reference(served), run(served)),
                    "generated": _compare(networks[name].reference, run_in_batches(run, generated)),
                }
    return measured


@contextmanager
def _converted(models: DemoModels, entry: ModelEntry) -> Iterator[tuple[Settings, ConvertedNetworks]]:
    gate = models.gate(models.folder.as_uri())
    given = GateSettings(
        architecture=gate["architecture"],
        config_url=gate["configURL"],
        weights_url=gate["weightsURL"],
        sha256=gate["sha256"],
        threshold=models.threshold,
    )
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(model=model_settings(entry), gate=given, weights_cache=Path(directory) / "cache")
        fetch_all(settings)
        yield settings, converted(settings)


def _eager(name: NetworkName, settings: Settings) -> Any:
    with open_verified(settings) as verified:
        network, _ = load_network(name, settings, files=locate_all(settings), verified=verified)
    return EagerEngine(choose_device("cpu")).compile(network)


def _load(name: NetworkName, pictures: Sequence[Path], side: int) -> Pixels:
    resize = crop_centre if name == "gate" else squash
    return np.stack([resize(Image.open(picture).convert("RGB"), side) for picture in pictures])


def _compare(reference: Outputs, found: Outputs) -> dict[str, Any]:
    """Return the differences of scores (N,), or of the probabilities that answers contain (N, K)."""
    difference = np.abs(found - reference)
    if reference.ndim == 1:
        return {"largest": _rounded(difference.max()), "p99": _rounded(np.quantile(difference, 0.99))}
    order, other = (np.argsort(-outputs, axis=1, kind="stable")[:, :RANKS] for outputs in (reference, found))
    moved = order[:, 0] != other[:, 0]
    lead = np.take_along_axis(reference, order[:, :2], axis=1)
    return {
        "largest": _rounded(difference.max()),
        "p99": _rounded(np.quantile(difference.max(axis=1), 0.99)),
        "median": _rounded(np.median(difference.max(axis=1))),
        "other first individual": int(moved.sum()),
        "largest lead that was lost": _rounded((lead[:, 0] - lead[:, 1])[moved].max(initial=0.0)),
        "other order of five": int((order != other).any(axis=1).sum()),
    }


def _rounded(value: Any) -> float:
    return round(float(value), 6)


if __name__ == "__main__":
    raise SystemExit(main())
