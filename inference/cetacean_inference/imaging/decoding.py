"""Decodes untrusted bytes to an RGB picture; bounds are checked before the work is done."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Final, Protocol

# Plugins register themselves when they are imported. `Image.init` would import all of them, which takes longer.
from PIL import (
    BmpImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)

from cetacean_inference.imaging import png
from cetacean_inference.imaging.bmp import UnsupportedBmpError, check_bmp
from cetacean_inference.imaging.exif import ORIENTATION, read_orientation
from cetacean_inference.imaging.jpeg import read_jpeg
from cetacean_inference.imaging.jpeg_scans import DamagedScansError, scan_pictures
from cetacean_inference.imaging.tiff import (
    UnsupportedTiffError,
    check_tiff,
    is_inverted_sixteen_bit,
    read_tiff_orientation,
)
from cetacean_inference.imaging.tiff_parts import check_parts
from cetacean_inference.messages import one_line
from cetacean_inference.rejected_requests import UnusableImage

FORMATS: Final = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP")
"""Formats that cameras write; MPO is the format of many cameras' .jpg files. Pillow knows more: PostScript runs another
program, a few hundred bytes of JPEG2000 can decode to gigabytes, and GIF and PPM take time that grows with the square
of a comment's length."""
EXTENSIONS: Final = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".tif", ".tiff", ".bmp", ".dib")
)
SIGNATURE_BYTES: Final = 16
"""Bytes from which a format is recognised."""
SIXTEEN_BITS: Final = 2**16 - 1
_TRANSPOSE: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By EXIF's number of the orientation."""
# Pillow's own bound is global, and up to twice its size only a warning; `_check_dimensions` replaces it.
Image.MAX_IMAGE_PIXELS = None


class ImageBounds(Protocol):
    """Bounds of pictures, as `settings.ImageSettings` has them."""

    @property
    def max_bytes(self) -> int: ...  # noqa: D102
    @property
    def max_pixels(self) -> int: ...  # noqa: D102
    @property
    def max_proportion(self) -> float: ...  # noqa: D102


class LargePictureError(Exception):
    """The picture has more pixels than the caller decodes now."""


@dataclass(frozen=True, slots=True)
class _File:
    """A picture's file, and the data about its orientation if Pillow is not given them."""

    data: bytes
    kind: str
    exif: bytes | None = None
    xmp: bytes | None = None
    damage: str | None = None
    """Why the picture is not whole, None if that is not known yet."""


def decode(data: bytes, bounds: ImageBounds, *, large_pixels: int | None = None) -> Image.Image:
    """Decode the first picture of a file to RGB, turned as its EXIF data says.

    Args:
        data: the file.
        bounds: checked before the pixels are decoded.
        large_pixels: most pixels that are decoded; None if `bounds` are enough.

    Raises:
        UnusableImage: 400 empty, 413 too large, 415 not a picture or damaged, 422 of extreme proportions.
        LargePictureError: more than `large_pixels`.
    """
    check_file_size(len(data), bounds)
    file = _read_file(data)
    try:
        image = Image.open(io.BytesIO(file.data), formats=(file.kind,))
    except MemoryError:
        raise
    except Exception as error:
        detail = "no such head" if isinstance(error, UnidentifiedImageError) else one_line(error)
        raise UnusableImage(
            415, f"expected a whole {file.kind} picture, got one whose head is damaged: {detail}"
        ) from error
    with image:
        _check_dimensions(image.size, bounds)
        if large_pixels is not None and image.width * image.height > large_pixels:
            raise LargePictureError
        try:
            _check_file(file, image)
            image.load()
            return _to_rgb(_turn(image, file), inverted=file.kind == "TIFF" and is_inverted_sixteen_bit(data))
        except (UnusableImage, MemoryError):
            raise
        except Exception as error:
            raise UnusableImage(
                415, f"expected a whole {file.kind} picture, got a damaged one: {one_line(error)}", size=image.size
            ) from error


def has_image_signature(head: bytes) -> bool:
    """True if the first `SIGNATURE_BYTES` bytes are those of a picture."""
    # BMP's signature is two letters, which text may begin with too.
    return _kind(head) not in (None, "BMP")


