"""The process that decodes: reads requests from its standard input, a socket, and answers there.

Native decoders cannot be interrupted, so each picture is decoded where it can be killed. The kernel ends the process
if a picture takes more processor time than its request allows, and refuses it memory beyond its limit.
A frame is the length of a JSON object as 4 bytes, then the object. Pictures are in a file in memory that both processes
have: the bytes to decode, and afterwards the pixels in their place. A socket would pass them in many small parts, and
wake both processes for each.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from typing import Any, Final

from cetacean_inference.imaging.decoding import LargePictureError, decode
from cetacean_inference.imaging.resizing import resize
from cetacean_inference.rejected_requests import UnusableImage
from cetacean_inference.types import Resize

LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of pictures; see `settings.ImageSettings`."""

    max_bytes: int
    max_pixels: int
    max_proportion: float


def frame(message: dict[str, Any]) -> bytes:
    """Return a message with its length."""
    encoded = json.dumps(message).encode()
    return LENGTH.pack(len(encoded)) + encoded


def main() -> None:
    """Answer requests until the socket is closed.

    The first argument is a JSON object: `bounds` (the fields of `Bounds`), `memory_bytes`, `niceness`, and
    `shared`, the descriptor of the file in memory.
    """
    options = json.loads(sys.argv[1])
    bounds = Bounds(**options["bounds"])
    resource.setrlimit(resource.RLIMIT_AS, (options["memory_bytes"], options["memory_bytes"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.setpriority(os.PRIO_PROCESS, 0, options["niceness"])
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    with (
        socket.socket(fileno=sys.stdin.fileno()) as connection,
        connection.makefile("rb") as requests,
        open(options["shared"], "r+b", buffering=0) as shared,  # noqa: PTH123 - a descriptor
    ):
        connection.sendall(frame({}))
        while length := requests.read(LENGTH.size):
            request = json.loads(requests.read(LENGTH.unpack(length)[0]))
            connection.sendall(frame(_answer(request, shared, bounds=bounds)))


def _answer(request: dict[str, Any], shared: FileIO, *, bounds: Bounds) -> dict[str, Any]:
    """Decode the shared file's picture, put the pixels there, and return the answer."""
    os.setpriority(os.PRIO_PROCESS, 0, request["niceness"])
    # The default action of SIGPROF ends the process, whatever code runs.
    signal.setitimer(signal.ITIMER_PROF, request["cpu_seconds"])
    answer, images = _decode(shared, request, bounds)
    shared.seek(0)
    for image in images:
        _write(shared, image)
    signal.setitimer(signal.ITIMER_PROF, 0)
    return answer


def _decode(shared: FileIO, request: dict[str, Any], bounds: Bounds) -> tuple[dict[str, Any], list[bytes]]:
    """Return the answer and the pixels, 3 bytes each."""
    try:
        shared.seek(0)
        image = decode(shared.read(request["bytes"]), bounds, large_pixels=request["large_pixels"])
        # In threads of this picture's priority: Pillow releases the GIL, and with one client a processor is idle.
        with ThreadPoolExecutor() as threads:
            resized = list(threads.map(lambda how: resize(image, Resize(*how)), request["resizes"]))
        pixels = [one.tobytes() for one in resized]
    except LargePictureError:
        return {"large": True}, []
    except UnusableImage as error:
        return {"error": [error.status, error.detail, error.size]}, []
    except MemoryError:
        return {
            "error": [413, "expected a picture that is decoded in less memory, got one that needs more", (0, 0)]
        }, []
    return {"size": image.size, "images": [one.size for one in resized]}, pixels


def _write(shared: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[shared.write(rest) :]


if __name__ == "__main__":
    main()
