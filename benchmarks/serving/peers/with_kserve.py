"""KServe's Python server: a model of one's own behind the first version of its protocol, with pictures in base64.

The second version has binary tensors, but this server makes a list of numbers from each.
"""

from __future__ import annotations

import asyncio
import os
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.serving.peers.networks import PORT, load
from kserve import Model, ModelServer

NAME = "cetacean"
THREADS = 2
"""Pictures at once: one is decoded while another is computed. KServe makes batches in another container, its agent."""


class Predictor(Model):
    """Computes in threads, so that the event loop can read other requests meanwhile."""

    def __init__(self) -> None:
        super().__init__(NAME)
        self._networks = load()
        self._executor = ThreadPoolExecutor(THREADS)
        self.ready = True

    async def predict(self, payload: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        """Answer the pictures of a request."""
        files = [b64decode(instance["image"]["b64"]) for instance in payload["instances"]]
        loop = asyncio.get_running_loop()
        return {"predictions": await loop.run_in_executor(self._executor, self._networks.answer, files)}


if __name__ == "__main__":
    ModelServer(http_port=int(os.environ[PORT]), enable_grpc=False, workers=1).start([Predictor()])