def _kind(head: bytes) -> str | None:
    """Return the format of the file that begins so, None if it is not taken."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(png.SIGNATURE):
        return "PNG"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "TIFF"
    return "BMP" if head.startswith(b"BM") else None


def _read_file(data: bytes) -> _File:
    """Recognise the format, and leave out what is not decoded.

    Raises:
        UnusableImage: 415.
    """
    kind = _kind(data[:SIGNATURE_BYTES])
    if kind is None:
        raise UnusableImage(415, f"expected a picture ({', '.join(FORMATS)}), got bytes of no such format")
    if kind == "JPEG":
        jpeg = read_jpeg(data)
        return _File(jpeg.picture, kind, jpeg.exif, jpeg.xmp, jpeg.damage)
    if kind != "PNG":
        return _File(data, kind)
    try:
        parts = png.read_png(data)
    except png.DamagedPngError as error:
        raise UnusableImage(
            415, f"expected a whole PNG picture, got a damaged one: {error}", size=error.size
        ) from error
    return _File(parts.picture, kind, parts.exif, parts.xmp)


def _check_file(file: _File, image: Image.Image) -> None:
    """Check what Pillow would decode to another picture.

    Raises:
        UnusableImage: 415.
    """
    if file.damage is not None:
        raise UnusableImage(
            415, f"expected a whole {file.kind} picture, got a damaged one: {file.damage}", size=image.size
        )
    try:
        if file.kind == "JPEG":
            _check_scans(file.data)
        elif file.kind == "PNG":
            png.check_rows(file.data)
        elif file.kind == "BMP":
            check_bmp(file.data)
        elif file.kind == "TIFF":
            check_tiff(file.data)
            check_parts(file.data)
    except (UnsupportedBmpError, UnsupportedTiffError) as error:
        raise UnusableImage(415, f"{file.kind}: {error}", size=image.size) from error
    except DamagedScansError as error:
        raise UnusableImage(
            415, f"expected a whole {file.kind} picture, got a damaged one: {error}", size=image.size
        ) from error
    if file.kind == "TIFF":
        orientation = read_tiff_orientation(file.data)
        if orientation not in (None, image.getexif().get(ORIENTATION, 1)):
            raise UnusableImage(
                415, "TIFF: expected a readable orientation, got damaged tags before it", size=image.size
            )


def _check_scans(data: bytes) -> None:
    """Decode each scan of a JPEG that has several: Pillow raises an error if one is truncated."""
    for picture in scan_pictures(data):
        with Image.open(io.BytesIO(picture), formats=("JPEG",)) as scan:
            scan.load()


def check_file_size(size: int, bounds: ImageBounds) -> None:
    """Check a file's size in bytes.

    Raises:
        UnusableImage: 400 empty, 413 too large.
    """
    if size == 0:
        raise UnusableImage(400, "expected a picture, got an empty file")
    if size > bounds.max_bytes:
        raise UnusableImage(413, f"expected at most {bounds.max_bytes} bytes, got {size}")


def _check_dimensions(size: tuple[int, int], bounds: ImageBounds) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise UnusableImage(415, f"expected a picture, got one of {width}x{height} pixels")
    if width * height > bounds.max_pixels:
        raise UnusableImage(
            413, f"expected at most {bounds.max_pixels} pixels, got {width}x{height} = {width * height}", size=size
        )
    # The gate scales the shortest side to a fixed length: a strip one pixel wide would become gigabytes.
    if max(size) > bounds.max_proportion * min(size):
        raise UnusableImage(
            422,
            f"expected a longest side of at most {bounds.max_proportion:g} times the shortest, got {width}x{height}",
            size=size,
        )


def _turn(image: Image.Image, file: _File) -> Image.Image:
    """Return the loaded picture turned as its metadata says."""
    if file.kind == "TIFF":
        return image  # Pillow turns it while it loads
    exif, xmp = (image.info.get("exif"), image.info.get("xmp")) if file.kind == "WEBP" else (file.exif, file.xmp)
    transpose = _TRANSPOSE.get(read_orientation(exif, xmp))
    return image if transpose is None else image.transpose(transpose)


def _to_rgb(image: Image.Image, *, inverted: bool) -> Image.Image:
    # Pillow would clip values above 255 to white. It holds 16 bits in 32 for some formats.
    if image.mode.startswith("I"):
        import numpy as np  # noqa: PLC0415 - takes a tenth of a second, and few pictures have 16 bits

        _check_values(image, 0, SIXTEEN_BITS)
        values = np.asarray(image)
        image = Image.fromarray(((SIXTEEN_BITS - values if inverted else values) >> 8).astype(np.uint8))
    elif image.mode == "F":
        _check_values(image, 0, 255)
        if 0 < image.getextrema()[1] <= 1:  # type: ignore[operator] # one band
            raise UnusableImage(415, "expected values of 0 to 255, got fractions of 1", size=image.size)
    return image if image.mode == "RGB" else image.convert("RGB")


def _check_values(image: Image.Image, lowest: int, highest: int) -> None:
    import numpy as np  # noqa: PLC0415 - as above

    values = np.asarray(image)
    # Written so that NaN does not pass.
    if not (lowest <= values.min() and values.max() <= highest):
        raise UnusableImage(
            415,
            f"expected values of {lowest} to {highest}, got {values.min():g} to {values.max():g}",
            size=image.size,
        )
