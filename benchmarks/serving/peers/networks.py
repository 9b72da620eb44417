"""The networks as every peer serves them: it runs in the peers' environments, which have no torch.

A peer passes files of pictures and returns answers; all of it except the framework is here, and the same for each peer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cetacean_inference.decision import accepts, decide
from cetacean_inference.engines.base import ConvertedNetwork
from cetacean_inference.engines.openvino import OpenVinoEngine, openvino
from cetacean_inference.imaging.decoding import decode
from cetacean_inference.imaging.resizing import crop_centre, squash
from cetacean_inference.likeliest import likeliest
from cetacean_inference.types import Candidate, NetworkName, Scores

NETWORKS: Final = "SERVING_NETWORKS"
PORT: Final = "SERVING_PORT"
VERSION: Final = "SERVING_VERSION"
MAX_BATCH: Final = 4
"""Pictures of a batch, as our service has by default."""
BATCH_WAIT_SECONDS: Final = 0.005
RANKS: Final = 5

Run = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of pictures that our service has by default."""

    max_bytes: int = 25 * 2**20
    max_pixels: int = 64_000_000
    max_proportion: float = 100.0


@dataclass(frozen=True, slots=True)
class Stored:
    """Files of one network: `engine` says which program computes them."""

    engine: str
    files: tuple[Path, ...]
    side: int


def compile_network(name: NetworkName, stored: Stored) -> Run:
    """Compile a network for the processor: uint8 (N, S, S, 3) → float32 (N,) or (N, K).

    Raises:
        ValueError: no such engine.
    """
    if stored.engine == "openvino-split":
        trunk, head = stored.files
        network = ConvertedNetwork(name, trunk, head, stored.side, np.empty(0, dtype=np.float32))
        return OpenVinoEngine("bf16", threads=os.cpu_count() or 1).compile(network)
    if stored.engine == "onnxruntime":
        import onnxruntime  # noqa: PLC0415 - one of several engines

        session = onnxruntime.InferenceSession(stored.files[0], providers=["CPUExecutionProvider"])
        (images,) = session.get_inputs()
        return lambda pictures: np.asarray(session.run(None, {images.name: pictures})[0])
    hints: Mapping[str, Mapping[str, Any]] = {"openvino": {}, "openvino-fp32": {"INFERENCE_PRECISION_HINT": "f32"}}
    if stored.engine not in hints:
        raise ValueError(f"{name}: expected an engine that peers have, got {stored.engine!r}")
    core = openvino().Core()
    compiled = core.compile_model(core.read_model(stored.files[0]), "CPU", hints[stored.engine])
    return lambda pictures: np.asarray(compiled.create_infer_request().infer([pictures])[0])


class Networks:
    """Both networks and the names of the individuals.

    Args:
        manifest: written by `benchmarks.serving.networks_of`.
        version: of the model, which answers contain.
    """

    def __init__(self, manifest: Mapping[str, Any], *, version: str) -> None:
        self._version = version
        self._threshold: float = manifest["threshold"]
        self._individuals = _individuals(manifest)
        gate, identification = (_stored(manifest[name]) for name in ("gate", "identification"))
        self._sides = gate.side, identification.side
        self._gate = compile_network("gate", gate)
        self._identification = compile_network("identification", identification)
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1)

    def answer(self, files: Sequence[bytes]) -> list[dict[str, Any]]:
        """Answer pictures, in their order; may be called by several threads."""
        sizes, gates, pictures = zip(*self._threads.map(self._prepare, files), strict=True)
        scores = [float(score) for score in self._gate(np.stack(gates))]
        passed = [one for one, score in zip(pictures, scores, strict=True) if accepts(score, self._threshold)]
        rankings = map(self._rank, self._identification(np.stack(passed)) if passed else ())
        found = [Scores(score, next(rankings) if accepts(score, self._threshold) else ()) for score in scores]
        return [
            decide(
                one, threshold=self._threshold, image_ind="picture.jpg", size=size, model_version=self._version
            ).model_dump(mode="json")
            for one, size in zip(found, sizes, strict=True)
        ]

    def _prepare(self, file: bytes) -> tuple[tuple[int, int], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        image = decode(file, Bounds())
        gate, identification = self._sides
        return image.size, np.asarray(crop_centre(image, gate)), np.asarray(squash(image, identification))

    def _rank(self, probabilities: npt.NDArray[np.float32]) -> tuple[Candidate, ...]:
        order = likeliest(probabilities, RANKS)
        ranked = ((*self._individuals[index], float(probabilities[index])) for index in order)
        return tuple(Candidate(individual, species, probability) for individual, species, probability in ranked)


def load(version: str | None = None) -> Networks:
    """Load the networks that the environment names."""
    manifest = json.loads(Path(os.environ[NETWORKS]).read_text(encoding="utf-8"))
    return Networks(manifest, version=version or os.environ[VERSION])


def _stored(entry: Mapping[str, Any]) -> Stored:
    return Stored(entry["engine"], tuple(map(Path, entry["files"])), entry["side"])


def _individuals(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = Path(manifest["species"]).read_text(encoding="utf-8").splitlines()[1:]
    species = dict(row.split(",", 1) for row in rows)
    return [(str(name), species[str(name)]) for name in np.load(manifest["classes"])]
