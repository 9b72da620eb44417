"""Ray Serve: one replica with batches behind FastAPI; SIGHUP deploys the next version, as a rolling update."""

import asyncio
import os
import signal
import sys
import tempfile
from typing import Annotated, Any

import ray
from benchmarks.serving.peers.networks import BATCH_WAIT_SECONDS, MAX_BATCH, PORT, VERSION, load
from fastapi import FastAPI, File, UploadFile
from ray import serve

NEXT_VERSION = "2.0.0"
app = FastAPI()


@serve.deployment(max_ongoing_requests=4 * MAX_BATCH)
@serve.ingress(app)
class Service:
    """Computes in a thread, so that the replica's event loop can read other requests meanwhile."""

    def __init__(self, version: str) -> None:
        self._networks = load(version)

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=BATCH_WAIT_SECONDS)
    async def score(self, files: list[bytes]) -> list[dict[str, Any]]:
        """Answer a batch."""
        return await asyncio.to_thread(self._networks.answer, files)

    @app.post("/predict")
    async def predict(self, file: Annotated[UploadFile, File()]) -> Any:
        """Answer one picture."""
        return await self.score(await file.read())


DEPLOYMENT: Any = Service  # Ray's decorator has made it one


def main() -> None:
    """Serve until SIGTERM."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as directory:
        _start(directory)
        serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ[PORT])})
        serve.run(DEPLOYMENT.bind(os.environ[VERSION]))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        signal.signal(signal.SIGHUP, lambda *_: None)
        signal.pause()
        serve.run(DEPLOYMENT.bind(NEXT_VERSION))
        signal.pause()


def _start(directory: str) -> None:
    """Start Ray; again if the machine is so busy that Ray's own processes take longer than the 30 s that it allows."""
    for last in (False, False, True):
        try:
            ray.init(
                include_dashboard=False,
                object_store_memory=200 * 2**20,
                _node_ip_address="127.0.0.1",
                _temp_dir=directory,
            )
        except Exception:  # Ray raises no class of its own
            if last:
                raise
            ray.shutdown()
        else:
            return


if __name__ == "__main__":
    main()
