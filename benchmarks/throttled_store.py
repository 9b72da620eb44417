"""An HTTP server of one folder that sends so many bytes a second to all clients together: `FOLDER PORT BYTES_A_SECOND`.

It runs in a pod that has the standard library only.
"""

from __future__ import annotations

import http.server
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import IO

CHUNK = 1 << 20
"""So large that a late wake-up costs little of the rate."""


class Pace:
    """Lets threads send one chunk after the other, no faster than the rate."""

    def __init__(self, bytes_a_second: float) -> None:
        self._rate, self._lock, self._free_at = bytes_a_second, threading.Lock(), time.monotonic()

    def wait(self, size: int) -> None:
        """Wait until this many bytes may be sent."""
        with self._lock:
            begin = max(self._free_at, time.monotonic())
            self._free_at = begin + size / self._rate
        time.sleep(max(0.0, begin - time.monotonic()))


class Throttled(http.server.SimpleHTTPRequestHandler):
    """Sends files at the pace."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: object, pace: Pace, directory: str) -> None:
        """Serve the files of a directory."""
        self._pace = pace
        super().__init__(*arguments, directory=directory)  # type: ignore[arg-type]

    def copyfile(self, source: IO[bytes], outputfile: IO[bytes]) -> None:  # type: ignore[override]
        """Send a file."""
        while chunk := source.read(CHUNK):
            self._pace.wait(len(chunk))
            outputfile.write(chunk)


def server(folder: Path, port: int, bytes_a_second: float) -> http.server.ThreadingHTTPServer:
    """Return a server that listens on all addresses."""
    handler = partial(Throttled, pace=Pace(bytes_a_second), directory=str(folder))
    return http.server.ThreadingHTTPServer(("", port), handler)


if __name__ == "__main__":
    server(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])).serve_forever()
