"""Zip archives of unknown origin: what is in them that is a picture, within bounds that are checked before unpacking.

Nothing is written to disk, so names can do no harm there; they are still cleaned, because clients use them as names.
"""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Final

from cetacean_inference.images import EXTENSIONS, HEAD, begins_as_picture
from cetacean_inference.refusals import Refused, UnusableImage
from cetacean_inference.settings import KIB, MIB, ArchiveSettings, ImageSettings

SIGNATURES: Final = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""The others unpack without a bound on how much comes at once, and cameras and file managers do not write them."""
UTF8_FLAG: Final = 0x800
ENCRYPTED_FLAG: Final = 0x1
RATIO_MATTERS_FROM: Final = MIB
DIRECTORY_BYTES_PER_ENTRY: Final = KIB


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture in an archive; `read` it in a thread."""

    name: str
    info: zipfile.ZipInfo


class Archive:
    """An opened archive: the `entries` that are pictures, and how many others were `skipped`.

    Use it as a context manager, all of it outside the event loop.

    Args:
        stream: the bytes, seekable; stays open.
        settings: bounds of the archive.
        images: bounds of each picture.

    Raises:
        Refused: 400 unreadable, 413 beyond a bound.
    """

    def __init__(self, stream: IO[bytes], *, settings: ArchiveSettings, images: ImageSettings) -> None:
        self._settings = settings
        self._images = images
        self._lock = threading.Lock()
        directory_limit = 64 * KIB + settings.max_entries * DIRECTORY_BYTES_PER_ENTRY
        guarded = _DirectoryGuard(stream, directory_limit)
        try:
            self._zip = zipfile.ZipFile(guarded)  # needs only read, seek, tell and seekable
        except _DirectoryTooLargeError as error:
            raise Refused(
                413, f"expected at most {settings.max_entries} entries, got an archive of many more"
            ) from error
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, EOFError) as error:
            # UnicodeDecodeError is a ValueError: a name that says it is UTF-8 and is not.
            raise Refused(400, f"expected a readable zip archive, got: {_said(error)}") from error
        guarded.limit = None
        infos = self._zip.infolist()
        self._check(infos)
        self.entries: Final = tuple(self._pictures(infos))
        self.skipped: Final = len(infos) - len(self.entries)

    def __enter__(self) -> Archive:  # noqa: PYI034 - not meant to be derived from
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def read(self, entry: Entry) -> bytes:
        """One entry's bytes; thread safe.

        Raises:
            UnusableImage: when they cannot be unpacked, or are too many.
        """
        if entry.info.file_size > self._images.max_bytes:
            raise UnusableImage(413, f"expected at most {self._images.max_bytes} bytes, got {entry.info.file_size}")
        try:
            with self._lock, self._zip.open(entry.info) as stream:
                return stream.read(self._images.max_bytes + 1)
        except Exception as error:
            raise UnusableImage(415, f"expected a whole entry, got a damaged one: {_said(error)}") from error

    def _check(self, infos: list[zipfile.ZipInfo]) -> None:
        """Hold what the directory says against the bounds; more than it says is never unpacked."""
        bounds = self._settings
        if len(infos) > bounds.max_entries:
            raise Refused(413, f"expected at most {bounds.max_entries} entries, got {len(infos)}")
        unpacked = sum(info.file_size for info in infos)
        if unpacked > bounds.max_unpacked_bytes:
            raise Refused(413, f"expected at most {bounds.max_unpacked_bytes} unpacked bytes, got {unpacked}")
        for info in infos:
            name = clean_name(_decoded(info))
            if info.file_size > RATIO_MATTERS_FROM and info.file_size > bounds.max_ratio * info.compress_size:
                raise Refused(
                    413,
                    f"{name}: expected to unpack to at most {bounds.max_ratio:g} times its size, "
                    f"got {info.file_size} bytes from {info.compress_size}",
                )
            if info.flag_bits & ENCRYPTED_FLAG:
                raise Refused(400, f"{name}: expected an archive without a password, got an encrypted entry")
            if info.compress_type not in METHODS and not _is_directory(info):
                raise Refused(400, f"{name}: expected a stored or deflated entry, got method {info.compress_type}")

    def _pictures(self, infos: list[zipfile.ZipInfo]) -> Iterator[Entry]:
        for info in infos:
            name = clean_name(_decoded(info))
            path = PurePosixPath(name)
            # macOS puts a ._file beside each file, under the same extension.
            if _is_directory(info) or "__MACOSX" in path.parts or path.name.startswith("._"):
                continue
            # A file that is called a picture and is none is answered as such, not passed over in silence.
            if path.suffix.lower() in EXTENSIONS or begins_as_picture(self._head(info)):
                yield Entry(name, info)

    def _head(self, info: zipfile.ZipInfo) -> bytes:
        try:
            with self._zip.open(info) as stream:
                return stream.read(HEAD)
        except Exception:  # noqa: BLE001 - as in read; what cannot be read here is not known to be a picture
            return b""


def _is_directory(info: zipfile.ZipInfo) -> bool:
    return info.filename.endswith("/")  # ZipInfo.is_dir fails of an empty name in some versions of Python


class _DirectoryTooLargeError(Exception):
    pass


class _DirectoryGuard:
    """Bounds how much is read at once while the directory is read: an entry costs ten times its bytes in memory."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream = stream
        self.limit: int | None = limit
        self.seek, self.tell = stream.seek, stream.tell

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self.limit is not None and size > self.limit:
            raise _DirectoryTooLargeError
        return self._stream.read(size)


def looks_like_zip(head: bytes) -> bool:
    """Whether bytes begin as a zip archive does."""
    return head.startswith(SIGNATURES)


def clean_name(name: str) -> str:
    """A name that is harmless as a path: no root, no drive, nothing that leads upwards, no control characters."""
    printable = "".join(character for character in name.replace("\\", "/") if character.isprintable())
    parts = [part for part in printable.split("/") if part not in ("", ".", "..")]
    if parts and len(parts[0]) == 2 and parts[0][1] == ":":
        del parts[0]
    return "/".join(parts)


def _decoded(info: zipfile.ZipInfo) -> str:
    """The entry's name; many programs write UTF-8 without saying so, which zipfile reads as code page 437."""
    if info.flag_bits & UTF8_FLAG:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
