"""Pictures without their background, as the old service's `mask`: an extra that is off unless asked for.

A mask is worth less than an answer: one that fails, comes late or has too many before it is null.
"""

from __future__ import annotations

import asyncio
import base64
import io
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from PIL import Image

from cetacean_inference.images import decode
from cetacean_inference.metrics import MaskOutcome, Metrics
from cetacean_inference.priority import give_way
from cetacean_inference.settings import ImageSettings, MaskSettings

logger = logging.getLogger(__name__)

COMPRESSION: Final = 1
"""Of PNG, 1 to 9: usual is 6, which takes more than twice as long to save a sixth of the bytes."""
PIECE: Final = 3 * 2**18
"""Bytes that are put into base64 at once, in which no other thread gets its turn; a multiple of three."""

CutOut = Callable[[Image.Image], Image.Image]
"""An RGB picture to the same in RGBA, its background transparent; called by one thread at a time."""


class Masks:
    """Makes masks beside the model, one at a time.

    Args:
        cut_out: makes one.
        settings: bounds of masks.
        images: bounds of pictures.
        metrics: where it is counted what became of them.
    """

    def __init__(self, cut_out: CutOut, *, settings: MaskSettings, images: ImageSettings, metrics: Metrics) -> None:
        self._cut_out = cut_out
        self._settings = settings
        self._images = images
        self._metrics = metrics
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mask", initializer=give_way)
        self._under_way: set[Future[str]] = set()

    async def make(self, read: Callable[[], bytes], *, size: tuple[int, int]) -> str | None:
        """The picture in PNG with its background transparent, in base64; None when there is none within the bounds.

        Args:
            read: gives the bytes of a picture that could be read before; called in a thread.
            size: its width and height in pixels.
        """
        if size[0] * size[1] > self._settings.max_pixels:
            self._without("large", f"expected at most {self._settings.max_pixels} pixels, got {size[0]}x{size[1]}")
            return None
        if len(self._under_way) >= self._settings.queue_size:
            self._without("full", f"{len(self._under_way)} are under way")
            return None
        begun = time.monotonic()
        job = self._thread.submit(self._encoded, read)
        self._under_way.add(job)
        job.add_done_callback(self._under_way.discard)
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                mask = await asyncio.wrap_future(job)
        except TimeoutError:
            self._without("late", f"it took more than {self._settings.timeout_seconds:g} s")
            return None
        except Exception as error:  # noqa: BLE001 - the answer is whole without a mask
            self._without("failed", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
            return None
        self._metrics.masked("made", seconds=time.monotonic() - begun)
        return mask

    def close(self) -> None:
        """Make no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _encoded(self, read: Callable[[], bytes]) -> str:
        buffer = io.BytesIO()
        self._cut_out(decode(read(), self._images)).save(buffer, "PNG", compress_level=COMPRESSION)
        data = buffer.getbuffer()
        pieces = (data[begin : begin + PIECE] for begin in range(0, len(data), PIECE))
        return "".join(base64.b64encode(piece).decode("ascii") for piece in pieces)

    def _without(self, outcome: MaskOutcome, why: str) -> None:
        self._metrics.masked(outcome)
        logger.info("no mask: %s", why)
