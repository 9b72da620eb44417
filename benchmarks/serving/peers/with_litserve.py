"""LitServe: its worker process computes batches, another process answers HTTP."""

import os
from typing import Any

import litserve
from benchmarks.serving.peers.networks import BATCH_WAIT_SECONDS, MAX_BATCH, PORT, load
from fastapi import Request


class Api(litserve.LitAPI):
    """Decodes in `predict`, which decodes the pictures of a batch in parallel."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's signature
        """Load the networks in the worker's process."""
        self.networks = load()

    # LitServe reads this annotation, and passes the form of a multipart request.
    def decode_request(self, request: Request) -> bytes:
        """Return the file of a multipart request."""
        form: Any = request
        data: bytes = form["file"].file.read()
        return data

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        """Keep the files as a list: they are no arrays yet."""
        return inputs

    def predict(self, x: list[bytes]) -> list[dict[str, Any]]:
        """Answer a batch."""
        return self.networks.answer(x)

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Keep the answers as a list."""
        return output


if __name__ == "__main__":
    api = Api(max_batch_size=MAX_BATCH, batch_timeout=BATCH_WAIT_SECONDS)
    server = litserve.LitServer(api, accelerator="cpu", timeout=120)
    server.run(host="127.0.0.1", port=int(os.environ[PORT]), generate_client_file=False, log_level="warning")
