"""Which TIFF files are taken: no previews, no raw files, nothing that Pillow decodes to another picture."""

from __future__ import annotations

import pytest
from support.tiff import LONG, SHORT, SIGNED_SHORT, Directory, Entry, tiff

from cetacean_inference.imaging.tiff import (
    UnsupportedTiffError,
    check_tiff,
    is_inverted_sixteen_bit,
    read_tiff_orientation,
)

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION = 256, 257, 258, 259, 262, 274
SUBFILE_TYPE, OLD_SUBFILE_TYPE, PLANES, SAMPLE_FORMAT, DNG_VERSION, COLOUR_MAP = 254, 255, 284, 339, 50706, 320


def directory(*more: tuple[int, tuple[int, ...]], width: int = 4, height: int = 3) -> Directory:
    """Return a directory with a size and these tags."""
    entries = [Entry(tag, SHORT, values) for tag, values in more]
    return Directory([Entry(WIDTH, LONG, (width,)), Entry(HEIGHT, LONG, (height,)), *entries])


@pytest.mark.parametrize(
    "first",
    [
        directory(),
        *(directory((BITS, (bits,))) for bits in (1, 2, 4, 8, 16, 32)),
        directory((BITS, (8, 8, 8)), (PLANES, (2,))),
        directory((BITS, (16, 16, 16)), (PLANES, (1,))),
        directory((BITS, (16, 16, 16))),
        directory((BITS, (16,)), (PLANES, (2,))),
        directory((BITS, (32,)), (SAMPLE_FORMAT, (2,))),
        directory((BITS, (16,)), (SAMPLE_FORMAT, (1,))),
        directory((BITS, (32,)), (PHOTOMETRIC, (1,))),
        directory((BITS, (16,)), (PHOTOMETRIC, (0,))),
        directory((SUBFILE_TYPE, (2,)), (OLD_SUBFILE_TYPE, (1,))),
        directory((OLD_SUBFILE_TYPE, (3,))),
    ],
)
def test_a_picture_of_these_kinds_is_taken(first: Directory) -> None:
    check_tiff(tiff([first]))
    check_tiff(tiff([first, directory(), directory(width=3), directory((BITS, (12,)))]))
    check_tiff(tiff([first, Directory([Entry(HEIGHT, LONG, (100,))])]))  # no picture


DEVELOPED = "expected a developed picture, got a camera's raw file"
WHOLE = "expected the whole picture first, got a preview as in a camera's raw file"
LARGEST = "expected the largest picture first, got a preview before it"


@pytest.mark.parametrize(
    ("directories", "message"),
    [
        ([directory((DNG_VERSION, (1,)))], DEVELOPED),
        ([directory((PHOTOMETRIC, (32803,)))], DEVELOPED),
        ([directory((PHOTOMETRIC, (34892,)))], DEVELOPED),
        ([directory((SUBFILE_TYPE, (1,)))], WHOLE),
        ([directory((SUBFILE_TYPE, (3,)))], WHOLE),
        ([directory((OLD_SUBFILE_TYPE, (2,)))], WHOLE),
        ([directory(), directory(height=4)], LARGEST),
        ([directory(width=12, height=1), directory(), directory(width=13, height=1)], LARGEST),
        ([directory((BITS, (12,)))], "expected 1, 2, 4, 8, 16 or 32 bits a value, got 12"),
        ([directory((BITS, (8, 64)))], "expected 1, 2, 4, 8, 16 or 32 bits a value, got 8"),
        (
            [directory((BITS, (16, 8)), (PLANES, (2,)))],
            "expected planes of 8 bits or interleaved values, got planes of 16 bits",
        ),
        ([directory((BITS, (16,)), (SAMPLE_FORMAT, (1, 2)))], "expected unsigned values, got signed ones of 16 bits"),
        ([directory((SAMPLE_FORMAT, (2,)))], "expected unsigned values, got signed ones of 1 bits"),
        (
            [directory((BITS, (32,)), (PHOTOMETRIC, (0,)))],
            "expected black as zero for values of 32 bits, got white as zero",
        ),
    ],
)
def test_a_picture_of_another_kind_is_refused_with_the_reason(directories: list[Directory], message: str) -> None:
    with pytest.raises(UnsupportedTiffError) as raised:
        check_tiff(tiff(directories))
    assert str(raised.value) == message


@pytest.mark.parametrize("tag", [254, 255, 256, 257, 258, 259, 262, 277, 278, 284, 322, 323, 339])
def test_a_tag_that_says_how_the_picture_is_read_must_be_readable(tag: int) -> None:
    """Pillow also reads signed integers."""
    tags = [Entry(number, LONG, (1,)) for number in (256, 257) if number != tag]
    with pytest.raises(UnsupportedTiffError) as raised:
        check_tiff(tiff([Directory([*tags, Entry(tag, SIGNED_SHORT, (1,))])]))
    assert str(raised.value) == f"expected unsigned integers, once, in tag {tag}"


