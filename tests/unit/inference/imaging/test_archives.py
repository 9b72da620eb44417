"""Reading of untrusted zip archives."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.pictures import archive, encoded, picture

from cetacean_inference.imaging.archives import Archive, clean_name
from cetacean_inference.rejected_requests import RequestRejected, UnusableImage
from cetacean_inference.settings import ArchiveSettings, ImageSettings

BOUNDS = ArchiveSettings(max_entries=20, max_unpacked_bytes=5_000_000, max_ratio=50)
BOUNDS_OF_ONE = ArchiveSettings(max_ratio=1)
IMAGES = ImageSettings(max_bytes=2_000_000)


def opened(data: bytes | IO[bytes], bounds: ArchiveSettings = BOUNDS) -> Archive:
    stream = io.BytesIO(data) if isinstance(data, bytes) else data
    return Archive(stream, settings=bounds, images=IMAGES)


def rejection(data: bytes, bounds: ArchiveSettings = BOUNDS) -> RequestRejected:
    with pytest.raises(RequestRejected) as caught:
        opened(data, bounds)
    return caught.value


def names(data: bytes) -> list[str]:
    with opened(data) as found:
        return [entry.name for entry in found.entries]


def test_pictures_keep_the_order_of_the_archive() -> None:
    contents = [("b.jpg", picture(score=0.1)), ("a.PNG", picture(score=0.2)), ("deep/c.webp", picture(score=0.3))]
    with opened(archive(contents, method=zipfile.ZIP_DEFLATED)) as found:
        assert [(entry.name, found.read(entry)) for entry in found.entries] == contents
        assert found.skipped == 0


def test_an_empty_archive_has_no_entries() -> None:
    with opened(archive([])) as found:
        assert (found.entries, found.skipped) == ((), 0)


def test_entries_that_are_no_pictures_are_skipped_and_counted() -> None:
    inner = archive([("inside.jpg", picture())])
    data = archive(
        [
            ("folder/", b""),
            ("folder/a.jpg", picture()),
            ("notes.txt", b"words"),
            ("nested.zip", inner),
            ("__MACOSX/folder/a.jpg", b"fork"),
            ("folder/._a.jpg", b"fork"),
            ("drawing.svg", b"<svg/>"),
        ]
    )
    with opened(data) as found:
        assert [entry.name for entry in found.entries] == ["folder/a.jpg"]
        assert found.skipped == 6


def test_a_picture_without_an_extension_is_recognised_by_its_signature() -> None:
    assert names(archive([("IMG_0001", picture(kind="JPEG")), ("README", b"words")])) == ["IMG_0001"]


def test_an_entry_with_a_pictures_extension_is_not_skipped() -> None:
    assert names(archive([("a.jpg", b"words")])) == ["a.jpg"]


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("../../etc/cron.d/a.jpg", "etc/cron.d/a.jpg"),
        ("/root/a.jpg", "root/a.jpg"),
        ("C:\\photos\\..\\a.jpg", "photos/a.jpg"),
        ("C:/D:/a.jpg", "a.jpg"),
        ("./a/./b.jpg", "a/b.jpg"),
        ("a\nb\x1b.jpg", "ab.jpg"),
        ("кит.jpg", "кит.jpg"),
        ("/../..", "unknown"),
        ("C:\\", "unknown"),
        ("", "unknown"),
    ],
)
def test_names_are_made_safe_as_paths(name: str, clean: str) -> None:
    assert clean_name(name) == clean


@given(st.text(alphabet=st.sampled_from("a./\\:C\n\0é ")))
def test_a_clean_name_has_no_parent_folder_and_no_root(name: str) -> None:
    cleaned = clean_name(name)
    parts = cleaned.split("/")
    assert not cleaned.startswith("/")
    assert ".." not in parts
    assert cleaned.isprintable()
    assert clean_name(cleaned) == cleaned or cleaned[:2].endswith(":")


def test_a_utf8_name_without_the_flag_is_decoded() -> None:
    data = archive([("xxx.jpg", picture())]).replace(b"xxx.jpg", "é1.jpg".encode().ljust(7)[:7])
    assert names(data) == ["é1.jpg"]


def test_a_name_in_code_page_437_is_decoded() -> None:
    data = archive([("xxx.jpg", picture())]).replace(b"xxx.jpg", b"\x82\xff1.jpg"[:7])
    assert names(data) == ["é\xa01.jpg".replace("\xa0", "")]


def test_a_name_with_the_utf8_flag_that_is_not_utf8_is_rejected() -> None:
    data = archive([("éx.jpg", picture())]).replace("éx.jpg".encode(), b"\xff\xffx.jpg")
    assert rejection(data).status == 400


def test_an_entry_without_a_name_is_skipped() -> None:
    data = archive([("no name", b"words"), ("a.png", picture())]).replace(b"no name", b"\0\0\0\0\0\0\0")
    with opened(data) as found:
        assert ([one.name for one in found.entries], found.skipped) == (["a.png"], 1)


@pytest.mark.parametrize("data", [b"", b"no archive at all", b"PK\x03\x04" + b"\0" * 60])
def test_an_unreadable_archive_is_rejected_with_400(data: bytes) -> None:
    rejected = rejection(data)
    assert rejected.status == 400
    assert "zip" in rejected.detail


def test_a_truncated_archive_is_rejected_with_400() -> None:
    data = archive([("a.jpg", picture()), ("b.jpg", picture())])
    assert rejection(data[: len(data) // 2]).status == 400


@pytest.mark.parametrize(
    ("at", "kind", "value", "got"),
    [
        (12, "<I", 0, "2 entries announced, 0 found"),
        (10, "<H", 7, "7 entries announced, 2 found"),
        (8, "<H", 1, "1 entries announced, 2 found"),
        (4, "<H", 1, "part 2 of several"),
        (6, "<H", 3, "part 4 of several"),
    ],
    ids=["size of the directory", "entries", "entries here", "part", "part of the directory"],
)
def test_an_end_record_that_does_not_fit_the_entries_is_rejected(at: int, kind: str, value: int, got: str) -> None:
    data = bytearray(archive([("a.png", picture()), ("b.png", picture())]))
    struct.pack_into(kind, data, data.rindex(b"PK\x05\x06") + at, value)
    rejected = rejection(bytes(data))
    assert (rejected.status, rejected.detail) == (400, f"expected a readable zip archive, got: {got}")


def with_zip64_end(data: bytes, *, announced: int, disk: int = 0) -> bytes:
    """Return the archive with an end record of zip64 before its own, which then announces nothing."""
    end = data.rindex(b"PK\x05\x06")
    size, offset = struct.unpack_from("<II", data, end + 12)
    large = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, disk, 0, announced, announced, size, offset)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    small = struct.pack("<4sHHHHIIH", b"PK\x05\x06", *[0xFFFF] * 4, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return data[:end] + large + locator + small


def test_the_end_record_of_zip64_counts() -> None:
    data = archive([("a.png", picture()), ("b.png", picture())])
    assert names(with_zip64_end(data, announced=2)) == ["a.png", "b.png"]
    assert "65538 entries announced, 2 found" in rejection(with_zip64_end(data, announced=2 + 0x10000)).detail
    assert "part 2 of several" in rejection(with_zip64_end(data, announced=2, disk=1)).detail


def test_a_comment_and_bytes_before_the_archive_are_ignored() -> None:
    data = archive([("a.png", picture())])
    assert names(b"before" + data[:-2] + struct.pack("<H", 5) + b"after") == ["a.png"]


def test_a_damaged_entry_is_an_unusable_image() -> None:
    content = picture(kind="BMP")
    data = archive([("a.bmp", content), ("b.bmp", content)])
    at = data.index(content) + 60
    with opened(data[:at] + b"\x01\x02\x03" + data[at + 3 :]) as found:
        first, second = found.entries
        with pytest.raises(UnusableImage, match="damaged"):
            found.read(first)
        assert found.read(second) == content


def test_too_many_entries_are_rejected_with_413() -> None:
    rejected = rejection(archive([(f"{number}.txt", b"") for number in range(21)]))
    assert rejected.status == 413
    assert "at most 20 entries, got 21" in rejected.detail


def test_a_directory_that_is_too_large_is_not_read() -> None:
    rejected = rejection(archive([(f"{number:0200}.txt", b"") for number in range(2000)]))
    assert rejected.status == 413
    assert "many more" in rejected.detail


def test_too_many_unpacked_bytes_are_rejected_with_413() -> None:
    rejected = rejection(archive([(f"{number}.bmp", bytes(1_000_000)) for number in range(6)]))
    assert rejected.status == 413
    assert "unpacked bytes, got 6000000" in rejected.detail


def test_an_entry_that_unpacks_to_far_more_is_an_unusable_image_and_the_others_are_read() -> None:
    content = picture()
    data = archive([("a.bmp", bytes(2_000_000)), ("b.png", content)], method=zipfile.ZIP_DEFLATED)
    with opened(data) as found:
        bomb, other = found.entries
        with pytest.raises(UnusableImage, match="at most 50 times") as caught:
            found.read(bomb)
        assert caught.value.status == 413
        assert found.read(other) == content


def test_a_small_entry_may_unpack_to_far_more() -> None:
    with opened(archive([("a.bmp", bytes(2_000))], method=zipfile.ZIP_DEFLATED), BOUNDS_OF_ONE) as found:
        assert found.read(found.entries[0]) == bytes(2_000)


def test_by_default_a_picture_of_one_colour_is_read() -> None:
    black = encoded(Image.new("RGB", (700, 900)), "BMP")
    data = archive([("black.bmp", black)], method=zipfile.ZIP_DEFLATED)
    with opened(data, ArchiveSettings()) as found:
        assert found.read(found.entries[0]) == black


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_entry_larger_than_the_directorys_bound_is_read(method: int) -> None:
    content = np.random.default_rng(0).integers(0, 256, 3_000_000, dtype=np.uint8).tobytes()
    images = ImageSettings(max_bytes=4_000_000)
    with Archive(io.BytesIO(archive([("a.bmp", content)], method=method)), settings=BOUNDS, images=images) as found:
        assert found.read(found.entries[0]) == content


def with_local_name(data: bytes, name: bytes, *, flags: int | None = None) -> bytes:
    """Return the archive with another name of the same length in the header before the first entry."""
    changed = bytearray(data)
    (size,) = struct.unpack_from("<H", data, 26)
    assert len(name) == size
    changed[30 : 30 + size] = name
    if flags is not None:
        struct.pack_into("<H", changed, 6, flags)
    return bytes(changed)


@pytest.mark.parametrize(
    ("local", "flags"),
    [(b"d\\a.png", None), (b"D/A.PNG", None), (b"other.p", None), (b"\xff\xff\xff.png", 0x800), (b"d/a.png", 0x800)],
)
def test_the_directorys_name_counts_if_the_entrys_own_header_has_another(local: bytes, flags: int | None) -> None:
    content = picture()
    data = archive([("d/a.png", content), ("b.png", content)], method=zipfile.ZIP_DEFLATED)
    with opened(with_local_name(data, local, flags=flags)) as found:
        assert [(entry.name, found.read(entry)) for entry in found.entries] == [
            ("d/a.png", content),
            ("b.png", content),
        ]


def test_an_entry_whose_header_is_not_there_is_an_unusable_image() -> None:
    data = bytearray(archive([("a.png", picture())]))
    data[:4] = b"none"
    with opened(bytes(data)) as found, pytest.raises(UnusableImage, match="no header"):
        found.read(found.entries[0])


@pytest.mark.parametrize("offset", [-(2**62), -1, 10**6, 2**62, 2**63 - 1, 2**64])
@pytest.mark.parametrize("is_on_disk", [True, False])
def test_an_entry_at_a_position_that_no_file_has_is_an_unusable_image(
    tmp_path: Path, offset: int, is_on_disk: bool
) -> None:
    data = archive([("a.png", picture())])
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    with path.open("rb") if is_on_disk else io.BytesIO(data) as stream, opened(stream) as found:
        (entry,) = found.entries
        entry.info.header_offset = offset
        with pytest.raises(UnusableImage, match="damaged"):
            found.read(entry)


def test_a_disk_that_cannot_be_read_is_no_fault_of_an_entry() -> None:
    class Disk(io.BytesIO):
        works = True

        def read(self, size: int | None = -1) -> bytes:
            if not self.works:
                raise OSError(5, "Input/output error")
            return super().read(size)

    disk = Disk(archive([("a.png", picture()), ("b", picture())]))
    with opened(disk) as found:
        disk.works = False
        with pytest.raises(OSError, match="Input/output"):
            found.read(found.entries[0])


def with_unicode_path(name: bytes, path: bytes, *, checksum: int | None = None, version: int = 1) -> bytes:
    """Return an archive of one picture with the field for names in UTF-8."""
    field = struct.pack("<BI", version, zlib.crc32(name) if checksum is None else checksum) + path
    info = zipfile.ZipInfo("x" * len(name))
    info.extra = struct.pack("<HH", 0x5455, 1) + b"a" + struct.pack("<HH", 0x7075, len(field)) + field
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as stream:
        stream.writestr(info, picture(kind="JPEG"))
    return buffer.getvalue().replace(b"x" * len(name), name)


def test_the_field_for_names_in_utf8_counts() -> None:
    assert names(with_unicode_path("кит_01.jpg".encode("cp866"), "кит_01.jpg".encode())) == ["кит_01.jpg"]


@pytest.mark.parametrize("wrong", [{"checksum": 5}, {"version": 2}])
def test_the_field_for_names_in_utf8_is_ignored_if_it_belongs_to_another_name(wrong: dict[str, int]) -> None:
    assert names(with_unicode_path(b"renamed.jpg", "кит_01.jpg".encode(), **wrong)) == ["renamed.jpg"]


@pytest.mark.parametrize("content", [b"\xff\xff.jpg", b""])
def test_a_field_for_names_that_is_not_utf8_or_empty_is_ignored(content: bytes) -> None:
    # From version 3.12 on, Python reads the field too, and refuses the archive or warns.
    assert names(with_unicode_path(b"a.jpg", content)) == ["a.jpg"]


def test_a_truncated_field_for_names_is_ignored() -> None:
    info = zipfile.ZipInfo("a.jpg")
    info.extra = struct.pack("<HHBH", 0x7075, 3, 1, 5)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr(info, picture())
    assert names(buffer.getvalue()) == ["a.jpg"]


def test_the_name_in_the_field_is_made_safe_as_a_path() -> None:
    assert names(with_unicode_path(b"a.jpg", b"../../etc/a.jpg")) == ["etc/a.jpg"]


def test_a_picture_of_too_many_bytes_is_rejected_with_413() -> None:
    with opened(archive([("a.bmp", bytes(2_000_001))])) as found, pytest.raises(UnusableImage) as caught:
        found.read(found.entries[0])
    assert caught.value.status == 413


def test_an_entry_is_never_unpacked_beyond_its_announced_size() -> None:
    content = picture(kind="BMP")
    data = bytearray(archive([("a.bmp", content)], method=zipfile.ZIP_DEFLATED))
    directory = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, directory + 24, 10)
    with opened(bytes(data)) as found, pytest.raises(UnusableImage):
        found.read(found.entries[0])


def test_an_encrypted_entry_is_rejected_with_400() -> None:
    data = bytearray(archive([("a.jpg", picture())]))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    rejected = rejection(bytes(data))
    assert rejected.status == 400
    assert "password" in rejected.detail


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_without_bound_are_rejected(method: int) -> None:
    rejected = rejection(archive([("a.bmp", bytes(1000))], method=method))
    assert rejected.status == 400
    assert f"method {method}" in rejected.detail
