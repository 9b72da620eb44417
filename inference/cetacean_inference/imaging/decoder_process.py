"""The process that decodes: reads requests from its standard input, a socket, and answers there.

Native decoders cannot be interrupted, so each picture is decoded where it can be killed. The kernel ends the process
if a picture takes more processor time than its request allows, and refuses it memory beyond its limit.
A frame is the lengths of a JSON header and of a payload, both as 4 bytes, then the header and the payload.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import struct
import sys
from dataclasses import dataclass
from typing import IO, Any, Final

from cetacean_inference.imaging.decoding import LargePictureError, decode
from cetacean_inference.imaging.resizing import resize
from cetacean_inference.rejected_requests import UnusableImage
from cetacean_inference.types import Resize

LENGTHS: Final = struct.Struct(">II")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of pictures; see `settings.ImageSettings`."""

    max_bytes: int
    max_pixels: int
    max_proportion: float


def frame(header: dict[str, Any], payload_size: int) -> bytes:
    """Return the beginning of a frame; the payload follows it."""
    encoded = json.dumps(header).encode()
    return LENGTHS.pack(len(encoded), payload_size) + encoded


def main() -> None:
    """Answer requests until the socket is closed.

    The first argument is a JSON object: `bounds` (the fields of `Bounds`), `memory_bytes` and `niceness`.
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
        connection.makefile("wb") as answers,
    ):
        answers.write(frame({}, 0))
        answers.flush()
        while lengths := requests.read(LENGTHS.size):
            header_size, payload_size = LENGTHS.unpack(lengths)
            header, data = requests.read(header_size), requests.read(payload_size)
            _answer(answers, json.loads(header), data, bounds=bounds)


def _answer(stream: IO[bytes], request: dict[str, Any], data: bytes, *, bounds: Bounds) -> None:
    """Answer one request."""
    if request["niceness"] is not None:
        os.setpriority(os.PRIO_PROCESS, 0, request["niceness"])
    # The default action of SIGPROF ends the process, whatever code runs.
    signal.setitimer(signal.ITIMER_PROF, request["cpu_seconds"])
    header, images = _decode(data, request, bounds)
    signal.setitimer(signal.ITIMER_PROF, 0)
    stream.write(frame(header, sum(map(len, images))))
    for image in images:
        stream.write(image)
    stream.flush()


def _decode(data: bytes, request: dict[str, Any], bounds: Bounds) -> tuple[dict[str, Any], list[bytes]]:
    """Return the header of the answer and the pixels, 3 bytes each."""
    try:
        image = decode(data, bounds, large_pixels=request["large_pixels"])
        resized = [resize(image, Resize(*how)) for how in request["resizes"]]
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


if __name__ == "__main__":
    main()