@pytest.mark.parametrize("tag", [256, 257, 258, 273, 279, 324, 325])
def test_a_tag_that_says_how_the_picture_is_read_must_be_there_once(tag: int) -> None:
    """Some decoders take the first one, others the last."""
    first = directory((BITS, (8,)), (tag, (1,)), (tag, (2,)))
    with pytest.raises(UnsupportedTiffError, match=rf"^expected unsigned integers, once, in tag {tag}$"):
        check_tiff(tiff([first]))
    check_tiff(tiff([directory((700, (1,)), (700, (2,)))]))


def test_compressed_values_of_32_bits_are_taken_in_the_byte_order_of_the_decoder() -> None:
    check_tiff(tiff([directory((BITS, (32,)), (COMPRESSION, (1,)))], order=">"))
    check_tiff(tiff([directory((BITS, (32,)))], order=">"))
    check_tiff(tiff([directory((BITS, (16,)), (COMPRESSION, (8,)))], order=">"))
    check_tiff(tiff([directory((BITS, (32,)), (COMPRESSION, (8,)))]))
    with pytest.raises(UnsupportedTiffError) as raised:
        check_tiff(tiff([directory((BITS, (32,)), (COMPRESSION, (8,)))], order=">"))
    assert str(raised.value) == "expected values of 32 bits without compression or with the lowest byte first"


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_palette_of_eight_bits_is_refused(order: str) -> None:
    darkest = directory((PHOTOMETRIC, (3,)), (COLOUR_MAP, (0,) * 767 + (256,)))
    check_tiff(tiff([darkest], order=order))
    check_tiff(tiff([directory((PHOTOMETRIC, (2,)), (COLOUR_MAP, (255,) * 768))], order=order))
    twice = directory((PHOTOMETRIC, (3,)), (COLOUR_MAP, (256,) * 768), (COLOUR_MAP, (255,) * 768))
    with pytest.raises(UnsupportedTiffError, match="got none above 255"):
        check_tiff(tiff([twice], order=order))
    for values in ((255,) * 768, (0,) * 48, ()):
        with pytest.raises(UnsupportedTiffError) as raised:
            check_tiff(tiff([directory((PHOTOMETRIC, (3,)), (COLOUR_MAP, values))], order=order))
        assert str(raised.value) == "expected a palette with values of 16 bits, got none above 255"


def test_a_file_without_a_directory_is_refused() -> None:
    with pytest.raises(UnsupportedTiffError, match=r"^no directory that can be read$"):
        check_tiff(b"II*\0")


@pytest.mark.parametrize("mark", [b"CR", b"CR\2\0"])
def test_a_raw_file_of_canon_is_refused(mark: bytes) -> None:
    data = tiff([directory()])
    shifted = data[:4] + (16).to_bytes(4, "little") + mark.ljust(8, b"\0") + data[8:]
    with pytest.raises(UnsupportedTiffError, match=f"^{DEVELOPED}$"):
        check_tiff(shifted)
    check_tiff(shifted.replace(b"CR", b"CX"))


@pytest.mark.parametrize(
    ("tags", "inverted"),
    [
        ([(PHOTOMETRIC, (0,)), (BITS, (16,))], True),
        ([(PHOTOMETRIC, (1,)), (BITS, (16,))], False),
        ([(BITS, (16,))], False),
        ([(PHOTOMETRIC, (0,)), (BITS, (8,))], False),
        ([(PHOTOMETRIC, (0,)), (BITS, (16, 16))], False),
        ([(PHOTOMETRIC, (0,))], False),
    ],
)
def test_white_as_zero_with_sixteen_bits_is_found(tags: list[tuple[int, tuple[int, ...]]], *, inverted: bool) -> None:
    assert is_inverted_sixteen_bit(tiff([directory(*tags)])) is inverted


def test_a_file_without_a_directory_has_neither() -> None:
    assert (is_inverted_sixteen_bit(b""), read_tiff_orientation(b"")) == (False, None)


@pytest.mark.parametrize(
    ("values", "orientation"), [((1,), 1), ((6, 3), 6), ((8,), 8), ((0,), None), ((9,), None), ((), None)]
)
def test_a_valid_orientation_is_read(values: tuple[int, ...], orientation: int | None) -> None:
    assert read_tiff_orientation(tiff([directory((ORIENTATION, values))])) == orientation
    assert read_tiff_orientation(tiff([directory()])) is None
