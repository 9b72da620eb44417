"""Pods that answer over HTTP with the largest answers that are read, many in a process of their own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LARGEST = 1 << 20
"""Bytes of the largest body that is read from a pod."""
DURATIONS = (
    'cetacean_inference_request_duration_seconds_bucket{endpoint="/v1/predict-single",status="200",le="%s"} %d\n'
)

ESCAPED = r"\"\""


def answers(number: int) -> dict[str, bytes]:
    """Return the answers of one pod by path: as large as they may be, and different from those of all others."""
    model, weights = {"name": f"whales-{number}"}, {"sha256": f"{number:064x}"}
    identity = {"model": model, "weights": weights, "more": "x" * 64_000}
    counters = "rejections_total 0\nrequests_total 0\nerrors_total 0\n"
    counters += f"predictions_total {number}.5\n" + "".join(DURATIONS % (one, one + number) for one in range(60))
    if number % 4 == 1:  # refused only when all of it was read
        counters = f'predictions_total{{a="{"x" * 400}{number}"}} 1\n' * 2001
    if number % 4 == 3:  # takes the parser of labels the longest
        escaped = ",".join(f'a{one}="{ESCAPED}"' for one in range(50))
        counters = f"predictions_total{{{escaped}}} 1\n" * 1999
    padding = "other_seconds 1\n" * ((LARGEST - len(counters)) // 16)
    return {
        "/v1/identity": json.dumps(identity).encode(),
        "/v1/drift-stats": json.dumps({"n": number, "alarms_total": 0, "score_mean": 0.9}).encode(),
        "/metrics": (counters + padding).encode(),
    }


@contextmanager
def answering(count: int) -> Iterator[list[int]]:
    """Start as many pods, and yield their ports."""
    command = [sys.executable, "-m", "support.many_pods", str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()


async def _serve(count: int) -> None:
    ports = []
    for number in range(count):
        server = await asyncio.start_server(_Pod(answers(number)).answer, "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
    print(json.dumps(ports), flush=True)
    await asyncio.Event().wait()


class _Pod:
    def __init__(self, bodies: dict[str, bytes]) -> None:
        self._bodies = bodies

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        while line := await reader.readline():
            while (await reader.readline()).strip():
                pass
            body = self._bodies[line.split()[1].decode()]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
