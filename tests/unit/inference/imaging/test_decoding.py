"""Decoding of untrusted bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.pictures import announced_png, encoded, picture, turned

from cetacean_inference.imaging.decoding import FORMATS, decode, has_image_signature
from cetacean_inference.rejected_requests import UnusableImage
from cetacean_inference.settings import ImageSettings

BOUNDS = ImageSettings(max_bytes=2_000_000, max_pixels=1_000_000)


def noise(width: int = 120, height: int = 80) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def outcome(data: bytes) -> str | int:
    try:
        return decode(data, BOUNDS).mode
    except UnusableImage as refusal:
        return refusal.status


def rejection(data: bytes, bounds: ImageSettings = BOUNDS) -> UnusableImage:
    with pytest.raises(UnusableImage) as caught:
        decode(data, bounds)
    assert "\n" not in caught.value.detail
    return caught.value


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_formats_of_cameras_and_browsers_are_decoded(kind: str) -> None:
    assert kind in FORMATS
    image = decode(encoded(noise(), kind), BOUNDS)
    assert (image.mode, image.size) == ("RGB", (120, 80))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "F"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    kind = "TIFF" if mode in ("CMYK", "F") else "PNG"
    source = noise().convert("L") if mode == "I;16" else noise()
    image = decode(encoded(source.convert(mode), kind), BOUNDS)
    assert (image.mode, image.size) == ("RGB", (120, 80))


def test_a_cmyk_jpeg_keeps_its_visible_colours() -> None:
    image = decode(encoded(Image.new("RGB", (32, 32), (200, 40, 90)).convert("CMYK"), "JPEG", quality=95), BOUNDS)
    assert np.abs(np.asarray(image, dtype=int)[16, 16] - (200, 40, 90)).max() < 12


def test_sixteen_bit_values_are_scaled_and_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)
    image = decode(encoded(Image.fromarray(ramp), "PNG"), BOUNDS)
    assert np.asarray(image)[..., 0].flatten().tolist() == (ramp >> 8).flatten().tolist()


def test_sixteen_bit_values_in_a_32_bit_image_are_scaled() -> None:
    data = encoded(Image.fromarray(np.array([[20_000, 65_535]], np.int32)), "TIFF")
    assert np.asarray(decode(data, BOUNDS))[0, :, 0].tolist() == [20_000 >> 8, 255]


@pytest.mark.parametrize(
    ("values", "detail"),
    [
        (np.array([[0, 65_536]], np.int32), "expected values of 0 to 65535, got 0 to 65536"),
        (np.array([[-1, 5]], np.int32), "expected values of 0 to 65535, got -1 to 5"),
        (np.array([[0.5, 300.0]], np.float32), "expected values of 0 to 255, got 0.5 to 300"),
        (np.array([[0.3, np.nan]], np.float32), "expected values of 0 to 255, got nan to nan"),
        (np.array([[0.3, 1.0]], np.float32), "expected values of 0 to 255, got fractions of 1"),
    ],
)
def test_values_out_of_range_are_rejected(values: Any, detail: str) -> None:
    refusal = rejection(encoded(Image.fromarray(values), "TIFF"))
    assert (refusal.status, refusal.detail, refusal.size) == (415, detail, (2, 1))


@pytest.mark.parametrize("kind", ["JPEG2000", "GIF", "PPM", "ICO"])
def test_formats_that_no_camera_writes_are_rejected(kind: str) -> None:
    refusal = rejection(encoded(noise(32, 32), kind))
    assert refusal.status == 415
    assert refusal.detail == "expected a picture (JPEG, MPO, PNG, WEBP, TIFF, BMP), got bytes of no such format"


@pytest.mark.parametrize(("orientation", "size"), [(1, (60, 40)), (3, (60, 40)), (6, (40, 60)), (8, (40, 60))])
def test_the_exif_orientation_is_applied(orientation: int, size: tuple[int, int]) -> None:
    image = Image.new("RGB", (60, 40), (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, 30, 20))
    found = decode(turned(image, "PNG", orientation=orientation), BOUNDS)
    assert found.size == size
    red = {1: (5, 5), 3: (55, 35), 6: (35, 5), 8: (5, 55)}[orientation]
    assert found.getpixel(red) == (255, 0, 0)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Truncated File Read")  # Pillow reads the resolution
def test_a_picture_with_damaged_exif_data_is_decoded() -> None:
    data = encoded(noise(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40)
    assert decode(data, BOUNDS).size == (120, 80)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_an_animation_is_decoded(kind: str) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    red, _, blue = np.asarray(decode(data, BOUNDS))[10, 10]
    assert red > 200
    assert blue < 50


def test_a_picture_of_one_pixel_is_decoded() -> None:
    assert decode(picture(size=(1, 1)), BOUNDS).size == (1, 1)


def test_an_empty_file_is_rejected_with_400() -> None:
    assert rejection(b"").status == 400


@pytest.mark.parametrize(
    "data", [b"These are words.", b"%!PS-Adobe-3.0", b"<svg/>", b"\0" * 100, b"PK\x03\x04", b"\xff"]
)
def test_bytes_of_another_format_are_rejected_with_415(data: bytes) -> None:
    refusal = rejection(data)
    assert refusal.status == 415
    assert "JPEG" in refusal.detail


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_truncated_picture_is_rejected_with_415(kind: str) -> None:
    data = encoded(noise(), kind)
    refusal = rejection(data[: len(data) // 2])
    assert refusal.status == 415
    assert "damaged" in refusal.detail or "no such format" in refusal.detail


def test_the_rejection_of_a_truncated_picture_has_its_size() -> None:
    data = encoded(noise(), "PNG")
    assert rejection(data[: len(data) // 2]).size == (120, 80)


def test_a_decompression_bomb_is_rejected_by_its_header() -> None:
    refusal = rejection(announced_png(50_000, 50_000))
    assert refusal.status == 413
    assert "50000x50000" in refusal.detail
    assert "1000000" in refusal.detail


def test_a_file_that_is_too_large_is_rejected_with_413() -> None:
    refusal = rejection(b"x" * 11, ImageSettings(max_bytes=10))
    assert refusal.status == 413
    assert "at most 10 bytes, got 11" in refusal.detail


def test_extreme_proportions_are_rejected_with_422() -> None:
    assert decode(encoded(Image.new("L", (1, 100)), "PNG"), BOUNDS).size == (1, 100)
    refusal = rejection(encoded(Image.new("L", (1, 101)), "PNG"))
    assert refusal.status == 422
    assert "1x101" in refusal.detail


def test_signatures_of_pictures_are_recognised() -> None:
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        assert has_image_signature(encoded(noise(), kind)[:16]), kind
    for head in (
        b"",
        b"BM but no picture",
        b"P6 is a word",
        b"%PDF-1.7",
        b"PK\x03\x04aaaaaaaaaaaa",
        b"RIFF\0\0\0\0WAVEfmt ",
    ):
        assert not has_image_signature(head), head


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF", "BMP"]), st.data())
def test_damaged_bytes_are_decoded_or_rejected(kind: str, data: st.DataObject) -> None:
    content = bytearray(encoded(noise(24, 16), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    assert outcome(bytes(content)) in ("RGB", 413, 415, 422)
