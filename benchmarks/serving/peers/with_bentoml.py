"""BentoML: a service with adaptive batching; `bentoml serve` starts it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bentoml
from benchmarks.serving.peers.networks import MAX_BATCH, load


@bentoml.service(workers=1, traffic={"timeout": 120})
class Service:
    """Batches wait as long as BentoML's own estimate says."""

    def __init__(self) -> None:
        self._networks = load()

    @bentoml.api(batchable=True, max_batch_size=MAX_BATCH, max_latency_ms=60_000, route="/predict")
    def predict(self, pictures: list[Path]) -> list[dict[str, Any]]:
        """Answer a batch of files."""
        return self._networks.answer([picture.read_bytes() for picture in pictures])
