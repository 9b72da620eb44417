"""Decoding of untrusted bytes."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.pictures import announced_png, encoded, picture, turned

from cetacean_inference.imaging import png
from cetacean_inference.imaging.bmp import UnsupportedBmpError, check_bmp
from cetacean_inference.imaging.decoding import FORMATS, decode, has_image_signature
from cetacean_inference.imaging.exif import read_directories
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


def without_jfif(jpeg: bytes) -> bytes:
    """Return a file of Pillow without its first segment."""
    (length,) = struct.unpack_from(">H", jpeg, 4)
    return jpeg[:2] + jpeg[4 + length :]


@pytest.mark.parametrize(("kind", "number"), [(5, 0), (2, 1), (3, 0)])
def test_a_jpeg_whose_only_resolution_is_damaged_is_decoded(kind: int, number: int) -> None:
    tags = ((0x0112, 3, 1, 6), (0x011A, kind, number, ord("7")), (0x0128, 3, 1, 2))
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    assert decode(without_jfif(encoded(noise(), "JPEG", exif=exif)), BOUNDS).size == (80, 120)


@pytest.mark.parametrize("code", [0xE1, 0xE2, 0xED, 0xFE])
def test_segments_with_metadata_do_not_matter(code: int) -> None:
    whole = encoded(noise(), "JPEG")
    for content in (b"", b"Exif\0\0", b"MPF\0", b"ICC_PROFILE\0", b"Photoshop 3.0\08BIM", b"\xff\xd9" * 9):
        more = bytes((0xFF, code)) + struct.pack(">H", 2 + len(content)) + content
        found = decode(whole[:2] + more + whole[2:], BOUNDS)
        assert np.array_equal(np.asarray(found), np.asarray(decode(whole, BOUNDS)))


@pytest.mark.parametrize("emptied", [False, True])
def test_a_jpeg_without_one_restart_interval_is_rejected(emptied: bool) -> None:
    whole = encoded(noise(), "JPEG", restart_marker_rows=1)
    begin, end = whole.index(b"\xff\xd1"), whole.index(b"\xff\xd2")
    refusal = rejection(whole[: begin + 2 * emptied] + whole[end:])
    assert (refusal.status, refusal.size) == (415, (120, 80))
    assert "restart markers" in refusal.detail


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


@settings(max_examples=200)
@given(st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF", "BMP"]), st.data())
def test_damaged_bytes_are_decoded_or_rejected(kind: str, data: st.DataObject) -> None:
    content = bytearray(encoded(noise(24, 16), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    assert outcome(bytes(content)) in ("RGB", 413, 415, 422)


# --- another picture than viewers show -------------------------------------------------------------------------------


def tiff(values: npt.NDArray[np.generic], **tags: int) -> bytes:
    """Return an uncompressed TIFF file of one strip for each plane; `tags` are replaced or added by their numbers."""
    planes = values if values.ndim == 3 and "_284" in tags and tags["_284"] == 2 else values[np.newaxis]
    samples = values.shape[0] if planes is values else (values.shape[2] if values.ndim == 3 else 1)
    high, wide = planes.shape[1:3]
    bits = values.dtype.itemsize * 8
    found = {256: (wide,), 257: (high,), 258: (bits,) * samples, 259: (1,), 262: (2 if samples == 3 else 1,)}
    found |= {277: (samples,), 278: (high,), 279: tuple(plane.nbytes for plane in planes)}
    found |= {int(name[1:]): (value,) for name, value in tags.items()}
    count = len(found) + 1
    extra_at = 8 + 2 + 12 * count + 4
    pixels_at = extra_at + sum(4 * len(one) for one in (*found.values(), planes))
    found[273] = tuple(pixels_at + sum(plane.nbytes for plane in planes[:index]) for index in range(len(planes)))
    entries = extra = b""
    for tag, numbers in sorted(found.items()):
        packed = struct.pack(f"<{len(numbers)}I", *numbers)
        place = packed if len(numbers) == 1 else struct.pack("<I", extra_at + len(extra))
        entries += struct.pack("<HHI", tag, 4, len(numbers)) + place
        extra += b"" if len(numbers) == 1 else packed
    head = b"II*\0" + struct.pack("<IH", 8, count) + entries + bytes(4) + extra
    return head.ljust(pixels_at, b"\0") + b"".join(plane.tobytes() for plane in planes)


def ramp(bits: int = 16) -> npt.NDArray[np.uint16]:
    return np.linspace(0, 2**bits - 1, 64 * 48).reshape(48, 64).astype(np.uint16)


def test_sixteen_bits_with_white_as_zero_are_inverted() -> None:
    found = np.asarray(decode(tiff(ramp(), _262=0), BOUNDS))[..., 0]
    assert np.array_equal(found, (65535 - ramp()) >> 8)
    assert np.array_equal(np.asarray(decode(tiff(ramp()), BOUNDS))[..., 0], ramp() >> 8)


def test_planes_of_eight_bits_are_decoded_and_planes_of_sixteen_rejected() -> None:
    planes = np.stack([ramp(8), ramp(8)[::-1], ramp(8)[:, ::-1]]).astype(np.uint8)
    found = np.asarray(decode(tiff(planes, _284=2), BOUNDS))
    assert np.array_equal(found, planes.transpose(1, 2, 0))
    refusal = rejection(tiff(planes.astype(np.uint16) << 8, _284=2))
    assert (refusal.status, refusal.size) == (415, (64, 48))
    assert "planes of 16 bits" in refusal.detail


@pytest.mark.parametrize(
    ("tags", "detail"),
    [
        ({"_254": 1}, "preview"),
        ({"_255": 2}, "preview"),
        ({"_50706": 0x0000_0401}, "raw file"),
        ({"_262": 32803}, "raw file"),
        ({"_262": 34892}, "raw file"),
        ({"_258": 12}, "got 12"),
        ({"_339": 2}, "signed"),
    ],
)
def test_a_tiff_that_is_a_preview_or_raw_or_has_other_values_is_rejected(tags: dict[str, int], detail: str) -> None:
    refusal = rejection(tiff(ramp(), **tags))
    assert refusal.status == 415
    assert detail in refusal.detail or "head is damaged" in refusal.detail


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma"])
def test_a_tiff_whose_part_is_cut_is_rejected(compression: str | None) -> None:
    whole = encoded(noise(), "TIFF", compression=compression, tiffinfo={278: 80})
    directory = next(read_directories(whole))
    (size,) = directory[279]
    assert decode(whole, BOUNDS).size == (120, 80)
    entry = whole.index(struct.pack("<HHII", 279, 4, 1, size))
    refusal = rejection(whole[: entry + 8] + struct.pack("<I", size * 9 // 10) + whole[entry + 12 :])
    assert (refusal.status, refusal.size) == (415, (120, 80))
    assert "damaged" in refusal.detail


@pytest.mark.parametrize("compression", ["tiff_ccitt", "group3", "group4"])
def test_a_fax_is_rejected(compression: str) -> None:
    refusal = rejection(encoded(noise().convert("1"), "TIFF", compression=compression))
    assert refusal.detail.startswith("TIFF: expected no compression, LZW")


@pytest.mark.parametrize("sub_directory", [True, False])
def test_a_tiff_with_a_larger_picture_after_the_first_is_rejected(sub_directory: bool) -> None:
    small, large = tiff(ramp(8).astype(np.uint8)[:10, :10].copy(), _330=0), tiff(ramp(8).astype(np.uint8))
    # The second directory's own offsets do not matter: it is never decoded.
    at = len(small)
    count = struct.unpack_from("<H", small, 8)[0]
    changed = bytearray(small + large[8:])
    if sub_directory:
        changed = bytearray(
            bytes(changed).replace(struct.pack("<HHII", 330, 4, 1, 0), struct.pack("<HHII", 330, 4, 1, at))
        )
    else:
        struct.pack_into("<I", changed, 10 + 12 * count, at)
    refusal = rejection(bytes(changed))
    assert refusal.status == 415
    assert "preview before it" in refusal.detail


def test_a_smaller_picture_after_the_first_is_ignored() -> None:
    large, small = Image.new("RGB", (60, 40), "red"), Image.new("RGB", (6, 4), "blue")
    image = decode(encoded(large, "TIFF", save_all=True, append_images=[small]), BOUNDS)
    assert (image.size, image.getpixel((5, 5))) == ((60, 40), (255, 0, 0))


def exif_with_damage_before_the_orientation(orientation: int, *, kind: int, count: int, offset: int) -> bytes:
    """Return EXIF data whose first tag is damaged and whose second one is the orientation."""
    entries = struct.pack("<HHII", 0x010F, kind, count, offset) + struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    ("type_", "count", "offset"),
    [
        (2, 500, 60_000),
        (2, 2**32 - 1, 8),
        (5, 1, 2**32 - 1),
        (99, 4, 10),
        (12, 70_000, 26),
        (3, 500, 60_000),
        (4, 2, 99),
    ],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Truncated File Read", "ignore:Metadata Warning")
def test_the_orientation_counts_after_a_damaged_tag(kind: str, type_: int, count: int, offset: int) -> None:
    exif = exif_with_damage_before_the_orientation(6, kind=type_, count=count, offset=offset)
    assert decode(encoded(noise(), kind, exif=exif), BOUNDS).size == (80, 120)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Truncated File Read", "ignore:Metadata Warning")
def test_the_orientation_counts_in_exif_data_that_end_after_it(kind: str) -> None:
    whole = exif_with_damage_before_the_orientation(6, kind=2, count=4, offset=1)
    exif = whole[:-4]  # without the offset of the next directory
    assert decode(encoded(noise(), kind, exif=exif), BOUNDS).size == (80, 120)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("offset", [9, 60_000, 2**32 - 1])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Truncated File Read", "ignore:Metadata Warning")
def test_a_picture_whose_exif_data_begin_nowhere_is_decoded_as_it_is(kind: str, offset: int) -> None:
    exif = b"Exif\0\0II*\0" + struct.pack("<I", offset)
    assert decode(encoded(noise(), kind, exif=exif), BOUNDS).size == (120, 80)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value_type", ["H", "I"])
def test_the_orientation_is_read_in_both_byte_orders(order: str, value_type: str) -> None:
    kind = {"H": 3, "I": 4}[value_type]
    value = struct.pack(order + value_type, 8).ljust(4, b"\0")
    exif = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HIHHHI", 42, 8, 1, 0x0112, kind, 1) + value + bytes(4)
    assert decode(encoded(noise(), "JPEG", exif=b"Exif\0\0" + exif), BOUNDS).size == (80, 120)


def test_the_orientation_in_xmp_counts_if_exif_has_none() -> None:
    xmp = b'<rdf:Description tiff:Orientation="6"/>'
    assert decode(encoded(noise(), "JPEG", xmp=xmp), BOUNDS).size == (80, 120)
    assert decode(with_chunks(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp), BOUNDS).size == (80, 120)
    packed = zlib.compress(xmp)
    assert decode(with_chunks(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + packed), BOUNDS).size == (80, 120)


def test_the_orientation_that_imagemagick_writes_in_text_counts() -> None:
    exif = exif_with_damage_before_the_orientation(6, kind=2, count=4, offset=1)
    text = f"\nexif\n{len(exif):8}\n{exif.hex()}\n".encode()
    data = with_chunks(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))
    assert decode(data, BOUNDS).size == (80, 120)


def test_a_tiff_whose_orientation_pillow_cannot_read_is_rejected_or_turned() -> None:
    data = tiff(ramp(8).astype(np.uint8), _274=6)
    assert decode(data, BOUNDS).size == (48, 64)


@pytest.mark.parametrize("kept", [0.5, 0.9, 1.0])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("tail", [b"", bytes(5000), b"\xff" * 3000])
def test_a_jpeg_without_an_end_marker_is_rejected(kept: float, progressive: bool, tail: bytes) -> None:
    whole = encoded(noise(), "JPEG", progressive=progressive)
    refusal = rejection(whole[: int((len(whole) - 2) * kept)] + tail)
    assert (refusal.status, refusal.size) == (415, (120, 80))
    assert "end marker" in refusal.detail


@pytest.mark.parametrize("kept", [0.5, 0.9, 0.98])
def test_a_jpeg_that_ends_too_early_with_an_end_marker_is_rejected(kept: float) -> None:
    whole = encoded(noise(), "JPEG")
    refusal = rejection(whole[: int(len(whole) * kept)] + b"\xff\xd9")
    assert (refusal.status, refusal.size) == (415, (120, 80))
    assert "truncated" in refusal.detail


@settings(max_examples=100)
@given(
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    options=st.fixed_dictionaries(
        {
            "quality": st.integers(1, 100),
            "subsampling": st.integers(0, 2),
            "optimize": st.booleans(),
            "progressive": st.booleans(),
            "restart_marker_blocks": st.integers(0, 3),
        }
    ),
    mode=st.sampled_from(["RGB", "L", "CMYK"]),
    flat=st.booleans(),
)
def test_a_whole_jpeg_is_decoded_as_by_pillow(
    size: tuple[int, int], options: dict[str, Any], mode: str, flat: bool
) -> None:
    source = Image.new("RGB", size, (255, 255, 255)) if flat else noise(*size)
    data = encoded(source.convert(mode), "JPEG", **options)
    expected = Image.open(io.BytesIO(data)).convert("RGB")
    assert np.array_equal(np.asarray(decode(data, BOUNDS)), np.asarray(expected))


def test_a_jpeg_with_bytes_after_its_end_marker_is_decoded() -> None:
    assert decode(encoded(noise(), "JPEG") + bytes(5000), BOUNDS).size == (120, 80)


def test_a_thumbnails_end_marker_is_not_the_pictures() -> None:
    thumbnail = encoded(noise(16, 16), "JPEG")
    whole = encoded(noise(), "JPEG", exif=b"Exif\0\0" + thumbnail)
    assert decode(whole, BOUNDS).size == (120, 80)
    assert "end marker" in rejection(whole[:-2] + bytes(100)).detail


@pytest.mark.parametrize(
    ("head", "compression", "taken"), [(40, 0, True), (40, 1, True), (40, 2, False), (124, 2, False), (12, 2, True)]
)
def test_a_bmp_whose_pixels_the_decoder_would_shift_is_rejected(head: int, compression: int, *, taken: bool) -> None:
    data = b"BM" + bytes(12) + struct.pack("<I12xI", head, compression)
    if taken:
        check_bmp(data)
    else:
        with pytest.raises(UnsupportedBmpError, match=r"got those of 4 bits$"):
            check_bmp(data)


def test_a_bmp_with_runs_of_four_bits_is_rejected() -> None:
    palette = b"".join(bytes((16 * index,) * 3) + b"\0" for index in range(16))
    rows = (b"\0\x05\x12\x34\xf0\0" + b"\x03\x77" + b"\0\0") * 4 + b"\0\1"
    head = struct.pack("<IiiHHIIiiII", 40, 8, 4, 1, 4, 2, len(rows), 0, 0, 0, 0)
    data = b"BM" + struct.pack("<III", 118 + len(rows), 0, 118) + head + palette + rows
    refusal = rejection(data)
    assert (refusal.status, refusal.size) == (415, (8, 4))
    assert refusal.detail == "BMP: expected pixels, or runs of pixels of 8 bits, got those of 4 bits"


# --- PNG chunks ------------------------------------------------------------------------------------------------------


def chunk(name: bytes, content: bytes, *, checksum: int | None = None) -> bytes:
    found = zlib.crc32(name + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", found)


def with_chunks(name: bytes, content: bytes, *, checksum: int | None = None, kind: str = "RGB") -> bytes:
    """Return a PNG file with one more chunk before its pixels."""
    whole = encoded(noise().convert(kind), "PNG")
    at = whole.index(b"IDAT") - 4
    return whole[:at] + chunk(name, content, checksum=checksum) + whole[at:]


@pytest.mark.parametrize(
    ("name", "content", "checksum"),
    [
        (b"tEXt", b"Comment\0a", 5),
        (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2_000_000)), None),
        (b"zTXt", b"Comment\0\0no zlib", None),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(2_000_000)), None),
        (b"iTXt", b"short", None),
        (b"gAMA", b"", None),
        (b"pHYs", b"1", None),
        (b"cHRM", b"12", None),
        (b"sRGB", b"", None),
        (b"iCCP", b"a\0\0" + zlib.compress(bytes(3_000_000)), None),
        (b"tRNS", b"1", None),
        (b"eXIf", b"damaged", None),
        (b"acTL", b"", None),
        (b"fcTL", b"1", None),
        (b"tIME", b"", 7),
    ],
)
def test_ancillary_chunks_do_not_matter(name: bytes, content: bytes, checksum: int | None) -> None:
    found = decode(with_chunks(name, content, checksum=checksum), BOUNDS)
    assert np.array_equal(np.asarray(found), np.asarray(noise()))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA"])
def test_a_png_of_any_mode_keeps_its_pixels_without_its_ancillary_chunks(mode: str) -> None:
    source = noise().convert(mode)
    assert np.array_equal(np.asarray(decode(encoded(source, "PNG"), BOUNDS)), np.asarray(source.convert("RGB")))


@pytest.mark.parametrize("name", [b"IDAT", b"IHDR"])
def test_a_critical_chunk_with_a_bad_checksum_is_rejected(name: bytes) -> None:
    data = bytearray(encoded(noise(), "PNG"))
    at = data.index(name)
    (size,) = struct.unpack_from(">I", data, at - 4)
    data[at + 4 + size] ^= 1
    refusal = rejection(bytes(data))
    assert refusal.status == 415
    assert "PNG" in refusal.detail
    assert "no such format" not in refusal.detail


@pytest.mark.parametrize("kept", [0, 24, 47])
def test_a_png_whose_rows_end_too_early_is_rejected(kept: int) -> None:
    head = struct.pack(">IIBBBBB", 64, 48, 8, 2, 0, 0, 0)
    packed = zlib.compress((b"\0" + b"\xc8" * 192) * kept)
    refusal = rejection(png.SIGNATURE + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b""))
    assert (refusal.status, refusal.size) == (415, (64, 48))
    assert refusal.detail == (
        f"expected a whole PNG picture, got a damaged one: image file is truncated: {kept * 193} of 9264 bytes"
    )


def test_an_unknown_critical_chunk_is_rejected() -> None:
    assert "unexpected chunk 'CgBI'" in rejection(with_chunks(b"CgBI", b"1234")).detail


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("size", [16, 20, 30])
def test_a_file_that_begins_like_a_known_format_is_called_by_it(kind: str, size: int) -> None:
    detail = rejection(encoded(noise(), kind)[:size]).detail
    assert f"expected a whole {kind} picture" in detail
    assert "no such format" not in detail
