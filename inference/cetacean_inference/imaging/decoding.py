"""Decodes untrusted bytes to an RGB picture; bounds are checked before the work is done."""

from __future__ import annotations

import io
import logging
import threading
from contextlib import nullcontext
from typing import Final

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cetacean_inference.messages import one_line
from cetacean_inference.rejected_requests import UnusableImage
from cetacean_inference.settings import ImageSettings

logger = logging.getLogger(__name__)

Image.init()
# Formats that cameras and browsers write; MPO is the format of many cameras' .jpg files. Pillow knows more, but
# PostScript runs another program, and a few hundred bytes of JPEG2000 can decode to gigabytes.
FORMATS: Final = tuple(
    name for name in ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM") if name in Image.OPEN
)
EXTENSIONS: Final = frozenset(ending for ending, name in Image.registered_extensions().items() if name in FORMATS)
SIGNATURE_BYTES: Final = 16
"""Bytes from which Pillow recognises a format."""
_FORMATS_WITH_SIGNATURE: Final = tuple(name for name in FORMATS if name not in ("MPO", "BMP", "PPM"))
"""The others' signatures are two letters, which text may begin with too."""
LARGE_PIXELS: Final = 16_000_000
"""Larger pictures are decoded one at a time: a decoder needs up to sixteen bytes for each pixel."""
_large_lock = threading.Lock()
# Pillow's own bound is global, and up to twice its size only a warning; `_check_dimensions` replaces it.
Image.MAX_IMAGE_PIXELS = None


def decode(data: bytes, settings: ImageSettings) -> Image.Image:
    """Decode the first frame to RGB, turned as its EXIF data says.

    Raises:
        UnusableImage: 400 empty, 413 too large, 415 not a picture or damaged, 422 of extreme proportions.
    """
    check_file_size(len(data), settings)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise UnusableImage(415, f"expected a picture ({', '.join(FORMATS)}), got bytes of no such format") from error
    except Exception as error:
        raise UnusableImage(415, f"expected a picture, got one whose head is damaged: {one_line(error)}") from error
    with image:
        _check_dimensions(image.size, settings)
        large = image.width * image.height > LARGE_PIXELS
        try:
            with _large_lock if large else nullcontext():
                image.load()
                _apply_orientation(image)
                return _to_rgb(image)
        except UnusableImage:
            raise
        except Exception as error:
            raise UnusableImage(
                415, f"expected a whole {image.format} picture, got a damaged one: {one_line(error)}", size=image.size
            ) from error


def has_image_signature(head: bytes) -> bool:
    """True if the first `SIGNATURE_BYTES` bytes are those of a picture."""
    accepts = (Image.OPEN[name][1] for name in _FORMATS_WITH_SIGNATURE)
    return any(accept is not None and accept(head) is True for accept in accepts)


def check_file_size(size: int, settings: ImageSettings) -> None:
    """Check a file's size in bytes.

    Raises:
        UnusableImage: 400 empty, 413 too large.
    """
    if size == 0:
        raise UnusableImage(400, "expected a picture, got an empty file")
    if size > settings.max_bytes:
        raise UnusableImage(413, f"expected at most {settings.max_bytes} bytes, got {size}")


def _check_dimensions(size: tuple[int, int], settings: ImageSettings) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise UnusableImage(415, f"expected a picture, got one of {width}x{height} pixels")
    if width * height > settings.max_pixels:
        raise UnusableImage(
            413, f"expected at most {settings.max_pixels} pixels, got {width}x{height} = {width * height}", size=size
        )
    # The gate scales the shortest side to a fixed length: a strip one pixel wide would become gigabytes.
    if max(size) > settings.max_proportion * min(size):
        raise UnusableImage(
            422,
            f"expected a longest side of at most {settings.max_proportion:g} times the shortest, got {width}x{height}",
            size=size,
        )


def _apply_orientation(image: Image.Image) -> None:
    try:
        ImageOps.exif_transpose(image, in_place=True)  # otherwise it copies even if there is nothing to turn
    except Exception as error:  # noqa: BLE001 - damaged EXIF data does not damage the pixels
        logger.debug("the picture is not turned, its EXIF data cannot be read: %s", error)


def _to_rgb(image: Image.Image) -> Image.Image:
    # Pillow would clip values above 255 to white. It holds 16 bits in 32 for some formats.
    if image.mode.startswith("I"):
        _check_values(image, 0, 2**16 - 1)
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode == "F":
        _check_values(image, 0, 255)
        if 0 < np.asarray(image).max() <= 1:
            raise UnusableImage(415, "expected values of 0 to 255, got fractions of 1", size=image.size)
    return image if image.mode == "RGB" else image.convert("RGB")


def _check_values(image: Image.Image, lowest: int, highest: int) -> None:
    values = np.asarray(image)
    # Written so that NaN does not pass.
    if not (lowest <= values.min() and values.max() <= highest):
        raise UnusableImage(
            415,
            f"expected values of {lowest} to {highest}, got {values.min():g} to {values.max():g}",
            size=image.size,
        )
