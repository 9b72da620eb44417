"""Reads the pictures of untrusted zip archives; bounds are checked before anything is unpacked.

Nothing is written to disk. Names are still cleaned, because clients use them as file names.
"""

from __future__ import annotations

import io
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any, Final

from cetacean_inference.imaging.decoding import EXTENSIONS, SIGNATURE_BYTES, has_image_signature
from cetacean_inference.messages import one_line
from cetacean_inference.rejected_requests import RequestRejected, UnusableImage
from cetacean_inference.settings import KIB, MIB, ArchiveSettings, ImageSettings

SIGNATURES: Final = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""Other methods unpack an unbounded amount at once, and cameras and file managers do not write them."""
UTF8_FLAG: Final = 0x800
ENCRYPTED_FLAG: Final = 0x1
UNICODE_PATH: Final = 0x7075
HIDDEN_UNICODE_PATH: Final = 0x7076
"""Put in its place while Python reads the directory: from version 3.12 on, it refuses archives with a damaged field."""
_DIRECTORY_HEADER: Final = struct.Struct("<4s24xHHH12x")
"""Signature, and the sizes of the name, of the extra fields and of the comment."""
_FIELD: Final = struct.Struct("<HH")
_LOCAL_HEADER: Final = struct.Struct("<4s22xHH")
"""Signature, and the sizes of the name and of the extra fields."""
_SMALL_END: Final = b"PK\x05\x06"
"""Signature of an end record whose count has 16 bits; that of zip64 has 64."""
RATIO_CHECKED_FROM: Final = MIB
DIRECTORY_BYTES_PER_ENTRY: Final = KIB
UNNAMED: Final = "unknown"
"""The name of a picture that has none."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture in an archive."""

    name: str
    info: zipfile.ZipInfo


