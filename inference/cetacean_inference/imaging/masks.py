"""Masks of pictures: the picture without its background, an optional field of the answer.

A mask is less important than the answer: it is null if it fails, is late, or too many are waiting.
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

from cetacean_inference.messages import with_type
from cetacean_inference.monitoring.metrics import MaskOutcome, Metrics
from cetacean_inference.settings import MaskSettings
from cetacean_inference.system.priority import lower_thread_priority
from cetacean_inference.types import Decoder, Resize

logger = logging.getLogger(__name__)

PNG_COMPRESSION: Final = 1
"""1 to 9. Pillow's default of 6 takes more than twice as long and saves a sixth of the bytes."""
BASE64_CHUNK: Final = 3 * 2**18
"""Bytes that are encoded at once, holding the GIL; a multiple of three."""

RemoveBackground = Callable[[Image.Image], Image.Image]
"""RGB picture to RGBA of the same size with a transparent background; called by one thread at a time."""


class MaskMaker:
    """Makes masks in a thread of its own, one at a time.

    Args:
        remove_background: computes one.
        settings: bounds of masks.
        decoder: decodes the pictures again.
        metrics: counts the outcomes.
    """

    def __init__(
        self, remove_background: RemoveBackground, *, settings: MaskSettings, decoder: Decoder, metrics: Metrics
    ) -> None:
        self._remove_background = remove_background
        self._settings = settings
        self._decoder = decoder
        self._metrics = metrics
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="mask", initializer=lower_thread_priority)
        self._pending: set[Future[str]] = set()

    async def make(self, read: Callable[[], bytes], *, size: tuple[int, int]) -> str | None:
        """Return a PNG with a transparent background, in base64; None if a bound is exceeded or it fails.

        Args:
            read: returns the bytes of a picture that was decoded before; called in a thread.
            size: its width and height in pixels.
        """
        if size[0] * size[1] > self._settings.max_pixels:
            self._skip("large", f"expected at most {self._settings.max_pixels} pixels, got {size[0]}x{size[1]}")
            return None
        if len(self._pending) >= self._settings.queue_size:
            self._skip("full", f"{len(self._pending)} are under way")
            return None
        begun = time.monotonic()
        job = self._executor.submit(self._encode, read, asyncio.get_running_loop())
        self._pending.add(job)
        job.add_done_callback(self._pending.discard)
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                mask = await asyncio.wrap_future(job)
        except TimeoutError:
            self._skip("late", f"it took more than {self._settings.timeout_seconds:g} s")
            return None
        except Exception as error:  # noqa: BLE001 - the answer is complete without a mask
            self._skip("failed", with_type(error, limit=200))
            return None
        self._metrics.observe_mask("made", seconds=time.monotonic() - begun)
        return mask

    def close(self) -> None:
        """Cancel the masks that have not begun, and accept no more."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _encode(self, read: Callable[[], bytes], loop: asyncio.AbstractEventLoop) -> str:
        # The decoder belongs to the event loop. This thread waits for it, so that one picture is held in memory.
        decoding = asyncio.run_coroutine_threadsafe(self._decoder.decode(read, (Resize("original"),)), loop)
        try:
            (pixels,) = decoding.result(self._settings.timeout_seconds).pixels
        finally:
            decoding.cancel()
        image = self._remove_background(Image.fromarray(pixels))
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=PNG_COMPRESSION)
        data = buffer.getbuffer()
        chunks = (data[begin : begin + BASE64_CHUNK] for begin in range(0, len(data), BASE64_CHUNK))
        return "".join(base64.b64encode(chunk).decode("ascii") for chunk in chunks)

    def _skip(self, outcome: MaskOutcome, reason: str) -> None:
        self._metrics.observe_mask(outcome)
        logger.info("no mask: %s", reason)
