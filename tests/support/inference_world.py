"""An inference service without weights: settings, and a pipeline that reads scores from a picture's colour."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from cetacean_inference.http.app import create_app
from cetacean_inference.imaging.decoding import ImageBounds, decode
from cetacean_inference.imaging.resizing import resize
from cetacean_inference.serving.service import Service
from cetacean_inference.settings import Settings, load_settings
from cetacean_inference.types import Candidate, Decoded, Pipeline, Resize, Scores, ServedIdentity

DIGEST = "ab" * 32
FILES = {"encoder_classes.npy": "c1" * 32, "species_map.csv": "c2" * 32}
VERIFIED: dict[str, Any] = {
    "model": {"sha256": DIGEST, "files": FILES},
    "gate": {"sha256": "cd" * 32},
}
"""Settings with a digest for each file of the pipeline."""
Colour = tuple[int, int, int]


def make_settings(directory: Path, **sections: Any) -> Settings:
    """Return settings of a model called `tiny`, with all files in `directory`."""
    given: dict[str, Any] = {
        "model": {"name": "tiny", "version": "1.2.3", "weights_url": "https://weights.test/tiny.ckpt"},
        "config_dir": directory,
        "weights_cache": directory / "cache",
        "monitoring_file": directory / "monitoring.json",
        "termination_message_file": directory / "termination-log",
        "http": {"host": "127.0.0.1", "port": 0},
    }
    for name, values in sections.items():
        given[name] = {**given[name], **values} if isinstance(given.get(name), dict) else values
    return load_settings(**given)


class FakePipeline:
    """Reads scores from a picture's colour: red is the cetacean score, green the likeliest individual's probability."""

    def __init__(self, *, sha256: str = DIGEST, num_workers: int = 1) -> None:
        self.num_workers = num_workers
        self.num_in_progress = 0
        self.identity = ServedIdentity(weights_sha256=sha256, gate_sha256="cd" * 32, engine="fake", files=FILES)
        self.batches: list[int] = []
        self.thresholds: set[float] = set()
        self.threads: set[str] = set()
        self.started = threading.Event()
        self._released = threading.Event()
        self._released.set()
        self.fails_on: Callable[[Sequence[Colour]], bool] = lambda _: False

    def hold(self) -> None:
        """Make the next batches wait for `release`."""
        self._released.clear()

    def release(self) -> None:
        """Compute the batches that wait, and all later ones at once."""
        self._released.set()

    resizes = (Resize("squash", 1),)

    def pack(self, pixels: Sequence[Any]) -> Colour:
        red, green, blue = pixels[0][0, 0].tolist()
        return red, green, blue

    def prepare(self, image: Image.Image) -> Colour:
        return self.pack([np.asarray(resize(image, how)) for how in self.resizes])

    def predict(self, batch: Sequence[Colour], *, threshold: float = 0.0) -> list[Scores]:
        self.thresholds.add(threshold)
        self.threads.add(threading.current_thread().name)
        self.num_in_progress += 1
        self.started.set()
        assert self._released.wait(30), "the test did not call release()"
        if self.fails_on(batch):
            raise RuntimeError("the pipeline fails on this batch")
        self.batches.append(len(batch))
        found = [self.scores(red / 255, green / 255) for red, green, _ in batch]
        return [one if one.cetacean_score >= threshold else Scores(one.cetacean_score, ()) for one in found]

    @staticmethod
    def scores(score: float, probability: float) -> Scores:
        """Return the scores of a picture."""
        rest = (1 - probability) / 10
        others = (Candidate(f"id{rank}", "species1", rest / rank) for rank in range(2, 6))
        return Scores(score, (Candidate("id1", "species0", probability), *others))


class InlineDecoder:
    """Decodes in a thread: starts faster than processes, and nothing here takes long."""

    def __init__(self, bounds: ImageBounds) -> None:
        self.healthy = True
        self._bounds = bounds

    async def decode(self, read: Callable[[], bytes], resizes: Sequence[Resize]) -> Decoded:
        return await asyncio.to_thread(self._decode, read, resizes)

    def close(self) -> None:
        """Do nothing: there is no process."""

    def _decode(self, read: Callable[[], bytes], resizes: Sequence[Resize]) -> Decoded:
        image = decode(read(), self._bounds)
        return Decoded(image.size, tuple(np.asarray(resize(image, how)) for how in resizes))


def start(service: Service, pipeline: Pipeline[Any], **options: Any) -> Service:
    """Start a service that decodes in this process, and return it."""
    service.start(pipeline, decoder=InlineDecoder(service.settings.images), **options)
    return service


def client_of(service: Service) -> httpx.AsyncClient:
    """Return a client that calls the app without a socket."""
    transport = httpx.ASGITransport(create_app(service), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://service.test")