class Archive:
    """An open archive: `entries` are its pictures, `skipped` counts all others.

    A context manager; use it outside the event loop.

    Args:
        stream: the bytes, seekable; the archive does not close it.
        settings: bounds of the archive.
        images: bounds of each picture.

    Raises:
        RequestRejected: 400 unreadable, 413 beyond a bound.
    """

    def __init__(self, stream: IO[bytes], *, settings: ArchiveSettings, images: ImageSettings) -> None:
        self._settings = settings
        self._images = images
        self._stream = stream
        self._lock = threading.Lock()
        directory_limit = 64 * KIB + settings.max_entries * DIRECTORY_BYTES_PER_ENTRY
        guarded = _DirectoryGuard(stream, directory_limit)
        try:
            self._zip = zipfile.ZipFile(guarded)
        except _DirectoryTooLargeError as error:
            raise RequestRejected(
                413, f"expected at most {settings.max_entries} entries, got an archive of many more"
            ) from error
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, EOFError) as error:
            # UnicodeDecodeError is a ValueError: a name with the UTF-8 flag that is not UTF-8.
            raise RequestRejected(400, f"expected a readable zip archive, got: {one_line(error)}") from error
        infos = self._zip.infolist()
        _check_end(stream, len(infos))
        self._check(infos)
        self.entries: Final = tuple(self._select_pictures(infos))
        self.skipped: Final = len(infos) - len(self.entries)

    def __enter__(self) -> Archive:  # noqa: PYI034 - not meant to be subclassed
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def read(self, entry: Entry) -> bytes:
        """Unpack one entry; thread safe.

        Raises:
            UnusableImage: 413 too many bytes, 415 damaged.
            OSError: the archive's bytes cannot be read from the disk.
        """
        info, bounds = entry.info, self._settings
        if info.file_size > self._images.max_bytes:
            raise UnusableImage(413, f"expected at most {self._images.max_bytes} bytes, got {info.file_size}")
        if info.file_size > RATIO_CHECKED_FROM and info.file_size > bounds.max_ratio * info.compress_size:
            raise UnusableImage(
                413,
                f"expected to unpack to at most {bounds.max_ratio:g} times its size, "
                f"got {info.file_size} bytes from {info.compress_size}",
            )
        try:
            content = self._unpack(info, info.file_size + 1)
            if len(content) != info.file_size:
                raise zipfile.BadZipFile(f"{info.file_size} bytes announced")  # noqa: TRY301 - as for other damage
            if zlib.crc32(content) != info.CRC:
                raise zipfile.BadZipFile("another checksum than announced")  # noqa: TRY301 - as above
        except OSError:  # not the entry's fault
            raise
        except Exception as error:
            raise UnusableImage(415, f"expected a whole entry, got a damaged one: {one_line(error)}") from error
        return content

    def _unpack(self, info: zipfile.ZipInfo, limit: int) -> bytes:
        """Return the first bytes of an entry, at most `limit`; thread safe.

        As every other program does, it takes the directory's word for an entry. `zipfile.open` refuses an entry whose
        own header has another name, which many programs write: another slash, case or encoding.

        Raises:
            zipfile.BadZipFile, zlib.error, struct.error: it is damaged.
            OSError: the archive's bytes cannot be read from the disk.
        """
        with self._lock:
            try:
                self._stream.seek(info.header_offset)
            except (OSError, ValueError, OverflowError) as error:  # negative, or beyond what any file can hold
                raise zipfile.BadZipFile("no header at the announced position") from error
            header = self._stream.read(_LOCAL_HEADER.size)
            signature, name_size, extra_size = _LOCAL_HEADER.unpack(header)
            if signature != SIGNATURES[0]:
                raise zipfile.BadZipFile("no header at the announced position")
            self._stream.seek(name_size + extra_size, io.SEEK_CUR)
            # Compressed data are hardly larger than what they unpack to.
            packed = self._stream.read(min(info.compress_size, limit + limit // 8 + KIB))
        if info.compress_type == zipfile.ZIP_STORED:
            return packed[:limit]
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, limit)

    def _check(self, infos: list[zipfile.ZipInfo]) -> None:
        """Check the sizes that the directory announces; `read` never unpacks more than that."""
        bounds = self._settings
        if len(infos) > bounds.max_entries:
            raise RequestRejected(413, f"expected at most {bounds.max_entries} entries, got {len(infos)}")
        unpacked = sum(info.file_size for info in infos)
        if unpacked > bounds.max_unpacked_bytes:
            raise RequestRejected(413, f"expected at most {bounds.max_unpacked_bytes} unpacked bytes, got {unpacked}")
        for info in infos:
            name = clean_name(_decode_name(info))
            if info.flag_bits & ENCRYPTED_FLAG:
                raise RequestRejected(400, f"{name}: expected an archive without a password, got an encrypted entry")
            if info.compress_type not in METHODS and not _is_directory(info):
                raise RequestRejected(
                    400, f"{name}: expected a stored or deflated entry, got method {info.compress_type}"
                )

    def _select_pictures(self, infos: list[zipfile.ZipInfo]) -> Iterator[Entry]:
        for info in infos:
            name = clean_name(_decode_name(info))
            path = PurePosixPath(name)
            # macOS adds a `._name` file with the same extension for each file.
            if _is_directory(info) or "__MACOSX" in path.parts or path.name.startswith("._"):
                continue
            # A file with a picture's extension that is not a picture is answered as corrupted, not skipped.
            if path.suffix.lower() in EXTENSIONS or has_image_signature(self._first_bytes(info)):
                yield Entry(name, info)

    def _first_bytes(self, info: zipfile.ZipInfo) -> bytes:
        try:
            return self._unpack(info, SIGNATURE_BYTES)
        except OSError:
            raise
        except Exception:  # noqa: BLE001 - a damaged entry, which is not known to be a picture
            return b""


def _check_end(stream: IO[bytes], found: int) -> None:
    """Compare the end record with the entries found; zipfile believes the directory's size, whatever it leaves out.

    Raises:
        RequestRejected: 400 if the record announces another number of entries, or more than one file.
    """
    # The record that zipfile has used: a search of our own could find another one.
    signature, *parts, here, announced = zipfile._EndRecData(stream)[:5]  # type: ignore[attr-defined] # noqa: SLF001
    refused = "expected a readable zip archive, got:"
    if any(parts):
        raise RequestRejected(400, f"{refused} part {max(parts) + 1} of several")
    counted = found & 0xFFFF if signature == _SMALL_END else found
    for number in (here, announced):
        if number != counted:
            raise RequestRejected(400, f"{refused} {number} entries announced, {found} found")


def _is_directory(info: zipfile.ZipInfo) -> bool:
    return info.filename.endswith("/")  # ZipInfo.is_dir fails on an empty name in some versions of Python


class _DirectoryTooLargeError(Exception):
    pass


class _DirectoryGuard:
    """Bounds a single read while zipfile reads the directory: an entry needs ten times its bytes in memory.

    It also hides the fields for names in UTF-8, which `_unicode_path` reads.
    """

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self.seek = stream.seek

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def read(self, size: int = -1) -> bytes:
        if size > self._limit:
            raise _DirectoryTooLargeError
        return _hide_unicode_paths(self._stream.read(size))


def _hide_unicode_paths(directory: bytes) -> bytes:
    """Return the directory with another number in the place of `UNICODE_PATH`; other bytes as they are."""
    hidden, position = bytearray(directory), 0
    with suppress(struct.error):  # the end
        while True:
            signature, name_size, extra_size, comment_size = _DIRECTORY_HEADER.unpack_from(directory, position)
            if signature != b"PK\x01\x02":
                break
            field = position + _DIRECTORY_HEADER.size + name_size
            end = field + extra_size
            while field + _FIELD.size <= end:
                kind, size = _FIELD.unpack_from(directory, field)
                if kind == UNICODE_PATH:
                    _FIELD.pack_into(hidden, field, HIDDEN_UNICODE_PATH, size)
                field += _FIELD.size + size
            position = end + comment_size
    return bytes(hidden)


def has_zip_signature(head: bytes) -> bool:
    """True if the bytes begin like a zip archive."""
    return head.startswith(SIGNATURES)


def clean_name(name: str) -> str:
    """Make a name safe as a path: no root, no drive, no parent folder, no control characters; never empty."""
    printable = "".join(character for character in name.replace("\\", "/") if character.isprintable())
    parts = [part for part in printable.split("/") if part not in ("", ".", "..")]
    while parts and len(parts[0]) == 2 and parts[0][1] == ":":
        del parts[0]
    return "/".join(parts) or UNNAMED


def _decode_name(info: zipfile.ZipInfo) -> str:
    """The entry's name. Many programs write UTF-8 without setting the flag; zipfile reads that as code page 437."""
    encoding = "utf-8" if info.flag_bits & UTF8_FLAG else "cp437"
    try:
        raw = info.orig_filename.encode(encoding)
        return _unicode_path(info.extra, raw) or raw.split(b"\0")[0].decode("utf-8")
    except UnicodeError:
        return info.filename


def _unicode_path(extra: bytes, raw_name: bytes) -> str | None:
    """Return the name in Info-ZIP's field for names in UTF-8; None without one that belongs to this name.

    Raises:
        UnicodeError: it is not UTF-8.
    """
    position = 0
    while position + 4 <= len(extra):
        field, size = struct.unpack_from("<HH", extra, position)
        content = extra[position + 4 : position + 4 + size]
        position += 4 + size
        # Another checksum: a program renamed the entry and did not know the field.
        if field == HIDDEN_UNICODE_PATH and content[:5] == struct.pack("<BI", 1, zlib.crc32(raw_name)):
            return content[5:].decode("utf-8")
    return None
