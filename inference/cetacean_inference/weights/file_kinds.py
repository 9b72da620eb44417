"""Names the kind of a file by its first bytes, for messages about a file that is not what was expected."""

from __future__ import annotations

from typing import Final

HEAD_BYTES: Final = 512
"""Number of first bytes that `describe_content` needs."""
ZIP_SIGNATURE: Final = b"PK\x03\x04"
_PICKLE_SIGNATURE: Final = b"\x80"
NPY_SIGNATURE: Final = b"\x93NUMPY"
_SIGNATURES: Final = (
    (b"version https://git-lfs", "a git-lfs pointer; the file itself was not downloaded (run git lfs pull)"),
    (NPY_SIGNATURE, "a .npy array"),
    (ZIP_SIGNATURE, "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"GGUF", "a GGUF file"),
    (_PICKLE_SIGNATURE, "a pickle without a zip archive around it, as torch wrote it before version 1.6"),
)
_TEXTS: Final = (
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<?xml", "an XML document"),
    (b"<", "a page in HTML or XML"),
    (b"{", "JSON text"),
    (b"[", "JSON text"),
)
_SAFETENSORS_LENGTH_BYTES: Final = 8
_LARGEST_SAFETENSORS_HEADER: Final = 100_000_000
"""The format's own bound."""
_SHOWN_BYTES: Final = 8
_TAR_SIGNATURE_OFFSET: Final = 257


def is_safetensors(head: bytes) -> bool:
    """Return True if a file with these first bytes is a safetensors file: a length, then a JSON object."""
    length = int.from_bytes(head[:_SAFETENSORS_LENGTH_BYTES], "little")
    return head[_SAFETENSORS_LENGTH_BYTES:][:1] == b"{" and 0 < length <= _LARGEST_SAFETENSORS_HEADER


def is_pickle(head: bytes) -> bool:
    """Return True if a file with these first bytes is a pickle, or a zip archive, in which `torch.save` puts one."""
    return not is_safetensors(head) and head.startswith((ZIP_SIGNATURE, _PICKLE_SIGNATURE))


def describe_content(head: bytes) -> str:
    """Return a phrase that names the kind of a file, e.g. `a gzip archive`.

    Args:
        head: its first `HEAD_BYTES` bytes.
    """
    if not head:
        return "an empty file"
    if is_safetensors(head):
        return "a safetensors file"
    if head[_TAR_SIGNATURE_OFFSET:].startswith(b"ustar"):
        return "a tar archive"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    matches = (
        *(name for signature, name in _SIGNATURES if head.startswith(signature)),
        *(name for signature, name in _TEXTS if text.startswith(signature)),
    )
    return matches[0] if matches else f"a file that begins with the bytes {head[:_SHOWN_BYTES].hex(' ')}"
